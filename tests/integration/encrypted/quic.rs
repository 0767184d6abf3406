//! What QUIC adds: a stream for each query, the rules of RFC 9250 and what comes of breaking them.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use zonelet::metrics::{CloseReason, Proto};
use zonelet::server::Running;
use zonelet::sys::{Estate, SocketName};

use super::served;
use crate::harness::client::{PATIENCE, ask, framed};
use crate::harness::encrypted::{Authority, QuicClient, addr_of};
use crate::harness::program::{outside, until};
use crate::harness::responder::{Served, echo, serve_after, settings};

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

/// A server that takes over from `old` what there is to take, and the names of that.
fn successor(authority: &Authority, old: &Running) -> (Served, Vec<SocketName>) {
    let mut estate = Estate::new(old.sockets().duplicate().unwrap());
    let mut settings = settings();
    authority.add_to(&mut settings);
    let new = serve_after(settings, &mut estate);
    (new, estate.close())
}

#[test]
fn a_successor_gets_new_connections_and_the_old_ones_are_answered_and_told() {
    let authority = Authority::new();
    let mut old = served(&authority, |_| {});
    let mut running = old.running();
    let addr = addr_of(&old.encrypted, Proto::Quic);
    // From many ports: by these alone the kernel would give half of them to the successor.
    let before: Vec<_> = (0..20).map(|_| connect(&authority, &old)).collect();
    let waiting: Vec<_> = before.iter().take(10).map(|c| c.start(framed(&query("slow")))).collect();
    let held = old.double.take(10);
    let (new, taken) = successor(&authority, &running);
    assert!(taken.iter().any(|name| name.kind == "quic"), "{taken:?}");
    assert_eq!(addr_of(&new.encrypted, Proto::Quic), addr);
    let after: Vec<_> = (0..20).map(|_| QuicClient::connect(&authority, addr)).collect();
    for client in before.iter().chain(&after) {
        assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    }
    let counted = || [&old, &new].map(|served| served.board.totals().queries(Proto::Quic));
    assert_eq!(counted(), [30, 20], "each is asked by whoever agreed on its keys");
    old.runtime.block_on(running.hand_over(&taken));
    let ended = old.runtime.spawn(running.connections_ended());
    for client in &before[10..] {
        assert_eq!(client.end(), Some(0), "nothing was under way: told at once");
    }
    held.into_iter().for_each(|held| held.release());
    for answered in waiting {
        assert_eq!(outside().block_on(answered).unwrap(), framed(&echo(&query("slow"))));
    }
    assert!(before[..10].iter().all(|client| client.end() == Some(0)));
    old.runtime.block_on(async { tokio::time::timeout(PATIENCE, ended).await }).expect("an end").unwrap();
    // The first socket is gone; what is left belongs to the second.
    assert_eq!(old.metrics.open_connections(), 0);
    for client in after.iter().chain(&[QuicClient::connect(&authority, addr)]) {
        assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    }
    assert_eq!(counted(), [30, 41]);
}

#[test]
fn once_the_one_before_is_gone_connections_stay_where_they_are_whoever_starts_beside() {
    let authority = Authority::new();
    let mut old = served(&authority, |_| {});
    let mut running = old.running();
    let addr = addr_of(&old.encrypted, Proto::Quic);
    assert!(running.sockets().settle().unwrap(), "nobody was before the first");
    let last = connect(&authority, &old);
    let waiting = last.start(framed(&query("slow")));
    let held = old.double.take(1);
    let (mut new, taken) = successor(&authority, &running);
    old.runtime.block_on(running.hand_over(&taken));
    let its = new.running();
    let sockets = its.sockets();
    assert!(!sockets.settle().unwrap(), "a query is under way");
    let clients: Vec<_> = (0..20).map(|_| connect(&authority, &new)).collect();
    held.into_iter().for_each(|held| held.release());
    assert_eq!(outside().block_on(waiting).unwrap(), framed(&echo(&query("slow"))));
    until("the end of the one before", || sockets.settle().unwrap().then_some(()));
    // It was given nothing.
    let mut settings = settings();
    authority.add_to(&mut settings);
    settings.quic = vec![addr];
    let beside = serve_after(settings, &mut Estate::default());
    let later: Vec<_> = (0..20).map(|_| QuicClient::connect(&authority, addr)).collect();
    for client in clients.iter().chain(&later) {
        assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    }
    let counted = [&old, &new, &beside].map(|served| served.board.totals().queries(Proto::Quic));
    assert_eq!(counted, [1, 20, 20], "each is asked by whoever agreed on its keys");
    assert!(!sockets.settle().unwrap(), "it is not alone any more");
}

#[test]
fn a_successor_that_ends_before_it_serves_leaves_new_connections_to_the_old_one() {
    let authority = Authority::new();
    let mut old = served(&authority, |_| {});
    let running = old.running();
    let client = connect(&authority, &old);
    let (mut new, _) = successor(&authority, &running);
    let its = new.running();
    let left = new.runtime.block_on(its.drain(Duration::ZERO));
    assert_eq!(left.connections, 0);
    for client in [&client, &connect(&authority, &old)] {
        assert_eq!(client.ask(&query("hit")), echo(&query("hit")));
    }
    // And the next one takes over all the same.
    let (new, taken) = successor(&authority, &running);
    let mut running = running;
    old.runtime.block_on(running.hand_over(&taken));
    assert_eq!(client.end(), Some(0));
    assert_eq!(connect(&authority, &new).ask(&query("hit")), echo(&query("hit")));
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
