//! What holds for every answer, whatever is in the zones and the cache.

#[path = "../scene/mod.rs"]
mod scene;

mod chains;
mod worlds;

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::collection::vec;
use proptest::prelude::*;
use scene::{Scene, UDP, build, name, query};
use worlds::{asked, world};
use zonelet::answer::Transport;
use zonelet::wire::Rtype;

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
