//! What the cache costs by itself: a hit, a miss, what is learned and put in, and one name asked for
//! by several threads at once.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use scene::{a, cname, name, positive};
use zonelet::cache::{Cache, CacheKey, EntryRef, Settings};
use zonelet::clock::Moment;
use zonelet::metrics::CacheMetrics;
use zonelet::wire::{Learned, Name, Rtype, Sections, learn};

const NAMES: usize = 10_000;

fn key(qname: &Name) -> CacheKey<'_> {
    CacheKey { qname: qname.as_ref(), qtype: Rtype::A, dnssec_ok: false, checking_disabled: false }
}

fn address(qname: &Name) -> Vec<u8> {
    positive(Rtype::A, vec![(qname.clone(), Rtype::A, 60, vec![192, 0, 2, 1])]).to_bytes()
}

fn learned(qname: &Name) -> Learned {
    learn(&address(qname), qname.as_ref(), Rtype::A, false).expect("a sound response")
}

fn names() -> Vec<Name> {
    (0..NAMES).map(|n| name(&format!("svc-{n}.example.net"))).collect()
}

fn filled(names: &[Name], max_bytes: u64) -> Cache {
    let cache = Cache::new(&Settings { max_bytes, ..Settings::default() }, CacheMetrics::register());
    for qname in names {
        cache.insert(&key(qname), learned(qname), Moment::default());
    }
    cache
}

/// What serving does with an entry.
fn serve(entry: EntryRef<'_>, out: &mut [u8]) -> Option<usize> {
    entry.learned.copy_into(out, entry.learned.base(), 12, 5, Sections::Both, 1)
}

fn lookups(c: &mut Criterion) {
    let (names, now) = (names(), Moment::from_millis(5000));
    let cache = filled(&names, 64 << 20);
    let (mut out, mut turn) = ([0; 1232], 0);
    c.bench_function("cache/hit", |b| {
        b.iter(|| {
            turn = (turn + 1) % NAMES;
            cache.with(&key(&names[turn]), now, |entry| serve(entry, &mut out))
        });
    });
    let strangers: Vec<Name> = (0..NAMES).map(|n| name(&format!("no-{n}.example.net"))).collect();
    c.bench_function("cache/miss", |b| {
        b.iter(|| {
            turn = (turn + 1) % NAMES;
            let key = key(&strangers[turn]);
            cache.with(&key, now, |_| ()).is_none() && cache.failure(&key, now).is_none()
        });
    });
}

fn insertions(c: &mut Criterion) {
    let names: Vec<Name> = (0..NAMES).map(|n| name(&format!("svc-{n}.example.net"))).collect();
    for (id, max_bytes) in [("cache/insert", 64 << 20), ("cache/insert_full", 256 << 10)] {
        let (cache, mut turn) = (filled(&names, max_bytes), 0);
        let ready = learned(&names[0]);
        c.bench_function(id, |b| {
            b.iter(|| {
                turn = (turn + 1) % NAMES;
                let mut learned = ready.clone();
                learned.qname_len = names[turn].as_bytes().len() as u8;
                cache.insert(&key(&names[turn]), learned, Moment::default())
            });
        });
    }
}

fn learning(c: &mut Criterion) {
    let qname = name("www.example.net");
    let one = address(&qname);
    let mut records = vec![cname("www.example.net", 300, "edge.cdn.example")];
    records.extend((1..5).map(|n| a("edge.cdn.example", 60, n)));
    let chain = positive(Rtype::A, records).to_bytes();
    for (id, bytes) in [("learn/address", one), ("learn/chain", chain)] {
        c.bench_function(id, |b| b.iter(|| learn(black_box(&bytes), qname.as_ref(), Rtype::A, false)));
    }
}

/// The time of one hit of each of `threads` that ask for one and the same name.
fn together(cache: &Cache, qname: &Name, threads: usize, times: u64) -> Duration {
    let (start, now) = (Barrier::new(threads), Moment::from_millis(5000));
    std::thread::scope(|scope| {
        let work = || {
            let mut out = [0; 1232];
            start.wait();
            let begun = Instant::now();
            for _ in 0..times {
                black_box(cache.with(&key(qname), now, |entry| serve(entry, &mut out)));
            }
            begun.elapsed()
        };
        let asking: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        asking.into_iter().map(|thread| thread.join().expect("no panic")).max().unwrap_or_default()
    })
}

fn contention(c: &mut Criterion) {
    let names = names();
    let cache = filled(&names, 64 << 20);
    for threads in [1, 2] {
        c.bench_function(&format!("cache/one_name_{threads}_threads"), |b| {
            b.iter_custom(|times| together(&cache, &names[0], threads, times));
        });
    }
}

criterion_group!(cache, lookups, insertions, learning, contention);
criterion_main!(cache);
