//! The TLS of DNS over TLS: records, order, limits, clients that stop halfway.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use rustls::HandshakeKind;
use zonelet::metrics::{CloseReason, Proto};

use super::served;
use crate::harness::client::{PATIENCE, ask, framed, id_of};
use crate::harness::encrypted::{Authority, TlsClient, addr_of};
use crate::harness::responder::{Served, echo};

fn query(label: &str, id: u16) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).id(id).bytes()
}

fn connect(authority: &Authority, served: &Served) -> TlsClient {
    TlsClient::connect(authority, addr_of(&served.encrypted, Proto::Tls))
}

fn ids(client: &mut TlsClient, count: usize) -> Vec<u16> {
    (0..count).map(|_| id_of(&client.recv().expect("closed before the answer"))).collect()
}

fn framed_all(queries: &[Vec<u8>]) -> Vec<u8> {
    queries.iter().flat_map(|query| framed(query)).collect()
}

fn until_closed(served: &Served, reason: CloseReason) {
    while served.metrics.closings(reason) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn queries_in_one_record_or_a_byte_in_each_are_all_answered() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let mut client = connect(&authority, &served);
    client.write(&framed_all(&(0..50).map(|id| query("hit", id)).collect::<Vec<_>>()));
    assert_eq!(ids(&mut client, 50), (0..50).collect::<Vec<_>>());
    let hit = query("hit", 99);
    for byte in framed(&hit) {
        client.write(&[byte]);
    }
    assert_eq!(client.recv(), Some(echo(&hit)));
    // More than the connection reads at a time, in records of their own.
    let many: Vec<_> = (0..1000).map(|id| query("hit", id)).collect();
    client.write(&framed_all(&many));
    assert_eq!(ids(&mut client, 1000), (0..1000).collect::<Vec<_>>());
    assert_eq!(served.board.totals().queries(Proto::Tls), 1051);
}

#[test]
fn late_answers_come_in_the_order_they_are_ready() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let mut client = connect(&authority, &served);
    let mut queries: Vec<_> = (0..10).map(|id| query("slow", id)).collect();
    queries.push(query("hit", 10));
    client.write(&framed_all(&queries));
    assert_eq!(ids(&mut client, 1), [10]);
    served.double.take(10).into_iter().rev().for_each(|held| held.release());
    assert_eq!(ids(&mut client, 10), (0..10).rev().collect::<Vec<_>>());
}

#[test]
fn the_longest_answers_arrive_whole_at_once_and_late() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let mut client = connect(&authority, &served);
    client.write(&framed_all(&(0..12).map(|id| query("big", id)).collect::<Vec<_>>()));
    for id in 0..12 {
        let response = client.recv().unwrap();
        assert_eq!((id_of(&response), response.len()), (id, 65535));
    }
    client.send(&query("slow", 99));
    served.double.take(1).pop().unwrap().release_as(65535);
    assert_eq!(client.recv().map(|response| response.len()), Some(65535));
}

#[test]
fn reading_stops_at_the_in_flight_cap_and_goes_on_below_it() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_in_flight = 3);
    let mut client = connect(&authority, &served);
    client.write(&framed_all(&(0..200).map(|id| query("slow", id)).collect::<Vec<_>>()));
    for id in 0..197 {
        served.double.take(1).pop().unwrap().release();
        assert_eq!(ids(&mut client, 1), [id]);
    }
    served.double.take(3).into_iter().for_each(|held| held.release());
    assert_eq!(ids(&mut client, 3), [197, 198, 199]);
    assert!(served.double.most() <= 3, "{} were in flight", served.double.most());
}

#[test]
fn a_client_that_half_closes_gets_what_it_asked_for() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let mut client = connect(&authority, &served);
    client.write(&framed_all(&[query("slow", 1), query("hit", 2)]));
    client.half_close();
    assert_eq!(ids(&mut client, 1), [2]);
    served.double.take(1).pop().unwrap().release();
    assert_eq!(ids(&mut client, 1), [1]);
    let end = client.end();
    assert!(matches!(end, Ok(0)), "{end:?}");
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_its_bytes_are_forgotten() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_stall = Duration::from_millis(200));
    let mut deaf = connect(&authority, &served);
    deaf.write(&framed_all(&(0..1000).map(|id| query("big", id)).collect::<Vec<_>>()));
    until_closed(&served, CloseReason::SlowReader);
    while served.metrics.queued_bytes() > 0 {
        std::thread::yield_now();
    }
    let hit = query("hit", 1);
    assert_eq!(connect(&authority, &served).ask(&hit), echo(&hit));
}

#[test]
fn an_idle_connection_is_closed_in_the_words_of_tls() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_idle = Duration::from_millis(100));
    let mut idle = connect(&authority, &served);
    assert!(idle.is_closed_in_order());
    until_closed(&served, CloseReason::Idle);
}

#[test]
fn a_handshake_that_is_not_finished_counts_as_a_connection_and_ends() {
    let authority = Authority::new();
    let served = served(&authority, |settings| {
        settings.tcp_connections = 2;
        settings.tcp_stall = Duration::from_millis(300);
    });
    let addr = addr_of(&served.encrypted, Proto::Tls);
    let _silent: Vec<_> = (0..2).map(|_| TcpStream::connect_timeout(&addr, PATIENCE).unwrap()).collect();
    while served.metrics.open_connections() < 2 && served.metrics.closings(CloseReason::Handshake) == 0 {
        std::thread::yield_now();
    }
    while served.metrics.closings(CloseReason::Handshake) < 2 {
        std::thread::yield_now();
    }
    assert_eq!(served.metrics.open_connections(), 0);
    let hit = query("hit", 1);
    let mut again = TlsClient::connect_with(Arc::new(authority.client(&[])), addr);
    while again.is_err() {
        again = TlsClient::connect_with(Arc::new(authority.client(&[])), addr);
    }
    assert_eq!(again.unwrap().ask(&hit), echo(&hit));
}

#[test]
fn what_is_no_tls_or_another_protocol_is_turned_away() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let addr = addr_of(&served.encrypted, Proto::Tls);
    let mut plain = TcpStream::connect_timeout(&addr, PATIENCE).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(&framed(&query("hit", 1))).unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(said.first().is_none_or(|kind| *kind == 21), "an alert at most: {said:02x?}");
    assert!(TlsClient::connect_with(Arc::new(authority.client(&[b"h2"])), addr).is_err());
    assert_eq!(served.double.most(), 0);
    assert_eq!(served.board.totals().queries(Proto::Tls), 0);
}

#[test]
fn damaged_records_end_the_connection_and_no_other() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let addr = addr_of(&served.encrypted, Proto::Tls);
    let mut good = TlsClient::connect(&authority, addr);
    for junk in [
        &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20][..],
        &[0xff; 600],
    ] {
        let mut client = TlsClient::connect(&authority, addr);
        client.raw(junk);
        assert_eq!(client.recv(), None);
    }
    let hit = query("hit", 1);
    assert_eq!(good.ask(&hit), echo(&hit));
}

#[test]
fn a_client_that_comes_back_is_spared_half_the_handshake() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let addr = addr_of(&served.encrypted, Proto::Tls);
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let config = Arc::new(config);
        let hit = query("hit", 1);
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                let mut client = TlsClient::connect_with(Arc::clone(&config), addr).unwrap();
                assert_eq!(client.ask(&hit), echo(&hit));
                client.tls().handshake_kind().unwrap()
            })
            .collect();
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{versions:?}");
    }
}
