//! The drain: nothing that had arrived is lost, nothing waits longer than it may.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::task::JoinHandle;
use zonelet::server::{Leftover, Settings};
use zonelet::sys::{Epoll, Estate};

use crate::harness::client::{PATIENCE, TcpClient, UdpClient, ask, framed, id_of};
use crate::harness::program::until;
use crate::harness::responder::{Served, echo, serve, serve_after, settings};

const NO_TIME: Duration = Duration::ZERO;

fn query(label: &str, id: u16) -> Vec<u8> {
    ask(&format!("{label}.nick.test."), RecordType::A).id(id).bytes()
}

fn drain(served: &mut Served, grace: Duration) -> JoinHandle<Leftover> {
    let running = served.running();
    served.runtime.spawn(running.drain(grace))
}

fn ended(served: &Served, drained: JoinHandle<Leftover>) -> Leftover {
    served.runtime.block_on(drained).unwrap()
}

/// Waits until new connections are refused, which the drain does first of all.
fn until_refused(served: &Served) {
    while TcpStream::connect_timeout(&served.addr(), PATIENCE).is_ok() {
        thread::yield_now();
    }
}

#[test]
fn a_drain_with_nothing_to_do_frees_the_port() {
    let listen = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"].map(|addr| addr.parse().unwrap()).to_vec();
    let mut served = serve(Settings { listen, workers: 2, ..settings() });
    let drained = drain(&mut served, Duration::MAX);
    assert_eq!(ended(&served, drained), Leftover::default());
    for &addr in &served.addrs {
        // Without SO_REUSEPORT: succeeds only when nobody is left on the port.
        UdpSocket::bind(addr).unwrap();
        TcpListener::bind(addr).unwrap();
    }
}

#[test]
fn every_datagram_that_reached_a_socket_is_answered() {
    let mut served = serve(Settings { workers: 2, ..settings() });
    served.double.shut();
    // The kernel charges some 800 bytes for a short datagram against twice the buffer.
    let buffer = 4 << 20;
    let room = if served.metrics.receive_buffer() < buffer { 100 } else { 2000 };
    let clients: Vec<_> = (0..20).map(|_| UdpClient::near(served.addr())).collect();
    for id in 0..room {
        clients[usize::from(id) % clients.len()].send(&query("hit", id), served.addr());
    }
    let drained = drain(&mut served, PATIENCE);
    until_refused(&served);
    served.double.open();
    assert_eq!(ended(&served, drained), Leftover::default());
    for id in 0..room {
        assert_eq!(id_of(&clients[usize::from(id) % clients.len()].recv().0), id);
    }
    assert_eq!(served.metrics.lost_datagrams(), 0);
}

#[test]
fn a_takeover_under_load_loses_no_query() {
    let mut old = serve(Settings { workers: 2, ..settings() });
    let addr = old.addr();
    let new = serve(Settings { listen: vec![addr], workers: 2, ..settings() });
    let (asked, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (asked, is_over) = (Arc::clone(&asked), Arc::clone(&is_over));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    let hit = query("hit", number as u16);
                    // A new socket each time, so that both servers get their share. Never repeated.
                    assert_eq!(UdpClient::near(addr).ask(&hit, addr), echo(&hit));
                }
            })
        })
        .collect();
    let wait_for = |count: usize| {
        let target = asked.load(Ordering::Relaxed) + count;
        while asked.load(Ordering::Relaxed) < target && clients.iter().all(|client| !client.is_finished()) {
            thread::yield_now();
        }
    };
    wait_for(300);
    let drained = drain(&mut old, PATIENCE);
    assert_eq!(ended(&old, drained), Leftover::default());
    wait_for(300);
    is_over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (by_old, by_new) = (old.queries(), new.queries());
    assert_eq!(by_old + by_new, asked.load(Ordering::Relaxed) as u64);
    assert!(by_old > 0 && by_new > 0);
}

#[test]
fn what_waits_for_an_upstream_is_delivered_within_the_grace_period() {
    let mut served = serve(settings());
    let udp = UdpClient::near(served.addr());
    let mut tcp = TcpClient::connect(served.addr());
    udp.send(&query("slow", 1), served.addr());
    let first = served.double.take(1).pop().unwrap();
    tcp.send(&query("slow", 2));
    let second = served.double.take(1).pop().unwrap();
    let drained = drain(&mut served, PATIENCE);
    until_refused(&served);
    second.release();
    assert_eq!(id_of(&tcp.recv().unwrap()), 2);
    assert!(tcp.is_closed_in_order());
    first.release();
    assert_eq!(udp.recv(), (echo(&query("slow", 1)), served.addr()));
    assert_eq!(ended(&served, drained), Leftover::default());
}

#[test]
fn after_the_grace_period_connections_are_cut_and_late_datagrams_still_leave_by_their_own_socket() {
    let mut served = serve(settings());
    let udp = UdpClient::near(served.addr());
    let mut tcp = TcpClient::connect(served.addr());
    udp.send(&query("slow", 1), served.addr());
    let held = served.double.take(1).pop().unwrap();
    tcp.send(&query("slow", 2));
    let _unanswered = served.double.take(1);
    let drained = drain(&mut served, NO_TIME);
    assert_eq!(ended(&served, drained), Leftover { replies: 1, connections: 1 });
    assert_eq!(tcp.recv(), None);
    assert!(UdpSocket::bind(served.addr()).is_err(), "the reply still has the socket");
    held.release();
    assert_eq!(udp.recv(), (echo(&query("slow", 1)), served.addr()));
    // The response is there before whoever has sent it lets go of the socket.
    until("the port is free", || UdpSocket::bind(served.addr()).ok());
}

#[test]
fn queries_a_connection_had_received_are_answered_and_then_it_is_closed() {
    let mut served = serve(Settings { tcp_in_flight: 1, ..settings() });
    let mut client = TcpClient::connect(served.addr());
    client.send(&query("slow", 0));
    let held = served.double.take(1).pop().unwrap();
    // Stay with the kernel while the first is in flight: more than one read, and half a query.
    let behind: Vec<u8> = (1..1000).flat_map(|id| framed(&query("hit", id))).collect();
    client.write(&behind);
    client.write(&framed(&query("hit", 1000))[..9]);
    let drained = drain(&mut served, PATIENCE);
    until_refused(&served);
    held.release();
    let got: Vec<u16> = (0..1000).map(|_| id_of(&client.recv().unwrap())).collect();
    assert_eq!(got, (0..1000).collect::<Vec<_>>());
    assert!(client.is_closed_in_order());
    assert_eq!(ended(&served, drained), Leftover::default());
}

#[test]
fn connections_waiting_to_be_accepted_are_served() {
    let mut served = serve(settings());
    let mut clients: Vec<_> = (0..30).map(|_| TcpClient::connect(served.addr())).collect();
    for client in &mut clients {
        client.send(&query("hit", 1));
    }
    let drained = drain(&mut served, PATIENCE);
    for client in &mut clients {
        assert_eq!(id_of(&client.recv().unwrap()), 1);
        assert!(client.is_closed_in_order());
    }
    assert_eq!(ended(&served, drained), Leftover::default());
}

#[test]
fn a_server_that_is_dropped_stops() {
    let mut served = serve(Settings { workers: 2, ..settings() });
    let mut client = TcpClient::connect(served.addr());
    drop(client.ask(&query("hit", 1)));
    drop(served.running());
    assert_eq!(client.recv(), None);
    while UdpSocket::bind(served.addr()).is_err() {
        thread::yield_now();
    }
}

#[test]
fn a_successor_that_is_given_up_leaves_the_sockets_as_they_were() {
    let mut old = serve(settings());
    let running = old.running();
    let mut estate = Estate::new(running.sockets().duplicate().unwrap());
    let mut new = serve_after(settings(), &mut estate);
    assert_eq!(new.addr(), old.addr());
    let its = new.running();
    {
        let _context = new.runtime.enter();
        drop(its);
    }
    let sockets = running.sockets().duplicate().unwrap();
    let (_, udp) = sockets.into_iter().find(|(name, _)| name.kind == "udp").unwrap();
    // What was shut down has something to say to its readers at any time, and they find no rest.
    let mut said = Epoll::new().unwrap();
    said.add(&udp, 0).unwrap();
    assert_eq!(said.wait(Some(Duration::ZERO)).unwrap(), 0);
    let query = ask("hit.nick.test.", RecordType::A).id(7).bytes();
    for _ in 0..50 {
        assert_eq!(UdpClient::near(old.addr()).ask(&query, old.addr()), echo(&query));
        assert_eq!(TcpClient::connect(old.addr()).ask(&query), echo(&query));
    }
    assert_eq!((old.queries(), new.queries()), (100, 0));
}
