//! Packets a second to an upstream: past the budget nothing leaves, and nothing is made of it.

use std::time::Duration;

use zonelet::answer::miss::Fetched;
use zonelet::upstream::{Ease, Packets, Policy, Settings};
use zonelet::wire::Rtype;

use crate::harness::agent::{Agent, forward_all};
use crate::harness::message::name;
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

fn limited(settings: Settings, packets: u32) -> Settings {
    Settings { packets: Packets::PerSecond(packets), ..settings }
}

/// Asks for so many names at once; returns how many are answered, and what the others are told.
async fn flood(agent: &Agent, time: &HandTime, tag: &str, names: usize) -> (usize, Vec<String>) {
    let want = |n| Agent::want(&format!("n{n}.{tag}.test"), Rtype::A);
    let asked: Vec<_> = (0..names).map(|n| agent.fetch(want(n))).collect();
    let (mut answered, mut told) = (0, Vec::new());
    for outcome in asked {
        match time.drive(outcome).await.0.unwrap() {
            Fetched::Failed(failure) => told.push(failure.text.to_string()),
            _ => answered += 1,
        }
    }
    (answered, told)
}

#[tokio::test]
async fn past_the_packet_budget_nothing_leaves_and_nothing_is_remembered() {
    let time = HandTime::stop();
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(limited(forward_all(&[upstream.addr]), 100));
    agent.clock.advance(Duration::from_secs(10));
    let (answered, told) = flood(&agent, &time, "a", 100).await;
    assert_eq!((answered, upstream.count()), (15, 15), "ten at once, five within 50 ms");
    assert_eq!(told.len(), 85);
    assert!(told.iter().all(|t| *t == format!("packet budget of {} is used up", upstream.addr)), "{told:?}");
    agent.clock.advance(Duration::from_secs(1));
    let (answered, _) = flood(&agent, &time, "a", 100).await;
    assert_eq!(answered, 30, "those that are cached, and as many anew");
}

#[tokio::test]
async fn the_budget_of_the_first_is_no_reason_to_ask_those_who_may_deny_what_it_knows() {
    let time = HandTime::stop();
    let (first, second) = (Scripted::answering(60).await, Scripted::answering(60).await);
    let both = || limited(forward_all(&[first.addr, second.addr]), 100);
    let agent = Agent::new(both());
    agent.clock.advance(Duration::from_secs(10));
    assert_eq!(flood(&agent, &time, "a", 40).await.0, 15);
    assert_eq!(second.count(), 0);
    let mut equals = both();
    equals.domains[0].policy = Policy::Fastest;
    let agent = Agent::new(equals);
    agent.clock.advance(Duration::from_secs(10));
    assert_eq!(flood(&agent, &time, "b", 40).await.0, 30, "equals have a budget each");
}

#[tokio::test]
async fn a_truncated_answer_costs_a_connection_and_is_not_asked_for_past_the_budget() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| {
        let mut cut = asked.question.address(60, 66);
        cut[2] |= 0x02;
        vec![Out::Reply(if asked.tcp { asked.question.address(60, 1) } else { cut })]
    })
    .await;
    let agent = Agent::new(limited(forward_all(&[upstream.addr]), 120));
    agent.clock.advance(Duration::from_secs(10));
    let (answered, told) = flood(&agent, &time, "a", 2).await;
    assert_eq!((answered, told.len()), (1, 1), "twelve packets at once: two queries and one connection");
    assert_eq!(upstream.log().iter().filter(|a| a.tcp).count(), 1);
}

#[tokio::test]
async fn the_packets_of_a_connection_are_waited_for_as_those_of_a_query() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| {
        let mut cut = asked.question.address(60, 66);
        cut[2] |= 0x02;
        vec![Out::Reply(if asked.tcp { asked.question.address(60, 1) } else { cut })]
    })
    .await;
    let agent = Agent::new(limited(forward_all(&[upstream.addr]), 100));
    agent.clock.advance(Duration::from_secs(10));
    let outcome = agent.fetch(Agent::want("a.test", Rtype::A));
    let (fetched, took) = time.drive(outcome).await;
    assert!(matches!(fetched, Ok(Fetched::Entry(_))), "ten packets at once, and the eleventh after 10 ms");
    assert!(took >= Duration::from_millis(10) && took <= Duration::from_millis(100), "{took:?}");
}

#[tokio::test]
async fn spare_work_finds_no_room_near_the_budget() {
    let time = HandTime::stop();
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(limited(forward_all(&[upstream.addr]), 100));
    let qname = name("a.test");
    let ease = || agent.forwarder.ease(qname.as_ref(), agent.clock.now());
    agent.clock.advance(Duration::from_secs(10));
    assert_eq!(ease(), Ease::FULL);
    for second in 0..10 {
        agent.clock.advance(Duration::from_millis(100));
        flood(&agent, &time, &format!("s{second}"), 10).await;
    }
    assert_eq!(ease(), Ease::NONE);
    agent.clock.advance(Duration::from_secs(1));
    assert_eq!(ease(), Ease::FULL);
    assert_eq!(agent.forwarder.ease(name(".").as_ref(), agent.clock.now()).percent(), 100);
}

#[tokio::test]
async fn near_the_packet_budget_an_expired_answer_is_given_and_no_packet_spent_on_it() {
    let time = HandTime::stop();
    let upstream = Scripted::answering(5).await;
    let agent = Agent::new(limited(forward_all(&[upstream.addr]), 100));
    agent.clock.advance(Duration::from_secs(10));
    let known = || Agent::want("known.test", Rtype::A);
    time.drive(agent.ask(known())).await;
    agent.clock.advance(Duration::from_secs(10));
    // Ten packets at a time, nearly all of what a second allows.
    for round in 0..20 {
        assert_eq!(flood(&agent, &time, &format!("r{round}"), 9).await.0, 9);
        agent.clock.advance(Duration::from_millis(95));
    }
    let before = upstream.count();
    let Fetched::Stale(_, failure) = time.drive(agent.ask(known())).await.0 else { panic!("not stale") };
    assert!(failure.text.contains("nearly used up"), "{}", failure.text);
    assert_eq!(flood(&agent, &time, "new", 1).await.0, 1, "what is not known is asked for");
    assert_eq!((upstream.count() - before, agent.miss.waiting()), (1, 0));
    agent.clock.advance(Duration::from_secs(3));
    assert!(matches!(time.drive(agent.ask(known())).await.0, Fetched::Entry(_)), "there is room again");
}
