//! What holds for all encrypted transports alike: the cap, the drain, and that nothing is left behind.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::time::timeout;
use zonelet::metrics::{CloseReason, Proto};
use zonelet::server::{Leftover, Running};

use super::served;
#[cfg(feature = "doq")]
use crate::harness::client::framed;
use crate::harness::client::{PATIENCE, ask};
#[cfg(feature = "doq")]
use crate::harness::encrypted::QuicClient;
use crate::harness::encrypted::{Authority, HttpsClient, TlsClient, addr_of};
use crate::harness::program::outside;
use crate::harness::responder::{Served, echo};

fn query(label: &str) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).bytes()
}

fn at(served: &Served, proto: Proto) -> SocketAddr {
    addr_of(&served.encrypted, proto)
}

fn drain(served: &Served, running: Running, grace: Duration) -> tokio::task::JoinHandle<Leftover> {
    served.runtime.spawn(running.drain(grace))
}

fn until_refused(addr: SocketAddr) {
    while TcpStream::connect_timeout(&addr, PATIENCE).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_drain_with_nothing_to_do_frees_every_port() {
    let authority = Authority::new();
    let mut served = served(&authority, |_| {});
    let running = served.running();
    let left = served.runtime.block_on(running.drain(Duration::MAX));
    assert_eq!(left, Leftover::default());
    for &(proto, addr) in &served.encrypted {
        match proto {
            Proto::Quic => drop(UdpSocket::bind(addr).unwrap()),
            _ => drop(std::net::TcpListener::bind(addr).unwrap()),
        }
    }
}

#[test]
fn what_is_under_way_at_the_drain_is_answered_and_then_all_is_closed() {
    let authority = Authority::new();
    let mut served = served(&authority, |_| {});
    let slow = query("slow");
    let mut tls = TlsClient::connect(&authority, at(&served, Proto::Tls));
    tls.send(&slow);
    let mut held = served.double.take(1);
    let h2 = HttpsClient::connect(&authority, at(&served, Proto::Https), b"h2");
    let over_h2 = h2.start(h2.post(&slow));
    held.extend(served.double.take(1));
    let h1 = HttpsClient::connect(&authority, at(&served, Proto::Https), b"http/1.1");
    let over_h1 = h1.start(h1.get(&slow));
    held.extend(served.double.take(1));
    #[cfg(feature = "doq")]
    let quic = QuicClient::connect(&authority, at(&served, Proto::Quic));
    #[cfg(feature = "doq")]
    let over_quic = quic.start(framed(&slow));
    #[cfg(feature = "doq")]
    held.extend(served.double.take(1));
    // Nobody asks anything here.
    let idle = HttpsClient::connect(&authority, at(&served, Proto::Https), b"h2");
    let mut quiet = TlsClient::connect(&authority, at(&served, Proto::Tls));
    let running = served.running();
    let drained = drain(&served, running, PATIENCE);
    until_refused(at(&served, Proto::Https));
    assert!(quiet.is_closed_in_order());
    held.into_iter().for_each(|held| held.release());
    assert_eq!(tls.recv(), Some(echo(&slow)));
    assert!(tls.is_closed_in_order());
    for answered in [outside().spawn(over_h2), outside().spawn(over_h1)] {
        assert_eq!(outside().block_on(answered).unwrap().expect("a response").body, echo(&slow));
    }
    #[cfg(feature = "doq")]
    {
        assert_eq!(outside().block_on(over_quic).unwrap(), framed(&echo(&slow)));
        assert_eq!(quic.end(), Some(0));
    }
    assert_eq!(served.runtime.block_on(drained).unwrap(), Leftover::default());
    drop(idle);
    assert_eq!(served.metrics.open_connections(), 0);
}

#[test]
fn after_the_grace_period_everything_is_cut() {
    let authority = Authority::new();
    let mut served = served(&authority, |_| {});
    let slow = query("slow");
    let mut tls = TlsClient::connect(&authority, at(&served, Proto::Tls));
    tls.send(&slow);
    let h2 = HttpsClient::connect(&authority, at(&served, Proto::Https), b"h2");
    let over_h2 = h2.start(h2.post(&slow));
    let held = served.double.take(2);
    let running = served.running();
    let left = served.runtime.block_on(running.drain(Duration::ZERO));
    assert!(left.connections >= 2, "{left:?}");
    assert_eq!(tls.recv(), None);
    assert!(outside().block_on(async { timeout(PATIENCE, over_h2).await }).expect("an end").is_err());
    assert_eq!(served.metrics.open_connections(), 0);
    held.into_iter().for_each(|held| held.release());
    // What came too late is given back by whoever held it last.
    let deadline = std::time::Instant::now() + PATIENCE;
    while served.metrics.queued_bytes() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} bytes stay", served.metrics.queued_bytes());
        std::thread::yield_now();
    }
}

#[test]
fn all_kinds_of_connections_share_one_cap() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_connections = 2);
    let hit = query("hit");
    let mut tls = TlsClient::connect(&authority, at(&served, Proto::Tls));
    assert_eq!(tls.ask(&hit), echo(&hit));
    let https = HttpsClient::connect(&authority, at(&served, Proto::Https), b"h2");
    assert_eq!(https.ask(&hit), echo(&hit));
    let config = std::sync::Arc::new(authority.client(&[]));
    for proto in [Proto::Tls, Proto::Https] {
        assert!(TlsClient::connect_with(config.clone(), at(&served, proto)).is_err(), "{proto:?}");
    }
    #[cfg(feature = "doq")]
    assert!(QuicClient::try_connect(&authority, at(&served, Proto::Quic)).is_err());
    assert_eq!(served.metrics.refusals(), 2 + u64::from(cfg!(feature = "doq")));
    assert_eq!((tls.ask(&hit), https.ask(&hit)), (echo(&hit), echo(&hit)));
}

/// Open descriptors of this process would count other tests' as well; those of the listener's side are
/// gone with their tasks.
#[test]
fn a_thousand_connections_leave_no_task_and_no_byte_behind() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_connections = 1 << 16);
    let tasks = || served.runtime.metrics().num_alive_tasks();
    let (hit, slow) = (query("hit"), query("slow"));
    let before = tasks();
    for n in 0..1000 {
        // Every fifth goes away with a query in flight.
        let goes_away = n % 5 == 4;
        match n % if cfg!(feature = "doq") { 4 } else { 3 } {
            0 => {
                let mut client = TlsClient::connect(&authority, at(&served, Proto::Tls));
                if goes_away { client.send(&slow) } else { drop(client.ask(&hit)) }
            }
            #[cfg(feature = "doq")]
            3 => {
                let client = QuicClient::connect(&authority, at(&served, Proto::Quic));
                if goes_away { drop(client.start(framed(&slow))) } else { drop(client.ask(&hit)) }
            }
            kind => {
                let protocol: &[u8] = if kind == 1 { b"h2" } else { b"http/1.1" };
                let client = HttpsClient::connect(&authority, at(&served, Proto::Https), protocol);
                if goes_away { drop(client.start(client.post(&slow))) } else { drop(client.ask(&hit)) }
            }
        }
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while tasks() > before || served.metrics.open_connections() > 0 || served.metrics.queued_bytes() > 0 {
        let left = (tasks(), before, served.metrics.open_connections(), served.metrics.queued_bytes());
        assert!(std::time::Instant::now() < deadline, "left behind: {left:?}");
        // Over TLS a client may have closed its half alone: its queries have until their answers come.
        served.double.forget();
        std::thread::yield_now();
    }
    assert_eq!(served.metrics.closings(CloseReason::Handshake), 0);
}
