//! How long a connection may be idle, for who asks (RFC 7828).

use std::time::Duration;

use hickory_proto::op::Edns;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use zonelet::metrics::Proto;
use zonelet::server::Settings;

use crate::answers::CORP;
use crate::harness::client::{TcpClient, UdpClient, message};
use crate::harness::dns::{Plan, Stack, asked, unknown};
use crate::harness::encrypted::{Authority, HttpsClient, TlsClient, addr_of};

fn stack(authority: &Authority, change: impl FnOnce(&mut Settings)) -> Stack {
    let change = |settings: &mut Settings| {
        authority.add_to(settings);
        settings.tcp_idle = Duration::from_millis(7_500);
        change(settings);
    };
    Plan::new().zone(CORP).served(change).start(unknown)
}

/// A query with options of EDNS.
fn query(question: &str, options: &[u16]) -> Vec<u8> {
    let mut edns = Edns::new();
    edns.set_max_payload(1232).set_version(0);
    for code in options {
        edns.options_mut().insert(EdnsOption::Unknown(*code, Vec::new()));
    }
    asked(question)
        .with(|m| {
            m.set_edns(edns);
        })
        .bytes()
}

/// What a response says of it, in units of 100 ms.
fn told(response: &[u8]) -> Option<u16> {
    match message(response).edns?.option(EdnsCode::Keepalive)? {
        EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([data[0], data[1]])),
        other => panic!("{other:?}"),
    }
}

const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;

#[test]
fn who_asks_is_told_over_tcp_and_tls_and_nobody_else() {
    let authority = Authority::new();
    let stack = stack(&authority, |_| {});
    // At once, late, and refused.
    for question in ["db.corp.internal. A", "www.example.test. A", "corp.internal. AXFR"] {
        let asks = query(question, &[KEEPALIVE]);
        let mut tcp = TcpClient::connect(stack.addr);
        assert_eq!(told(&tcp.ask(&asks)), Some(75), "{question}");
        assert_eq!(told(&tcp.ask(&query(question, &[]))), None, "{question}: not asked for");
        let mut tls = TlsClient::connect(&authority, addr_of(&stack.encrypted, Proto::Tls));
        assert_eq!(told(&tls.ask(&asks)), Some(75), "{question}");
        let padded = tls.ask(&query(question, &[KEEPALIVE, PADDING]));
        assert_eq!((told(&padded), padded.len()), (Some(75), 468), "{question}");
        let padded = tcp.ask(&query(question, &[KEEPALIVE, PADDING]));
        assert_eq!(told(&padded), Some(75));
        assert!(padded.len() < 468, "in the clear there is nothing to hide");
        assert_eq!(told(&UdpClient::near(stack.addr).ask(&asks, stack.addr)), None, "{question}: over UDP");
        let https = HttpsClient::connect(&authority, addr_of(&stack.encrypted, Proto::Https), b"h2");
        assert_eq!(told(&https.ask(&asks)), None, "{question}: over HTTPS");
    }
}

#[test]
fn where_few_places_are_left_or_the_server_ends_clients_are_asked_to_go() {
    let authority = Authority::new();
    let mut stack = stack(&authority, |settings| settings.tcp_connections = 8);
    let asks = query("db.corp.internal. A", &[KEEPALIVE]);
    let mut clients: Vec<_> = (0..7).map(|_| TcpClient::connect(stack.addr)).collect();
    for client in &mut clients {
        assert_eq!(told(&client.ask(&asks)), Some(75));
    }
    let mut last = TcpClient::connect(stack.addr);
    assert_eq!(told(&last.ask(&asks)), Some(0));
    assert_eq!(told(&last.ask(&asks)), Some(0), "served on");
    drop(last);
    crate::harness::program::until("the place", || (told(&clients[0].ask(&asks)) == Some(75)).then_some(()));
    // Another process has taken over: all that stay connected are asked to come to that one.
    stack.hand_over();
    assert_eq!(told(&clients[0].ask(&asks)), Some(0));
}
