//! One process takes over from another: nothing is lost, and what goes wrong leaves the old one serving.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::zone;
use crate::harness::client::{PATIENCE, TcpClient, UdpClient, ask, id_of};
use crate::harness::program::{Home, Program, file, forward, until, upstream};

const STATE: &str = "[state]\ndir = 'state'\n[handover]\nlinger = '10s'\n";

/// A directory whose zonelet serves `corp.internal`, and forwards to `upstream`.
fn home(upstream: SocketAddr) -> Home {
    let home = Home::new("");
    home.put("corp.zone", &zone("corp.internal", 1));
    home.configure(&format!("{STATE}{}{}", file("corp.zone"), forward(upstream)));
    home
}

/// The same with nobody to forward to.
fn quiet_home() -> Home {
    home(([127, 0, 0, 1], 9).into())
}

/// Starts a successor, and waits for the old one's end.
fn succeed(home: &Home, old: Program) -> Program {
    let new = home.start();
    assert_eq!(new.addr(), old.addr());
    let (code, log) = old.ended();
    assert_eq!(code, Some(0), "{log:#?}");
    new
}

/// How many queries a run of clients sends in all per second, and over how many hand-overs: `ZONELET_HANDOVER_RATE` and
/// `ZONELET_HANDOVERS` set others.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What a client has counted.
#[derive(Default)]
struct Count {
    asked: AtomicUsize,
    answered: AtomicUsize,
}

/// Sends bursts over UDP at `rate` a second, from a new port now and then, until `is_over`; then waits for what is
/// missing. Each query is sent once.
fn udp_load(server: SocketAddr, rate: usize, count: &Count, is_over: &AtomicBool) {
    const BURST: usize = 20;
    let pause = Duration::from_secs_f64(BURST as f64 / rate as f64);
    let mut next = std::time::Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut missing: Vec<u16> = Vec::new();
        for round in 0..50u16 {
            for n in 0..BURST as u16 {
                let id = round * BURST as u16 + n;
                socket.send(&ask("db.corp.internal.", RecordType::A).id(id).bytes()).unwrap();
                missing.push(id);
            }
            count.asked.fetch_add(BURST, Ordering::Relaxed);
            // What has come by now, so that no buffer overflows here; at the end all.
            let is_last = round == 49 || is_over.load(Ordering::Relaxed);
            let keep = if is_last { 0 } else { 4 * BURST };
            let mut buffer = [0; 1232];
            while missing.len() > keep {
                let Ok(len) = socket.recv(&mut buffer) else { return };
                missing.retain(|id| *id != id_of(&buffer[..len]));
                count.answered.fetch_add(1, Ordering::Relaxed);
            }
            if is_last {
                break;
            }
            next += pause;
            thread::sleep(next.saturating_duration_since(std::time::Instant::now()));
        }
    }
}

/// Opens connections, asks ten questions on each, one after the other, until `is_over`.
fn tcp_load(server: SocketAddr, count: &Count, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let mut client = TcpClient::connect(server);
        for id in 0..10 {
            count.asked.fetch_add(1, Ordering::Relaxed);
            client.send(&ask("db.corp.internal.", RecordType::A).id(id).bytes());
            if client.recv().is_some_and(|response| id_of(&response) == id) {
                count.answered.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn ten_hand_overs_under_load_lose_no_query_over_udp_or_tcp() {
    let (rate, times) = (setting("ZONELET_HANDOVER_RATE", 2000), setting("ZONELET_HANDOVERS", 10));
    let mut home = quiet_home();
    home.variable("ZONELET_SERVER__WORKERS", "2");
    let mut program = home.start();
    program.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    let server = program.addr();
    let (udp, tcp) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (count, is_over) = (Arc::clone(&udp), Arc::clone(&is_over));
        clients.push(thread::spawn(move || udp_load(server, rate / 4, &count, &is_over)));
    }
    for _ in 0..4 {
        let (count, is_over) = (Arc::clone(&tcp), Arc::clone(&is_over));
        clients.push(thread::spawn(move || tcp_load(server, &count, &is_over)));
    }
    let asked = || udp.asked.load(Ordering::Relaxed) + tcp.asked.load(Ordering::Relaxed);
    for _ in 0..times {
        let before = asked();
        until("some load", || (asked() > before + rate / 10).then_some(()));
        program = succeed(&home, program);
    }
    let before = asked();
    until("some load at the last one", || (asked() > before + rate / 10).then_some(()));
    is_over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    for (count, proto) in [(&udp, "udp"), (&tcp, "tcp")] {
        let [asked, answered] = [&count.asked, &count.answered].map(|n| n.load(Ordering::Relaxed));
        println!("{proto}: {asked} asked, {answered} answered over {times} hand-overs");
        assert!(asked > times * 10, "{proto}: {asked}");
        assert_eq!(asked - answered, 0, "{proto}: lost of {asked}");
    }
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
}

#[test]
fn a_connection_that_is_open_is_served_to_its_end_by_the_old_process() {
    let home = quiet_home();
    let old = home.start();
    old.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    let mut client = TcpClient::connect(old.addr());
    let query = ask("db.corp.internal.", RecordType::A).bytes();
    client.ask(&query);
    let new = home.start();
    old.logged("a successor serves");
    // Taken over, and still the old one's.
    for _ in 0..3 {
        client.ask(&query);
    }
    // A new one is the new process'.
    TcpClient::connect(new.addr()).ask(&query);
    until("the new one's count", || {
        (new.metric("zonelet_server_tcp_accepted_total", &[]) >= 1.0).then_some(())
    });
    drop(client);
    assert_eq!(old.ended().0, Some(0));
}

#[test]
fn the_cache_the_metrics_page_and_the_admin_socket_go_over_too() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = upstream(move |q| {
        counter.fetch_add(1, Ordering::Relaxed);
        q.address(300, 7)
    });
    let home = home(server.addr);
    let old = home.start();
    assert_eq!(old.ask("learnt.test. A"), "NOERROR; learnt.test. 300 A 192.0.2.7");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let new = succeed(&home, old);
    assert!(new.ask("learnt.test. A").starts_with("NOERROR; learnt.test. "));
    assert_eq!(asked.load(Ordering::Relaxed), 1, "from the cache that was handed over");
    assert_eq!(new.metric("zonelet_app_restored_entries", &[]), 1.0);
    assert_eq!(new.metric("zonelet_app_handovers_total", &["taken", "done"]), 1.0);
    // UDP worker, TCP, HTTP, admin socket.
    assert_eq!(new.metric("zonelet_app_sockets_taken", &[]), 4.0);
    let zones = home.run(&["zones"]);
    assert!(String::from_utf8_lossy(&zones.stdout).contains("corp.internal"), "{zones:?}");
    assert!(home.path("admin.sock").exists() && home.path("state/handover.sock").exists());
    new.terminate();
    assert!(!home.path("admin.sock").exists());
    assert!(UnixStream::connect(home.path("state/handover.sock")).is_err(), "nobody is there any more");
    home.start().terminate();
}

#[test]
fn more_or_fewer_workers_and_further_addresses_take_what_fits() {
    let home = quiet_home();
    let mut program = home.start();
    let config = std::fs::read_to_string(home.path("config.toml")).unwrap();
    for (workers, listen) in [(3, "'127.0.0.1:0', '127.0.0.2:0'"), (1, "'127.0.0.1:0'"), (2, "'127.0.0.1:0'")]
    {
        let other = config.replace("workers = 1", &format!("workers = {workers}"));
        home.put("config.toml", &other.replace("listen = ['127.0.0.1:0']", &format!("listen = [{listen}]")));
        program = succeed(&home, program);
        for _ in 0..50 {
            assert_eq!(program.ask("db.corp.internal. A"), "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
        }
    }
}

/// Says something to the old process as a successor would, and returns what it answers first.
pub(super) fn say(home: &Home, frames: &[&str]) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(home.path("state/handover.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for frame in frames {
        // Who is busy says so without listening.
        let _ = stream.write_all(&[&(frame.len() as u32).to_be_bytes()[..], frame.as_bytes()].concat());
    }
    let answer = heard(&mut stream);
    (stream, answer)
}

fn heard(stream: &mut UnixStream) -> String {
    let mut len = [0; 4];
    if stream.read_exact(&mut len).is_err() {
        return String::new();
    }
    let mut body = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

pub(super) const HELLO: &str = r#"{"say":"hello","version":1}"#;

fn still_serves(program: &Program) {
    assert_eq!(program.ask("db.corp.internal. A"), "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    assert_eq!(program.get("/livez").0, 200);
}

#[test]
fn a_successor_that_fails_at_any_step_leaves_the_old_one_serving() {
    let home = quiet_home();
    let old = home.start();
    old.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    let failed = |times| {
        until("the failure's count", || {
            (old.metric("zonelet_app_handovers_total", &["given", "failed"]) == times).then_some(())
        });
        still_serves(&old);
    };
    // Gone before a word, after a word of nonsense, and with the sockets in its hands.
    drop(UnixStream::connect(home.path("state/handover.sock")).unwrap());
    failed(1.0);
    let mut nonsense = UnixStream::connect(home.path("state/handover.sock")).unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    failed(2.0);
    let (stream, answer) = say(&home, &[HELLO]);
    assert!(answer.starts_with(r#"{"say":"sockets","version":1,"sockets":[{"kind":"udp""#), "{answer}");
    // A second one at the same time has to wait.
    assert!(say(&home, &[HELLO]).1.contains(r#""say":"busy""#));
    drop(stream);
    failed(3.0);
    let (_stream, _) = say(&home, &[HELLO, r#"{"say":"moo"}"#]);
    failed(4.0);
    // A later version speaks as this one does to it.
    let (stream, answer) = say(&home, &[r#"{"say":"hello","version":7,"wants":["everything"]}"#]);
    assert!(answer.contains(r#""version":1"#), "{answer}");
    drop(stream);
    failed(5.0);
    let (_, answer) = say(&home, &[r#"{"say":"hello","version":1,"namespace":1}"#]);
    assert!(answer.contains("refused") && answer.contains("network namespace"), "{answer}");
    still_serves(&old);
    // And then one that does well.
    let new = succeed(&home, old);
    still_serves(&new);
}

#[test]
fn a_program_with_other_addresses_does_not_take_over() {
    let home = quiet_home();
    let old = home.start();
    old.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    let mut other = home.command(&["run"]);
    let output = other.env("ZONELET_SERVER__LISTEN", "127.0.0.3:0").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("serves other addresses"), "{output:?}");
    still_serves(&old);
    assert_eq!(old.metric("zonelet_app_handovers_total", &["given", "refused"]), 1.0);
}

#[test]
fn a_termination_waits_for_a_successor_that_starts_and_not_for_one_that_does_nothing() {
    let home = quiet_home();
    let old = home.start();
    old.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    let (mut stream, _) = say(&home, &[HELLO]);
    old.signal("TERM");
    old.logged("draining");
    still_serves(&old);
    // It is refused to others from now on, but this one may still go on: it takes nothing.
    let word = r#"{"say":"serving","sockets":[]}"#;
    stream.write_all(&(word.len() as u32).to_be_bytes()).unwrap();
    stream.write_all(word.as_bytes()).unwrap();
    old.logged("a successor serves");
    assert_eq!(old.ended().0, Some(0));
}

#[test]
fn responses_under_way_come_from_the_old_process_by_the_shared_socket() {
    let (gate, opened) = (Arc::new(AtomicBool::new(false)), Duration::from_millis(5));
    let door = Arc::clone(&gate);
    let server = upstream(move |q| {
        until("the gate", || door.load(Ordering::Relaxed).then_some(()));
        thread::sleep(opened);
        q.address(60, 1)
    });
    let home = home(server.addr);
    let old = home.start();
    let client = UdpClient::near(old.addr());
    for id in 0..20 {
        client.send(&ask(&format!("u{id}.test."), RecordType::A).id(id).bytes(), old.addr());
    }
    until("all to wait", || (old.metric("zonelet_miss_waiting", &[]) == 20.0).then_some(()));
    let _new = home.start();
    old.logged("a successor serves");
    gate.store(true, Ordering::Relaxed);
    let mut ids: Vec<u16> = (0..20).map(|_| id_of(&client.recv().0)).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
    assert_eq!(old.ended().0, Some(0));
}

#[test]
fn a_hand_over_that_meets_a_reload_waits_for_it() {
    let home = quiet_home();
    let mut program = home.start();
    for last in 2..6 {
        home.put("corp.zone", &zone("corp.internal", last));
        program.signal("HUP");
        program = succeed(&home, program);
        program.answers("db.corp.internal. A", &format!("NOERROR aa; db.corp.internal. 60 A 10.0.0.{last}"));
    }
}

#[test]
fn a_successor_that_comes_while_the_old_one_waits_to_drain_still_takes_over() {
    let home = quiet_home();
    let config = std::fs::read_to_string(home.path("config.toml")).unwrap();
    home.put("config.toml", &format!("{config}[drain]\ndelay = '60s'\n"));
    let old = home.start();
    old.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    old.signal("TERM");
    old.logged("draining");
    let new = succeed(&home, old);
    assert_eq!(new.metric("zonelet_app_handovers_total", &["taken", "done"]), 1.0);
    still_serves(&new);
}
