//! Mixed load for a while, with upstreams that come and go and a configuration that changes all the time.
//!
//! Ten minutes: `ZONELET_SOAK=600 cargo test --test integration -- soak --nocapture`. Without the variable it is a
//! few seconds. What is known, by a zone or since an upstream said it, is answered always; every query is
//! answered with something; and in the second half nothing grows any more.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::zone;
use crate::harness::client::{TcpClient, UdpClient};
use crate::harness::dns::{Via, asked, line};
use crate::harness::program::{HEAD, Home, Program, file, outside, until};
use crate::harness::upstream::{Out, Scripted};

/// Names that an upstream answers before the load begins, and that are asked for all the time.
const KNOWN: usize = 40;
/// How long an upstream stays as it is.
const FLAP: Duration = Duration::from_millis(700);
/// The room that what is counted in bytes may vary by.
const ROOM: u64 = 6 << 20;

/// How an upstream does.
#[derive(Clone, Copy)]
enum Mood {
    Well = 0,
    Refuses = 1,
    Silent = 2,
    /// Says nothing to every other query.
    Lossy = 3,
}

/// An upstream whose mood can be changed. What it answers is good for two seconds only.
fn moody() -> (Scripted, Arc<AtomicU8>) {
    let mood = Arc::new(AtomicU8::new(Mood::Well as u8));
    let now = Arc::clone(&mood);
    let server = outside().block_on(Scripted::start(move |asked| {
        let question = &asked.question;
        let mood = now.load(Ordering::Relaxed);
        if mood == Mood::Silent as u8 || (mood == Mood::Lossy as u8 && asked.number % 2 == 0) {
            return Vec::new();
        }
        let reply =
            if mood == Mood::Refuses as u8 { question.reply(2, &[], &[]) } else { question.address(2, 1) };
        vec![Out::Reply(reply)]
    }));
    (server, mood)
}

/// One client that asks one question after the other; what `check` does not find in the answer fails the test.
fn client(
    server: SocketAddr,
    via: Via,
    stop: &Arc<AtomicBool>,
    count: &Arc<AtomicUsize>,
    question: impl Fn(usize) -> (String, &'static str) + Send + 'static,
) -> JoinHandle<()> {
    let (stop, count) = (Arc::clone(stop), Arc::clone(count));
    thread::spawn(move || {
        let udp = UdpClient::near(server);
        let mut tcp = None;
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let (question, wanted) = question(n);
            let query = asked(&question).edns(1232, false).bytes();
            let response = match via {
                Via::Udp => udp.ask(&query, server),
                // A new connection now and then.
                Via::Tcp if n % 200 == 0 => tcp.insert(TcpClient::connect(server)).ask(&query),
                Via::Tcp => tcp.as_mut().expect("a connection").ask(&query),
            };
            let got = line(&query, &response);
            assert!(got.contains(wanted), "{question} by {via:?}: {got}, not {wanted}");
            count.fetch_add(1, Ordering::Relaxed);
            // A pace that leaves the machine to others, too.
            thread::sleep(Duration::from_micros(500));
        }
    })
}

/// What must not grow.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    resident: u64,
    descriptors: usize,
    threads: u64,
}

fn footprint(program: &Program) -> Footprint {
    let pid = program.id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Footprint {
        resident: field("VmRSS:") << 10,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        threads: field("Threads:"),
    }
}

/// Lets upstreams change their moods and the configuration change for so long. Returns how often it was reloaded.
fn trouble(
    home: &Home,
    program: &Program,
    moods: &[Arc<AtomicU8>; 2],
    lasts: Duration,
    from: usize,
) -> usize {
    let (began, mut round) = (Instant::now(), from);
    while began.elapsed() < lasts {
        let of = [Mood::Well, Mood::Refuses, Mood::Well, Mood::Silent, Mood::Lossy, Mood::Silent];
        moods[0].store(of[round % 6] as u8, Ordering::Relaxed);
        moods[1].store(of[(round / 2) % 6] as u8, Ordering::Relaxed);
        if round.is_multiple_of(3) {
            configure(home, round);
            program.signal("HUP");
        }
        round += 1;
        thread::sleep(FLAP);
    }
    round
}

fn configure(home: &Home, round: usize) {
    let upstreams = fs::read_to_string(home.path("upstreams")).unwrap();
    let (timeout, in_flight) = (["4s", "3s"][round % 2], 4096 + round);
    let config = format!(
        "{HEAD}[cache]\nmax_bytes = '4MiB'\n{}[[forward]]\ndomain = '.'\nupstreams = {upstreams}\n\
         [limits]\nupstream_sockets = 16\nupstream_timeout = '{timeout}'\nin_flight = {in_flight}\n",
        file("corp.zone"),
    );
    home.put("config.toml", &config);
}

/// Waits until nothing is under way any more.
fn rest(program: &Program, moods: &[Arc<AtomicU8>; 2]) {
    moods.iter().for_each(|mood| mood.store(Mood::Well as u8, Ordering::Relaxed));
    until("the end of all questions", || (program.metric("zonelet_miss_waiting", &[]) == 0.0).then_some(()));
    until("the end of all connections", || {
        (program.metric("zonelet_server_tcp_connections", &[]) == 0.0).then_some(())
    });
}

fn load(
    server: SocketAddr,
    stop: &Arc<AtomicBool>,
    count: &Arc<AtomicUsize>,
    salt: usize,
) -> Vec<JoinHandle<()>> {
    let known = |n: usize| match n % 4 {
        0 => ("db.corp.internal. A".to_owned(), "NOERROR aa; db.corp.internal. 60 A 10.0.0.1"),
        1 => (format!("x{n}.corp.internal. A"), "NXDOMAIN aa"),
        _ => (format!("known{}.test. A", n * 7 % KNOWN), "NOERROR; known"),
    };
    let unknown = move |n: usize| (format!("n{n}-{salt}.test. A"), "");
    let mut clients: Vec<_> = [Via::Udp, Via::Tcp].map(|via| client(server, via, stop, count, known)).into();
    // A question that only a silent upstream could answer takes its time: several ask them.
    clients.extend(
        (0..6).map(|i| client(server, [Via::Udp, Via::Tcp][i % 2], stop, count, move |n| unknown(6 * n + i))),
    );
    clients
}

#[test]
fn soak_nothing_known_is_lost_and_nothing_grows_while_upstreams_and_configuration_change() {
    let seconds = std::env::var("ZONELET_SOAK").ok().and_then(|s| s.parse().ok()).unwrap_or(6_u64);
    let half = Duration::from_secs(seconds) / 2;
    let ((first, one), (second, two)) = (moody(), moody());
    let home = Home::new("");
    home.put("corp.zone", &zone("corp.internal", 1));
    home.put("upstreams", &format!("['{}', '{}']", first.addr, second.addr));
    configure(&home, 0);
    let (mut program, moods) = (home.start(), [one, two]);
    for n in 0..KNOWN {
        let got = program.ask(&format!("known{n}.test. A"));
        assert!(got.starts_with("NOERROR; known"), "{got}");
    }
    let count = Arc::new(AtomicUsize::new(0));
    let mut round = 1;
    let footprints = [1, 2].map(|salt| {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = load(program.addr(), &stop, &count, salt);
        round = trouble(&home, &program, &moods, half, round);
        stop.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .for_each(|client| client.join().expect("a client was answered wrongly, or not at all"));
        rest(&program, &moods);
        footprint(&program)
    });
    assert!(program.is_alive());
    println!("{} queries, {round} changes, {footprints:?}", count.load(Ordering::Relaxed));
    let [before, after] = footprints;
    assert!(after.resident <= before.resident + before.resident / 10 + ROOM, "{footprints:?}");
    // Sockets to upstreams are opened as they are drawn.
    assert!(after.descriptors <= before.descriptors + 32, "{footprints:?}");
    // The runtime ends threads for blocking work when they have rested.
    assert!(after.threads <= before.threads + 4, "{footprints:?}");
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains("panicked")), "{log:#?}");
}
