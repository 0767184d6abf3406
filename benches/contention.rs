//! What workers share, and what it costs: each structure used by one thread and by two at once.
//!
//! The cost is CPU time for one operation, so that other programs on the machine do not count. See
//! `benches/README.md` for how to read the table.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use dashmap::DashMap;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use scene::{Opt, Scene, UDP, a, name, positive, query, zone};
use zonelet::answer::Responder as _;
use zonelet::cache::CacheKey;
use zonelet::metrics::{Proto, Tally};
use zonelet::wire::{Name, Rtype, Suffixes, learn};
use zonelet::zone::Zone;

/// How long one measurement runs.
const SPAN: Duration = Duration::from_millis(150);
/// Measurements of each kind, the middle one of which counts.
const ROUNDS: usize = 5;
/// Operations between two looks at the clock.
const BLOCK: usize = 500;
/// Two threads that run at once make a counter they share at least so much slower.
const AT_ONCE: f64 = 1.5;
/// Names asked in turn where there is more than one.
const NAMES: usize = 1000;
const OPT: Option<Opt> = Some(Opt { size: 1232, dnssec_ok: false });

/// What one thread does: called with its number (0 or 1) and the turn, from 0.
type Operation<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Nanoseconds of CPU time an operation, used by `threads` threads at once, each on a CPU of its own.
fn cost(threads: usize, operation: Operation<'_>) -> f64 {
    let (start, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
    let (start, stop) = (&start, &stop);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    pin(thread);
                    start.wait();
                    let (before, mut turn) = (on_cpu(), 0);
                    while !stop.load(Ordering::Relaxed) {
                        (turn..turn + BLOCK).for_each(|turn| operation(thread, turn));
                        turn += BLOCK;
                    }
                    (on_cpu() - before) as f64 / turn as f64
                })
            })
            .collect();
        start.wait();
        thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
        let costs = running.into_iter().map(|thread| thread.join().expect("a thread that ends"));
        costs.sum::<f64>() / threads as f64
    })
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    let pinned = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    pinned.expect("two CPUs to run on");
}

/// Nanoseconds this thread has run.
fn on_cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("/proc");
    text.split_whitespace().next().and_then(|field| field.parse().ok()).expect("a time")
}

/// One thread, two threads, and both again: what the machine does meanwhile falls on both alike. How much
/// slower two are.
fn compare(what: &str, operation: Operation<'_>) -> f64 {
    let rounds = (0..ROUNDS).map(|_| (cost(1, operation), cost(2, operation)));
    let (mut one, mut two): (Vec<f64>, Vec<f64>) = rounds.unzip();
    let (one, two) = (median(&mut one), median(&mut two));
    println!("| {what} | {one:.1} | {two:.1} | {:.2} |", two / one);
    two / one
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn names(of: impl Fn(usize) -> String) -> Vec<Name> {
    (0..NAMES).map(|n| name(&of(n))).collect()
}

/// The two ends of the scale: nothing shared, and one line that both write. Whether the threads did run at
/// once: on a busy machine they take turns, and nothing seems to cost anything.
fn controls() -> bool {
    compare("nothing: arithmetic", &|_, turn| {
        black_box((0..32).fold(turn, |sum, n| black_box(sum.wrapping_mul(31) ^ n)));
    });
    let (apart, shared) = ([Tally::default(), Tally::default()], AtomicU64::new(0));
    compare("own counter each", &|thread, _| apart[thread].query(Proto::Udp));
    let slower = compare("one counter for both", &|_, _| {
        shared.fetch_add(1, Ordering::Relaxed);
    });
    let lock = Mutex::new(0u64);
    compare("one lock for both", &|_, _| *lock.lock().expect("no panics") += 1);
    slower > AT_ONCE
}

/// What every query of a kind goes through, of which the parts follow.
fn answers(scene: &Scene) {
    let tallies = [Tally::default(), Tally::default()];
    let ask = |what: &str, names: &[Name]| {
        let queries: Vec<Vec<u8>> = names.iter().map(|qname| query(qname, Rtype::A, OPT)).collect();
        compare(what, &|thread, turn| {
            let view = scene.answerer.view();
            let mut out = [0; 1232];
            let query = &queries[(turn + thread * queries.len() / 2) % queries.len()];
            black_box(scene.answerer.answer(&view, query, UDP, &mut out, &tallies[thread]));
        });
    };
    ask("answer: zone, one name", &[name("host-0.corp.test")]);
    ask("answer: zone, 1000 names", &names(|n| format!("host-{n}.corp.test")));
    ask("answer: cache, one name", &[name("svc-0.example.net")]);
    ask("answer: cache, 1000 names", &names(|n| format!("svc-{n}.example.net")));
    ask("answer: missing, up to the hand-over", &names(|n| format!("new-{n}.example.net")));
}

fn key(qname: &Name) -> CacheKey<'_> {
    CacheKey { qname: qname.as_ref(), qtype: Rtype::A, dnssec_ok: false, checking_disabled: false }
}

/// The shared structures one by one.
fn structures(scene: &Scene) {
    compare("view: table and settings loaded", &|_, _| drop(black_box(scene.answerer.view())));
    let corp = corp();
    let find = |what: &str, names: &[Name]| {
        let names: Vec<Suffixes> = names.iter().map(|name| Suffixes::of(name.as_ref())).collect();
        compare(what, &|thread, turn| {
            black_box(corp.lookup(&names[(turn + thread * names.len() / 2) % names.len()], Rtype::A));
        });
    };
    find("zone lookup: one name", &[name("host-0.corp.test")]);
    find("zone lookup: 1000 names", &names(|n| format!("host-{n}.corp.test")));
    let now = scene.clock.now();
    let get = |what: &str, names: &[Name]| {
        compare(what, &|thread, turn| {
            let name = &names[(turn + thread * names.len() / 2) % names.len()];
            black_box(scene.cache.get(&key(name), now));
        });
    };
    get("cache get: one name", &[name("svc-0.example.net")]);
    get("cache get: 1000 names", &names(|n| format!("svc-{n}.example.net")));
    get("cache get: nothing there", &names(|n| format!("new-{n}.example.net")));
    let owners = names(|n| format!("put-{n}.example.net"));
    let bytes: Vec<_> = owners
        .iter()
        .map(|owner| positive(Rtype::A, vec![a(&owner.to_string(), 60, 1)]).to_bytes())
        .collect();
    compare("learn and cache insert: 500 names each", &|thread, turn| {
        let n = turn % (NAMES / 2) + thread * NAMES / 2;
        let learned = learn(&bytes[n], owners[n].as_ref(), Rtype::A, false).expect("a sound response");
        scene.cache.insert(&key(&owners[n]), learned, now);
    });
}

/// The map of questions in flight and their numbers, by their kind: the map itself is nobody else's business.
/// Different questions each.
fn flights() {
    let (map, numbers) = (DashMap::new(), AtomicU64::new(0));
    let questions = names(|n| format!("new-{n}.example.net"));
    compare("flights: a question in and out", &|thread, turn| {
        let question = (questions[turn % (NAMES / 2) + thread * NAMES / 2].clone(), Rtype::A);
        map.entry(question.clone()).or_insert(numbers.fetch_add(1, Ordering::Relaxed));
        map.remove(&question);
    });
    let late = Tally::default();
    compare("late responses' counters, shared by all", &|_, _| late.query(Proto::Udp));
}

fn corp() -> Zone {
    let hosts: String = (0..NAMES).map(|n| format!("host-{n} A 10.0.0.1\n")).collect();
    zone("corp.test", &format!("$TTL 60\n@ SOA ns h 1 2 3 4 60\n@ NS ns\n{hosts}"))
}

fn main() {
    // Cargo's own arguments (`--bench`, `--test`) change nothing.
    let scene = Scene::new([corp()]);
    for owner in (0..NAMES).map(|n| format!("svc-{n}.example.net")) {
        scene.learn(&positive(Rtype::A, vec![a(&owner, 60, 1)]));
    }
    println!("| what is shared | ns, one thread | ns, two threads | slower by |\n|---|---:|---:|---:|");
    let at_once = controls();
    structures(&scene);
    flights();
    answers(&scene);
    if !at_once {
        println!("The threads hardly ran at once, the machine was too busy: this table says nothing.");
    }
}
