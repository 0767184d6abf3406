//! A hit takes nothing from the heap: zone answers, denials, chains and cached responses.

mod scene;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use scene::{Learnt, Opt, Scene, TCP, UDP, a, cname, name, positive, query, soa, zone};
use zonelet::answer::{Asker, Settings};
use zonelet::metrics::Tally;
use zonelet::watch::settings::{Class, Collector, Dnstap, QueryLog, Top};
use zonelet::watch::{self, Watch};
use zonelet::wire::{Rcode, Rtype};

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread what it hands out.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the count is a plain cell of the
// thread, initialised without allocating.
#[allow(unsafe_code)] // There is no other way to watch the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// How often the heap was asked for memory while `work` ran on this thread.
fn taken_by(work: impl FnOnce()) -> usize {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

const ZONE: &str = "$TTL 300
@ SOA ns h 1 7200 900 1209600 60
@ NS ns
www A 10.0.0.1
www A 10.0.0.2
www A 10.0.0.3
*.apps A 10.0.0.4
one CNAME two
two CNAME three
three CNAME www
out CNAME far.example.net.
away CNAME in.example.net.
";

fn scene() -> Scene {
    let scene = Scene::new([zone("corp.test", ZONE)]);
    scene.learn(&positive(Rtype::A, vec![a("far.example.net", 60, 1), a("far.example.net", 60, 2)]));
    let chain = vec![cname("chain.example.net", 60, "far.example.net"), a("far.example.net", 60, 1)];
    scene.learn(&positive(Rtype::A, chain));
    scene.learn(&positive(Rtype::A, vec![cname("in.example.net", 60, "www.corp.test")]));
    scene.learn(&Learnt {
        qname: name("no.example.net"),
        qtype: Rtype::A,
        rcode: Rcode::NXDOMAIN,
        answers: Vec::new(),
        authorities: vec![soa("example.net", 900, 60)],
    });
    scene
}

/// Asks many times, over both transports, with and without EDNS; each answer has `rcode` and
/// `answers` records, and costs no allocation.
#[track_caller]
fn costs_nothing(qname: &str, qtype: Rtype, rcode: u8, answers: u8) {
    let (scene, tally) = (scene(), Tally::default());
    let opt = Opt { size: 1232, dnssec_ok: true };
    let queries = [query(&name(qname), qtype, None), query(&name(qname), qtype, Some(opt))];
    let mut out = vec![0; 65_535];
    let mut ask = |query: &[u8], asker: Asker| {
        let len = scene.answer(query, asker, &mut out, &tally);
        assert!(len.is_some(), "{qname} {qtype} is forwarded");
        assert_eq!((out[3] & 15, out[7]), (rcode, answers), "{qname} {qtype}");
    };
    // The first query on a thread may set up what is kept for the thread, not for the query.
    ask(&queries[0], UDP);
    let taken = taken_by(|| {
        for round in 0..100 {
            ask(&queries[round % 2], if round % 4 < 2 { UDP } else { TCP });
        }
    });
    assert_eq!(taken, 0, "allocations of 100 answers to {qname} {qtype}");
}

#[test]
fn the_allocator_counts() {
    assert!(taken_by(|| drop(std::hint::black_box(vec![1u8]))) > 0);
}

#[test]
fn a_zone_hit_allocates_nothing() {
    costs_nothing("www.corp.test", Rtype::A, 0, 3);
}

#[test]
fn a_wildcard_allocates_nothing() {
    costs_nothing("any.thing.apps.corp.test", Rtype::A, 0, 1);
}

#[test]
fn negatives_of_a_zone_allocate_nothing() {
    costs_nothing("no.corp.test", Rtype::A, 3, 0);
    costs_nothing("www.corp.test", Rtype::TXT, 0, 0);
}

#[test]
fn a_chain_within_a_zone_allocates_nothing() {
    costs_nothing("one.corp.test", Rtype::A, 0, 6);
}

#[test]
fn a_cached_answer_allocates_nothing() {
    costs_nothing("far.example.net", Rtype::A, 0, 2);
    costs_nothing("chain.example.net", Rtype::A, 0, 2);
}

#[test]
fn a_cached_denial_allocates_nothing() {
    costs_nothing("no.example.net", Rtype::AAAA, 3, 0);
}

#[test]
fn chains_between_zone_and_cache_allocate_nothing() {
    costs_nothing("out.corp.test", Rtype::A, 0, 3);
    costs_nothing("away.corp.test", Rtype::A, 0, 5);
}

#[test]
fn refusals_and_special_names_allocate_nothing() {
    costs_nothing("localhost", Rtype::A, 0, 1);
    costs_nothing("corp.test", Rtype::AXFR, 5, 0);
    costs_nothing("corp.test", Rtype::ANY, 0, 1);
}

#[test]
fn answers_that_are_watched_by_every_output_allocate_nothing() {
    let (scene, tally) = (scene(), Tally::default());
    let settings = watch::Settings {
        dnstap: Dnstap { to: Some(Collector::Tcp(([127, 0, 0, 1], 9).into())), ..Dnstap::default() },
        query_log: QueryLog {
            classes: Class::WORDS.map(|(_, class)| class).to_vec(),
            sample: 1,
            ..QueryLog::default()
        },
        top: Top { sample: 1, ..Top::default() },
    };
    let watch = Watch::new(settings, scene.clock.clone());
    scene.answerer.watched_by(watch.clone(), Settings::default());
    // More names than the tables have entries for: others have to give way.
    let names: Vec<Vec<u8>> =
        (0..700).map(|n| query(&name(&format!("n{n}.apps.corp.test")), Rtype::A, None)).collect();
    let mut out = vec![0; 65_535];
    let mut ask = |query: &[u8]| assert!(scene.answer(query, UDP, &mut out, &tally).is_some());
    ask(&names[0]);
    // The buffers are full long before the end: what is lost costs nothing either.
    let taken = taken_by(|| (0..100).for_each(|_| names.iter().for_each(|query| ask(query))));
    assert_eq!(taken, 0, "allocations of 70000 watched answers");
    assert_eq!(watch.told().sampled, 70_001);
}
