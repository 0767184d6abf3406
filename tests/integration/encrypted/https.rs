//! What HTTPS adds: methods, statuses, media types, freshness, streams, and clients that stop halfway.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use tokio::time::timeout;
use zonelet::metrics::{CloseReason, Proto};

use super::served;
use crate::answers::CORP;
use crate::harness::client::{PATIENCE, ask, id_of};
use crate::harness::dns::{Plan, asked, unknown};
use crate::harness::encrypted::{Answered, Authority, HttpsClient, TlsClient, addr_of};
use crate::harness::program::outside;
use crate::harness::responder::{Served, echo};

const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];

fn query(label: &str, id: u16) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).id(id).bytes()
}

fn connect(authority: &Authority, served: &Served, protocol: &[u8]) -> HttpsClient {
    HttpsClient::connect(authority, addr_of(&served.encrypted, Proto::Https), protocol)
}

fn wait(answered: impl Future<Output = Result<Answered, hyper::Error>>) -> Result<Answered, hyper::Error> {
    outside().block_on(async { timeout(PATIENCE, answered).await }).expect("neither a response nor an end")
}

#[test]
fn each_thing_that_is_no_query_has_its_status() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    for protocol in BOTH {
        let client = connect(&authority, &served, protocol);
        let hit = query("hit", 7);
        let typed = |kind: &str, body: &[u8]| {
            let mut request = client.request(Method::POST, "/dns-query", body);
            if !kind.is_empty() {
                request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
            }
            request
        };
        let get = |path: &str| client.request(Method::GET, path, b"");
        let message = "application/dns-message";
        let cases: Vec<(&str, Request<Full<Bytes>>, u16)> = vec![
            ("a good query", client.post(&hit), 200),
            ("a type with a parameter", typed("Application/DNS-Message; x=1", &hit), 200),
            ("another path", get("/"), 404),
            ("a path below", get("/dns-query/x?dns=AAAA"), 404),
            ("no query in the URL", get("/dns-query"), 400),
            ("no base64url", get("/dns-query?dns=A%20A"), 400),
            ("padded base64url", get("/dns-query?dns=AAA="), 400),
            ("less than a header", client.get(&[0; 11]), 400),
            ("less than a header in a body", client.post(&[0; 11]), 400),
            ("an empty body", client.post(&[]), 400),
            ("a response", client.post(&echo(&hit)), 400),
            ("another type", typed("application/json", &hit), 415),
            ("no type", typed("", &hit), 415),
            ("a body that is too long", typed(message, &[0; 4097]), 413),
            ("another method", client.request(Method::PUT, "/dns-query", &hit), 405),
            ("HEAD", client.request(Method::HEAD, "/dns-query?dns=AAAA", b""), 405),
            ("a URL that is too long", client.get(&[0; 4097]), 414),
        ];
        for (what, request, status) in cases {
            let answered = client.send(request);
            assert_eq!(answered.status, status, "{what}");
            assert_eq!(answered.header("content-type"), if status == 200 { message } else { "" }, "{what}");
            assert_eq!(answered.header("allow"), if status == 405 { "GET, POST" } else { "" }, "{what}");
        }
    }
    // Whatever came as a message was put to the responder.
    assert_eq!(served.board.totals().queries(Proto::Https), 2 * 6);
}

#[test]
fn answers_are_fresh_for_their_least_ttl_and_failures_not_at_all() {
    let authority = Authority::new();
    let stack = Plan::new().zone(CORP).served(|settings| authority.add_to(settings)).start(unknown);
    let client = HttpsClient::connect(&authority, addr_of(&stack.encrypted, Proto::Https), b"h2");
    for (question, max_age) in [
        ("db.corp.internal. A", 60),
        ("glued.corp.internal. A", 300),
        // A chain's least; the SOA's 900 with a minimum of 86400, capped for denials.
        ("www.corp.internal. A", 60),
        ("nope.corp.internal. A", 30),
        ("corp.internal. AXFR", 0),
    ] {
        let answered = client.send(client.get(&asked(question).bytes()));
        assert_eq!(answered.header("cache-control"), format!("max-age={max_age}"), "{question}");
    }
}

#[test]
fn streams_are_answered_in_the_order_they_are_ready() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let client = connect(&authority, &served, b"h2");
    let waiting: Vec<_> = (0..10)
        .map(|id| {
            let answered = client.start(client.post(&query("slow", id)));
            (id, answered, served.double.take(1).pop().unwrap())
        })
        .collect();
    assert_eq!(client.ask(&query("hit", 99)), echo(&query("hit", 99)));
    for (id, answered, held) in waiting.into_iter().rev() {
        held.release();
        assert_eq!(id_of(&wait(answered).unwrap().body), id);
    }
}

#[test]
fn the_longest_answers_arrive_whole_at_once_and_late() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    for protocol in BOTH {
        let client = connect(&authority, &served, protocol);
        assert_eq!(client.ask(&query("big", 1)).len(), 65535);
        let late = client.start(client.post(&query("slow", 2)));
        served.double.take(1).pop().unwrap().release_as(65535);
        assert_eq!(wait(late).unwrap().body.len(), 65535);
    }
    while served.metrics.queued_bytes() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn no_more_streams_than_allowed_are_under_way() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_in_flight = 3);
    let client = connect(&authority, &served, b"h2");
    // The client learns of the limit with the first response.
    client.ask(&query("hit", 0));
    let waiting: Vec<_> = (0..3).map(|id| client.start(client.post(&query("slow", id)))).collect();
    let held = served.double.take(3);
    assert_eq!(served.double.most(), 3);
    held.into_iter().for_each(|held| held.release());
    waiting.into_iter().for_each(|answered| drop(wait(answered).unwrap()));
    // Streams beyond it wait in the client.
    let many: Vec<_> =
        (0..20).map(|id| outside().spawn(client.start(client.post(&query("hit", id))))).collect();
    for (id, answered) in many.into_iter().enumerate() {
        assert_eq!(id_of(&outside().block_on(answered).unwrap().unwrap().body), id as u16);
    }
}

#[test]
fn a_request_that_is_given_up_is_forgotten_and_its_connection_goes_on() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let client = connect(&authority, &served, b"h2");
    let given_up = client.start(client.post(&query("slow", 1)));
    let held = served.double.take(1).pop().unwrap();
    drop(given_up);
    held.release();
    assert_eq!(client.ask(&query("hit", 2)), echo(&query("hit", 2)));
    drop(client);
    while served.metrics.open_connections() > 0 || served.metrics.queued_bytes() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_body_that_does_not_come_a_head_that_does_not_end_and_silence_are_ended() {
    let authority = Authority::new();
    let served = served(&authority, |settings| {
        settings.tcp_idle = Duration::from_millis(200);
        settings.tcp_stall = Duration::from_millis(200);
    });
    let addr = addr_of(&served.encrypted, Proto::Https);
    let head = "POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: 30\r\n";
    for (sent, answer) in [("", ""), (head, ""), (&*format!("{head}\r\nabc"), "HTTP/1.1 408")] {
        let config = std::sync::Arc::new(authority.client(&[b"http/1.1"]));
        let mut client = TlsClient::connect_with(config, addr).unwrap();
        client.write(sent.as_bytes());
        let said = client.rest();
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with(answer) && said.is_empty() == answer.is_empty(), "{sent}: {said}");
    }
    // HTTP/2: the preface, and nothing behind it.
    let config = std::sync::Arc::new(authority.client(&[b"h2"]));
    let mut client = TlsClient::connect_with(config, addr).unwrap();
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    client.rest();
    while served.metrics.open_connections() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_client_that_takes_no_answers_is_cut_off() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_stall = Duration::from_millis(300));
    let addr = addr_of(&served.encrypted, Proto::Https);
    let config = std::sync::Arc::new(authority.client(&[b"http/1.1"]));
    let mut deaf = TlsClient::connect_with(config, addr).unwrap();
    let big = query("big", 1);
    let one = format!(
        "POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: {}\r\n\r\n",
        big.len()
    );
    let one = [one.as_bytes(), &big].concat();
    // Far more than the kernel's buffers on both sides take; the server stops reading long before.
    for _ in 0..200 {
        if deaf.try_write(&one).is_err() {
            break;
        }
    }
    while served.metrics.closings(CloseReason::SlowReader) == 0 {
        std::thread::yield_now();
    }
    while served.metrics.queued_bytes() > 0 || served.metrics.open_connections() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn heads_without_end_and_streams_reset_without_end_end_the_connection() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let addr = addr_of(&served.encrypted, Proto::Https);
    let config = std::sync::Arc::new(authority.client(&[b"http/1.1"]));
    let mut client = TlsClient::connect_with(config, addr).unwrap();
    let head = format!("GET /dns-query?dns={} HTTP/1.1\r\n", "A".repeat(100_000));
    let _ = client.try_write(head.as_bytes());
    let said = client.said_to_its_end().expect("no reset takes away what is said");
    assert!(said.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&said));

    // CVE-2023-44487: requests that are reset as soon as they are made.
    let config = std::sync::Arc::new(authority.client(&[b"h2"]));
    let mut client = TlsClient::connect_with(config, addr).unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // GET, https, authority x and the path / from the static table.
    let fields = b"\x82\x87\x84\x41\x01x";
    for stream in (1..2001u32).step_by(2) {
        bytes.extend([0, 0, fields.len() as u8, 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(fields);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(8u32.to_be_bytes());
    }
    let _ = client.try_write(&bytes);
    // GOAWAY (type 7) with ENHANCE_YOUR_CALM (11).
    let said = client.said_to_its_end().expect("no reset takes away what is said");
    assert!(said.windows(4).any(|window| window == [0, 0, 0, 11]), "{said:02x?}");
    let hit = query("hit", 1);
    assert_eq!(connect(&authority, &served, b"h2").ask(&hit), echo(&hit));
}
