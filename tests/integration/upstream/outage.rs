//! All upstreams are dead: what is given meanwhile, at what cost, and how soon they are asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use zonelet::answer;
use zonelet::answer::miss::{Fetched, Want};
use zonelet::cache::CacheKey;
use zonelet::upstream::Settings;
use zonelet::wire::Rtype;

use super::breaker::switched;
use crate::harness::agent::{Agent, failed, forward_all, ttls};
use crate::harness::message::{name, soa};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

const SECOND: Duration = Duration::from_secs(1);

fn want(qname: &str) -> Want {
    Agent::want(qname, Rtype::A)
}

/// What the failure memory says of a name: whether it rests, and whether for everybody.
fn rests(agent: &Agent, qname: &str) -> Option<bool> {
    let qname = name(qname);
    let key = CacheKey { qname: qname.as_ref(), qtype: Rtype::A, dnssec_ok: false, checking_disabled: false };
    agent.cache.failure(&key, agent.clock.now()).map(|remembered| remembered.is_firm)
}

/// Lets as many names fail as it takes until no upstream is asked any more.
async fn kill(agent: &Agent, time: &HandTime) {
    for n in 0..3 {
        failed(time.drive(agent.ask(want(&format!("dead{n}.test")))).await.0);
    }
}

/// What a question comes to without anything being waited for: no task has had a turn.
fn at_once(agent: &Agent, qname: &str) -> Fetched {
    agent.fetch(want(qname)).try_recv().expect("an outcome at once")
}

#[tokio::test]
async fn in_an_outage_expired_answers_are_given_at_once_and_asked_for_once_a_second() {
    let time = HandTime::stop();
    let (upstream, switch) = switched(true).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    agent.ask(want("a.test")).await;
    switch.store(false, Relaxed);
    agent.clock.advance(61 * SECOND);
    kill(&agent, &time).await;
    let before = upstream.count();
    let Fetched::Stale(_, failure) = at_once(&agent, "a.test") else { panic!("not stale") };
    assert_eq!(failure.text.to_string(), format!("no reply of late from {}", upstream.addr));
    assert_eq!((rests(&agent, "a.test"), upstream.count()), (Some(false), before));
    agent.clock.advance(SECOND - Duration::from_millis(1));
    assert_eq!(rests(&agent, "a.test"), Some(false));
    agent.clock.advance(Duration::from_millis(1));
    assert_eq!(rests(&agent, "a.test"), None);
    // The trial is due: the first question after the rest finds out.
    switch.store(true, Relaxed);
    let fresh = time.drive(agent.ask(want("a.test"))).await.0;
    assert_eq!((ttls(&fresh, &agent.clock), upstream.count()), (vec![60], before + 1));
}

#[tokio::test]
async fn in_an_outage_what_was_never_known_fails_at_once_and_is_asked_as_soon_as_anything_is() {
    let time = HandTime::stop();
    let (upstream, switch) = switched(false).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    kill(&agent, &time).await;
    let (code, text) = failed(at_once(&agent, "b.test"));
    assert_eq!((code, text), (22, format!("no reply of late from {}", upstream.addr)));
    assert_eq!((rests(&agent, "b.test"), agent.miss.waiting()), (None, 0), "it was not asked");
    switch.store(true, Relaxed);
    agent.clock.advance(SECOND);
    time.drive(agent.ask(want("c.test"))).await;
    assert_eq!(ttls(&time.drive(agent.ask(want("b.test"))).await.0, &agent.clock), [60]);
}

#[tokio::test]
async fn names_of_no_upstream_fail_at_once() {
    let agent = Agent::new(Settings { domains: Vec::new(), ..Settings::default() });
    let (code, text) = failed(at_once(&agent, "a.test"));
    assert_eq!((code, text.as_str()), (22, "no upstream is configured for a.test."));
    let agent = Agent::new(forward_all(&[]));
    assert_eq!(failed(at_once(&agent, "a.test")).1, "no upstream is configured for .");
}

#[tokio::test]
async fn who_must_have_a_name_waits_though_its_expired_denial_is_given_to_others() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| match asked.number {
        0 => vec![Out::Reply(asked.question.reply(3, &[], &[soa("test", 5, 5)]))],
        _ => vec![Out::After(Duration::from_millis(1200), asked.question.address(60, 1))],
    })
    .await;
    let keeping = answer::settings::Keeping {
        stale_timer: Duration::from_millis(300),
        ..answer::settings::Keeping::default()
    };
    let caps = answer::Settings { keeping: vec![(name("."), keeping)], ..answer::Settings::default() };
    let agent = Agent::with_caps(forward_all(&[upstream.addr]), &caps);
    agent.ask(want("a.test")).await;
    agent.clock.advance(10 * SECOND);
    let (denied, took) = time.drive(agent.ask(want("a.test"))).await;
    assert!(matches!(denied, Fetched::Stale(..)) && took < Duration::from_millis(600), "{took:?}");
    assert_eq!(rests(&agent, "a.test"), Some(false));
    let (held, _) = time.drive(agent.ask(Want { must_exist: true, ..want("a.test") })).await;
    assert_eq!(ttls(&held, &agent.clock), [60]);
}

#[tokio::test]
async fn an_upstream_that_is_slow_after_an_outage_is_taken_back() {
    let time = HandTime::stop();
    let alive = Arc::new(AtomicBool::new(false));
    let is_alive = Arc::clone(&alive);
    let upstream = Scripted::start(move |asked| match is_alive.load(Relaxed) {
        true => vec![Out::After(Duration::from_secs(2), asked.question.address(60, 1))],
        false => Vec::new(),
    })
    .await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    kill(&agent, &time).await;
    alive.store(true, Relaxed);
    agent.clock.advance(5 * SECOND);
    // Who asks is told in the usual time; the trial is waited for beyond it.
    let (outcome, took) = time.drive(agent.ask(want("a.test"))).await;
    assert!(failed(outcome).0 == 22 && took < 2 * SECOND, "{took:?}");
    time.advance(3 * SECOND).await;
    assert!(agent.fetch(want("b.test")).try_recv().is_err(), "it is asked again");
}

#[tokio::test]
async fn of_more_dead_upstreams_than_queries_may_leave_each_is_tried() {
    let time = HandTime::stop();
    let mut dead = Vec::new();
    for _ in 0..3 {
        dead.push(Scripted::silent().await);
    }
    let (last, switch) = switched(false).await;
    let addrs: Vec<_> = dead.iter().map(|server| server.addr).chain([last.addr]).collect();
    let agent = Agent::new(Settings { max_sends: 3, ..forward_all(&addrs) });
    for n in 0..12 {
        time.drive(agent.ask(want(&format!("dead{n}.test")))).await;
        agent.clock.advance(Duration::from_millis(200));
    }
    // All are due at once, and stay so for whoever claims them without asking.
    agent.clock.advance(10 * SECOND);
    switch.store(true, Relaxed);
    for n in 0..4 {
        time.drive(agent.ask(want(&format!("trial{n}.test")))).await;
        agent.clock.advance(6 * SECOND);
    }
    let (fetched, _) = time.drive(agent.ask(want("b.test"))).await;
    assert_eq!(ttls(&fetched, &agent.clock), [60]);
}

#[tokio::test]
async fn questions_whose_askers_have_been_answered_count_as_long_as_they_are_asked() {
    let time = HandTime::stop();
    let (upstream, switch) = switched(true).await;
    let keeping =
        answer::settings::Keeping { stale_timer: Duration::ZERO, ..answer::settings::Keeping::default() };
    let keeping = vec![(name("."), keeping)];
    let caps = answer::Settings { keeping, max_in_flight: 4, ..answer::Settings::default() };
    let agent = Agent::with_caps(forward_all(&[upstream.addr]), &caps);
    let names: Vec<String> = (0..10).map(|n| format!("n{n}.test")).collect();
    for qname in &names {
        time.drive(agent.ask(want(qname))).await;
    }
    switch.store(false, Relaxed);
    agent.clock.advance(61 * SECOND);
    let before = upstream.count();
    for qname in &names {
        let (given, _) = time.drive(agent.ask(want(qname))).await;
        assert!(matches!(given, Fetched::Stale(..)), "{qname}");
    }
    assert_eq!((upstream.count() - before, agent.miss.waiting()), (4, 0));
}
