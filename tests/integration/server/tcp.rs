//! TCP: order, framing, limits, and clients that stop halfway.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use zonelet::metrics::{CloseReason, Proto};
use zonelet::server::Settings;

use crate::harness::client::{TcpClient, ask, framed, id_of};
use crate::harness::responder::{echo, serve, settings};

fn query(label: &str, id: u16) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).id(id).bytes()
}

/// The ids of the next `count` responses.
fn ids(client: &mut TcpClient, count: usize) -> Vec<u16> {
    (0..count).map(|_| id_of(&client.recv().expect("closed before the answer"))).collect()
}

fn framed_all(queries: &[Vec<u8>]) -> Vec<u8> {
    queries.iter().flat_map(|query| framed(query)).collect()
}

#[test]
fn single_bytes_make_whole_queries() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    for id in 1..4 {
        let hit = query("hit", id);
        client.send_bytewise(&hit);
        assert_eq!(client.recv(), Some(echo(&hit)));
    }
    assert_eq!(served.board.totals().queries(Proto::Tcp), 3);
}

#[test]
fn of_two_queries_in_one_segment_the_fast_one_is_answered_first() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    let (slow, hit) = (query("slow", 1), query("hit", 2));
    client.write(&framed_all(&[slow.clone(), hit.clone()]));
    assert_eq!(client.recv(), Some(echo(&hit)));
    served.double.take(1).pop().unwrap().release();
    assert_eq!(client.recv(), Some(echo(&slow)));
}

#[test]
fn late_answers_come_in_the_order_they_are_ready() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    client.write(&framed_all(&(0..10).map(|id| query("slow", id)).collect::<Vec<_>>()));
    served.double.take(10).into_iter().rev().for_each(|held| held.release());
    assert_eq!(ids(&mut client, 10), (0..10).rev().collect::<Vec<_>>());
}

#[test]
fn the_longest_answers_arrive_whole_at_once_and_late() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    client.write(&framed_all(&(0..12).map(|id| query("big", id)).collect::<Vec<_>>()));
    for id in 0..12 {
        let response = client.recv().unwrap();
        assert_eq!((id_of(&response), response.len()), (id, 65535));
    }
    client.send(&query("slow", 99));
    served.double.take(1).pop().unwrap().release_as(65535);
    let response = client.recv().unwrap();
    assert_eq!((id_of(&response), response.len()), (99, 65535));
}

#[test]
fn a_query_longer_than_any_is_judged_by_its_first_bytes_and_the_next_still_found() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    let mut long = query("hit", 1);
    long.resize(65535, 0);
    let next = query("hit", 2);
    client.write(&framed_all(&[long.clone(), next.clone()]));
    assert_eq!(client.recv().as_deref(), Some(&echo(&long)[..1232]));
    assert_eq!(client.recv(), Some(echo(&next)));
}

#[test]
fn responses_are_passed_over_in_silence() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    client.send(&echo(&query("hit", 1)));
    let hit = query("hit", 2);
    assert_eq!(client.ask(&hit), echo(&hit));
}

#[test]
fn a_scrap_ends_the_connection_after_what_was_asked_before_it() {
    for scrap in [&[][..], &[1; 11]] {
        let served = serve(settings());
        let mut client = TcpClient::connect(served.addr());
        let stream = [framed(&query("slow", 1)), framed(scrap), framed(&query("hit", 2))].concat();
        client.write(&stream);
        served.double.take(1).pop().unwrap().release();
        assert_eq!(ids(&mut client, 1), [1]);
        assert!(client.is_closed_in_order());
    }
}

#[test]
fn a_client_that_half_closes_gets_what_it_asked_for() {
    let served = serve(settings());
    let mut client = TcpClient::connect(served.addr());
    client.write(&framed_all(&[query("slow", 1), query("hit", 2)]));
    client.half_close();
    assert_eq!(ids(&mut client, 1), [2]);
    served.double.take(1).pop().unwrap().release();
    assert_eq!(ids(&mut client, 1), [1]);
    assert!(client.is_closed_in_order());
}

#[test]
fn reading_stops_at_the_in_flight_cap_and_goes_on_below_it() {
    let served = serve(Settings { tcp_in_flight: 3, ..settings() });
    let mut client = TcpClient::connect(served.addr());
    let mut queries: Vec<_> = (0..400).map(|id| query("slow", id)).collect();
    queries.push(query("hit", 400));
    client.write(&framed_all(&queries));
    for id in 0..397 {
        served.double.take(1).pop().unwrap().release();
        assert_eq!(ids(&mut client, 1), [id]);
    }
    // Room for the last, which is answered at once, is made by the fourth from the end.
    served.double.take(3).into_iter().for_each(|held| held.release());
    let last = ids(&mut client, 4);
    assert!(last[0] == 397 && last[1..].contains(&400), "{last:?}");
    assert!(served.double.most() <= 3, "{} were in flight", served.double.most());
}

#[test]
fn a_reply_that_is_never_sent_frees_its_place() {
    let served = serve(Settings { tcp_in_flight: 1, ..settings() });
    let mut client = TcpClient::connect(served.addr());
    client.write(&framed_all(&[query("slow", 1), query("hit", 2)]));
    drop(served.double.take(1));
    assert_eq!(ids(&mut client, 1), [2]);
}

#[test]
fn a_reply_to_a_client_that_has_gone_harms_nobody() {
    let served = serve(settings());
    let mut gone = TcpClient::connect(served.addr());
    gone.send(&query("slow", 1));
    let held = served.double.take(1).pop().unwrap();
    drop(gone);
    held.release();
    let hit = query("hit", 2);
    assert_eq!(TcpClient::connect(served.addr()).ask(&hit), echo(&hit));
}

#[test]
fn a_connection_over_the_cap_is_closed_at_once_and_a_free_place_is_taken_again() {
    let served = serve(Settings { tcp_connections: 2, ..settings() });
    let hit = query("hit", 1);
    let mut clients: Vec<_> = (0..2).map(|_| TcpClient::connect(served.addr())).collect();
    clients.iter_mut().for_each(|client| drop(client.ask(&hit)));
    assert_eq!(TcpClient::connect(served.addr()).recv(), None);
    assert_eq!(served.metrics.refusals(), 1);
    clients.iter_mut().for_each(|client| drop(client.ask(&hit)));
    clients.pop();
    while served.metrics.open_connections() > 1 {
        std::thread::yield_now();
    }
    // The place is given back just after the count.
    let mut again = TcpClient::connect(served.addr());
    while again.recv_after(&hit).is_none() {
        again = TcpClient::connect(served.addr());
    }
}

#[test]
fn an_idle_connection_is_closed_and_one_with_a_query_in_flight_is_not() {
    let served = serve(Settings { tcp_idle: Duration::from_millis(40), ..settings() });
    let mut waiting = TcpClient::connect(served.addr());
    waiting.send(&query("slow", 1));
    let held = served.double.take(1).pop().unwrap();
    // Begins its idle time later, so the first one's is over when it is closed.
    let mut idle = TcpClient::connect(served.addr());
    assert!(idle.is_closed_in_order());
    held.release();
    assert_eq!(ids(&mut waiting, 1), [1]);
    assert!(waiting.is_closed_in_order());
}

#[test]
fn a_query_that_is_never_finished_ends_its_connection() {
    let served = serve(Settings { tcp_stall: Duration::from_millis(40), ..settings() });
    let whole = framed(&query("hit", 1));
    for cut in [1, 2, whole.len() - 1] {
        let mut client = TcpClient::connect(served.addr());
        client.write(&whole[..cut]);
        assert_eq!(client.recv(), None);
    }
    // One that is too long counts as long as its end has not come.
    let mut client = TcpClient::connect(served.addr());
    client.write(&[&[0xff, 0xff][..], &query("hit", 1), &[0; 5000]].concat());
    assert!(client.recv().is_some());
    assert_eq!(client.recv(), None);
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let served = serve(Settings { tcp_stall: Duration::from_millis(40), ..settings() });
    let mut deaf = TcpClient::connect(served.addr());
    // Far more than the kernel's buffers on both sides take.
    let asked = 1000;
    deaf.write(&framed_all(&(0..asked).map(|id| query("big", id)).collect::<Vec<_>>()));
    while served.metrics.closings(CloseReason::SlowReader) == 0 {
        std::thread::yield_now();
    }
    let mut got = 0;
    while deaf.recv().is_some() {
        got += 1;
    }
    assert!(got < asked);
    while served.metrics.queued_bytes() > 0 {
        std::thread::yield_now();
    }
    let hit = query("hit", 1);
    assert_eq!(TcpClient::connect(served.addr()).ask(&hit), echo(&hit));
}

#[test]
fn time_outs_without_end_are_no_overflow() {
    let served = serve(Settings { tcp_idle: Duration::MAX, tcp_stall: Duration::MAX, ..settings() });
    let hit = query("hit", 1);
    assert_eq!(TcpClient::connect(served.addr()).ask(&hit), echo(&hit));
}

#[test]
fn both_families_are_served_and_a_wildcard_answers_on_every_address() {
    let listen = ["0.0.0.0:0", "[::1]:0"].map(|addr| addr.parse().unwrap()).to_vec();
    let served = serve(Settings { listen, ..settings() });
    for addr in [served.at("127.0.0.1"), served.at("127.0.0.2"), served.addrs[1]] {
        let hit = query("hit", 5);
        assert_eq!(TcpClient::connect(addr).ask(&hit), echo(&hit));
    }
}
