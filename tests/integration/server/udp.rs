//! UDP: addresses, batches, late responses, odd datagrams.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use zonelet::metrics::{Board, DropReason, Proto};
use zonelet::server::{Server, Settings};

use crate::harness::client::{UdpClient, ask, id_of, message};
use crate::harness::responder::{Double, echo, serve, settings};

fn on(listen: &[&str]) -> Settings {
    Settings { listen: listen.iter().map(|addr| addr.parse().unwrap()).collect(), ..settings() }
}

fn query(label: &str, id: u16) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).id(id).bytes()
}

/// Asks over UDP for something that is there and something that comes later.
fn both_come_from(server: SocketAddr, double: &Double) {
    let client = UdpClient::near(server);
    let hit = query("hit", 7);
    assert_eq!(client.ask(&hit, server), echo(&hit));
    let slow = query("slow", 8);
    client.send(&slow, server);
    double.take(1).pop().unwrap().release();
    assert_eq!(client.recv(), (echo(&slow), server));
}

#[test]
fn a_wildcard_bind_answers_from_the_address_that_was_asked() {
    let served = serve(on(&["0.0.0.0:0"]));
    for ip in ["127.0.0.1", "127.0.0.2", "127.9.8.7"] {
        both_come_from(served.at(ip), &served.double);
    }
    let served = serve(on(&["[::]:0"]));
    both_come_from(served.at("::1"), &served.double);
}

#[test]
fn specific_addresses_of_both_families_answer_side_by_side() {
    let served = serve(on(&["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]));
    for &addr in &served.addrs {
        both_come_from(addr, &served.double);
    }
}

#[test]
fn a_v4_mapped_listen_address_serves_ipv4() {
    let served = serve(on(&["[::ffff:127.0.0.2]:0"]));
    assert_eq!(served.addr().ip(), Ipv4Addr::new(127, 0, 0, 2));
    both_come_from(served.addr(), &served.double);
}

#[test]
fn wildcards_of_both_families_share_a_port() {
    let four = serve(on(&["0.0.0.0:0"]));
    let port = four.addr().port();
    let six = serve(on(&[&format!("[::]:{port}")]));
    both_come_from(four.at("127.0.0.1"), &four.double);
    both_come_from(six.at("::1"), &six.double);
}

#[test]
fn each_of_a_mixed_batch_gets_its_own_answer() {
    let served = serve(settings());
    let client = UdpClient::near(served.addr());
    // All queued before the worker sees the first, so that they share batches.
    served.double.shut();
    for id in 0..150 {
        let label = ["hit", "slow", "big"][usize::from(id % 3)];
        client.send(&query(label, id), served.addr());
    }
    served.double.open();
    let at_once: BTreeSet<u16> = (0..100).map(|_| id_of(&client.recv().0)).collect();
    assert_eq!(at_once, (0..150).filter(|id| id % 3 != 1).collect());
    let mut held = served.double.take(50);
    held.reverse();
    held.into_iter().for_each(|held| held.release());
    let late: Vec<u16> = (0..50).map(|_| id_of(&client.recv().0)).collect();
    assert_eq!(late, (0..50).map(|i| 148 - 3 * i).collect::<Vec<u16>>());
    assert!(client.is_silent());
}

#[test]
fn responses_and_scraps_get_no_answer_and_what_follows_does() {
    let served = serve(settings());
    let client = UdpClient::near(served.addr());
    for silent in [&echo(&query("hit", 1))[..], b"", b"\0", &[0; 11]] {
        client.send(silent, served.addr());
    }
    // One client, one worker: an answer to any of those would have come first.
    let hit = query("hit", 2);
    assert_eq!(client.ask(&hit, served.addr()), echo(&hit));
    let totals = served.board.totals();
    assert_eq!(totals.drops(DropReason::ShortHeader), 3);
    assert_eq!(totals.drops(DropReason::IsResponse), 1);
    assert_eq!(totals.queries(Proto::Udp), 5);
}

#[test]
fn a_datagram_beyond_the_receive_buffer_is_judged_by_its_first_bytes() {
    let served = serve(settings());
    let client = UdpClient::near(served.addr());
    let mut long = query("hit", 9);
    long.resize(9000, 0);
    let response = client.ask(&long, served.addr());
    assert_eq!(response, echo(&long)[..1232]);
    assert_eq!(served.board.totals().queries(Proto::Udp), 1);
}

#[test]
fn many_workers_share_one_port_and_every_client_is_answered() {
    let served = serve(Settings { workers: 4, ..settings() });
    for id in 0..64 {
        let hit = query("hit", id);
        assert_eq!(UdpClient::near(served.addr()).ask(&hit, served.addr()), echo(&hit));
    }
    assert_eq!(served.board.totals().queries(Proto::Udp), 64);
}

#[test]
fn answers_are_messages_to_an_independent_parser() {
    let served = serve(settings());
    let query = ask("hit.nick.test.", RecordType::AAAA).id(4711).edns(1232, true);
    let response = message(&UdpClient::near(served.addr()).ask(&query.bytes(), served.addr()));
    assert_eq!(response.queries[0].query_type(), RecordType::AAAA);
    assert_eq!(response.edns.unwrap().max_payload(), 1232);
}

#[test]
fn what_the_kernel_had_to_drop_is_counted() {
    let served = serve(Settings { receive_buffer: 8 << 10, ..settings() });
    let client = UdpClient::near(served.addr());
    served.double.shut();
    // The worker may take a batch before it is held at the gate; the queue cannot hold the rest.
    for id in 0..500 {
        client.send(&query("hit", id), served.addr());
    }
    served.double.open();
    while served.queries() + served.metrics.lost_datagrams() < 500 {
        std::thread::yield_now();
    }
    assert_eq!(served.queries() + served.metrics.lost_datagrams(), 500);
    assert!(served.metrics.lost_datagrams() > 0);
}

#[test]
fn starting_outside_a_runtime_is_an_error() {
    let bound = Server::bind(settings()).unwrap();
    assert!(bound.start(Arc::new(Double::default()), &Board::default()).is_err());
}
