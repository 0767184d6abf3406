//! What is counted: the queries of each path, and the scene they are put to.

use std::cell::RefCell;

use zonelet::metrics::Tally;
use zonelet::source::file::json;
use zonelet::wire::query::Query;
use zonelet::wire::{Name, Rcode, Rtype, Suffixes, learn};
use zonelet::zone::{Zone, ZoneOptions};

use crate::scene::{Learnt, Opt, Rec, Scene, UDP, a, cname, name, positive, query, soa, zone};

/// How many different messages a path is given, one after the other.
///
/// Hash keys are random. Over so many names, none of them shared by all, the collisions of one key
/// are as many as those of any other.
pub const ROUNDS: usize = 1000;

const OPT: Option<Opt> = Some(Opt { size: 1232, dnssec_ok: false });
/// Records of the zone that is asked.
const RECORDS: usize = 10_000;
/// Seconds between learning and asking: every TTL has to be counted down.
const AGE: u64 = 7;

/// Messages that are read, and the question that the responses among them answer.
pub struct Bytes {
    messages: Vec<Vec<u8>>,
    pub qname: Name,
    pub qtype: Rtype,
}

impl Bytes {
    fn of(messages: Vec<Vec<u8>>) -> Self {
        Self { messages, qname: name("www.example.net"), qtype: Rtype::A }
    }

    /// Does `work` to each message, which must say that it found it sound.
    #[inline]
    pub fn each(&self, mut work: impl FnMut(&[u8]) -> bool) {
        let sound = self.messages.iter().filter(|message| work(message)).count();
        assert_eq!(sound, self.messages.len());
    }
}

/// Queries put to a scene.
pub struct Answers {
    scene: Scene,
    queries: Vec<Vec<u8>>,
    tally: Tally,
    out: RefCell<Vec<u8>>,
}

impl Answers {
    /// Checks each answer against `expected`: rcode, answer records and whether it is truncated, or
    /// `None` where an upstream has to be asked. It is also the pass that warms everything.
    #[track_caller]
    fn new(scene: Scene, queries: Vec<Vec<u8>>, expected: Option<(Rcode, u8, bool)>) -> Self {
        let case = Self { scene, queries, tally: Tally::default(), out: RefCell::new(vec![0; 1232]) };
        for query in &case.queries {
            let mut out = case.out.borrow_mut();
            let got = case.scene.answer(query, UDP, &mut out, &case.tally);
            let seen = got.map(|_| (Rcode(u16::from(out[3] & 15)), out[7], out[2] & 2 != 0));
            assert_eq!(seen, expected);
        }
        case
    }

    /// Puts every query, once.
    #[inline]
    pub fn run(self) -> Self {
        let mut out = self.out.borrow_mut();
        for query in &self.queries {
            let _ = std::hint::black_box(self.scene.answer(query, UDP, &mut out, &self.tally));
        }
        drop(out);
        self
    }
}

/// A zone of hosts with one address each, a wildcard, a chain and an RRset too large for UDP.
fn corp() -> Zone {
    let mut text = String::from("$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\n@ NS ns\n*.apps A 10.0.0.1\n");
    let link = |n| format!("one-{n} CNAME two-{n}\ntwo-{n} CNAME three-{n}\nthree-{n} A 10.0.0.2\n");
    text.extend((0..ROUNDS).map(link));
    text.extend((0..100).map(|n| format!("large A 10.1.0.{n}\n")));
    text.extend((0..RECORDS).map(|n| format!("{} A 10.2.{}.{}\n", host(n), n >> 8 & 255, n & 255)));
    zone("corp.test", &text)
}

/// The same hosts, of which the first are what `set` makes of them: as the API of Route 53 lists them.
fn routed(set: impl Fn(&str, usize) -> String) -> Zone {
    let mut sets = String::from(
        r#"{"Name":"corp.test","Type":"SOA","TTL":300,"ResourceRecords":[{"Value":"ns. h. 1 7200 900 1209600 60"}]}"#,
    );
    for n in 0..RECORDS {
        let owner = format!("{}.corp.test", host(n));
        sets.push(',');
        sets.push_str(&if n < ROUNDS { set(&owner, n) } else { plain_set(&owner, "", n) });
    }
    let listing = format!(r#"{{"ResourceRecordSets":[{sets}]}}"#);
    let data = json::parse(listing.as_bytes(), None).expect("a listing").expect("a zone");
    Zone::build(&data, &ZoneOptions::default()).zone
}

fn plain_set(owner: &str, more: &str, n: usize) -> String {
    let value = format!(r#"{{"Value":"10.2.{}.{}"}}"#, n >> 8 & 255, n & 255);
    format!(r#"{{"Name":"{owner}","Type":"A","TTL":300,{more}"ResourceRecords":[{value}]}}"#)
}

/// Names with three weighted sets each.
pub fn weighted() -> Answers {
    let set = |owner: &str, n| {
        let one = |weight| {
            let more = format!(r#""SetIdentifier":"{weight}","Weight":{weight},"#);
            plain_set(owner, &more, n + weight)
        };
        [1, 2, 7].map(one).join(",")
    };
    let queries = queries(|n| format!("{}.corp.test", host(n)));
    Answers::new(Scene::new([routed(set)]), queries, noerror(1))
}

/// Aliases of other names of the zone.
pub fn alias() -> Answers {
    let set = |owner: &str, n| {
        let target = format!("{}.corp.test", host(n + ROUNDS));
        let alias = format!(r#"{{"HostedZoneId":"Z1","DNSName":"{target}","EvaluateTargetHealth":true}}"#);
        format!(r#"{{"Name":"{owner}","Type":"A","AliasTarget":{alias}}}"#)
    };
    let queries = queries(|n| format!("{}.corp.test", host(n)));
    Answers::new(Scene::new([routed(set)]), queries, noerror(1))
}

fn host(n: usize) -> String {
    format!("host-{n}.rack-{}", n % 64)
}

fn queries(qname: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
    (0..ROUNDS).map(|n| query(&name(&qname(n)), Rtype::A, OPT)).collect()
}

/// Queries for names of `corp.test`.
fn in_zone(qname: impl Fn(usize) -> String) -> (Scene, Vec<Vec<u8>>) {
    (Scene::new([corp()]), queries(|n| format!("{}.corp.test", qname(n))))
}

/// Queries for names outside the zone after `response` has been learned for each of them.
fn in_cache(response: impl Fn(String) -> Option<Learnt>) -> (Scene, Vec<Vec<u8>>) {
    let (scene, owner) = (Scene::new([corp()]), |n| format!("svc-{n}.org-{n}.top-{n}"));
    for learnt in (0..ROUNDS).filter_map(|n| response(owner(n))) {
        scene.learn(&learnt);
    }
    scene.clock.advance(std::time::Duration::from_secs(AGE));
    (scene, queries(owner))
}

fn parent(owner: &str) -> &str {
    owner.split_once('.').map_or(".", |(_, parent)| parent)
}

fn noerror(answers: u8) -> Option<(Rcode, u8, bool)> {
    Some((Rcode::NOERROR, answers, false))
}

/// Queries without EDNS.
pub fn plain() -> Bytes {
    messages_read(|n| query(&name(&format!("{}.corp.test", host(n))), Rtype::A, None))
}

/// Queries with an OPT record.
pub fn edns() -> Bytes {
    messages_read(|n| query(&name(&format!("{}.corp.test", host(n))), Rtype::A, OPT))
}

fn messages_read(message: impl Fn(usize) -> Vec<u8>) -> Bytes {
    let bytes = Bytes::of((0..ROUNDS).map(message).collect());
    let mut qname = Suffixes::default();
    bytes.each(|message| Query::parse(message, &mut qname).is_ok());
    bytes
}

/// Queries as they come over TCP, each behind its length.
pub fn stream() -> Bytes {
    let mut bytes = edns();
    for query in &mut bytes.messages {
        let len = (query.len() as u16).to_be_bytes();
        query.splice(..0, len);
    }
    bytes
}

/// An upstream's answer of one address.
pub fn response() -> Bytes {
    let response = positive(Rtype::A, vec![a("www.example.net", 60, 1)]).to_bytes();
    let bytes = Bytes::of(vec![response; ROUNDS]);
    bytes.each(|message| learn(message, bytes.qname.as_ref(), bytes.qtype, false).is_ok());
    bytes
}

/// One address out of a zone.
pub fn zone_hit() -> Answers {
    let (scene, queries) = in_zone(host);
    Answers::new(scene, queries, noerror(1))
}

/// A name that a wildcard stands in for.
pub fn wildcard() -> Answers {
    let (scene, queries) = in_zone(|n| format!("app-{n}.apps"));
    Answers::new(scene, queries, noerror(1))
}

/// A name that does not exist, denied with the zone's SOA.
pub fn nxdomain() -> Answers {
    let (scene, queries) = in_zone(|n| format!("no-{n}.rack-1"));
    Answers::new(scene, queries, Some((Rcode::NXDOMAIN, 0, false)))
}

/// A name that exists by the names below it only: NODATA.
pub fn empty_non_terminal() -> Answers {
    let (scene, queries) = in_zone(|n| format!("rack-{}", n % 64));
    Answers::new(scene, queries, noerror(0))
}

/// Two CNAMEs and the address behind them, in one zone.
pub fn chain() -> Answers {
    let (scene, queries) = in_zone(|n| format!("one-{n}"));
    Answers::new(scene, queries, noerror(3))
}

/// One cached address.
pub fn cache_hit() -> Answers {
    let (scene, queries) = in_cache(|owner| Some(positive(Rtype::A, vec![a(&owner, 60, 1)])));
    Answers::new(scene, queries, noerror(1))
}

/// A cached CNAME with four addresses behind it.
pub fn cache_chain() -> Answers {
    let records = |owner: String| -> Vec<Rec> {
        let edge = format!("edge.{owner}");
        let addresses = (1..5).map(|last| a(&edge, 60, last));
        [cname(&owner, 300, &edge)].into_iter().chain(addresses).collect()
    };
    let (scene, queries) = in_cache(|owner| Some(positive(Rtype::A, records(owner))));
    Answers::new(scene, queries, noerror(5))
}

/// A cached denial with the SOA of the name's parent.
pub fn cached_nxdomain() -> Answers {
    let (scene, queries) = in_cache(|owner| {
        let authorities = vec![soa(parent(&owner), 900, 60)];
        let (rcode, answers) = (Rcode::NXDOMAIN, Vec::new());
        Some(Learnt { qname: name(&owner), qtype: Rtype::A, rcode, answers, authorities })
    });
    Answers::new(scene, queries, Some((Rcode::NXDOMAIN, 0, false)))
}

/// Found nowhere: up to the query that is handed over to be forwarded.
pub fn miss() -> Answers {
    let (scene, queries) = in_cache(|_| None);
    Answers::new(scene, queries, None)
}

/// `localhost` and below.
pub fn special() -> Answers {
    let queries = queries(|n| format!("at-{n}.localhost"));
    Answers::new(Scene::new([corp()]), queries, noerror(1))
}

/// A zone transfer.
pub fn refused() -> Answers {
    let refused = query(&name("corp.test"), Rtype::AXFR, OPT);
    Answers::new(Scene::new([corp()]), vec![refused; ROUNDS], Some((Rcode::REFUSED, 0, false)))
}

/// An RRset that does not fit: the question comes back with TC.
pub fn truncated() -> Answers {
    let (scene, queries) = in_zone(|_| "large".into());
    Answers::new(scene, queries, Some((Rcode::NOERROR, 0, true)))
}
