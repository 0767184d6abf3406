//! What a query costs on the thread that answers it, and what an import costs beside it.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scene::{Learnt, Opt, Scene, UDP, a, cname, name, positive, query, soa, zone};
use zonelet::metrics::Tally;
use zonelet::source::file::json;
use zonelet::wire::query::Query;
use zonelet::wire::{Name, Rcode, Rtype, Suffixes, learn};
use zonelet::zone::{Zone, ZoneOptions};

/// Different names asked in turn, so that nothing is measured with its cache lines always warm.
const NAMES: usize = 1000;
const OPT: Option<Opt> = Some(Opt { size: 1232, dnssec_ok: false });

/// A zone of hosts with one address each, a wildcard and a chain.
fn zone_of(records: usize) -> Zone {
    let mut text = String::from("$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\n@ NS ns\n*.apps A 10.0.0.1\n");
    text += "one CNAME two\ntwo CNAME three\nthree A 10.0.0.2\n";
    for n in 0..records - 6 {
        let _ =
            writeln!(text, "host-{n}.rack-{} A 10.{}.{}.{}", n % 64, n >> 16 & 255, n >> 8 & 255, n & 255);
    }
    zone("corp.test", &text)
}

fn host(n: usize) -> Name {
    name(&format!("host-{n}.rack-{}.corp.test", n % 64))
}

fn scene() -> Scene {
    let scene = Scene::new([zone_of(10_000)]);
    for n in 0..NAMES {
        let owner = format!("svc-{n}.example.net");
        scene.learn(&positive(Rtype::A, vec![a(&owner, 60, 1), a(&owner, 60, 2)]));
        scene.learn(&Learnt {
            qname: name(&format!("no-{n}.example.net")),
            qtype: Rtype::A,
            rcode: Rcode::NXDOMAIN,
            answers: Vec::new(),
            authorities: vec![soa("example.net", 900, 60)],
        });
    }
    scene
}

fn answers(c: &mut Criterion) {
    let scene = scene();
    let mut group = c.benchmark_group("answer");
    group.throughput(Throughput::Elements(1));
    let mut bench = |id: &str, is_answered: bool, names: &dyn Fn(usize) -> Name| {
        let queries: Vec<Vec<u8>> = (0..NAMES).map(|n| query(&names(n), Rtype::A, OPT)).collect();
        let (mut out, tally, mut turn) = (vec![0; 1232], Tally::default(), 0);
        for query in &queries {
            assert_eq!(scene.answer(query, UDP, &mut out, &tally).is_some(), is_answered, "{id}");
        }
        group.bench_function(id, |b| {
            b.iter(|| {
                turn = (turn + 1) % NAMES;
                scene.answer(black_box(&queries[turn]), UDP, &mut out, &tally)
            });
        });
    };
    bench("zone_hit", true, &host);
    bench("wildcard", true, &|n| name(&format!("app-{n}.apps.corp.test")));
    bench("chain", true, &|_| name("one.corp.test"));
    bench("nxdomain", true, &|n| name(&format!("no-{n}.rack-1.corp.test")));
    bench("cache_hit", true, &|n| name(&format!("svc-{n}.example.net")));
    bench("cached_nxdomain", true, &|n| name(&format!("no-{n}.example.net")));
    bench("miss", false, &|n| name(&format!("new-{n}.example.net")));
    group.finish();
}

fn parse(c: &mut Criterion) {
    let plain = query(&host(4711), Rtype::A, None);
    let edns = query(&host(4711), Rtype::A, OPT);
    let mut group = c.benchmark_group("parse");
    group.bench_function("plain", |b| b.iter(|| Query::parse(black_box(&plain)).is_ok()));
    group.bench_function("edns", |b| b.iter(|| Query::parse(black_box(&edns)).is_ok()));
    group.finish();
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    for records in [10_000, 100_000] {
        let zone = zone_of(records);
        let names: Vec<Name> = (0..NAMES).map(|n| host(n * (records / NAMES - 1))).collect();
        let mut turn = 0;
        group.bench_function(records.to_string(), |b| {
            b.iter(|| {
                turn = (turn + 1) % NAMES;
                zone.lookup(&Suffixes::of(black_box(&names[turn]).as_ref()), Rtype::A)
            });
        });
    }
    group.finish();
}

/// An upstream's answer: a CNAME and four addresses, their owners written out.
fn learning(c: &mut Criterion) {
    let mut records = vec![cname("www.example.net", 300, "edge.cdn.example")];
    records.extend((1..5).map(|n| a("edge.cdn.example", 60, n)));
    let response = positive(Rtype::A, records);
    let (bytes, qname) = (response.to_bytes(), name("www.example.net"));
    c.bench_function("learn", |b| {
        b.iter(|| learn(black_box(&bytes), qname.as_ref(), Rtype::A, false));
    });
}

/// The JSON of a listing with as many records, one to a record set.
fn listing(records: usize) -> String {
    let mut json = String::from(
        "{\"ResourceRecordSets\":[{\"Name\":\"corp.test.\",\"Type\":\"SOA\",\"TTL\":900,\"ResourceRecords\":\
         [{\"Value\":\"ns.test. h.test. 1 7200 900 1209600 60\"}]}",
    );
    for n in 1..records {
        let _ = write!(
            json,
            ",{{\"Name\":\"host-{n}.corp.test.\",\"Type\":\"A\",\"TTL\":60,\
             \"ResourceRecords\":[{{\"Value\":\"10.0.{}.{}\"}}]}}",
            n >> 8 & 255,
            n & 255
        );
    }
    json + "]}"
}

fn import(c: &mut Criterion) {
    let json = listing(10_000);
    let mut group = c.benchmark_group("import");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(10_000));
    group.bench_function("10000", |b| {
        b.iter(|| {
            let data = json::parse(black_box(json.as_bytes()), None).expect("a listing").expect("a zone");
            Zone::build(&data, &ZoneOptions::default())
        });
    });
    group.finish();
}

criterion_group!(fast_path, parse, answers, lookups, learning, import);
criterion_main!(fast_path);
