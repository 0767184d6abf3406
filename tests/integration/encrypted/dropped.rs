//! What a rule has dropped is answered over no transport, and harms nothing else that its client asks.

use hickory_proto::rr::RecordType;
use zonelet::answer::settings::{AccessAction, AccessRule, named_networks};
use zonelet::metrics::Proto;

use crate::answers::CORP;
#[cfg(feature = "doq")]
use crate::harness::client::framed;
use crate::harness::client::{TcpClient, UdpClient, ask, id_of};
use crate::harness::dns::{Plan, Stack, unknown};
#[cfg(feature = "doq")]
use crate::harness::encrypted::QuicClient;
use crate::harness::encrypted::{Authority, HttpsClient, TlsClient, addr_of};
use crate::harness::program::outside;

fn stack(authority: &Authority) -> Stack {
    let rule = AccessRule {
        action: AccessAction::Drop,
        clients: named_networks("any").unwrap(),
        domains: vec!["glued.corp.internal.".parse().unwrap()],
    };
    Plan::new()
        .zone(CORP)
        .served(|settings| authority.add_to(settings))
        .answers(|settings| settings.access_rules = vec![rule])
        .start(unknown)
}

fn query(host: &str, id: u16) -> Vec<u8> {
    ask(&format!("{host}.corp.internal."), RecordType::A).id(id).bytes()
}

#[test]
fn over_udp_tcp_and_tls_only_the_others_are_answered() {
    let authority = Authority::new();
    let stack = stack(&authority);
    let (dropped, good) = (query("glued", 1), query("db", 2));
    let udp = UdpClient::near(stack.addr);
    udp.send(&dropped, stack.addr);
    assert_eq!(id_of(&udp.ask(&good, stack.addr)), 2);
    let mut tcp = TcpClient::connect(stack.addr);
    tcp.send(&dropped);
    assert_eq!(id_of(&tcp.ask(&good)), 2);
    let mut tls = TlsClient::connect(&authority, addr_of(&stack.encrypted, Proto::Tls));
    tls.send(&dropped);
    assert_eq!(id_of(&tls.ask(&good)), 2);
}

#[test]
fn over_https_the_stream_is_reset_and_without_streams_the_connection_is_closed() {
    let authority = Authority::new();
    let stack = stack(&authority);
    let connect =
        |protocol| HttpsClient::connect(&authority, addr_of(&stack.encrypted, Proto::Https), protocol);
    let (dropped, good) = (query("glued", 0), query("db", 0));
    let h2 = connect(b"h2");
    for request in [h2.post(&dropped), h2.get(&dropped)] {
        let error = outside().block_on(h2.start(request)).expect_err("no response");
        assert!(!error.is_closed() && !error.is_canceled(), "the stream alone: {error:?}");
    }
    assert_eq!(id_of(&h2.ask(&good)), 0);
    let h1 = connect(b"http/1.1");
    assert_eq!(id_of(&h1.ask(&good)), 0);
    assert!(outside().block_on(h1.start(h1.post(&dropped))).is_err(), "a response");
    assert!(outside().block_on(h1.start(h1.post(&good))).is_err(), "closed");
    let server = stack.server_metrics();
    while server.closings(zonelet::metrics::CloseReason::Dropped) == 0 {
        std::thread::yield_now();
    }
}

#[cfg(feature = "doq")]
#[test]
fn over_quic_the_stream_is_reset_and_its_connection_goes_on() {
    let authority = Authority::new();
    let stack = stack(&authority);
    let client = QuicClient::connect(&authority, addr_of(&stack.encrypted, Proto::Quic));
    let ended = outside().block_on(client.start(framed(&query("glued", 0)))).expect_err("no response");
    // DOQ_UNSPECIFIED_ERROR (RFC 9250 §4.3).
    let quinn::ReadToEndError::Read(quinn::ReadError::Reset(code)) = ended else { panic!("{ended:?}") };
    assert_eq!(code, 5u32.into());
    assert_eq!(id_of(&client.ask(&query("db", 0))), 0);
}
