use std::net::Ipv4Addr;
use std::thread;
use std::time::Instant;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, TransportErrorCode};
use socket2::SockRef;
use tokio::task::yield_now;

use super::super::tcp::Lifeline;
use super::*;
use crate::metrics::ServerMetrics;
use crate::server::settings::CertificateFiles;
use crate::sys::SocketName;

const PATIENCE: Duration = Duration::from_secs(10);

/// A listener without a certificate: who comes here gets no further than its first packet.
fn listener() -> (Listener, SocketAddr, Arc<Door>) {
    let socket = bind::quic_socket((Ipv4Addr::LOCALHOST, 0).into(), true).unwrap();
    let addr = socket.local_addr().unwrap();
    let nowhere = CertificateFiles { chain: "/nowhere".into(), key: "/nowhere".into() };
    let identity = Arc::new(Identity::load(nowhere, Arc::new(ServerMetrics::default())));
    let tag = Tag::other_than(None);
    let listener = Listener::new(socket, tag, &identity).unwrap();
    let name = SocketName::new("quic", addr, addr, tag.number().into());
    let door = Door::new(name, &listener.socket, &Lifeline::default());
    (listener, addr, door)
}

/// A client on a thread of its own, and what becomes of it: nothing, if it is told nothing within `patience`.
fn client(server: SocketAddr, patience: Duration) -> thread::JoinHandle<Option<ConnectionError>> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap();
        let mut tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        tls.alpn_protocols = vec![PROTOCOL.to_vec()];
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        runtime.block_on(async {
            let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let connecting = endpoint.connect_with(config, server, "dns.test").unwrap();
            timeout(patience, connecting).await.ok().map(|connected| connected.unwrap_err())
        })
    })
}

/// Waits until a packet has come and the endpoint has read it. This runtime has one thread: nothing is read unless it
/// is let.
async fn until_read(listener: &Listener) {
    let waits = || {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        SockRef::from(&*listener.socket).peek(&mut byte).is_ok()
    };
    let deadline = Instant::now() + PATIENCE;
    while !waits() {
        assert!(Instant::now() < deadline, "no packet has come");
        thread::yield_now();
    }
    while waits() {
        assert!(Instant::now() < deadline, "nobody reads the packet");
        yield_now().await;
    }
}

fn is_refusal(outcome: Option<&ConnectionError>) -> bool {
    matches!(outcome, Some(ConnectionError::ConnectionClosed(close))
        if close.error_code == TransportErrorCode::CONNECTION_REFUSED)
}

#[tokio::test]
async fn who_has_come_before_the_end_is_refused_also_where_nothing_is_waited_for() {
    for _ in 0..8 {
        let (listener, addr, door) = listener();
        let client = client(addr, PATIENCE);
        until_read(&listener).await;
        door.close(false);
        listener.end(JoinSet::new(), &door).await;
        let outcome = client.join().unwrap();
        assert!(is_refusal(outcome.as_ref()), "{outcome:?}");
    }
}

#[tokio::test]
async fn after_a_hand_over_who_is_new_hears_nothing_and_who_was_sent_a_retry_is_refused() {
    let (listener, addr, door) = listener();
    let retried = client(addr, PATIENCE);
    until_read(&listener).await;
    listener.endpoint.accept().await.unwrap().retry().unwrap();
    until_read(&listener).await;
    // Long enough for a refusal to come, which is what the test is about, and no longer.
    let new = client(addr, Duration::from_millis(300));
    until_read(&listener).await;
    door.close(true);
    listener.end(JoinSet::new(), &door).await;
    let outcome = retried.join().unwrap();
    assert!(is_refusal(outcome.as_ref()), "{outcome:?}");
    assert!(new.join().unwrap().is_none(), "it asks again, and another process answers");
}
