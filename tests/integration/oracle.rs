//! Whole answers against an evaluator that was written from the reference alone, in another language
//! (`tests/oracle/README.md`): random zones with aliases, policies and health checks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde::Deserialize;
use zonelet::answer::Transport;
use zonelet::source::file::zonefile;
use zonelet::source::recordset::{ApiRecordSet, Collector};
use zonelet::source::value;
use zonelet::wire::{Escapes, Name, Rtype};
use zonelet::zone::{Body, Health, Region, State, Subject, Zone, ZoneOptions};

use crate::harness::house::House;
use crate::harness::message::{Question, Rec, soa};

use crate::harness::upstream::{Out, Scripted};

#[path = "../fuzz/entries/message.rs"]
#[allow(dead_code)] // Written for fuzzing, which uses more of it.
pub mod message;

/// How many scenarios of each kind are compared; `ZONELET_ORACLE` says another number.
const SCENARIOS: &str = "60";

/// Questions are asked so often, since a choice may fall one way or another.
const TIMES: usize = 4;

#[derive(Deserialize)]
struct Whole {
    scenario: Scenario,
    states: HashMap<Box<str>, String>,
    answers: Vec<Expected>,
}

#[derive(Deserialize)]
struct Scenario {
    seed: String,
    vpc_region: String,
    zones: Vec<ZoneSpec>,
    zone_ids: HashMap<String, String>,
    external: HashMap<String, HashMap<String, External>>,
    queries: Vec<Asked>,
}

#[derive(Deserialize)]
struct ZoneSpec {
    name: String,
    record_sets: Vec<ApiRecordSet>,
}

#[derive(Clone, Deserialize)]
struct External {
    ttl: u32,
    values: Vec<String>,
}

#[derive(Deserialize)]
struct Asked {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
}

#[derive(Deserialize)]
struct Expected {
    possible: Vec<Possible>,
}

/// A response that may be given.
#[derive(Debug, Deserialize)]
struct Possible {
    rcode: String,
    authoritative: bool,
    answers: Vec<Text>,
    #[serde(default)]
    choose: usize,
    #[serde(default)]
    of: Vec<Vec<Text>>,
    soa: Option<String>,
}

/// Owner, TTL, type and data.
type Text = (String, u32, String, String);
/// The same as bytes, names in lower case.
type Wire = (Vec<u8>, u32, u16, Vec<u8>);

fn octal(text: &str) -> Name {
    Name::from_text(text, Escapes::Octal).unwrap()
}

/// The records as they go over the wire, read by the reader of zone files.
fn wire(texts: &[Text]) -> BTreeSet<Wire> {
    let lines = texts.iter().map(|(owner, ttl, rtype, data)| format!("{owner} {ttl} IN {rtype} {data}\n"));
    let file = zonefile::parse(lines.collect::<String>().as_bytes(), Some(Name::root())).unwrap();
    assert!(file.skipped.is_empty(), "{:?}", file.skipped);
    let records = file.records.into_iter().flat_map(|(_, set)| {
        let Body::Records { ttl, rdata } = set.body else { panic!("{:?}", set.body) };
        let (owner, rtype) = (set.owner.as_bytes().to_vec(), set.rtype.0);
        rdata.into_iter().map(move |data| (owner.clone(), ttl, rtype, data.into_vec()))
    });
    records.collect()
}

/// Runs the oracle over random scenarios.
fn consulted(seed: &str, more: &[&str]) -> Vec<Whole> {
    let count = std::env::var("ZONELET_ORACLE").unwrap_or_else(|_| SCENARIOS.to_owned());
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let made_by = |arguments: &[&str], input: &[u8]| {
        made_by(Command::new("python3").current_dir(&oracle).args(arguments), input)
    };
    let scenarios = made_by(&[&["scenarios.py", seed, &count], more].concat(), &[]);
    let answers = made_by(&["oracle.py", "--whole"], &scenarios);
    String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn made_by(command: &mut Command, input: &[u8]) -> Vec<u8> {
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn zones(scenario: &Scenario, states: &HashMap<Box<str>, String>) -> Vec<Zone> {
    let state = |word: &str| match word {
        "healthy" => State::Healthy,
        "unhealthy" => State::Unhealthy,
        _ => State::Unknown,
    };
    let health: Health = states.iter().map(|(id, word)| (Subject::Check(id.clone()), state(word))).collect();
    let region = Region::find(&scenario.vpc_region);
    let options = ZoneOptions { region, negative_ttl_max: u32::MAX, ..ZoneOptions::default() };
    let zone = |spec: &ZoneSpec| {
        let mut collector = Collector::of_zone(octal(&spec.name), &scenario.zone_ids[&spec.name]);
        spec.record_sets.iter().cloned().for_each(|set| collector.add(set));
        let mut zone = Zone::build(&collector.finish(), &options).zone;
        zone.plan(&Arc::new(health.clone()));
        zone
    };
    scenario.zones.iter().map(zone).collect()
}

/// What the upstream says: CNAMEs it leaves to be followed.
fn reply(question: &Question, known: &BTreeMap<Name, HashMap<String, External>>) -> Vec<u8> {
    let denial = [soa(".", 3600, 3600)];
    let Some(types) = known.get(&question.qname) else { return question.reply(3, &[], &denial) };
    let found = [question.qtype.to_string(), "CNAME".to_owned()].into_iter().find(|t| types.contains_key(t));
    let Some(rtype) = found else { return question.reply(0, &[], &denial) };
    let External { ttl, values } = &types[&rtype];
    let rtype = Rtype::from_text(&rtype).unwrap();
    let record = |text: &String| -> Rec {
        (question.qname.clone(), rtype, *ttl, value::rdata(rtype, text).unwrap().into_vec())
    };
    question.reply(0, &values.iter().map(record).collect::<Vec<_>>(), &[])
}

fn query(asked: &Asked) -> Vec<u8> {
    let mut query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    query.extend(octal(&asked.name).as_bytes());
    query.extend(Rtype::from_text(&asked.rtype).unwrap().0.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// Why the response is not the one that may be given; `None` if it is.
fn objection(response: &[u8], end: usize, possible: &Possible) -> Option<&'static str> {
    let rcode = match possible.rcode.as_str() {
        "NOERROR" => 0,
        "SERVFAIL" => 2,
        "NXDOMAIN" => 3,
        other => panic!("{other}"),
    };
    let count = |at: usize| usize::from(u16::from_be_bytes([response[at], response[at + 1]]));
    let (answers, behind) = message::records(response, end, count(6));
    let (authorities, _) = message::records(response, behind, count(8));
    let total = answers.len();
    let given: BTreeSet<Wire> =
        answers.into_iter().map(|r| (r.owner.to_ascii_lowercase(), r.ttl, r.rtype, r.rdata)).collect();
    let certain = wire(&possible.answers);
    let lots: Vec<BTreeSet<Wire>> = possible.of.iter().map(|lot| wire(lot)).collect();
    let chosen = lots.iter().filter(|lot| lot.is_subset(&given)).count();
    let all: BTreeSet<Wire> = lots.into_iter().flatten().chain(certain.clone()).collect();
    let negative = possible.soa.as_ref().map(|apex| octal(apex).as_bytes().to_vec());
    match () {
        () if response[3] & 15 != rcode => Some("the code"),
        () if (response[2] & 4 != 0) != possible.authoritative => Some("AA"),
        () if total != given.len() => Some("a record twice"),
        () if !certain.is_subset(&given) || !given.is_subset(&all) => Some("the records"),
        () if chosen < possible.choose => Some("too few sets"),
        () if negative.is_some() && authorities.first().map(|r| r.owner.clone()) != negative => {
            Some("the SOA")
        }
        () => None,
    }
}

async fn compare(whole: Whole) -> usize {
    let Whole { scenario, states, answers } = whole;
    let known: BTreeMap<Name, _> =
        scenario.external.iter().map(|(name, types)| (octal(&name.to_lowercase()), types.clone())).collect();
    let upstream = Scripted::start(move |asked| vec![Out::Reply(reply(&asked.question, &known))]).await;
    let house = House::of(zones(&scenario, &states), upstream.addr);
    for (asked, expected) in scenario.queries.iter().zip(&answers) {
        let query = query(asked);
        for _ in 0..TIMES {
            let response = house.raw(&query, Transport::Tcp).await;
            let objections: Vec<_> =
                expected.possible.iter().map(|p| objection(&response, query.len(), p)).collect();
            assert!(
                objections.contains(&None),
                "scenario {}: {} {}: {objections:?}\n{:#?}\n{}",
                scenario.seed,
                asked.name,
                asked.rtype,
                expected.possible,
                shown(&response)
            );
        }
    }
    answers.len()
}

fn shown(response: &[u8]) -> String {
    hickory_proto::op::Message::from_vec(response).map_or_else(|e| e.to_string(), |m| m.to_string())
}

#[tokio::test]
async fn random_zones_are_answered_as_the_oracle_says() {
    let mut compared = 0;
    for whole in consulted("1", &[]) {
        compared += compare(whole).await;
    }
    assert!(compared > 1500, "{compared} questions");
}

#[tokio::test]
async fn zones_that_nobody_wants_are_answered_as_the_oracle_says() {
    for whole in consulted("2", &["--weird"]) {
        compare(whole).await;
    }
}
