//! What a query costs on the thread that answers it, and what an import costs beside it.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scene::{Learnt, Opt, Scene, UDP, a, cname, name, positive, query, soa, zone};
use zonelet::answer::Asker;
use zonelet::cache::{CacheKey, Failure};
use zonelet::metrics::Board;
use zonelet::source::file::json;
use zonelet::wire::query::Query;
use zonelet::wire::response::NameAt;
use zonelet::wire::{EdeCode, Name, Rcode, Response, Rtype, Suffixes, Verdict, learn};
use zonelet::zone::{Authority, Lookup, Zone, ZoneOptions, ZoneTable};

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

/// What a stub with ndots:5 tries in front of a name that it was given.
const SEARCH: [&str; 4] = [".default.svc.cluster.test", ".svc.cluster.test", ".cluster.test", ".ec2.test"];

/// The `n`th question of stubs that go through their search list, for A and for AAAA each time.
fn searched(n: usize) -> (Name, Rtype) {
    let suffix = SEARCH.get(n / 2 % 5).unwrap_or(&"");
    let qtype = if n.is_multiple_of(2) { Rtype::A } else { Rtype::AAAA };
    (name(&format!("svc-{}.example.net{suffix}", n / 10)), qtype)
}

fn denial(qname: Name, qtype: Rtype, rcode: Rcode) -> Learnt {
    let apex = qname.as_ref().suffixes().find(|suffix| suffix.label_count() == 2).expect("two labels");
    let authorities = vec![soa(&apex.to_string(), 900, 60)];
    Learnt { qname, qtype, rcode, answers: Vec::new(), authorities }
}

fn scene() -> Scene {
    let scene = Scene::new([zone_of(10_000)]);
    for n in 0..NAMES {
        let owner = format!("svc-{n}.example.net");
        scene.learn(&positive(Rtype::A, vec![a(&owner, 60, 1), a(&owner, 60, 2)]));
        scene.learn(&denial(name(&owner), Rtype::AAAA, Rcode::NOERROR));
        scene.learn(&denial(name(&format!("no-{n}.example.net")), Rtype::A, Rcode::NXDOMAIN));
        let (qname, qtype) = searched(n);
        if n / 2 % 5 < SEARCH.len() {
            scene.learn(&denial(qname, qtype, Rcode::NXDOMAIN));
        }
    }
    scene
}

/// Answers that have expired, given while the failure of their upstreams is remembered.
fn stale(c: &mut Criterion) {
    let scene = scene();
    scene.clock.advance(Duration::from_secs(3600));
    let failure = Failure {
        rcode: Rcode::SERVFAIL,
        ede: EdeCode::NO_REACHABLE_AUTHORITY,
        text: "no reply from 10.0.0.2".into(),
    };
    let (mut out, tally, mut turn) = (vec![0; 1232], Board::default().register_own(), 0);
    let names: Vec<Name> = (0..NAMES).map(|n| name(&format!("svc-{n}.example.net"))).collect();
    for qname in &names {
        let (dnssec_ok, checking_disabled) = (false, false);
        let key = CacheKey { qname: qname.as_ref(), qtype: Rtype::A, dnssec_ok, checking_disabled };
        let (hour, now) = (Duration::from_secs(3600), scene.clock.now());
        scene.cache.remember_failure_for(&key, failure.clone(), hour, now);
    }
    let queries: Vec<Vec<u8>> = names.iter().map(|qname| query(qname, Rtype::A, OPT)).collect();
    assert!(queries.iter().all(|query| scene.answer(query, UDP, &mut out, &tally).is_some()));
    c.bench_function("answer/stale", |b| {
        b.iter(|| {
            turn = (turn + 1) % NAMES;
            scene.answer(black_box(&queries[turn]), UDP, &mut out, &tally)
        });
    });
}

/// Whole answers to a thousand questions in turn.
fn answers(c: &mut Criterion) {
    let scene = scene();
    let far = Asker { client: "[fd00::5]:40000".parse().expect("an address"), ..UDP };
    let mut group = c.benchmark_group("answer");
    group.throughput(Throughput::Elements(1));
    let mut bench = |id: &str, (opt, asker): (Option<Opt>, Asker), asked: &dyn Fn(usize) -> (Name, Rtype)| {
        let ask = |n| {
            let (qname, qtype) = asked(n);
            query(&qname, qtype, opt)
        };
        let queries: Vec<Vec<u8>> = (0..NAMES).map(ask).collect();
        let (mut out, tally, mut turn) = (vec![0; 1232], Board::default().register_own(), 0);
        for query in &queries {
            let is_answered = scene.answer(query, asker, &mut out, &tally).is_some();
            assert_eq!(is_answered, id != "miss", "{id}");
        }
        group.bench_function(id, |b| {
            b.iter(|| {
                turn = (turn + 1) % NAMES;
                scene.answer(black_box(&queries[turn]), asker, &mut out, &tally)
            });
        });
    };
    let (edns, plain) = ((OPT, UDP), (None, UDP));
    bench("zone_hit", edns, &|n| (host(n), Rtype::A));
    bench("zone_hit_plain", plain, &|n| (host(n), Rtype::A));
    bench("zone_hit_ipv6", (OPT, far), &|n| (host(n), Rtype::A));
    bench("wildcard", edns, &|n| (name(&format!("app-{n}.apps.corp.test")), Rtype::A));
    bench("chain", edns, &|_| (name("one.corp.test"), Rtype::A));
    bench("nxdomain", edns, &|n| (name(&format!("no-{n}.rack-1.corp.test")), Rtype::A));
    bench("cache_hit", edns, &|n| (name(&format!("svc-{n}.example.net")), Rtype::A));
    bench("cache_hit_plain", plain, &|n| (name(&format!("svc-{n}.example.net")), Rtype::A));
    bench("cached_nxdomain", edns, &|n| (name(&format!("no-{n}.example.net")), Rtype::A));
    bench("search_list", plain, &searched);
    bench("miss", edns, &|n| (name(&format!("new-{n}.example.net")), Rtype::A));
    group.finish();
}

fn parse(c: &mut Criterion) {
    let plain = query(&host(4711), Rtype::A, None);
    let edns = query(&host(4711), Rtype::A, OPT);
    let mut qname = Suffixes::default();
    let mut group = c.benchmark_group("parse");
    group.bench_function("plain", |b| b.iter(|| Query::parse(black_box(&plain), &mut qname).is_ok()));
    group.bench_function("edns", |b| b.iter(|| Query::parse(black_box(&edns), &mut qname).is_ok()));
    group.finish();
}

/// A name taken apart, and its suffixes hashed.
fn suffixes(c: &mut Criterion) {
    let labels = [("3", "www.example.net"), ("7", "a.cdn.example.net.default.svc.cluster.test")];
    let mut group = c.benchmark_group("suffixes");
    for (labels, text) in labels {
        let qname = name(text);
        let mut all = Suffixes::default();
        group.bench_function(format!("read_{labels}"), |b| {
            b.iter(|| all.read(black_box(qname.as_bytes())));
        });
        group.bench_function(format!("hash_{labels}"), |b| b.iter(|| black_box(&all).hash(all.depth())));
    }
    group.finish();
}

/// Which zone: of one, and of a thousand at two depths.
fn tables(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    let apexes = |n: usize| if n.is_multiple_of(2) { format!("z{n}.test") } else { format!("z{n}.eu.test") };
    for zones in [1, 1000] {
        let entries = (0..zones).map(|n| (name(&apexes(n)), Authority::CarvedOut)).collect();
        let table = ZoneTable::new(entries);
        let hit = Suffixes::of(name("www.z0.test").as_ref());
        let other = Suffixes::of(name("www.example.net").as_ref());
        group.bench_function(format!("{zones}_found"), |b| b.iter(|| table.find(black_box(&hit)).is_some()));
        group.bench_function(format!("{zones}_none"), |b| b.iter(|| table.find(black_box(&other)).is_some()));
    }
    group.finish();
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    for records in [10_000, 100_000] {
        let zone = zone_of(records);
        let names: Vec<Name> = (0..NAMES).map(|n| host(n * (records / NAMES - 1))).collect();
        let all: Vec<Suffixes> = names.iter().map(|name| Suffixes::of(name.as_ref())).collect();
        let mut turn = 0;
        group.bench_function(records.to_string(), |b| {
            b.iter(|| {
                turn = (turn + 1) % NAMES;
                zone.lookup(black_box(&all[turn]), Rtype::A)
            });
        });
    }
    group.finish();
}

/// Header, question, two addresses and an OPT, from a query that is read already.
fn writing(c: &mut Criterion) {
    let zone = zone(
        "corp.test",
        "$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\n@ NS ns\n@ A 10.0.0.1\n@ A 10.0.0.2\n",
    );
    let mut out = vec![0; 1232];
    for (id, opt) in [("write/plain", None), ("write/edns", OPT)] {
        let bytes = query(zone.apex(), Rtype::A, opt);
        let mut qname = Suffixes::default();
        let query = Query::parse(&bytes, &mut qname).expect("a query");
        let Lookup::Answer(rrset) = zone.lookup(query.suffixes(), Rtype::A) else { panic!("an answer") };
        c.bench_function(id, |b| {
            b.iter(|| {
                let mut response = Response::start(black_box(&query), &mut out, 1232);
                let owner = NameAt { at: 12, name: query.qname() };
                response.answer(owner, rrset.block(), rrset.count, 1).expect("room");
                response.finish(Verdict::code(Rcode::NOERROR))
            });
        });
    }
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

criterion_group!(fast_path, parse, suffixes, tables, lookups, writing, answers, stale, learning, import);
criterion_main!(fast_path);
