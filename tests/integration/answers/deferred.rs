//! Routing policies that are not followed here: decided at the source, so forwarded, and never denied.

use std::time::Duration;

use crate::harness::dns::{Plan, Stack, unknown};
use crate::harness::message::{Question, a, cname, soa};

const ZONE: &str = r#"{"ResourceRecordSets":[
    {"Name":"corp.internal.","Type":"SOA","TTL":900,"ResourceRecords":[{"Value":"a. b. 1 7200 900 1209600 86400"}]},
    {"Name":"corp.internal.","Type":"NS","TTL":900,"ResourceRecords":[{"Value":"a."}]},
    {"Name":"corp.internal.","Type":"A","TTL":60,"SetIdentifier":"a","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"10.0.0.1"}]},
    {"Name":"lost.corp.internal.","Type":"A","TTL":60,"SetIdentifier":"a","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"10.0.0.1"}]},
    {"Name":"w.corp.internal.","Type":"A","TTL":60,"SetIdentifier":"a","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"10.0.0.1"}]},
    {"Name":"w.corp.internal.","Type":"A","TTL":60,"SetIdentifier":"b","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"10.0.0.2"}]},
    {"Name":"w.corp.internal.","Type":"TXT","TTL":60,"ResourceRecords":[{"Value":"\"plain\""}]},
    {"Name":"wc.corp.internal.","Type":"CNAME","TTL":60,"SetIdentifier":"a","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"a.test"}]},
    {"Name":"wc.corp.internal.","Type":"CNAME","TTL":60,"SetIdentifier":"b","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"b.test"}]},
    {"Name":"\\052.wild.corp.internal.","Type":"A","TTL":60,"SetIdentifier":"a","CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"},"ResourceRecords":[{"Value":"10.0.0.1"}]},
    {"Name":"to.corp.internal.","Type":"CNAME","TTL":60,"ResourceRecords":[{"Value":"w.corp.internal"}]}
]}"#;

fn upstream(question: &Question) -> Vec<u8> {
    match question.qname.to_string().as_str() {
        "corp.internal." => question.address(60, 1),
        "w.corp.internal." => question.address(30, 2),
        "wc.corp.internal." => {
            question.reply(0, &[cname("wc.corp.internal", 60, "b.test"), a("b.test", 20, 3)], &[])
        }
        "x.wild.corp.internal." => question.address(40, 4),
        "lost.corp.internal." => question.reply(3, &[], &[soa("internal", 900, 60)]),
        _ => unknown(question),
    }
}

fn stack() -> Stack {
    Plan::new().zone(ZONE).start(upstream)
}

#[test]
fn a_policy_group_is_forwarded_and_cached() {
    let stack = stack();
    stack.expect(&[
        ("corp.internal. A", "NOERROR; corp.internal. 60 A 192.0.2.1"),
        ("w.corp.internal. A", "NOERROR; w.corp.internal. 30 A 192.0.2.2"),
        ("w.corp.internal. A", "NOERROR; w.corp.internal. 30 A 192.0.2.2"),
        (
            "to.corp.internal. A",
            "NOERROR aa; to.corp.internal. 60 CNAME w.corp.internal.; w.corp.internal. 30 A 192.0.2.2",
        ),
    ]);
    assert_eq!((stack.forwarded("corp.internal"), stack.forwarded("w.corp.internal")), (1, 1));
    stack.clock.advance(Duration::from_secs(31));
    stack.expect(&[("w.corp.internal. A", "NOERROR; w.corp.internal. 30 A 192.0.2.2")]);
    assert_eq!(stack.forwarded("w.corp.internal"), 2);
}

#[test]
fn other_types_of_a_deferred_name_are_answered_here_and_not_forwarded() {
    let stack = stack();
    stack.expect(&[
        ("corp.internal. AAAA", "NOERROR aa | corp.internal. 30 SOA"),
        ("w.corp.internal. AAAA", "NOERROR aa | corp.internal. 30 SOA"),
        ("w.corp.internal. TXT", "NOERROR aa; w.corp.internal. 60 TXT plain"),
        ("lost.corp.internal. MX", "NOERROR aa | corp.internal. 30 SOA"),
    ]);
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn a_deferred_name_is_never_denied_and_no_denial_of_it_is_kept() {
    let stack = stack();
    for _ in 0..2 {
        let line = stack.line("lost.corp.internal. A");
        assert!(line.starts_with("SERVFAIL EDE 0 the upstream denies a name"), "{line}");
    }
    assert_eq!(stack.forwarded("lost.corp.internal"), 1, "the failure is remembered for a second");
    stack.clock.advance(Duration::from_secs(2));
    assert!(stack.line("lost.corp.internal. A").starts_with("SERVFAIL"));
    assert_eq!(stack.forwarded("lost.corp.internal"), 2, "and then asked again");
}

#[test]
fn an_upstream_chain_that_leads_to_a_deferred_name_ends_at_its_answer() {
    let stack = Plan::new().zone(ZONE).start(|question| match question.qname.to_string().as_str() {
        "x.example.test." => question.reply(
            0,
            &[cname("x.example.test", 50, "w.corp.internal"), a("w.corp.internal", 30, 2)],
            &[],
        ),
        _ => upstream(question),
    });
    stack.expect(&[(
        "x.example.test. A",
        "NOERROR; x.example.test. 50 CNAME w.corp.internal.; w.corp.internal. 30 A 192.0.2.2",
    )]);
}

#[test]
fn a_policy_of_cnames_is_decided_by_the_upstream_for_every_type() {
    let stack = stack();
    let one = "NOERROR; wc.corp.internal. 60 CNAME b.test.; b.test. 20 A 192.0.2.3";
    stack.expect(&[("wc.corp.internal. A", one)]);
    assert!(stack.line("wc.corp.internal. CNAME").starts_with("NOERROR; wc.corp.internal. 60 CNAME b.test."));
    assert_eq!(stack.forwarded("wc.corp.internal"), 2);
}

#[test]
fn a_wildcard_of_a_policy_is_asked_for_the_name_that_was_asked() {
    let stack = stack();
    stack.expect(&[
        ("x.wild.corp.internal. A", "NOERROR; x.wild.corp.internal. 40 A 192.0.2.4"),
        ("x.wild.corp.internal. AAAA", "NOERROR aa | corp.internal. 30 SOA"),
    ]);
    let line = stack.line("y.wild.corp.internal. A");
    assert!(line.starts_with("SERVFAIL EDE 0 the upstream denies a name"), "{line}");
}

#[test]
fn nodata_of_the_upstream_is_an_answer_for_a_deferred_name() {
    let stack =
        Plan::new().zone(ZONE).start(|question| question.reply(0, &[], &[soa("corp.internal", 900, 10)]));
    stack.expect(&[("w.corp.internal. A", "NOERROR | corp.internal. 10 SOA")]);
}
