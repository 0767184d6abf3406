//! Limits of TCP connections, changed while they are open.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use zonelet::metrics::CloseReason;
use zonelet::server::Settings;

use crate::harness::client::{TcpClient, ask, framed, id_of};
use crate::harness::responder::{echo, serve, settings};

fn query(label: &str, id: u16) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).id(id).bytes()
}

#[test]
fn a_lower_cap_on_connections_keeps_those_that_are_open_and_a_higher_one_lets_more_in() {
    let mut served = serve(Settings { tcp_connections: 3, ..settings() });
    let running = served.running();
    let hit = query("hit", 1);
    let mut open: Vec<TcpClient> = (0..3)
        .map(|_| {
            let mut client = TcpClient::connect(served.addr());
            client.ask(&hit);
            client
        })
        .collect();
    let is_let_in = || TcpClient::connect(served.addr()).recv_after(&hit).is_some();
    running.reload(&Settings { tcp_connections: 1, ..settings() });
    assert!(!is_let_in());
    open.iter_mut().for_each(|client| assert_eq!(client.ask(&hit), echo(&hit)));
    running.reload(&Settings { tcp_connections: 4, ..settings() });
    assert!(is_let_in());
    running.reload(&Settings { tcp_connections: 1, ..settings() });
    drop(open);
    while served.metrics.open_connections() > 0 {
        std::thread::yield_now();
    }
    let mut only = TcpClient::connect(served.addr());
    assert_eq!(only.ask(&hit), echo(&hit));
    assert!(!is_let_in());
}

#[test]
fn other_time_outs_and_depths_hold_for_connections_accepted_from_then_on() {
    let mut served = serve(settings());
    let running = served.running();
    let mut before = TcpClient::connect(served.addr());
    before.ask(&query("hit", 1));
    running.reload(&Settings { tcp_idle: Duration::ZERO, tcp_in_flight: 1, ..settings() });
    let mut idle = TcpClient::connect(served.addr());
    assert!(idle.is_closed_in_order(), "no query, no time");
    running.reload(&Settings { tcp_in_flight: 1, ..settings() });
    let mut after = TcpClient::connect(served.addr());
    let both = [framed(&query("slow", 2)), framed(&query("hit", 3))].concat();
    after.write(&both);
    let held = served.double.take(1);
    before.write(&both);
    assert_eq!(
        id_of(&before.recv().expect("still open")),
        3,
        "read past the slow one, as when it was accepted"
    );
    held.into_iter().for_each(|held| held.release());
    assert_eq!([after.recv(), after.recv()].map(|r| id_of(&r.expect("an answer"))), [2, 3]);
    assert_eq!(served.metrics.closings(CloseReason::Idle), 1);
}
