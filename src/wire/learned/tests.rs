//! Tests of serving from a block.

use super::*;
use crate::wire::read::Record;
use crate::wire::sample::{Rec, a, cname, name, response, soa};
use crate::wire::{Rcode, learn};

fn learned(qname: &str, rcode: Rcode, answers: &[Rec], authorities: &[Rec]) -> Learned {
    let message = response(qname, Rtype::A, rcode, answers, authorities);
    learn(&message, name(qname).as_ref(), Rtype::A, false).unwrap()
}

/// A message that holds the question for `qname`, room, and behind `at` what was copied there.
fn serve(
    learned: &Learned,
    qname: &str,
    at: usize,
    name_at: usize,
    age: u32,
    sections: Sections,
    rotate: usize,
) -> Vec<(String, Rtype, u32, Vec<u8>)> {
    let mut out = vec![0; 1232];
    let question = name(qname);
    out[12..12 + question.as_bytes().len()].copy_from_slice(question.as_bytes());
    if name_at != 12 {
        // Elsewhere in the message stands the target name the block was learned for.
        out[name_at..name_at + 8].copy_from_slice(b"\x01a\x04test\x00");
    }
    let end = learned.copy_into(&mut out, at, name_at, age, sections, rotate).unwrap();
    let mut records = Vec::new();
    let mut pos = at;
    while pos < end {
        let (record, next) = Record::read(&out, pos).unwrap();
        let owner = record.owner(&out).unwrap().as_ref().to_string();
        records.push((owner, record.rtype, record.ttl, out[record.rdata.clone()].to_vec()));
        pos = next;
    }
    records
}

fn chain() -> Learned {
    learned(
        "a.test",
        Rcode::NOERROR,
        &[cname("a.test", 300, "b.test"), a("b.test", 60, 1), a("b.test", 60, 2), a("b.test", 60, 3)],
        &[],
    )
}

#[test]
fn ttls_count_down_by_record_and_never_below_zero() {
    let got = chain();
    let ttls = |age| -> Vec<u32> {
        serve(&got, "a.test", got.base(), 12, age, Sections::Both, 0).iter().map(|r| r.2).collect()
    };
    assert_eq!(ttls(0), [300, 60, 60, 60]);
    assert_eq!(ttls(20), [280, 40, 40, 40]);
    assert_eq!(ttls(100), [200, 0, 0, 0]);
}

#[test]
fn the_last_rrset_turns_and_the_chain_stays_in_front() {
    let got = chain();
    let order = |rotate| -> Vec<u8> {
        serve(&got, "a.test", got.base(), 12, 0, Sections::Answers, rotate)
            .iter()
            .map(|r| if r.1 == Rtype::CNAME { 0 } else { r.3[3] })
            .collect()
    };
    assert_eq!(order(0), [0, 1, 2, 3]);
    assert_eq!(order(1), [0, 2, 3, 1]);
    assert_eq!(order(2), [0, 3, 1, 2]);
    assert_eq!(order(3), [0, 1, 2, 3]);
    assert_eq!(order(usize::MAX).len(), 4);
}

#[test]
fn a_block_moves_behind_other_records() {
    let got = chain();
    let moved = serve(&got, "www.longer.example", 200, 100, 0, Sections::Both, 1);
    let owners: Vec<_> = moved.iter().map(|r| r.0.as_str()).collect();
    assert_eq!(owners, ["a.test.", "b.test.", "b.test.", "b.test."]);
}

#[test]
fn authorities_can_be_copied_without_the_answers_they_point_into() {
    let got =
        learned("a.test", Rcode::NXDOMAIN, &[cname("a.test", 300, "b.other")], &[soa("other", 900, 60)]);
    let only = serve(&got, "a.test", 150, 12, 10, Sections::Authorities, 0);
    assert_eq!((only.len(), only[0].0.as_str(), only[0].2), (1, "other.", 50));
    let both = serve(&got, "a.test", 150, 12, 10, Sections::Both, 0);
    assert_eq!((both.len(), both[1].0.as_str(), both[1].2), (2, "other.", 50));
}

#[test]
fn what_does_not_fit_is_not_copied() {
    let got = chain();
    let mut out = vec![0; got.base() + got.block.len() - 1];
    assert_eq!(got.copy_into(&mut out, got.base(), 12, 0, Sections::Both, 0), None);
    let mut out = vec![0; 40_000];
    assert_eq!(
        got.copy_into(&mut out, 17_000, 12, 0, Sections::Both, 0),
        None,
        "past what a pointer reaches"
    );
}

#[test]
fn caps_lower_the_ttls_shown_and_the_lifetime() {
    let mut got = chain();
    got.cap_ttls(100, 30);
    let ttls: Vec<u32> = got.records().map(|r| r.ttl).collect();
    assert_eq!((ttls, got.lifetime), (vec![100, 60, 60, 60], 60));
    let mut negative =
        learned("a.test", Rcode::NXDOMAIN, &[cname("a.test", 300, "b.other")], &[soa("other", 900, 600)]);
    negative.cap_ttls(200, 30);
    let ttls: Vec<u32> = negative.records().map(|r| r.ttl).collect();
    assert_eq!((ttls, negative.lifetime), (vec![200, 30], 30));
}

/// What another parser makes of a whole message with the block served in it: (owner, type, TTL).
fn judged(learned: &Learned, qname: &str, age: u32, rotate: usize) -> Vec<(String, u16, u32)> {
    let mut message = response(qname, Rtype::A, learned.rcode, &[], &[]);
    message[6..8].copy_from_slice(&learned.answers.to_be_bytes());
    message[8..10].copy_from_slice(&learned.authorities.to_be_bytes());
    message.resize(4096, 0);
    let end = learned.copy_into(&mut message, learned.base(), 12, age, Sections::Both, rotate).unwrap();
    let judge = hickory_proto::op::Message::from_vec(&message[..end]).unwrap();
    judge
        .answers
        .iter()
        .chain(&judge.authorities)
        .map(|r| (r.name.to_string(), u16::from(r.record_type()), r.ttl))
        .collect()
}

proptest::proptest! {
    #[test]
    fn what_is_served_is_what_was_learned_in_the_eyes_of_another_parser(
        links in 0usize..5,
        ttls in proptest::collection::vec(0u32..1000, 0..6),
        zone in proptest::sample::select(vec!["test", "n.test", "other"]),
        age in 0u32..1500,
        rotate in 0usize..10,
    ) {
        let at = |i: usize| format!("n{i}.{}", if i.is_multiple_of(2) { "n.test" } else { "other" });
        let mut records: Vec<Rec> = (0..links).map(|i| cname(&at(i), 500, &at(i + 1))).collect();
        records.extend(ttls.iter().enumerate().map(|(i, &ttl)| a(&at(links), ttl, i as u8)));
        let denial = soa(zone, 900, 60);
        let learned = learned(&at(0), Rcode::NOERROR, &records, &[denial]);
        let mut expected: Vec<_> =
            records.iter().map(|(n, t, ttl, _)| (n.to_string(), t.0, ttl.saturating_sub(age))).collect();
        if !ttls.is_empty() {
            expected[links..].rotate_left(rotate % ttls.len());
        } else if name(&at(links)).as_ref().is_at_or_below(name(zone).as_ref()) {
            expected.push((format!("{zone}."), Rtype::SOA.0, 60u32.saturating_sub(age)));
        }
        proptest::prop_assert_eq!(judged(&learned, &at(0), age, rotate), expected);
    }
}
