//! Upstreams that keep failing: left alone, tried now and then, and asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zonelet::clock::Clock;
use zonelet::upstream::{Forwarder, Policy, Settings};
use zonelet::wire::{EdeCode, Rtype};

use super::exchange::{asked, failure};
use crate::harness::agent::{Agent, failed, forward_all};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

fn forwarder(settings: Settings) -> (Arc<Forwarder>, Clock) {
    let clock = Clock::manual();
    (Forwarder::new(settings, clock.clone(), tokio::runtime::Handle::current()), clock)
}

/// A server that answers as long as the switch is on.
pub(super) async fn switched(on: bool) -> (Scripted, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(on));
    let is_on = Arc::clone(&switch);
    let server = Scripted::start(move |asked| match is_on.load(Ordering::Relaxed) {
        true => vec![Out::Reply(asked.question.address(60, 1))],
        false => Vec::new(),
    });
    (server.await, switch)
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_is_tried_now_and_then_at_nobodys_cost() {
    let time = HandTime::stop();
    let (dead, good) = (Scripted::silent().await, Scripted::answering(60).await);
    let (forwarder, clock) = forwarder(forward_all(&[dead.addr, good.addr]));
    for _ in 0..3 {
        time.drive(asked(&forwarder, "a.test")).await.0.unwrap();
    }
    assert_eq!((dead.count(), good.count()), (3, 3));
    let mut trials = Vec::new();
    for _ in 0..40 {
        let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
        assert!(result.is_ok() && took < Duration::from_millis(100), "{took:?}");
        time.settle().await;
        trials.push(dead.count() - 3);
        clock.advance(Duration::from_secs(1));
    }
    let seconds = [0, 1, 2, 3, 6, 7, 14, 15, 30, 31, 39];
    assert_eq!(seconds.map(|s: usize| trials[s]), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
}

#[tokio::test]
async fn one_answer_to_a_trial_and_all_is_as_before() {
    let time = HandTime::stop();
    let (first, switch) = switched(false).await;
    let second = Scripted::answering(60).await;
    let (forwarder, clock) = forwarder(forward_all(&[first.addr, second.addr]));
    for _ in 0..4 {
        time.drive(asked(&forwarder, "a.test")).await.0.unwrap();
    }
    assert_eq!((first.count(), second.count()), (3, 4));
    switch.store(true, Ordering::Relaxed);
    clock.advance(Duration::from_secs(1));
    time.drive(asked(&forwarder, "a.test")).await.0.unwrap();
    time.settle().await;
    time.drive(asked(&forwarder, "a.test")).await.0.unwrap();
    assert_eq!((first.count(), second.count()), (5, 5), "the trial, and a question of its own");
}

#[tokio::test]
async fn while_all_are_dead_names_fail_at_once_and_the_first_question_after_a_while_finds_out() {
    let time = HandTime::stop();
    let (upstream, switch) = switched(false).await;
    let (forwarder, clock) = forwarder(forward_all(&[upstream.addr]));
    // Three silences in a row: two fit into the time of one question.
    let mut slow = 0;
    for _ in 0..3 {
        let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
        assert!(took < Duration::from_secs(2));
        slow += u32::from(!took.is_zero());
        assert_eq!(failure(result).0, EdeCode::NO_REACHABLE_AUTHORITY);
    }
    assert_eq!(slow, 3);
    let before = upstream.count();
    let (result, took) = time.drive(asked(&forwarder, "b.test")).await;
    let expected = format!("no reply of late from {}", upstream.addr);
    assert_eq!((failure(result), took), ((EdeCode::NO_REACHABLE_AUTHORITY, expected), Duration::ZERO));
    assert_eq!(upstream.count(), before);
    switch.store(true, Ordering::Relaxed);
    clock.advance(Duration::from_secs(1));
    time.drive(asked(&forwarder, "c.test")).await.0.unwrap();
    assert_eq!(upstream.count(), before + 1);
}

#[tokio::test]
async fn a_flood_of_names_for_dead_upstreams_is_answered_in_time_and_hardly_asked() {
    let time = HandTime::stop();
    let dead = [Scripted::silent().await, Scripted::silent().await];
    let agent = Agent::new(Settings { sockets: 128, ..forward_all(&[dead[0].addr, dead[1].addr]) });
    let (mut waiting, mut after_opening) = (Vec::new(), [0; 2]);
    // 5000 new names a second for a minute.
    for tick in 0..600_u32 {
        for n in 0..500 {
            let outcome = agent.fetch(Agent::want(&format!("n{n}.t{tick}.test"), Rtype::A));
            waiting.push((tick, outcome));
        }
        time.advance(Duration::from_millis(100)).await;
        agent.clock.advance(Duration::from_millis(100));
        waiting.retain_mut(|(asked, outcome)| match outcome.try_recv() {
            Ok(fetched) => {
                let (ede, text) = failed(fetched);
                // Until the breakers open more names wait than may.
                let is_cap = *asked < 40 && ede == 0 && text.contains("too many queries wait");
                assert!(ede == 22 || is_cap, "{ede} {text}, asked in tick {asked}");
                assert!(tick - *asked < 20, "asked in tick {asked}, told in {tick}");
                false
            }
            Err(_) => true,
        });
        if tick == 50 {
            after_opening = [dead[0].count(), dead[1].count()];
        }
    }
    for (upstream, before) in dead.iter().zip(after_opening) {
        // A trial every five seconds: a question's own query, and one that is waited for when that has been told.
        let trials = upstream.count() - before;
        assert!((5..=30).contains(&trials), "{trials} packets in 55 s");
    }
    assert!(agent.miss.waiting() < 10);
}

#[tokio::test]
async fn recovery_is_noticed_within_seconds_however_long_the_outage() {
    let time = HandTime::stop();
    let (upstream, switch) = switched(false).await;
    let (forwarder, clock) = forwarder(forward_all(&[upstream.addr]));
    for _ in 0..120 {
        let _ = time.drive(asked(&forwarder, "a.test")).await;
        clock.advance(Duration::from_secs(1));
    }
    switch.store(true, Ordering::Relaxed);
    let mut seconds = 0;
    while time.drive(asked(&forwarder, "a.test")).await.0.is_err() {
        clock.advance(Duration::from_secs(1));
        seconds += 1;
        assert!(seconds <= 5);
    }
}

#[tokio::test]
async fn names_that_an_upstream_fails_do_not_take_its_good_ones_along() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| match asked.question.qname.to_string().as_str() {
        "bad.test." => vec![Out::Reply(asked.question.reply(2, &[], &[]))],
        _ => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await;
    let (forwarder, _) = forwarder(forward_all(&[upstream.addr]));
    for _ in 0..10 {
        let (_, text) = failure(time.drive(asked(&forwarder, "bad.test")).await.0);
        assert_eq!(text, format!("{} answered SERVFAIL", upstream.addr));
    }
    time.drive(asked(&forwarder, "good.test")).await.0.unwrap();
}

#[tokio::test]
async fn of_equals_the_one_that_is_silent_is_soon_not_the_first() {
    let time = HandTime::stop();
    let (silent, good) = (Scripted::silent().await, Scripted::answering(60).await);
    let mut settings = forward_all(&[silent.addr, good.addr]);
    settings.domains[0].policy = Policy::Auto;
    let (forwarder, _) = forwarder(settings);
    for _ in 0..30 {
        time.drive(asked(&forwarder, "a.test")).await.0.unwrap();
    }
    assert_eq!(good.count(), 30);
    assert!((1..=3).contains(&silent.count()), "asked first once, and then by chance: {}", silent.count());
}

#[tokio::test]
async fn random_asks_all_of_them() {
    let upstreams = [Scripted::answering(60).await, Scripted::answering(60).await];
    let mut settings = forward_all(&[upstreams[0].addr, upstreams[1].addr]);
    settings.domains[0].policy = Policy::Random;
    let (forwarder, _) = forwarder(settings);
    for _ in 0..64 {
        asked(&forwarder, "a.test").await.unwrap();
    }
    // That one gets none of 64 happens once in 10^19 times.
    assert!(upstreams.iter().all(|u| u.count() > 0));
}
