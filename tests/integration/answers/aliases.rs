//! Aliases: records of another name under this one, with no CNAME to be seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use zonelet::wire::Rtype;
use zonelet::zone::{Alias, Body, RecordSet};

use crate::harness::dns::ede;
use crate::harness::house::{House, records, zone};
use crate::harness::message::{Rec, a, cname, name, soa};
use crate::harness::upstream::{Out, Scripted};

/// An alias of type A.
fn alias(owner: &str, target: &str) -> RecordSet {
    let is_inside = target.ends_with("corp.test");
    let body = Body::Alias(Alias { target: name(target), is_inside, evaluates_health: false });
    RecordSet { owner: name(owner), rtype: Rtype::A, body }
}

/// Code, answers as owner, TTL and data, and TTLs of the authority section.
fn told(response: &Message) -> (ResponseCode, Vec<String>, Vec<u32>) {
    let told = |r: &hickory_proto::rr::Record| format!("{} {} {}", r.name, r.ttl, r.data);
    let mut answers: Vec<String> = response.answers.iter().map(told).collect();
    answers.sort();
    (response.metadata.response_code, answers, response.authorities.iter().map(|r| r.ttl).collect())
}

fn noerror(answers: &[&str]) -> (ResponseCode, Vec<String>, Vec<u32>) {
    (ResponseCode::NoError, answers.iter().map(|&a| a.to_owned()).collect(), vec![])
}

/// An upstream that answers every question with these, the TTLs as they are.
async fn upstream(answers: Vec<Rec>, authority: Vec<Rec>) -> Scripted {
    Scripted::start(move |asked| vec![Out::Reply(asked.question.reply(0, &answers, &authority))]).await
}

#[tokio::test]
async fn an_alias_inside_the_zone_has_the_records_and_the_ttl_of_its_target() {
    let silent = Scripted::silent().await;
    let sets = vec![
        records(&[a("db.corp.test", 77, 1), a("db.corp.test", 77, 2)]),
        records(&[a("*.wild.corp.test", 50, 9)]),
        alias("corp.test", "db.corp.test"),
        alias("one.corp.test", "two.corp.test"),
        alias("two.corp.test", "db.corp.test"),
        alias("*.any.corp.test", "x.wild.corp.test"),
        records(&[cname("www.corp.test", 60, "one.corp.test")]),
    ];
    let house = House::new(zone("corp.test", sets), silent.addr);
    for owner in ["corp.test.", "one.corp.test.", "two.corp.test."] {
        let response = house.ask(owner, RecordType::A).await;
        let expected = [1, 2].map(|last| format!("{owner} 77 192.0.2.{last}"));
        assert_eq!(told(&response), noerror(&expected.each_ref().map(|e| &**e)), "{owner}");
        assert!(response.metadata.authoritative);
    }
    let response = house.ask("a.b.any.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), noerror(&["a.b.any.corp.test. 50 192.0.2.9"]));
    let response = house.ask("www.corp.test.", RecordType::A).await;
    let chain =
        ["one.corp.test. 77 192.0.2.1", "one.corp.test. 77 192.0.2.2", "www.corp.test. 60 one.corp.test."];
    assert_eq!(told(&response), noerror(&chain));
    let other = house.ask("one.corp.test.", RecordType::AAAA).await;
    assert_eq!(told(&other), (ResponseCode::NoError, vec![], vec![30]), "other types are NODATA");
    assert_eq!(silent.count(), 0);
}

#[tokio::test]
async fn an_alias_that_leads_back_to_itself_is_a_failure_at_once_and_one_of_nothing_is_nodata() {
    let silent = Scripted::silent().await;
    let sets = vec![
        alias("x.corp.test", "y.corp.test"),
        alias("y.corp.test", "x.corp.test"),
        alias("self.corp.test", "self.corp.test"),
        alias("*.w.corp.test", "q.w.corp.test"),
        alias("gone.corp.test", "missing.corp.test"),
        alias("other.corp.test", "text.corp.test"),
        records(&[(name("text.corp.test"), Rtype::TXT, 60, b"\x01x".to_vec())]),
    ];
    let house = House::new(zone("corp.test", sets), silent.addr);
    for owner in ["x.corp.test.", "y.corp.test.", "self.corp.test.", "a.w.corp.test."] {
        let response = house.ask(owner, RecordType::A).await;
        assert_eq!(told(&response), (ResponseCode::ServFail, vec![], vec![]), "{owner}");
    }
    for owner in ["gone.corp.test.", "other.corp.test."] {
        let response = house.ask(owner, RecordType::A).await;
        assert_eq!(told(&response), (ResponseCode::NoError, vec![], vec![30]), "{owner}");
    }
    assert_eq!(silent.count(), 0);
}

#[tokio::test]
async fn an_alias_at_the_apex_of_a_load_balancer_is_flattened_with_the_least_ttl_of_its_chain() {
    let chain = vec![
        cname("lb.elb.example", 40, "node.elb.example"),
        a("node.elb.example", 60, 1),
        a("node.elb.example", 60, 2),
    ];
    let upstream = upstream(chain, vec![]).await;
    let house = House::new(zone("corp.test", vec![alias("corp.test", "lb.elb.example")]), upstream.addr);
    for (pass, left) in [(0, 40), (30, 10)] {
        house.clock.advance(Duration::from_secs(pass));
        let response = house.ask("corp.test.", RecordType::A).await;
        let expected = [1, 2].map(|last| format!("corp.test. {left} 192.0.2.{last}"));
        assert_eq!(told(&response), noerror(&expected.each_ref().map(|e| &**e)));
        assert!(response.metadata.authoritative && !response.metadata.authentic_data);
    }
    let other = house.ask("corp.test.", RecordType::AAAA).await;
    assert_eq!(told(&other), (ResponseCode::NoError, vec![], vec![30]), "no alias of that type");
    let asked: Vec<String> = upstream.log().iter().map(|asked| asked.question.qname.to_string()).collect();
    assert_eq!(asked, ["lb.elb.example."], "once, and never for the alias' own name");
}

#[tokio::test]
async fn a_chain_that_the_upstream_leaves_open_is_followed() {
    let upstream = Scripted::start(|asked| {
        let is_first = asked.question.qname == name("lb.example");
        let answer =
            if is_first { cname("lb.example", 30, "node.example") } else { a("node.example", 90, 7) };
        vec![Out::Reply(asked.question.reply(0, &[answer], &[]))]
    })
    .await;
    let house = House::new(zone("corp.test", vec![alias("www.corp.test", "lb.example")]), upstream.addr);
    for _ in 0..2 {
        let response = house.ask("www.corp.test.", RecordType::A).await;
        assert_eq!(told(&response), noerror(&["www.corp.test. 30 192.0.2.7"]));
    }
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_target_without_such_records_is_nodata_for_as_long_as_both_say_so() {
    for (minimum, left) in [(20, 20), (3600, 30)] {
        let upstream = upstream(vec![], vec![soa("example", 3600, minimum)]).await;
        let house = House::new(zone("corp.test", vec![alias("www.corp.test", "lb.example")]), upstream.addr);
        for _ in 0..2 {
            let response = house.ask("www.corp.test.", RecordType::A).await;
            assert_eq!(told(&response), (ResponseCode::NoError, vec![], vec![left]));
            assert_eq!(response.authorities[0].name.to_string(), "corp.test.");
        }
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test]
async fn a_target_that_does_not_exist_is_no_reason_to_deny_the_alias() {
    let upstream =
        Scripted::start(|asked| vec![Out::Reply(asked.question.reply(3, &[], &[soa("example", 60, 60)]))])
            .await;
    let house = House::new(zone("corp.test", vec![alias("www.corp.test", "lb.example")]), upstream.addr);
    let response = house.ask("www.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), (ResponseCode::NoError, vec![], vec![30]));
}

#[tokio::test]
async fn a_target_that_cannot_be_resolved_is_a_failure_that_says_so() {
    let upstream = Scripted::start(|asked| vec![Out::Reply(asked.question.reply(5, &[], &[]))]).await;
    let house = House::new(zone("corp.test", vec![alias("www.corp.test", "lb.example")]), upstream.addr);
    let response = house.ask("www.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), (ResponseCode::ServFail, vec![], vec![]));
}

/// An upstream that has a load balancer's address while `is_up`, and refuses or says nothing after.
async fn failing(is_up: Arc<AtomicBool>, rcode: u8) -> Scripted {
    Scripted::start(move |asked| match is_up.load(Ordering::Relaxed) {
        true => vec![Out::Reply(asked.question.reply(0, &[a("lb.example", 60, 1)], &[]))],
        false => vec![Out::Reply(asked.question.reply(rcode, &[], &[]))],
    })
    .await
}

fn stale(response: &Message) -> bool {
    ede(response).is_some_and(|(code, _)| code == 3)
}

#[tokio::test]
async fn a_target_whose_upstream_fails_is_given_as_it_was_for_a_day() {
    for rcode in [2, 5] {
        let is_up = Arc::new(AtomicBool::new(true));
        let upstream = failing(Arc::clone(&is_up), rcode).await;
        let house = House::new(zone("corp.test", vec![alias("www.corp.test", "lb.example")]), upstream.addr);
        let response = house.ask("www.corp.test.", RecordType::A).await;
        assert_eq!((told(&response), stale(&response)), (noerror(&["www.corp.test. 60 192.0.2.1"]), false));
        is_up.store(false, Ordering::Relaxed);
        for hours in [1, 22] {
            house.clock.advance(Duration::from_secs(hours * 3600));
            let response = house.ask("www.corp.test.", RecordType::A).await;
            let expected = noerror(&["www.corp.test. 30 192.0.2.1"]);
            assert_eq!((told(&response), stale(&response)), (expected, true), "{response}");
        }
        house.clock.advance(Duration::from_secs(2 * 3600));
        let response = house.ask("www.corp.test.", RecordType::A).await;
        assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
        is_up.store(true, Ordering::Relaxed);
        house.clock.advance(Duration::from_secs(3600));
        let response = house.ask("www.corp.test.", RecordType::A).await;
        assert_eq!((told(&response), stale(&response)), (noerror(&["www.corp.test. 60 192.0.2.1"]), false));
    }
}

#[tokio::test]
async fn a_target_that_is_asked_for_is_learned_anew_before_it_expires() {
    let upstream = upstream(vec![a("lb.example", 60, 1)], vec![]).await;
    let house = House::new(zone("corp.test", vec![alias("www.corp.test", "lb.example")]), upstream.addr);
    house.ask("www.corp.test.", RecordType::A).await;
    house.clock.advance(Duration::from_secs(53));
    let response = house.ask("www.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), noerror(&["www.corp.test. 7 192.0.2.1"]));
    assert_eq!(upstream.count(), 1, "too early");
    house.clock.advance(Duration::from_secs(1));
    let response = house.ask("www.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), noerror(&["www.corp.test. 6 192.0.2.1"]), "nobody waits for it");
    // What comes is taken in by another task.
    let renewed = noerror(&["www.corp.test. 60 192.0.2.1"]);
    while told(&house.ask("www.corp.test.", RecordType::A).await) != renewed {
        tokio::task::yield_now().await;
    }
    assert_eq!(upstream.count(), 2, "once, however many ask");
}
