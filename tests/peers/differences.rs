//! Where zonelet answers differently on purpose: NSD's answer, turned into the one to be expected.

use std::collections::BTreeMap;

use hickory_proto::rr::rdata::{A, HINFO, SOA};
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::BinEncodable as _;

use super::client::{ADDRESS, Client, Question, Said, wire};

/// Each difference and its reason. One that never shows in a run fails it: the excuse is stale.
pub const DIFFERENCES: [(&str, &str); 8] = [
    (ANY, "ANY is answered with one made-up record (RFC 8482 §4.2), by NSD with every record"),
    (ELSEWHERE, "what no zone holds is forwarded; NSD refuses it"),
    (DELEGATION, "a name that is delegated is forwarded, since stubs do not follow referrals"),
    (CHAIN, "a chain is completed over other zones and the upstream, since stubs do not chase"),
    (LOOP, "a chain without end is SERVFAIL; NSD answers the part it walked"),
    (NEGATIVE, "negative answers hold for 30 s at most; NSD takes the zone's own word"),
    (PARENT, "the longest apex decides, for DS too: zones of a VPC hide each other and do not delegate"),
    (SIZE, "names within RDATA are not compressed, so that an answer may be cut sooner"),
];

const ANY: &str = "any";
const ELSEWHERE: &str = "elsewhere";
const DELEGATION: &str = "delegation";
const CHAIN: &str = "chain";
const LOOP: &str = "loop";
const NEGATIVE: &str = "negative TTL";
const PARENT: &str = "DS of an apex";
const SIZE: &str = "size";

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_DS: u16 = 43;
const TYPE_ANY: u16 = 255;
const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const REFUSED: u16 = 5;
const NEGATIVE_TTL_MAX: u32 = 30;

/// The peer, and how often each difference showed.
pub struct Peer {
    nsd: Client,
    apexes: Vec<Vec<u8>>,
    pub shown: BTreeMap<&'static str, u32>,
}

impl Peer {
    /// `apexes` are on the wire, in lower case.
    pub fn new(nsd: Client, apexes: Vec<Vec<u8>>) -> Self {
        Self { nsd, apexes, shown: BTreeMap::new() }
    }

    fn note(&mut self, difference: &'static str) {
        *self.shown.entry(difference).or_default() += 1;
    }

    /// Asks NSD, and says what zonelet is to answer; `ours_over_tcp` is how many bytes it takes.
    pub fn expected(&mut self, question: &Question, ours_over_tcp: usize) -> Said {
        let theirs = self.nsd.ask(question);
        let whole = if theirs.tc { self.nsd.ask(&question.over_tcp()) } else { theirs.clone() };
        let mut said = self.completed(question, whole);
        if question.qtype == TYPE_DS {
            self.in_its_own_zone(question, &mut said);
        }
        for soa in &mut said.soas {
            if soa.ttl > NEGATIVE_TTL_MAX {
                soa.ttl = NEGATIVE_TTL_MAX;
                *self.shown.entry(NEGATIVE).or_default() += 1;
            }
        }
        said.tc = ours_over_tcp > question.limit();
        if said.tc {
            (said.answers, said.soas, said.rcode) = (Vec::new(), Vec::new(), NOERROR);
        }
        if said.tc && !theirs.tc {
            self.note(SIZE);
        }
        said
    }

    /// The denial of a DS at an apex, by that zone and not by the one above.
    fn in_its_own_zone(&mut self, question: &Question, said: &mut Said) {
        let last = said.open_end().unwrap_or_else(|| question.qname.to_ascii_lowercase());
        let denied_by = said.soas.first().map(|soa| wire(&soa.name));
        if !self.apexes.contains(&last) || denied_by.is_none_or(|apex| apex == last) {
            return;
        }
        self.note(PARENT);
        let own = Question { qname: last, qtype: TYPE_SOA, ..question.over_tcp() };
        said.soas = self.nsd.ask(&own).answers;
        for soa in &mut said.soas {
            if let RData::SOA(data) = &soa.data {
                soa.ttl = soa.ttl.min(data.minimum);
            }
        }
    }

    fn completed(&mut self, question: &Question, mut said: Said) -> Said {
        if question.qtype == TYPE_ANY && said.aa && said.rcode == NOERROR && said.referral.is_empty() {
            self.note(ANY);
            (said.answers, said.soas) = (vec![any(&question.qname)], Vec::new());
            return said;
        }
        if said.rcode == REFUSED || (said.answers.is_empty() && !said.referral.is_empty()) {
            self.note(if said.rcode == REFUSED { ELSEWHERE } else { DELEGATION });
            return Said { aa: false, ..forwarded(question, said) };
        }
        // A chain that NSD ends with a denial of its own is whole.
        while question.qtype != TYPE_CNAME && said.soas.is_empty() {
            let Some(target) = said.open_end() else { break };
            if said.answers.iter().any(|record| wire(&record.name) == target) {
                self.note(LOOP);
                return Said { rcode: SERVFAIL, aa: false, answers: Vec::new(), ..said };
            }
            self.note(CHAIN);
            let next = Question { qname: target, tcp: true, ..question.clone() };
            let mut more = self.nsd.ask(&next);
            if more.rcode == REFUSED || (more.answers.is_empty() && !more.referral.is_empty()) {
                more = forwarded(&next, more);
            }
            said.answers.extend(more.answers);
            (said.rcode, said.soas) = (more.rcode, more.soas);
        }
        said
    }
}

/// The one record that stands for all.
fn any(qname: &[u8]) -> Record {
    let data = HINFO::new("RFC8482".into(), String::new());
    Record::from_rdata(name(qname), 3600, RData::HINFO(data))
}

/// What the upstream says.
fn forwarded(question: &Question, said: Said) -> Said {
    let mut said = Said { rcode: NOERROR, answers: Vec::new(), soas: Vec::new(), ..said };
    if question.qtype == TYPE_A {
        said.answers = vec![Record::from_rdata(name(&question.qname), 0, RData::A(A(ADDRESS.into())))];
    } else {
        let soa = SOA::new(Name::root(), Name::root(), 0, 0, 0, 0, 0);
        said.soas = vec![Record::from_rdata(Name::root(), 0, RData::SOA(soa))];
    }
    said
}

fn name(wire: &[u8]) -> Name {
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut rest = wire;
    while let Some((&len, tail)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let (label, after) = tail.split_at(len.into());
        labels.push(label);
        rest = after;
    }
    Name::from_labels(labels).expect("it was asked for")
}

/// Whether `ours` is what was expected; the order of records aside, as RRsets are turned.
pub fn same(ours: &Said, expected: &Said) -> bool {
    let heads = |said: &Said| (said.rcode, said.aa, said.tc, said.edns);
    heads(ours) == heads(expected)
        && same_records(&ours.answers, &expected.answers)
        && same_records(&ours.soas, &expected.soas)
        && in_order(&ours.answers)
}

fn same_records(ours: &[Record], expected: &[Record]) -> bool {
    let key = |r: &Record| (wire(&r.name), u16::from(r.record_type()), r.ttl, rdata(&r.data));
    let sorted = |records: &[Record]| {
        let mut keys: Vec<_> = records.iter().map(key).collect();
        keys.sort();
        keys
    };
    sorted(ours) == sorted(expected)
}

/// A record's data on the wire; NSD writes names in lower case.
fn rdata(data: &RData) -> Vec<u8> {
    let bytes = data.to_bytes().expect("it was on the wire before");
    match data {
        RData::TXT(_) | RData::CAA(_) | RData::NAPTR(_) => bytes,
        _ => bytes.to_ascii_lowercase(),
    }
}

/// Whether each record follows from the ones before it: first the chain, then where it leads.
fn in_order(answers: &[Record]) -> bool {
    let Some(first) = answers.first() else { return true };
    let mut owner = wire(&first.name);
    answers.iter().all(|record| {
        let follows = wire(&record.name) == owner;
        if let RData::CNAME(target) = &record.data {
            owner = wire(&target.0);
        }
        follows
    })
}
