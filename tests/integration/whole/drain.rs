//! SIGTERM: nothing that got in is lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::zone;
use crate::harness::client::{PATIENCE, TcpClient, UdpClient, ask, id_of, message};
use crate::harness::program::{Home, Program, file, forward, until, upstream};

/// An upstream's door: queries wait behind it until it is opened.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        let is_open = self.0.lock().unwrap();
        drop(self.1.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

fn started(config: &str) -> (Home, Program, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let door = Arc::clone(&gate);
    let server = upstream(move |q| {
        door.pass();
        q.address(60, 1)
    });
    let home = Home::new("");
    home.put("corp.zone", &zone("corp.internal", 1));
    home.configure(&format!("{}{}{config}", file("corp.zone"), forward(server.addr)));
    let program = home.start();
    (home, program, gate)
}

/// Queries in flight of one client; more than a worker takes in one batch.
const WINDOW: usize = 100;

/// Sends queries until nobody is there any more, and returns which were answered.
///
/// One socket of the server has them all in order, so that what is lost shows as a gap.
fn load(server: SocketAddr, answered: &AtomicUsize, has_ended: &AtomicBool) -> Vec<bool> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut seen: Vec<bool> = Vec::new();
    let mut outstanding = 0;
    let mut buffer = [0; 1232];
    while seen.len() < 60_000 && !has_ended.load(Ordering::Relaxed) {
        if outstanding < WINDOW {
            let query = ask("db.corp.internal.", RecordType::A).id(seen.len() as u16).bytes();
            // Refused: the last one found nobody.
            if socket.send(&query).is_err() {
                break;
            }
            seen.push(false);
            outstanding += 1;
            continue;
        }
        match socket.recv(&mut buffer) {
            Ok(len) => {
                seen[usize::from(id_of(&buffer[..len]))] = true;
                answered.fetch_add(1, Ordering::Relaxed);
                outstanding -= 1;
            }
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => break,
            Err(_) => {}
        }
    }
    socket.set_nonblocking(true).unwrap();
    until("the end", || has_ended.load(Ordering::Relaxed).then_some(()));
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => seen[usize::from(id_of(&buffer[..len]))] = true,
            // An error that a send has left behind is told once.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(_) => return seen,
        }
    }
}

#[test]
fn every_query_that_got_in_under_load_is_answered_before_the_end() {
    let (_home, program, _gate) = started("");
    let (answered, has_ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let server = program.addr();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (answered, has_ended) = (Arc::clone(&answered), Arc::clone(&has_ended));
            thread::spawn(move || load(server, &answered, &has_ended))
        })
        .collect();
    until("some load", || (answered.load(Ordering::Relaxed) > 2000).then_some(()));
    let (code, log) = program.terminate();
    has_ended.store(true, Ordering::Relaxed);
    assert_eq!(code, Some(0), "{log:#?}");
    for client in clients {
        let seen = client.join().unwrap();
        let count = seen.iter().filter(|seen| **seen).count();
        assert!(count > 100, "{count}");
        assert!(seen[..count].iter().all(|seen| *seen), "a gap before the last of {count} answers");
        assert!(seen.len() - count <= WINDOW);
    }
}

#[test]
fn what_waits_for_an_upstream_when_the_drain_begins_is_still_answered() {
    const WAITING: usize = 60;
    let (_home, program, gate) = started("");
    let client = UdpClient::near(program.addr());
    let mut stream = TcpClient::connect(program.addr());
    for n in 0..WAITING as u16 {
        client.send(&ask(&format!("u{n}.test."), RecordType::A).id(n).bytes(), program.addr());
        stream.send(&ask(&format!("t{n}.test."), RecordType::A).id(n).bytes());
    }
    until("all to wait", || {
        (program.metric("zonelet_miss_waiting", &[]) == 2.0 * WAITING as f64).then_some(())
    });
    program.signal("TERM");
    program.logged("draining");
    gate.open();
    let mut over_udp: Vec<u16> = (0..WAITING).map(|_| answer(&client.recv().0)).collect();
    let mut over_tcp: Vec<u16> =
        (0..WAITING).map(|_| answer(&stream.recv().expect("every query read is answered"))).collect();
    over_udp.sort_unstable();
    over_tcp.sort_unstable();
    let all: Vec<u16> = (0..WAITING as u16).collect();
    assert_eq!((&over_udp, &over_tcp), (&all, &all));
    assert!(stream.is_closed_in_order());
    let (code, log) = program.ended();
    assert_eq!(code, Some(0));
    assert!(log.last().is_some_and(|line| line.contains("stopped")), "{log:#?}");
}

/// The id of a response that must have an address.
fn answer(response: &[u8]) -> u16 {
    assert_eq!(message(response).answers.len(), 1, "{:?}", message(response));
    id_of(response)
}

#[test]
fn what_never_gets_an_answer_holds_up_the_end_no_longer_than_the_grace_period() {
    let (_home, program, _gate) = started("upstream_timeout = '60s'\n[drain]\ngrace = '100ms'\n");
    let client = UdpClient::near(program.addr());
    client.send(&ask("never.test.", RecordType::A).bytes(), program.addr());
    until("it to wait", || (program.metric("zonelet_miss_waiting", &[]) == 1.0).then_some(()));
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("not everything was finished in time")), "{log:#?}");
}

#[test]
fn while_it_drains_it_is_alive_but_not_ready_and_goes_on_answering() {
    let (_home, program, _gate) = started("[drain]\ndelay = '60s'\n");
    until("readiness", || (program.get("/readyz").0 == 200).then_some(()));
    program.signal("TERM");
    let (_, why) =
        until("the end of readiness", || Some(program.get("/readyz")).filter(|page| page.0 != 200));
    assert!(why.contains("draining"), "{why}");
    assert_eq!(program.get("/readyz").0, 503);
    assert_eq!(program.get("/livez").0, 200);
    assert_eq!(program.ask("db.corp.internal. A"), "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    // A second signal cuts the delay.
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| line.contains("cut short")), "{log:#?}");
}

#[test]
fn an_interrupt_ends_it_as_well() {
    let (_home, program, _gate) = started("");
    program.signal("INT");
    assert_eq!(program.ended().0, Some(0));
}
