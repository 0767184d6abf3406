//! What holds for every answer, whatever is in the zones and the cache.

mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scene::{Learnt, Opt, Rec, Scene, TCP, UDP, a, build, cname, name, positive, query, soa};
use zonelet::answer::{Asker, Transport};
use zonelet::wire::{Name, Rcode, Rtype};

/// Names in two zones, one within the other, and names that are in the cache at most.
const NAMES: [&str; 22] = [
    "corp.test",
    "www.corp.test",
    "a.corp.test",
    "*.a.corp.test",
    "b.a.corp.test",
    "x.y.b.a.corp.test",
    "*.corp.test",
    "c.*.corp.test",
    "deep.er.corp.test",
    "er.corp.test",
    "sub.corp.test",
    "www.sub.corp.test",
    "*.sub.corp.test",
    "n.o.sub.corp.test",
    "example.net",
    "x.example.net",
    "y.example.net",
    "z.example.net",
    "gone.example.net",
    "localhost",
    "v.invalid",
    ".",
];
const OUTSIDE: [&str; 5] =
    ["example.net", "x.example.net", "y.example.net", "z.example.net", "gone.example.net"];
const TYPES: [Rtype; 13] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::TXT,
    Rtype::MX,
    Rtype::SRV,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::HTTPS,
    Rtype::NAPTR,
    Rtype::DS,
    Rtype::ANY,
    Rtype(65280),
];

/// A line of a zone file, seldom many.
fn line() -> impl Strategy<Value = String> {
    let owner = select(&NAMES[..14]);
    let target = select(&NAMES[..]);
    let data = prop_oneof![
        3 => (0..40u8).prop_map(|n| format!("A 10.0.0.{n}")),
        1 => (0..9u8).prop_map(|n| format!("AAAA fd00::{n}")),
        2 => (0..9u8, 1..=255usize).prop_map(|(n, len)| format!("TXT \"{}\"", n.to_string().repeat(len))),
        4 => target.prop_map(|target| format!("CNAME {}.", target.trim_end_matches('.'))),
        1 => select(vec![
            "MX 10 www.corp.test.",
            "SRV 1 2 80 www.corp.test.",
            "NS ns.example.net.",
            "SOA ns h 1 2 3 4 5",
            "HTTPS 1 . alpn=h2",
            "NAPTR 1 1 \"u\" \"sip\" \"\" .",
            "TYPE65280 \\# 2 c00c",
            "NAPTR \\# 3 010203",
            "HTTPS \\# 2 c00c",
            "CAA \\# 2 00ff",
            "DS \\# 1 00",
            "MX \\# 4 0001c00c",
        ]).prop_map(str::to_owned),
    ];
    let line =
        (owner.clone(), 0..400u32, data).prop_map(|(owner, ttl, data)| format!("{owner}. {ttl} {data}\n"));
    // More than a datagram holds.
    let large = (owner, 40..90usize)
        .prop_map(|(owner, count)| (0..count).map(|n| format!("{owner}. 60 A 10.0.1.{n}\n")).collect());
    prop_oneof![20 => line, 1 => large]
}

/// A response in the cache: addresses, a chain that is whole or open, or a denial.
fn learnt() -> impl Strategy<Value = Learnt> {
    let ttl = 1..500u32;
    (select(&OUTSIDE[..]), select(&NAMES[..]), ttl, 1..50u8, 0..5u8).prop_map(
        |(owner, target, ttl, count, kind)| {
            let addresses = |owner: &str| -> Vec<Rec> {
                (0..count).map(|n| a(owner, ttl + u32::from(n) % 7, n)).collect()
            };
            let denial = |rcode, answers| Learnt {
                qname: name(owner),
                qtype: Rtype::A,
                rcode,
                answers,
                authorities: vec![soa("net", ttl, 300)],
            };
            let open = vec![cname(owner, ttl, if owner == target { "else.net" } else { target })];
            match kind {
                0 => positive(Rtype::A, addresses(owner)),
                1 => positive(Rtype::A, open),
                2 => positive(Rtype::A, [vec![cname(owner, ttl, "far.net")], addresses("far.net")].concat()),
                3 => denial(Rcode::NXDOMAIN, Vec::new()),
                _ => denial(Rcode::NOERROR, vec![cname(owner, ttl, "far.net")]),
            }
        },
    )
}

#[derive(Clone, Debug)]
struct Asked {
    qname: Name,
    qtype: Rtype,
    edns: Option<Opt>,
    asker: Asker,
}

fn asked() -> impl Strategy<Value = Asked> {
    let edns = proptest::option::of((select(vec![0, 512, 700, 1232, 4096, 65_535]), any::<bool>()));
    let qtype = prop_oneof![3 => Just(Rtype::A), 1 => Just(Rtype::TXT), 2 => select(&TYPES[..])];
    (select(&NAMES[..]), proptest::option::of("[a-z]{1,9}"), qtype, edns, any::<bool>()).prop_map(
        |(qname, below, qtype, edns, tcp)| Asked {
            qname: name(&below.map_or(qname.into(), |label| format!("{label}.{qname}").replace("..", "."))),
            qtype,
            edns: edns.map(|(size, dnssec_ok)| Opt { size, dnssec_ok }),
            asker: if tcp { TCP } else { UDP },
        },
    )
}

impl Asked {
    fn query(&self) -> Vec<u8> {
        query(&self.qname, self.qtype, self.edns)
    }

    /// The most bytes the answer may have.
    fn limit(&self) -> usize {
        match (self.asker.transport, self.edns) {
            (Transport::Tcp, _) => 65_535,
            (Transport::Udp, None) => 512,
            (Transport::Udp, Some(opt)) => usize::from(opt.size).clamp(512, 1232),
        }
    }
}

/// What is in the zones and the cache.
#[derive(Clone, Debug)]
struct World {
    lines: Vec<String>,
    learnt: Vec<Learnt>,
}

fn world() -> impl Strategy<Value = World> {
    (vec(line(), 0..60), vec(learnt(), 0..5)).prop_map(|(lines, learnt)| World { lines, learnt })
}

impl World {
    fn scene(&self) -> Scene {
        let text = self.lines.concat();
        let scene = Scene::new(["corp.test", "sub.corp.test"].map(|apex| build(apex, &text).zone));
        self.learnt.iter().for_each(|response| scene.learn(response));
        scene
    }
}

/// Records by what they say, with their TTLs.
fn ttls(message: &Message) -> BTreeMap<String, u32> {
    let said = |r: &hickory_proto::rr::Record| format!("{} {} {}", r.name, r.record_type(), r.data);
    message.answers.iter().chain(&message.authorities).map(|r| (said(r), r.ttl)).collect()
}

/// Changes the case of the letters that `mask` picks.
fn in_mixed_case(query: &[u8], mask: u64) -> Vec<u8> {
    let mut mixed = query.to_vec();
    let mut at = 12;
    while mixed[at] != 0 {
        let len = usize::from(mixed[at]);
        for (n, byte) in mixed[at + 1..=at + len].iter_mut().enumerate() {
            if mask >> ((at + n) % 64) & 1 == 1 {
                *byte = byte.to_ascii_uppercase();
            }
        }
        at += 1 + len;
    }
    mixed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_answer_is_whole_fits_its_asker_and_is_read_by_another_library(
        world in world(),
        questions in vec(asked(), 20),
    ) {
        let scene = world.scene();
        for asked in questions {
            let query = asked.query();
            let Some(answer) = scene.ask(&query, asked.asker) else { continue };
            let read = Message::from_vec(&answer);
            prop_assert!(read.is_ok(), "{asked:?}: {read:?} from {answer:02x?}");
            let read = read.unwrap();
            prop_assert!(answer.len() <= asked.limit(), "{} bytes for {asked:?}", answer.len());
            prop_assert_eq!(read.metadata.id, 0x1234);
            prop_assert_eq!(&answer[12..query.len().min(answer.len())][..asked.qname.as_bytes().len() + 4],
                &query[12..][..asked.qname.as_bytes().len() + 4]);
            prop_assert_eq!(read.edns.is_some(), asked.edns.is_some());
            prop_assert!(read.additionals.is_empty(), "minimal responses");
            let counts = (answer[7], answer[9], read.answers.len() as u8, read.authorities.len() as u8);
            prop_assert_eq!((counts.0, counts.1), (counts.2, counts.3), "another reader sees as many");
            if read.metadata.truncation {
                prop_assert!(asked.asker.transport == Transport::Udp, "TCP has room");
                prop_assert!(read.answers.is_empty() && read.authorities.is_empty(), "no part of an answer");
            } else if read.metadata.response_code == ResponseCode::NXDomain
                || (read.metadata.response_code == ResponseCode::NoError && read.answers.is_empty())
            {
                let soas = read.authorities.iter().filter(|r| r.record_type() == RecordType::SOA).count();
                prop_assert_eq!(soas, 1, "a negative says how long it holds: {:?}", asked);
            }
        }
    }

    #[test]
    fn ttls_never_grow(
        world in world(),
        questions in vec(asked(), 10),
        steps in vec(0..200_000u64, 4),
    ) {
        let scene = world.scene();
        let mut seen: Vec<BTreeMap<String, u32>> = vec![BTreeMap::new(); questions.len()];
        for step in steps {
            scene.clock.advance(Duration::from_millis(step));
            for (asked, seen) in questions.iter().zip(&mut seen) {
                let Some(answer) = scene.ask(&asked.query(), asked.asker) else { continue };
                for (record, ttl) in ttls(&Message::from_vec(&answer).unwrap()) {
                    let before = seen.insert(record.clone(), ttl).unwrap_or(ttl);
                    prop_assert!(ttl <= before, "{record}: {before} then {ttl}");
                }
            }
        }
    }

    #[test]
    fn case_never_matters(world in world(), questions in vec((asked(), any::<u64>()), 20)) {
        let scene = world.scene();
        for (asked, mask) in questions {
            let (plain, mixed) = (asked.query(), in_mixed_case(&asked.query(), mask));
            let end = 12 + asked.qname.as_bytes().len();
            let answers = (scene.ask(&plain, asked.asker), scene.ask(&mixed, asked.asker));
            let (Some(lower), Some(other)) = answers else {
                prop_assert_eq!(answers.0, answers.1);
                continue;
            };
            prop_assert_eq!(&other[12..end], &mixed[12..end], "the question comes back as it was asked");
            prop_assert_eq!(&lower[..12], &other[..12]);
            prop_assert_eq!(&lower[end..], &other[end..], "{:?}", asked);
        }
    }
}

#[test]
fn a_loop_fails_at_once_however_little_the_asker_takes() {
    let zone = "a CNAME b\nb CNAME c\nc CNAME d\nd CNAME b\ne CNAME E\n";
    let scene = Scene::new([build("corp.test", &format!("$TTL 60\n{zone}")).zone]);
    for qname in ["a.corp.test", "b.corp.test", "d.corp.test", "e.corp.test"] {
        let answer = scene.ask(&in_mixed_case(&query(&name(qname), Rtype::A, None), 0x5555), UDP).unwrap();
        let read = Message::from_vec(&answer).unwrap();
        assert_eq!(read.metadata.response_code, ResponseCode::ServFail, "{qname}");
        assert!(!read.metadata.truncation && read.answers.is_empty());
    }
}

#[test]
fn the_properties_see_answers_of_every_kind() {
    // Guards the generators: a property over answers that never come says nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut tries) = (BTreeMap::<&str, u32>::new(), 0);
    while tries < 1000 {
        let tree = (world(), vec(asked(), 20)).new_tree(&mut runner).unwrap();
        let (world, questions) = proptest::strategy::ValueTree::current(&tree);
        let scene = world.scene();
        tries += 20;
        for asked in questions {
            let answer = scene.ask(&asked.query(), asked.asker).map(|a| Message::from_vec(&a).unwrap());
            let kind = match answer {
                None => "forwarded",
                Some(m) if m.metadata.truncation => "truncated",
                Some(m) if m.metadata.response_code == ResponseCode::NXDomain => "nxdomain",
                Some(m) if m.metadata.response_code != ResponseCode::NoError => "failure",
                Some(m) if m.answers.is_empty() => "nodata",
                Some(m) if !m.metadata.authoritative => "cached",
                Some(m) if m.answers.iter().any(|r| r.record_type() == RecordType::CNAME) => "chain",
                Some(_) => "records",
            };
            *kinds.entry(kind).or_default() += 1;
        }
    }
    for kind in ["forwarded", "truncated", "nxdomain", "failure", "nodata", "cached", "chain", "records"] {
        assert!(kinds.get(kind).is_some_and(|&n| n >= 3), "{kind} in {kinds:?}");
    }
}
