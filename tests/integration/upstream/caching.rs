//! What is kept of answers, and for how long.

use std::time::Duration;

use zonelet::answer::miss::{Fetched, Want};
use zonelet::wire::{Rcode, Rtype};

use crate::harness::agent::{Agent, failed, forward_all, ttls};
use crate::harness::message::{Rec, a, cname, soa};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

async fn answering(rcode: u8, answers: Vec<Rec>, authorities: Vec<Rec>) -> (Scripted, Agent) {
    let upstream =
        Scripted::start(move |asked| vec![Out::Reply(asked.question.reply(rcode, &answers, &authorities))])
            .await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    (upstream, agent)
}

fn want(qname: &str) -> Want {
    Agent::want(qname, Rtype::A)
}

#[tokio::test]
async fn each_record_counts_down_by_itself_and_the_least_ttl_ends_the_answer() {
    let records = vec![cname("www.test", 300, "a.test"), a("a.test", 60, 1)];
    let (upstream, agent) = answering(0, records, vec![]).await;
    let mut seen = Vec::new();
    for pause in [0, 20, 41] {
        agent.clock.advance(Duration::from_secs(pause));
        seen.push((ttls(&agent.ask(want("www.test")).await, &agent.clock), upstream.count()));
    }
    assert_eq!(seen, [(vec![300, 60], 1), (vec![280, 40], 1), (vec![300, 60], 2)]);
}

#[tokio::test]
async fn ttl_zero_is_given_to_those_who_wait_and_never_kept() {
    let (upstream, agent) = answering(0, vec![a("a.test", 0, 1)], vec![]).await;
    for count in [1, 2] {
        assert_eq!(ttls(&agent.ask(want("a.test")).await, &agent.clock), [0]);
        assert_eq!(upstream.count(), count);
    }
    let (one, two) = (agent.fetch(want("a.test")), agent.fetch(want("a.test")));
    assert_eq!(ttls(&one.await.unwrap(), &agent.clock), [0]);
    assert_eq!(ttls(&two.await.unwrap(), &agent.clock), [0]);
    assert_eq!(upstream.count(), 3);
}

#[tokio::test]
async fn negatives_live_as_long_as_the_lesser_of_soa_ttl_and_minimum() {
    for (rcode, ttl, minimum, lives) in [(3, 900, 20, 20), (0, 10, 3600, 10)] {
        let (upstream, agent) = answering(rcode, vec![], vec![soa("test", ttl, minimum)]).await;
        assert_eq!(ttls(&agent.ask(want("x.test")).await, &agent.clock), [lives]);
        agent.clock.advance(Duration::from_secs(u64::from(lives) - 1));
        assert_eq!(ttls(&agent.ask(want("x.test")).await, &agent.clock), [1]);
        agent.clock.advance(Duration::from_secs(1));
        agent.ask(want("x.test")).await;
        assert_eq!(upstream.count(), 2);
    }
}

#[tokio::test]
async fn negatives_without_a_soa_are_never_kept() {
    for rcode in [3, 0] {
        let (upstream, agent) = answering(rcode, vec![], vec![]).await;
        agent.ask(want("x.test")).await;
        agent.ask(want("x.test")).await;
        assert_eq!(upstream.count(), 2);
    }
}

#[tokio::test]
async fn nxdomain_is_known_for_every_type_and_nodata_for_its_own() {
    let (upstream, agent) = answering(3, vec![], vec![soa("test", 60, 60)]).await;
    agent.ask(want("x.test")).await;
    agent.ask(Agent::want("x.test", Rtype::AAAA)).await;
    assert_eq!(upstream.count(), 1);
    let (upstream, agent) = answering(0, vec![], vec![soa("test", 60, 60)]).await;
    agent.ask(Agent::want("y.test", Rtype::AAAA)).await;
    agent.ask(want("y.test")).await;
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_chain_to_a_missing_name_is_kept_with_its_cname_and_code() {
    let (upstream, agent) =
        answering(3, vec![cname("a.test", 300, "b.test")], vec![soa("test", 60, 60)]).await;
    for _ in 0..2 {
        let Fetched::Entry(entry) = agent.ask(want("a.test")).await else { panic!("failed") };
        assert_eq!((entry.learned.rcode, entry.learned.answers), (Rcode::NXDOMAIN, 1));
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn nxdomain_says_nothing_about_the_names_below() {
    let upstream = Scripted::start(|asked| {
        vec![Out::Reply(match asked.question.qname.to_string().as_str() {
            "x.test." => asked.question.reply(3, &[], &[soa("test", 60, 60)]),
            _ => asked.question.address(60, 1),
        })]
    })
    .await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    agent.ask(want("x.test")).await;
    let Fetched::Entry(below) = agent.ask(want("y.x.test")).await else { panic!("failed") };
    assert_eq!((below.learned.rcode, upstream.count()), (Rcode::NOERROR, 2));
}

#[tokio::test]
async fn do_and_cd_are_questions_of_their_own() {
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    for _ in 0..2 {
        agent.ask(want("a.test")).await;
        agent.ask(Want { dnssec_ok: true, ..want("a.test") }).await;
        agent.ask(Want { checking_disabled: true, ..want("a.test") }).await;
    }
    let flags: Vec<_> = upstream
        .log()
        .iter()
        .map(|asked| (asked.question.dnssec_ok(), asked.question.checking_disabled()))
        .collect();
    assert_eq!(flags, [(false, false), (true, false), (false, true)]);
}

#[tokio::test]
async fn failures_are_remembered_for_a_second_and_then_twice_as_long() {
    let (upstream, agent) = answering(2, vec![], vec![]).await;
    let (code, text) = failed(agent.ask(want("a.test")).await);
    assert_eq!((code, text), (0, format!("{} answered SERVFAIL", upstream.addr)));
    for (pause, count) in [(999, 1), (1, 2), (1999, 2), (1, 3), (3999, 3), (1, 4)] {
        agent.clock.advance(Duration::from_millis(pause));
        failed(agent.ask(want("a.test")).await);
        assert_eq!(upstream.count(), count);
    }
}

#[tokio::test]
async fn what_is_outside_the_chain_of_the_question_is_not_learned() {
    let records = vec![a("a.test", 60, 1), a("victim.test", 60, 66)];
    let (upstream, agent) = answering(0, records, vec![]).await;
    assert_eq!(ttls(&agent.ask(want("a.test")).await, &agent.clock), [60]);
    agent.ask(want("victim.test")).await;
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_name_that_a_zone_holds_is_never_denied_by_an_upstream() {
    let (upstream, agent) = answering(3, vec![], vec![soa("test", 60, 60)]).await;
    let held = || Want { must_exist: true, ..want("held.test") };
    let (code, text) = failed(agent.ask(held()).await);
    assert_eq!((code, text.as_str()), (0, "the upstream denies a name that a zone here holds"));
    agent.clock.advance(Duration::from_millis(1000));
    failed(agent.ask(held()).await);
    assert_eq!(upstream.count(), 2, "not kept as a negative");
    let (upstream, agent) = answering(0, vec![a("held.test", 60, 1)], vec![]).await;
    assert_eq!(ttls(&agent.ask(held()).await, &agent.clock), [60]);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn nothing_is_kept_of_a_truncated_reply() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| {
        let mut part = asked.question.address(60, 1);
        part[2] |= 0x02;
        if asked.tcp { vec![Out::Close] } else { vec![Out::Reply(part)] }
    })
    .await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    failed(time.drive(agent.ask(want("a.test"))).await.0);
    assert_eq!(agent.cache.size().0, 0);
}
