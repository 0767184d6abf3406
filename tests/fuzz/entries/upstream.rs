//! Responses as upstreams send them, learned and served again.

use zonelet::wire::learned::RecordView;
use zonelet::wire::{CLASS_IN, Learned, Name, Outcome, Rcode, Rtype, Sections, learn, name};

use super::Feed;
use super::message::{self, Record};

/// Eight bytes of circumstances, then a message: what is learned from it is sound, can be served
/// anywhere in another message, and says the same when it is learned again from what was served.
pub fn upstream(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let dnssec_ok = feed.byte() & 1 != 0;
    let scene = Scene {
        shift: feed.number() % 20_000,
        alias: feed.byte() % 64,
        age: u32::from(feed.number()),
        rotate: feed.byte().into(),
        cut: feed.byte(),
    };
    let message = feed.rest();
    let Some((qname, qtype)) = question(message) else {
        let other = Name::root();
        assert!(learn(message, other.as_ref(), Rtype::A, dnssec_ok).is_err());
        return;
    };
    let Ok(learned) = learn(message, qname.as_ref(), qtype, dnssec_ok) else { return };
    sound(&learned, &qname, dnssec_ok);
    let original = at_home(&learned, &qname, qtype, dnssec_ok);
    for sections in [Sections::Answers, Sections::First(1), Sections::Authorities, Sections::Both] {
        elsewhere(&learned, &qname, sections, &scene, &original);
    }
    capped(learned);
}

/// Where a learned answer is served.
struct Scene {
    /// How far behind the question the records begin.
    shift: u16,
    /// Length of the label in front of the name the records are for.
    alias: u8,
    age: u32,
    rotate: usize,
    /// How many bytes of the room that is needed are missing.
    cut: u8,
}

/// The question of a message, read as the one who sent it would know it.
pub fn question(message: &[u8]) -> Option<(Name, Rtype)> {
    let rest = message.get(12..)?;
    let len = name::wire_len(rest).ok()?;
    let qname = Name::from_wire(rest.get(..len)?).ok()?;
    let rtype = rest.get(len..len + 2)?;
    Some((qname, Rtype(u16::from_be_bytes([rtype[0], rtype[1]]))))
}

fn sound(learned: &Learned, qname: &Name, dnssec_ok: bool) {
    let records: Vec<RecordView> = learned.records().collect();
    assert_eq!(records.len(), usize::from(learned.answers + learned.authorities));
    assert_eq!(usize::from(learned.qname_len), qname.as_bytes().len());
    assert!(learned.base() + learned.block.len() <= usize::from(u16::MAX));
    let ends = records.iter().skip(1).map(|r| r.start).chain([learned.block.len()]);
    for (record, end) in records.iter().zip(ends) {
        assert_eq!(record.rdata.end, end, "records lie end to end");
        assert!(record.ttl <= i32::MAX as u32 && learned.lifetime <= record.ttl);
        assert!(dnssec_ok || record.rtype != Rtype::RRSIG || learned.outcome == Outcome::Answer);
        assert!(record.owner.is_none_or(|to| to < learned.base() + record.start));
    }
    assert!(records.first().is_none_or(|r| r.start == 0));
    let denied = learned.outcome == Outcome::NxDomain;
    assert_eq!(denied, learned.rcode == Rcode::NXDOMAIN);
    assert_eq!(learned.outcome == Outcome::Error, learned.rcode != Rcode::NOERROR && !denied);
    match learned.outcome {
        Outcome::Error => assert_eq!((records.len(), learned.lifetime), (0, 0)),
        Outcome::Answer | Outcome::OpenChain => assert!(learned.answers > 0),
        Outcome::NoData | Outcome::NxDomain => assert!(learned.lifetime == 0 || learned.authorities > 0),
    }
    if let Some(target) = learned.chain_target() {
        assert!(learned.outcome != Outcome::Answer);
        assert!(Name::from_wire(target.as_bytes()).is_ok_and(|n| n.as_ref() == target));
    }
    if let Some((_, text)) = &learned.ede {
        assert!(text.len() <= 600 && !text.chars().any(char::is_control));
    }
}

/// Serves the whole where it was laid out for, and learns it from there.
fn at_home(learned: &Learned, qname: &Name, qtype: Rtype, dnssec_ok: bool) -> Vec<Record> {
    let mut out = vec![0; learned.base() + learned.block.len()];
    let rcode = (learned.rcode.0 & 15) as u8;
    out[2..12].copy_from_slice(&[0x81, 0x80 | rcode, 0, 1, 0, 0, 0, 0, 0, 0]);
    out[6..8].copy_from_slice(&learned.answers.to_be_bytes());
    out[8..10].copy_from_slice(&learned.authorities.to_be_bytes());
    let end = 12 + qname.as_bytes().len();
    out[12..end].copy_from_slice(qname.as_bytes());
    out[end..end + 2].copy_from_slice(&qtype.0.to_be_bytes());
    out[end + 2..end + 4].copy_from_slice(&CLASS_IN.to_be_bytes());
    let behind = learned.copy_into(&mut out, learned.base(), 12, 0, Sections::Both, 0);
    assert_eq!(behind, Some(out.len()), "it fits exactly where it was laid out");
    let read = message::Message::read(&out);
    if learned.rcode.0 < 16 {
        let mut again = learn(&out, qname.as_ref(), qtype, dnssec_ok).expect("what was served is sound");
        (again.authentic, again.ede) = (learned.authentic, learned.ede.clone());
        assert_eq!(&again, learned, "learning it again changes nothing");
    }
    read.answers.into_iter().chain(read.authorities).collect()
}

/// Serves a part of it behind other things in a message, for a name that stands elsewhere.
fn elsewhere(learned: &Learned, qname: &Name, sections: Sections, scene: &Scene, original: &[Record]) {
    let name_at = 12 + usize::from(scene.alias);
    let at = name_at + qname.as_bytes().len() + usize::from(scene.shift);
    let mut out = vec![0xa5; at + learned.block.len() + 40 * 255];
    out[name_at..name_at + qname.as_bytes().len()].copy_from_slice(qname.as_bytes());
    let copied = learned.copy_into(&mut out, at, name_at, scene.age, sections, scene.rotate);
    let Some(end) = copied else {
        return assert!(at + learned.block.len() > 0x3fff, "only a pointer's reach can be missing");
    };
    assert!(out[end..].iter().all(|&b| b == 0xa5), "nothing is written behind the end");
    let (answers, authorities) = sections.counts(learned);
    let count = usize::from(answers + authorities);
    let (served, behind) = message::records(&out, at, count);
    assert_eq!(behind, end);
    let skip = if sections == Sections::Authorities { learned.answers.into() } else { 0 };
    let mut expected: Vec<Record> = original[skip..skip + count].to_vec();
    expected.iter_mut().for_each(|record| record.ttl = record.ttl.saturating_sub(scene.age));
    turned_at_most(&served, &expected, usize::from(answers));
    let cut = usize::from(scene.cut).min(end - at);
    let mut tight = out[..end - cut].to_vec();
    let refit = learned.copy_into(&mut tight, at, name_at, scene.age, sections, scene.rotate);
    assert_eq!(refit, (cut == 0).then_some(end), "no part of it is taken for the whole");
}

/// The same records in the same order, but that the last RRset of the answer may be turned.
fn turned_at_most(served: &[Record], expected: &[Record], answers: usize) {
    let same = served.iter().zip(expected).take_while(|(a, b)| a == b).count();
    if same == expected.len() {
        return;
    }
    assert!(same < answers);
    let run = |r: &&Record| (&r.owner, r.rtype) == (&expected[same].owner, expected[same].rtype);
    let len = expected[same..answers].iter().take_while(run).count();
    let from = expected[..same].iter().rev().take_while(run).count();
    let range = same - from..same + len;
    let mut turned = expected[range.clone()].to_vec();
    let found = (0..turned.len()).any(|_| {
        turned.rotate_left(1);
        turned == served[range.clone()]
    });
    assert!(found, "{served:?} is no rotation of {expected:?}");
    assert_eq!(served[range.end..], expected[range.end..]);
}

fn capped(mut learned: Learned) {
    learned.cap_ttls(300, 30);
    let cap = |is_answer: bool| if learned.is_negative() && !is_answer { 30 } else { 300 };
    assert!(learned.records().all(|r| r.ttl <= cap(r.is_answer)));
    assert!(learned.lifetime <= cap(false));
}
