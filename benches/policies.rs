//! A zone as accounts with many services have them: 10 000 record sets, of which 2000 are aliases and
//! 500 names are chosen for by a routing policy. What it costs to import, in memory, to be asked, and to
//! be chosen from anew when health changes.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scene::{Scene, UDP, name, query};
use zonelet::metrics::Tally;
use zonelet::source::recordset::{ApiRecordSet, Collector};
use zonelet::wire::{Rtype, Suffixes};
use zonelet::zone::{Health, Region, State, Subject, Zone, ZoneData, ZoneOptions};

const SETS: usize = 10_000;
const ALIASES: usize = 2_000;
/// Each of three sets.
const GROUPS: usize = 500;
const APEX: &str = "corp.test";

/// What the API would list, as its JSON.
fn listing() -> String {
    let mut sets = Vec::with_capacity(SETS);
    for n in 0..SETS - ALIASES - 3 * GROUPS {
        sets.push(plain(n, ""));
    }
    for n in 0..ALIASES {
        // Of two in three the target is a name of the zone, plain or chosen for.
        let target = match n % 3 {
            0 => format!("host-{n}.{APEX}"),
            1 => format!("group-{}.{APEX}", n % GROUPS),
            _ => format!("lb-{n}.eu-west-1.elb.amazonaws.com"),
        };
        let zone = if n % 3 == 2 { "ZELB" } else { "Z1" };
        sets.push(format!(
            r#"{{"Name":"alias-{n}.{APEX}.","Type":"A","AliasTarget":{{"HostedZoneId":"{zone}","DNSName":"{target}.","EvaluateTargetHealth":true}}}}"#
        ));
    }
    for n in 0..GROUPS {
        for member in 0..3 {
            let policy = match n % 4 {
                0 => format!(r#""Weight":{}"#, 10 * member + 10),
                1 => format!(r#""Region":"{}""#, ["eu-west-1", "us-east-1", "ap-south-1"][member]),
                2 => r#""MultiValueAnswer":true"#.to_owned(),
                _ => format!(r#""Weight":{member}"#),
            };
            let check = n * 3 + member;
            sets.push(group(n, member, &format!(r#"{policy},"HealthCheckId":"check-{check}""#)));
        }
    }
    format!("[{}]", sets.join(","))
}

fn plain(n: usize, extra: &str) -> String {
    let mut set = String::new();
    let _ = write!(
        set,
        r#"{{"Name":"host-{n}.{APEX}.","Type":"A","TTL":60{extra},"ResourceRecords":[{{"Value":"10.0.{}.{}"}}]}}"#,
        n >> 8 & 255,
        n & 255
    );
    set
}

fn group(n: usize, member: usize, extra: &str) -> String {
    format!(
        r#"{{"Name":"group-{n}.{APEX}.","Type":"A","TTL":60,"SetIdentifier":"{member}",{extra},"ResourceRecords":[{{"Value":"10.9.{}.{member}"}}]}}"#,
        n & 255
    )
}

fn parse(json: &str) -> Vec<ApiRecordSet> {
    serde_json::from_str(json).expect("record sets")
}

fn gather(sets: Vec<ApiRecordSet>) -> ZoneData {
    let mut collector = Collector::of_zone(name(APEX), "Z1");
    sets.into_iter().for_each(|set| collector.add(set));
    collector.finish()
}

fn options() -> ZoneOptions {
    ZoneOptions { region: Region::find("eu-central-1"), ..ZoneOptions::default() }
}

fn all(state: State) -> Arc<Health> {
    let check = |n| Subject::Check(format!("check-{n}").into());
    Arc::new((0..GROUPS * 3).map(|n| (check(n), state)).collect())
}

fn healthy() -> Zone {
    Zone::build_for(&gather(parse(&listing())), &options(), &all(State::Healthy)).zone
}

fn imports(c: &mut Criterion) {
    let json = listing();
    let data = gather(parse(&json));
    assert_eq!((data.sets.len(), data.skipped.len()), (SETS, 0));
    let zone = healthy();
    let counts = zone.counts();
    assert_eq!((counts.aliases, counts.choices), (ALIASES, GROUPS));
    println!(
        "memory: {} bytes, {:.1} a record set; its plain part alone {:.1}",
        zone.memory(),
        zone.memory() as f64 / SETS as f64,
        plain_part().memory() as f64 / (SETS - ALIASES - 3 * GROUPS) as f64
    );
    let mut group = c.benchmark_group("policy_zone");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(SETS as u64));
    group.bench_function("gather", |b| b.iter(|| gather(parse(black_box(&json)))));
    group.bench_function("compile", |b| {
        b.iter(|| Zone::build_for(black_box(&data), &options(), &all(State::Healthy)));
    });
    group.finish();
}

fn plain_part() -> Zone {
    let sets: Vec<String> = (0..SETS - ALIASES - 3 * GROUPS).map(|n| plain(n, "")).collect();
    Zone::build(&gather(parse(&format!("[{}]", sets.join(",")))), &options()).zone
}

fn health(c: &mut Criterion) {
    let (zone, ill) = (healthy(), all(State::Unhealthy));
    let check = |n| Subject::Check(format!("check-{n}").into());
    let one = (0..GROUPS * 3).map(|n| (check(n), if n == 7 { State::Unhealthy } else { State::Healthy }));
    let one: Arc<Health> = Arc::new(one.collect());
    let mut group = c.benchmark_group("health");
    group.sample_size(20);
    group.bench_function("one_check", |b| b.iter(|| zone.replanned(black_box(&one))));
    group.bench_function("all_checks", |b| b.iter(|| zone.replanned(black_box(&ill))));
    group.finish();
}

fn lookups(c: &mut Criterion) {
    let scene = Scene::new([healthy()]);
    let mut group = c.benchmark_group("policy_answer");
    // Names of the same length, so that only what is behind them differs. Those chosen for by weight.
    let names: [(&str, Vec<String>); 3] = [
        ("plain", (100..500).step_by(4).map(|n| format!("host-{n}.{APEX}")).collect()),
        ("weighted", (100..500).step_by(4).map(|n| format!("group-{n}.{APEX}")).collect()),
        ("alias", (102..500).step_by(3).map(|n| format!("alias-{n}.{APEX}")).collect()),
    ];
    for (id, names) in names {
        let queries: Vec<Vec<u8>> = names.iter().map(|n| query(&name(n), Rtype::A, None)).collect();
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
    let zone = healthy();
    let suffixes: Vec<Suffixes> =
        (0..400).map(|n| Suffixes::of(name(&format!("group-{n}.{APEX}")).as_ref())).collect();
    let mut turn = 0;
    c.bench_function("policy_lookup", |b| {
        b.iter(|| {
            turn = (turn + 1) % suffixes.len();
            matches!(zone.lookup(black_box(&suffixes[turn]), Rtype::A), zonelet::zone::Lookup::Choice(_))
        });
    });
}

criterion_group!(policies, imports, health, lookups);
criterion_main!(policies);
