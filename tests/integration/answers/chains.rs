//! CNAME chains through zones, cache and upstream.

use super::{CORP, DB};
use crate::harness::dns::{Plan, Stack, unknown};
use crate::harness::message::{Question, a, cname};

fn upstream(question: &Question) -> Vec<u8> {
    match question.qname.to_string().as_str() {
        // Knows both ends.
        "www.example.test." => question.reply(
            0,
            &[cname("www.example.test", 50, "a.example.test"), a("a.example.test", 40, 1)],
            &[],
        ),
        "a.example.test." => question.reply(0, &[a("a.example.test", 40, 1)], &[]),
        // Follows a chain into our zone, where it believes something else.
        "in.example.test." => question.reply(
            0,
            &[cname("in.example.test", 50, "db.corp.internal"), a("db.corp.internal", 9, 66)],
            &[],
        ),
        "deny.example.test." => question.reply(
            3,
            &[cname("deny.example.test", 50, "api.db.internal")],
            &[crate::harness::message::soa("db.internal", 900, 60)],
        ),
        // Does not follow its own chain.
        "open.example.test." => question.reply(0, &[cname("open.example.test", 50, "www.example.test")], &[]),
        "ping.example.test." => {
            question.reply(0, &[cname("ping.example.test", 50, "pong.example.test")], &[])
        }
        "pong.example.test." => {
            question.reply(0, &[cname("pong.example.test", 50, "ping.example.test")], &[])
        }
        _ => unknown(question),
    }
}

fn stack() -> Stack {
    Plan::new().zone(CORP).zone(DB).start(upstream)
}

const DB_SET: &str =
    "db.corp.internal. 60 A 10.0.0.1; db.corp.internal. 60 A 10.0.0.2; db.corp.internal. 60 A 10.0.0.3";

#[test]
fn chains_are_completed_in_a_zone_and_across_two() {
    let stack = stack();
    stack.expect(&[
        (
            "www.corp.internal. A",
            &format!("NOERROR aa; www.corp.internal. 300 CNAME db.corp.internal.; {DB_SET}"),
        ),
        (
            "over.corp.internal. A",
            "NOERROR aa; over.corp.internal. 300 CNAME api.db.internal.; api.db.internal. 120 A 10.1.0.1",
        ),
        (
            "back.db.internal. A",
            &format!("NOERROR aa; back.db.internal. 120 CNAME db.corp.internal.; {DB_SET}"),
        ),
        ("www.corp.internal. CNAME", "NOERROR aa; www.corp.internal. 300 CNAME db.corp.internal."),
        // The code and the SOA are those of the last name (RFC 6604, RFC 2308 §2.1).
        (
            "gone.corp.internal. A",
            "NXDOMAIN aa; gone.corp.internal. 300 CNAME nowhere.corp.internal. | corp.internal. 30 SOA",
        ),
        (
            "over.corp.internal. AAAA",
            "NOERROR aa; over.corp.internal. 300 CNAME api.db.internal. | db.internal. 20 SOA",
        ),
    ]);
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn a_chain_out_of_a_zone_is_completed_upstream_and_then_from_the_cache() {
    let stack = stack();
    let whole = "NOERROR aa; out.corp.internal. 300 CNAME www.example.test.; www.example.test. 50 CNAME a.example.test.; a.example.test. 40 A 192.0.2.1";
    stack.expect(&[("out.corp.internal. A", whole), ("out.corp.internal. A", whole)]);
    assert_eq!(stack.forwarded("www.example.test"), 1, "UDP asked, all others found it in the cache");
    assert_eq!(stack.forwarded("out.corp.internal"), 0);
    stack.clock.advance(std::time::Duration::from_secs(20));
    stack.expect(&[(
        "out.corp.internal. A",
        "NOERROR aa; out.corp.internal. 300 CNAME www.example.test.; www.example.test. 30 CNAME a.example.test.; a.example.test. 20 A 192.0.2.1",
    )]);
    stack.expect(&[(
        "void.corp.internal. A",
        "NXDOMAIN aa; void.corp.internal. 300 CNAME nothing.example.test. | . 30 SOA",
    )]);
}

#[test]
fn a_chain_that_enters_our_zone_from_upstream_is_answered_by_the_zone() {
    let stack = stack();
    stack.expect(&[
        ("in.example.test. A", &format!("NOERROR; in.example.test. 50 CNAME db.corp.internal.; {DB_SET}")),
        (
            "deny.example.test. A",
            "NOERROR; deny.example.test. 50 CNAME api.db.internal.; api.db.internal. 120 A 10.1.0.1",
        ),
    ]);
}

#[test]
fn what_the_upstream_does_not_follow_is_followed_here() {
    stack().expect(&[(
        "open.example.test. A",
        "NOERROR; open.example.test. 50 CNAME www.example.test.; www.example.test. 50 CNAME a.example.test.; a.example.test. 40 A 192.0.2.1",
    )]);
}

#[test]
fn a_loop_of_cnames_is_a_failure_and_no_partial_answer() {
    stack().expect(&[
        ("loop1.corp.internal. A", "SERVFAIL EDE 0 CNAME chain too long"),
        ("ping.example.test. A", "SERVFAIL EDE 0 CNAME chain too long"),
        ("loop1.corp.internal. CNAME", "NOERROR aa; loop1.corp.internal. 300 CNAME loop2.corp.internal."),
    ]);
}

#[test]
fn sixteen_restarts_are_followed_and_seventeen_are_not() {
    let mut zone = CORP.to_owned();
    for n in 0..17 {
        zone.push_str(&format!("c{n} CNAME c{}\n", n + 1));
    }
    zone.push_str("c17 A 10.7.7.7\n");
    let stack = Plan::new().zone(&zone).start(unknown);
    let chain = stack.line("c1.corp.internal. A");
    assert!(chain.starts_with("NOERROR aa; c1.corp.internal. 300 CNAME"), "{chain}");
    assert!(chain.ends_with("c17.corp.internal. 300 A 10.7.7.7"), "{chain}");
    stack.expect(&[("c0.corp.internal. A", "SERVFAIL EDE 0 CNAME chain too long")]);
}

#[test]
fn a_chain_that_leads_to_a_special_name_ends_here() {
    let zone = format!("{CORP}lo CNAME localhost.\ntor CNAME x.onion.\n");
    let stack = Plan::new().zone(&zone).start(|question| match question.qname.to_string().as_str() {
        "lo.example.test." => question.reply(0, &[cname("lo.example.test", 50, "db.localhost")], &[]),
        _ => question.address(60, 66),
    });
    stack.expect(&[
        (
            "lo.corp.internal. A",
            "NOERROR aa; lo.corp.internal. 300 CNAME localhost.; localhost. 10800 A 127.0.0.1",
        ),
        ("lo.corp.internal. MX", "NOERROR aa; lo.corp.internal. 300 CNAME localhost. | localhost. 10800 SOA"),
        ("tor.corp.internal. A", "NXDOMAIN aa; tor.corp.internal. 300 CNAME x.onion. | onion. 10800 SOA"),
        (
            "lo.example.test. A",
            "NOERROR; lo.example.test. 50 CNAME db.localhost.; db.localhost. 10800 A 127.0.0.1",
        ),
    ]);
    assert_eq!(stack.upstream.count(), 1);
}

#[test]
fn a_chain_into_a_failing_upstream_is_a_failure_for_the_whole_chain() {
    let stack = Plan::new().zone(CORP).without_upstream().start(unknown);
    let line = stack.line("out.corp.internal. A");
    assert!(line.starts_with("SERVFAIL EDE"), "{line}");
    assert!(!line.contains("CNAME "), "{line}");
}

#[test]
fn ttls_count_down_for_each_record_and_the_entry_ends_with_the_shortest() {
    let stack =
        Plan::new().start(|q| q.reply(0, &[cname("www.test", 300, "a.test"), a("a.test", 60, 1)], &[]));
    let at = |seconds: u64, shown: (u32, u32)| {
        stack.clock.advance(std::time::Duration::from_secs(seconds));
        let (first, second) = shown;
        let want = format!("NOERROR; www.test. {first} CNAME a.test.; a.test. {second} A 192.0.2.1");
        assert_eq!(stack.line("www.test. A"), want);
    };
    at(0, (300, 60));
    at(20, (280, 40));
    assert_eq!(stack.upstream.count(), 1);
    at(41, (300, 60));
    assert_eq!(stack.upstream.count(), 2);
}

#[test]
fn an_answer_is_found_whatever_its_case_and_the_question_comes_back_as_it_was_asked() {
    let stack = Plan::new().zone(CORP).start(|q| q.address(60, 1));
    // `line` compares the question byte for byte; owners point at it.
    stack.expect(&[
        ("foo.test. A", "NOERROR; foo.test. 60 A 192.0.2.1"),
        ("FoO.TeSt. A", "NOERROR; FoO.TeSt. 60 A 192.0.2.1"),
        ("GLUED.Corp.INTERNAL. A", "NOERROR aa; GLUED.Corp.INTERNAL. 300 A 10.0.3.2"),
    ]);
    assert_eq!(stack.upstream.count(), 1);
}
