//! What QUIC adds: a stream for each query, the rules of RFC 9250 and what comes of breaking them.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use zonelet::metrics::{CloseReason, Proto};

use super::served;
use crate::harness::client::{ask, framed};
use crate::harness::encrypted::{Authority, QuicClient, addr_of};
use crate::harness::program::outside;
use crate::harness::responder::{Served, echo};

fn query(label: &str) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).bytes()
}

fn connect(authority: &Authority, served: &Served) -> QuicClient {
    QuicClient::connect(authority, addr_of(&served.encrypted, Proto::Quic))
}

#[test]
fn streams_are_answered_in_the_order_they_are_ready() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let client = connect(&authority, &served);
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let answered = client.start(framed(&query(&format!("slow{n}"))));
            (n, answered, served.double.take(1).pop().unwrap())
        })
        .collect();
    assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    for (n, answered, held) in waiting.into_iter().rev() {
        held.release();
        assert_eq!(outside().block_on(answered).unwrap(), framed(&echo(&query(&format!("slow{n}")))));
    }
    assert_eq!(served.board.totals().queries(Proto::Quic), 11);
}

#[test]
fn the_longest_answers_arrive_whole_and_are_not_kept() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let client = connect(&authority, &served);
    for _ in 0..20 {
        assert_eq!(client.ask(&query("big")).len(), 65535);
    }
    while served.metrics.queued_bytes() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn whoever_breaks_the_rules_is_told_so_and_loses_the_connection() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let hit = query("hit");
    let other_id = [&[0, 1], &hit[2..]].concat();
    let mut keepalive = [&hit[..], b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x0b\0\0"].concat();
    keepalive[11] = 1;
    for (what, bytes) in [
        ("another id", framed(&other_id)),
        ("two queries", [framed(&hit), framed(&hit)].concat()),
        ("half a query", framed(&hit)[..20].to_vec()),
        ("nothing", Vec::new()),
        ("the option of TCP", framed(&keepalive)),
        ("less than a header", framed(&hit[..11])),
        ("more than a message", vec![0xff; 70_000]),
    ] {
        let client = connect(&authority, &served);
        assert!(outside().block_on(client.start(bytes)).is_err(), "{what}");
        assert_eq!(client.end(), Some(2), "{what}");
    }
    assert_eq!(served.board.totals().queries(Proto::Quic), 0);
    assert_eq!(served.metrics.closings(CloseReason::NotDns), 7);
}

#[test]
fn a_response_in_place_of_a_query_ends_its_stream_alone() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let client = connect(&authority, &served);
    assert!(outside().block_on(client.start(framed(&echo(&query("hit"))))).is_err());
    assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
}

#[test]
fn a_query_that_is_given_up_is_forgotten_and_its_connection_goes_on() {
    let authority = Authority::new();
    let served = served(&authority, |_| {});
    let client = connect(&authority, &served);
    let mut receive = outside().block_on(async {
        let (mut send, receive) = client.connection.open_bi().await.unwrap();
        send.write_all(&framed(&query("slow"))).await.unwrap();
        send.finish().unwrap();
        receive
    });
    let held = served.double.take(1).pop().unwrap();
    receive.stop(3u32.into()).unwrap();
    assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    held.release();
    assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    // The last response is kept until the client has said that it came.
    while served.metrics.queued_bytes() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_stream_that_does_not_end_is_ended_and_silence_ends_the_connection() {
    let authority = Authority::new();
    let served = served(&authority, |settings| {
        settings.tcp_idle = Duration::from_millis(300);
        settings.tcp_stall = Duration::from_millis(300);
    });
    let client = connect(&authority, &served);
    let ended = outside().block_on(async {
        let (mut send, mut receive) = client.connection.open_bi().await.unwrap();
        send.write_all(&framed(&query("hit"))[..5]).await.unwrap();
        receive.read_to_end(100).await
    });
    assert!(ended.is_err(), "reset, not answered");
    assert_eq!(client.end(), Some(0));
    assert_eq!(served.metrics.closings(CloseReason::Idle), 1);
}

#[test]
fn no_more_streams_than_allowed_are_under_way() {
    let authority = Authority::new();
    let served = served(&authority, |settings| settings.tcp_in_flight = 3);
    let client = connect(&authority, &served);
    let waiting: Vec<_> = (0..3).map(|_| client.start(framed(&query("slow")))).collect();
    let held = served.double.take(3);
    let fourth = outside().block_on(async {
        tokio::time::timeout(Duration::from_millis(100), client.connection.open_bi()).await.is_ok()
    });
    assert!(!fourth, "a fourth stream was let in");
    held.into_iter().for_each(|held| held.release());
    waiting.into_iter().for_each(|answered| drop(outside().block_on(answered).unwrap()));
    assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
}
