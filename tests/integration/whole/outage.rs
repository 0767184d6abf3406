//! All upstreams are dead while names that nobody knows are asked for all the time.
//!
//! The full figures: `ZONELET_OUTAGE=60 cargo test --test integration -- outage_of_everything --nocapture` asks for
//! 5000 new names a second for so many seconds. Without the variable it is a few seconds of a few hundred.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::client::{UdpClient, id_of};
use crate::harness::dns::{asked, line};
use crate::harness::program::{Home, Program, outside};
use crate::harness::upstream::{Out, Scripted};

/// Names that are in the cache before.
const KNOWN: usize = 40;
/// By then the breakers are open.
const OPENING: Duration = Duration::from_secs(4);
/// Sockets of the flood, so that no receive buffer is short.
const SOCKETS: usize = 16;
/// One answer in so many is read by a parser that is not ours.
const READ_EVERY: usize = 37;

/// An upstream that answers as long as the switch is on.
fn switched() -> (Scripted, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(true));
    let is_on = Arc::clone(&switch);
    let server = Scripted::start(move |asked| match is_on.load(Ordering::Relaxed) {
        true => vec![Out::Reply(asked.question.address(3600, 1))],
        false => Vec::new(),
    });
    (outside().block_on(server), switch)
}

/// How long things took.
struct Times(Vec<Duration>);

impl Times {
    /// The time that one in `part` exceeds.
    fn but_one_in(&mut self, part: usize) -> Duration {
        self.0.sort_unstable();
        let count = self.0.len();
        self.0.get(count.saturating_sub(1 + count / part)).copied().unwrap_or_default()
    }
}

/// Asks for what is known, five hundred times a second, until `stop`.
fn hits(server: SocketAddr, stop: &Arc<AtomicBool>) -> JoinHandle<Times> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let (udp, mut times) = (UdpClient::near(server), Times(Vec::new()));
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let query = asked(&format!("known{}.test. A", n % KNOWN)).edns(1232, false).bytes();
            let started = Instant::now();
            let response = udp.ask(&query, server);
            times.0.push(started.elapsed());
            let got = line(&query, &response);
            assert!(got.starts_with("NOERROR; known"), "{got}");
            thread::sleep(Duration::from_millis(2));
        }
        times
    })
}

/// What came of a flood of questions.
struct Told {
    times: Times,
    asked: usize,
    /// Answers that were read, in order: when asked, and what they say.
    read: Vec<(Duration, String)>,
}

/// One socket of a flood: a query waits under its id.
struct Source {
    socket: UdpSocket,
    waiting: Vec<Option<(Instant, Vec<u8>)>>,
}

impl Source {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, waiting: vec![None; 1 << 16] }
    }

    fn send(&mut self, number: usize, qname: &str) {
        let id = number as u16;
        let query = asked(&format!("{qname} A")).id(id).edns(1232, false).bytes();
        let _ = self.socket.send(&query);
        self.waiting[usize::from(id)] = Some((Instant::now(), query));
    }

    fn receive(&mut self, began: Instant, told: &mut Told) {
        let mut buffer = [0; 1500];
        loop {
            let len = match self.socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            let Some((at, query)) = self.waiting[usize::from(id_of(&buffer))].take() else { continue };
            told.times.0.push(at.elapsed());
            if told.times.0.len().is_multiple_of(READ_EVERY) {
                told.read.push((at.duration_since(began), line(&query, &buffer[..len])));
            }
        }
    }
}

/// Asks at an even rate whether answers come or not, and gives the last ones three seconds.
fn flood(server: SocketAddr, rate: usize, lasts: Duration, qname: impl Fn(usize) -> String) -> Told {
    let mut sources: Vec<_> = (0..SOCKETS).map(|_| Source::new(server)).collect();
    let (began, mut told) = (Instant::now(), Told { times: Times(Vec::new()), asked: 0, read: Vec::new() });
    while began.elapsed() < lasts + Duration::from_secs(3) {
        let due = (began.elapsed().min(lasts).as_secs_f64() * rate as f64) as usize;
        for n in told.asked..due {
            sources[n % SOCKETS].send(n / SOCKETS, &qname(n));
        }
        told.asked = due;
        sources.iter_mut().for_each(|source| source.receive(began, &mut told));
        if told.asked == told.times.0.len() && began.elapsed() > lasts {
            break;
        }
        thread::sleep(Duration::from_micros(500));
    }
    told
}

fn resident(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap() << 10
}

/// The memory at most, looked at until `stop`.
fn watch(program: &Program, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let (stop, path) = (Arc::clone(stop), format!("/proc/{}/statm", program.id()));
    thread::spawn(move || {
        let mut most = 0;
        while !stop.load(Ordering::Relaxed) {
            let pages = fs::read_to_string(&path).unwrap();
            let pages: u64 = pages.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap();
            most = most.max(pages << 12);
            thread::sleep(Duration::from_millis(50));
        }
        most
    })
}

/// Runs `load` beside hits. Returns what came of it, the time of all but one in a hundred hits, and the most memory.
fn beside_hits(program: &Program, load: impl FnOnce() -> Told) -> (Told, Duration, u64) {
    let stop = Arc::new(AtomicBool::new(false));
    let (hits, memory) = (hits(program.addr(), &stop), watch(program, &stop));
    let told = load();
    stop.store(true, Ordering::Relaxed);
    let p99 = hits.join().expect("what is known is answered").but_one_in(100);
    (told, p99, memory.join().expect("the memory"))
}

#[test]
fn outage_of_everything_is_told_in_time_and_costs_neither_memory_nor_hits_nor_packets() {
    let full = std::env::var("ZONELET_OUTAGE").ok().and_then(|s| s.parse().ok());
    let (seconds, rate) = full.map_or((6, 300), |seconds: u64| (seconds, 5000));
    let lasts = Duration::from_secs(seconds);
    let ((first, one), (second, two)) = (switched(), switched());
    let home = Home::new(&format!(
        "[[forward]]\ndomain = '.'\nupstreams = ['{}', '{}']\n[limits]\nupstream_sockets = 64\n",
        first.addr, second.addr
    ));
    let mut program = home.start();
    for n in 0..KNOWN {
        let got = program.ask(&format!("known{n}.test. A"));
        assert!(got.starts_with("NOERROR; known"), "{got}");
    }
    // The same number of queries that all have an answer: what the machine and the debug build take.
    let known = |n: usize| format!("known{}.test.", n % KNOWN);
    let usual = Duration::from_secs(seconds.min(10));
    let (before, hits_before, _) = beside_hits(&program, || flood(program.addr(), rate, usual, known));
    let memory_before = resident(&program);
    [one, two].iter().for_each(|switch| switch.store(false, Ordering::Relaxed));
    let packets = || first.count() + second.count();
    let (packets_before, server) = (packets(), program.addr());
    let opened = thread::spawn({
        let (first, second) = (first.clone(), second.clone());
        move || {
            thread::sleep(OPENING);
            [first.count(), second.count()]
        }
    });
    let unknown = |n: usize| format!("n{n}.unknown.test.");
    let (mut told, hits_during, most) = beside_hits(&program, || flood(server, rate, lasts, unknown));
    let opened = opened.join().expect("a count");
    let trials = [first.count() - opened[0], second.count() - opened[1]];
    let lost = told.asked - told.times.0.len();
    let (half, p99, slowest) =
        (told.times.but_one_in(2), told.times.but_one_in(100), told.times.but_one_in(usize::MAX));
    let (growth, left) =
        (most.saturating_sub(memory_before) >> 10, resident(&program).saturating_sub(memory_before) >> 10);
    println!(
        "{} names at {rate}/s, {lost} lost; told after {half:?}, {p99:?} (p99), {slowest:?} at most\n\
         hits' p99: {hits_before:?} beside as many hits, {hits_during:?} in the outage\n\
         memory: {growth} KiB more at most, {left} KiB in the end\n\
         packets: {} until the breakers were open, {trials:?} in the {} s after that",
        told.asked,
        packets() - packets_before - trials.iter().sum::<usize>(),
        lasts.saturating_sub(OPENING).as_secs(),
    );
    assert_eq!(before.times.0.len(), before.asked, "known names were not answered");
    assert!(lost * 1000 <= told.asked, "{lost} of {} were told nothing", told.asked);
    assert!(slowest < Duration::from_millis(2500), "{slowest:?}");
    for (at, got) in &told.read {
        let is_told = got.starts_with("SERVFAIL EDE 22 ") || got.starts_with("SERVFAIL EDE 23 ");
        // Until then more may wait than there is room for.
        let is_cap = *at < OPENING && got.starts_with("SERVFAIL EDE 0 too many queries wait");
        assert!(is_told || is_cap, "asked after {at:?}: {got}");
    }
    let most_trials = lasts.saturating_sub(OPENING).as_secs() as usize + 4;
    assert!(trials.iter().all(|&count| count <= most_trials), "{trials:?} packets");
    assert!(growth < 64 << 10, "{growth} KiB");
    assert!(hits_during < hits_before * 10 + Duration::from_millis(50), "{hits_before:?} {hits_during:?}");
    assert!(program.is_alive());
}
