//! What a zone of 100 000 records costs: to look names up in, to compile, in memory.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scene::{Scene, UDP, build, name, query, zone};
use zonelet::metrics::Tally;
use zonelet::source::file::zonefile;
use zonelet::wire::{Name, Rtype, Suffixes};
use zonelet::zone::{Lookup, Zone, ZoneData, ZoneOptions};

const RECORDS: usize = 100_000;
/// Names asked for, in an order without pattern: far more than any cache holds the lines of.
const NAMES: usize = 1 << 16;

/// A zone file: hosts, and for each twentieth a CNAME that leads to it in two steps.
fn text(records: usize) -> String {
    let mut text = String::from("$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\n@ NS ns\n");
    for n in 0..records {
        let _ = match n % 20 {
            18 => writeln!(text, "one-{n}.rack-{} CNAME two-{}.rack-{}", n % 64, n + 1, (n + 1) % 64),
            19 => writeln!(text, "two-{n}.rack-{} CNAME host-{}.rack-{}", n % 64, n - 19, (n - 19) % 64),
            _ => writeln!(text, "host-{n}.rack-{} A 10.{}.{}.{}", n % 64, n >> 16, n >> 8 & 255, n & 255),
        };
    }
    text
}

/// The `n`th of the names that `pick` makes of record numbers, in an order without pattern.
fn shuffled(pick: impl Fn(usize) -> Name) -> Vec<Name> {
    let number = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (0..NAMES).map(|n| pick(number(n) as usize % (RECORDS / 20) * 20)).collect()
}

fn host(n: usize) -> Name {
    let n = n + n / 20 % 18;
    name(&format!("host-{n}.rack-{}.corp.test", n % 64))
}

fn chain(n: usize) -> Name {
    name(&format!("one-{}.rack-{}.corp.test", n + 18, (n + 18) % 64))
}

fn missing(n: usize) -> Name {
    name(&format!("none-{n}.rack-{}.corp.test", n % 64))
}

fn lookups(c: &mut Criterion) {
    let zone = zone("corp.test", &text(RECORDS));
    let counts = zone.counts();
    println!(
        "memory: {} bytes for {} records, {:.1} a record",
        zone.memory(),
        counts.records,
        zone.memory() as f64 / counts.records as f64
    );
    let mut group = c.benchmark_group("lookup");
    let names = shuffled(host);
    let suffixes: Vec<Suffixes> = names.iter().step_by(16).map(|n| Suffixes::of(n.as_ref())).collect();
    let mut turn = 0;
    group.bench_function("hashed_before", |b| {
        b.iter(|| {
            turn = (turn + 1) % suffixes.len();
            let lookup = zone.lookup(black_box(&suffixes[turn]), Rtype::A);
            matches!(lookup, Lookup::Answer(_))
        });
    });
    group.bench_function("random", |b| {
        b.iter(|| {
            turn = (turn + 1) % NAMES;
            matches!(
                zone.lookup(&Suffixes::of(black_box(&names[turn]).as_ref()), Rtype::A),
                Lookup::Answer(_)
            )
        });
    });
    group.finish();
}

fn answers(c: &mut Criterion) {
    let linked = Scene::new([zone("corp.test", &text(RECORDS))]);
    // A zone below it, of which nothing is asked, makes every name be looked for.
    let walked = Scene::beside([zone("corp.test", &text(RECORDS))], &["elsewhere.corp.test"]);
    let mut group = c.benchmark_group("zone_answer");
    for (id, scene, pick, qtype) in [
        ("host", &linked, host as fn(usize) -> Name, Rtype::A),
        ("nodata", &linked, host, Rtype::TXT),
        ("nxdomain", &linked, missing, Rtype::A),
        ("chain", &linked, chain, Rtype::A),
        ("chain_unlinked", &walked, chain, Rtype::A),
    ] {
        let queries: Vec<Vec<u8>> =
            shuffled(pick).iter().step_by(16).map(|n| query(n, qtype, None)).collect();
        let (mut out, tally, mut turn) = (vec![0; 1232], Tally::default(), 0);
        assert!(queries.iter().all(|q| scene.answer(q, UDP, &mut out, &tally).is_some()), "{id}");
        group.bench_function(id, |b| {
            b.iter(|| {
                turn = (turn + 1) % queries.len();
                scene.answer(black_box(&queries[turn]), UDP, &mut out, &tally)
            });
        });
    }
    group.finish();
}

fn imports(c: &mut Criterion) {
    let text = text(RECORDS);
    let apex = name("corp.test");
    let file = zonefile::parse(text.as_bytes(), Some(apex.clone())).expect("a zone file");
    let sets = file.records.into_iter().map(|(_, set)| set).collect();
    let data = ZoneData { apex: apex.clone(), sets, skipped: Vec::new() };
    assert!(build("corp.test", &text).skipped.is_empty());
    let mut group = c.benchmark_group("import_100000");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("parse", |b| {
        b.iter(|| zonefile::parse(black_box(text.as_bytes()), Some(apex.clone())))
    });
    group.bench_function("compile", |b| b.iter(|| Zone::build(black_box(&data), &ZoneOptions::default())));
    group.finish();
}

criterion_group!(zones, lookups, answers, imports);
criterion_main!(zones);
