//! Tests of what is taken over from a response.

use super::*;
use crate::wire::EdeCode;
use crate::wire::sample::{Rec, a, add_opt, cname, name, push, response, rrsig, soa};

fn learned(qname: &str, rcode: Rcode, answers: &[Rec], authorities: &[Rec]) -> Learned {
    let message = response(qname, Rtype::A, rcode, answers, authorities);
    learn(&message, name(qname).as_ref(), Rtype::A, false).unwrap()
}

fn types(learned: &Learned) -> Vec<Rtype> {
    learned.records().map(|r| r.rtype).collect()
}

#[test]
fn only_the_chain_of_the_question_is_kept() {
    let got = learned(
        "www.test",
        Rcode::NOERROR,
        &[
            a("evil.example", 60, 6),
            a("b.other", 60, 1),
            cname("www.test", 300, "B.other"),
            a("b.other", 90, 2),
            (name("b.other"), Rtype::TXT, 60, b"\x01x".to_vec()),
        ],
        &[soa("test", 60, 60)],
    );
    assert_eq!(types(&got), [Rtype::CNAME, Rtype::A, Rtype::A]);
    assert_eq!((got.answers, got.authorities, got.lifetime), (3, 0, 60));
    assert_eq!((got.outcome, got.chain_end()), (Outcome::Answer, None));
    let owners: Vec<_> = got.records().map(|r| r.owner).collect();
    let target = got.base() + got.records().next().unwrap().rdata.start;
    assert_eq!(owners, [Some(12), Some(target), Some(target)]);
}

#[test]
fn records_of_another_class_are_dropped() {
    let mut message = response("a.test", Rtype::A, Rcode::NOERROR, &[a("a.test", 60, 1)], &[]);
    let class_at = message.len() - 4 - 2 - 4 - 2;
    message[class_at + 1] = 3;
    let got = learn(&message, name("a.test").as_ref(), Rtype::A, false).unwrap();
    assert_eq!((got.answers, got.outcome, got.lifetime), (0, Outcome::NoData, 0));
}

#[test]
fn a_chain_without_its_end_is_open() {
    let got = learned("a.test", Rcode::NOERROR, &[cname("a.test", 30, "x.other")], &[]);
    assert_eq!((got.outcome, got.lifetime), (Outcome::OpenChain, 30));
    assert_eq!(got.chain_target().unwrap(), name("x.other").as_ref());
}

#[test]
fn a_cname_that_was_asked_for_is_no_chain() {
    let message = response("a.test", Rtype::CNAME, Rcode::NOERROR, &[cname("a.test", 30, "x.other")], &[]);
    let got = learn(&message, name("a.test").as_ref(), Rtype::CNAME, false).unwrap();
    assert_eq!((got.outcome, got.chain_end()), (Outcome::Answer, None));
}

#[test]
fn cname_loops_are_refused() {
    let records = [cname("a.test", 30, "b.test"), cname("b.test", 30, "a.test")];
    let message = response("a.test", Rtype::A, Rcode::NOERROR, &records, &[]);
    assert_eq!(learn(&message, name("a.test").as_ref(), Rtype::A, false), Err(Malformed::CnameLoop));
    let message = response("a.test", Rtype::A, Rcode::NOERROR, &[cname("a.test", 30, "a.test")], &[]);
    assert_eq!(learn(&message, name("a.test").as_ref(), Rtype::A, false), Err(Malformed::CnameLoop));
}

#[test]
fn a_chain_longer_than_sixteen_links_stays_open() {
    let links: Vec<Rec> =
        (0..40).map(|i| cname(&format!("n{i}.test"), 30, &format!("n{}.test", i + 1))).collect();
    let got = learned("n0.test", Rcode::NOERROR, &links, &[]);
    assert_eq!((got.answers, got.outcome), (16, Outcome::OpenChain));
    assert_eq!(got.chain_target().unwrap(), name("n16.test").as_ref());
}

#[test]
fn a_dname_is_kept_with_the_cname_made_from_it() {
    let dname: Rec = (name("old.test"), Rtype::DNAME, 50, name("new.test").as_bytes().to_vec());
    let records = [dname.clone(), cname("a.old.test", 50, "a.new.test"), a("a.new.test", 40, 1)];
    let got = learned("a.old.test", Rcode::NOERROR, &records, &[]);
    assert_eq!(types(&got), [Rtype::DNAME, Rtype::CNAME, Rtype::A]);
    assert_eq!(got.records().next().unwrap().owner, Some(12 + 2), "a suffix of the question name");
    let message = response("a.old.test", Rtype::A, Rcode::NOERROR, &[dname], &[]);
    assert!(learn(&message, name("a.old.test").as_ref(), Rtype::A, false).is_err());
}

#[test]
fn the_negative_lifetime_is_the_lesser_of_soa_ttl_and_minimum_and_is_shown() {
    let got = learned("x.test", Rcode::NXDOMAIN, &[], &[soa("test", 900, 60)]);
    assert_eq!((got.outcome, got.lifetime), (Outcome::NxDomain, 60));
    assert_eq!(got.records().next().unwrap().ttl, 60);
    let got = learned("x.test", Rcode::NOERROR, &[], &[soa("test", 10, 3600)]);
    assert_eq!((got.outcome, got.lifetime), (Outcome::NoData, 10));
}

#[test]
fn a_negative_without_a_soa_of_its_zone_lives_no_time() {
    for rcode in [Rcode::NXDOMAIN, Rcode::NOERROR] {
        assert_eq!(learned("x.test", rcode, &[], &[]).lifetime, 0);
        let foreign = learned("x.test", rcode, &[], &[soa("other", 900, 60)]);
        assert_eq!((foreign.lifetime, foreign.authorities), (0, 0));
    }
}

#[test]
fn a_chain_to_a_missing_name_keeps_its_cname_and_the_code() {
    let got =
        learned("a.test", Rcode::NXDOMAIN, &[cname("a.test", 300, "b.other")], &[soa("other", 900, 60)]);
    assert_eq!((got.outcome, got.rcode), (Outcome::NxDomain, Rcode::NXDOMAIN));
    assert_eq!((got.answers, got.authorities, got.lifetime), (1, 1, 60));
    assert_eq!(got.chain_target().unwrap(), name("b.other").as_ref());
    let soa = got.records().nth(1).unwrap();
    let target = got.base() + got.records().next().unwrap().rdata.start;
    assert_eq!(soa.owner, Some(target + 2), "inside the CNAME's target");
}

#[test]
fn nxdomain_together_with_an_answer_is_refused() {
    let message = response("a.test", Rtype::A, Rcode::NXDOMAIN, &[a("a.test", 60, 1)], &[]);
    assert_eq!(learn(&message, name("a.test").as_ref(), Rtype::A, false), Err(Malformed::Contradiction));
}

#[test]
fn a_ttl_with_the_top_bit_set_counts_as_zero() {
    let got = learned("a.test", Rcode::NOERROR, &[a("a.test", 0x8000_0001, 1)], &[]);
    assert_eq!((got.lifetime, got.records().next().unwrap().ttl), (0, 0));
}

#[test]
fn signatures_and_proofs_stay_only_when_they_were_asked_for() {
    let answers =
        [a("a.test", 60, 1), rrsig("a.test", 60, Rtype::A, "test"), rrsig("a.test", 60, Rtype::TXT, "test")];
    let nsec = |owner: &str| (name(owner), Rtype::NSEC, 60, name("b.test").as_bytes().to_vec());
    let authorities = [nsec("a.test"), nsec("a.evil"), (name("test"), Rtype::NS, 60, vec![0])];
    let message = response("a.test", Rtype::A, Rcode::NOERROR, &answers, &authorities);
    let with = learn(&message, name("a.test").as_ref(), Rtype::A, true).unwrap();
    assert_eq!(types(&with), [Rtype::A, Rtype::RRSIG, Rtype::NSEC]);
    let without = learn(&message, name("a.test").as_ref(), Rtype::A, false).unwrap();
    assert_eq!(types(&without), [Rtype::A]);
}

#[test]
fn extended_code_and_error_are_read_from_the_opt() {
    let mut message = response("a.test", Rtype::A, Rcode(6), &[], &[]);
    add_opt(&mut message, 1, b"\x00\x0f\x00\x06\x00\x17re\x07d");
    let got = learn(&message, name("a.test").as_ref(), Rtype::A, false).unwrap();
    assert_eq!((got.rcode, got.outcome), (Rcode(22), Outcome::Error));
    assert_eq!(got.ede, Some((EdeCode::NETWORK_ERROR, "red".into())));
    add_opt(&mut message, 1, b"");
    assert_eq!(learn(&message, name("a.test").as_ref(), Rtype::A, false), Err(Malformed::SecondOpt));
}

#[test]
fn referrals_of_a_server_that_does_not_recurse_are_refused() {
    let ns: Rec = (name("test"), Rtype::NS, 60, name("ns.test").as_bytes().to_vec());
    let mut message = response("a.test", Rtype::A, Rcode::NOERROR, &[], &[ns]);
    assert!(learn(&message, name("a.test").as_ref(), Rtype::A, false).is_ok());
    message[3] &= !0x80;
    assert_eq!(learn(&message, name("a.test").as_ref(), Rtype::A, false), Err(Malformed::Referral));
}

#[test]
fn the_question_must_be_the_one_asked_case_aside() {
    let message = response("a.test", Rtype::A, Rcode::NOERROR, &[], &[]);
    let mut shouted = message.clone();
    shouted[13] = b'A';
    assert!(learn(&shouted, name("a.test").as_ref(), Rtype::A, false).is_ok());
    assert_eq!(learn(&message, name("b.test").as_ref(), Rtype::A, false), Err(Malformed::OtherQuestion));
    assert_eq!(learn(&message, name("a.test").as_ref(), Rtype::AAAA, false), Err(Malformed::OtherQuestion));
    let mut query = message.clone();
    query[2] &= 0x7f;
    assert_eq!(learn(&query, name("a.test").as_ref(), Rtype::A, false), Err(Malformed::NotAResponse));
    assert_eq!(learn(&message[..11], name("a.test").as_ref(), Rtype::A, false), Err(Malformed::ShortHeader));
}

#[test]
fn compressed_owners_and_targets_are_followed() {
    let mut message = response("www.test", Rtype::A, Rcode::NOERROR, &[], &[]);
    message[7] = 2;
    message.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x10");
    let target = (message.len() - 4) as u8;
    message.extend([0xc0, target]);
    message.extend(b"\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04");
    let got = learn(&message, name("www.test").as_ref(), Rtype::A, false).unwrap();
    assert_eq!(types(&got), [Rtype::CNAME, Rtype::A]);
    let link = got.records().next().unwrap();
    assert_eq!(&got.block[link.rdata], b"\x01b\x04test\x00", "written out");
}

#[test]
fn records_that_fill_more_than_a_message_once_written_out_are_refused() {
    let long = format!("{0}.{0}.{0}", "x".repeat(63));
    let mut message = response(&long, Rtype::MX, Rcode::NOERROR, &[], &[]);
    let count: u16 = 400;
    message[6..8].copy_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        message.extend(b"\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x04\0\x05\xc0\x0c");
    }
    let qname = name(&long);
    assert_eq!(learn(&message, qname.as_ref(), Rtype::MX, false), Err(Malformed::TooLong));
}

#[test]
fn cut_messages_are_refused_at_every_length() {
    let mut message = response(
        "www.test",
        Rtype::A,
        Rcode::NOERROR,
        &[cname("www.test", 300, "b.test"), a("b.test", 60, 1)],
        &[soa("test", 60, 60)],
    );
    add_opt(&mut message, 0, b"\x00\x0f\x00\x02\x00\x17");
    let qname = name("www.test");
    for len in 0..message.len() {
        assert!(learn(&message[..len], qname.as_ref(), Rtype::A, true).is_err(), "{len}");
    }
    assert!(learn(&message, qname.as_ref(), Rtype::A, true).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        noise in proptest::collection::vec((0usize..400, proptest::num::u8::ANY), 0..30),
        cut in 0usize..400,
        dnssec_ok: bool,
    ) {
        let answers = [cname("www.test", 300, "b.test"), a("b.test", 60, 1), rrsig("b.test", 9, Rtype::A, "test")];
        let mut message = response("www.test", Rtype::A, Rcode::NOERROR, &answers, &[soa("test", 60, 60)]);
        push(&mut message, &(name("x.test"), Rtype::SRV, 1, b"\0\0\0\0\0\0\xc0\x0c".to_vec()));
        add_opt(&mut message, 0, b"\x00\x0f\x00\x02\x00\x17");
        message[11] += 1;
        for (at, byte) in noise {
            if let Some(slot) = message.get_mut(at) { *slot = byte; }
        }
        message.truncate(message.len().saturating_sub(cut % 7));
        if let Ok(got) = learn(&message, name("www.test").as_ref(), Rtype::A, dnssec_ok) {
            let mut out = [0; 2048];
            let end = got.copy_into(&mut out, got.base(), 12, 5, crate::wire::Sections::Both, 1);
            proptest::prop_assert_eq!(end, Some(got.base() + got.block.len()));
            proptest::prop_assert_eq!(got.records().count(), usize::from(got.answers + got.authorities));
        }
    }
}
