//! Answers that take long: second queries, other ports, and how long silence is borne.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonelet::clock::Clock;
use zonelet::upstream::{Forwarder, Policy, Settings};
use zonelet::wire::Rtype;

use super::exchange::{asked, forwarder};
use crate::harness::agent::{Agent, forward_all};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Asked, Out, Scripted};

/// The first patience: 15 % of the time-out.
const PATIENCE: Duration = Duration::from_millis(600);

fn hedging(settings: Settings) -> Settings {
    Settings { hedge: true, ..settings }
}

fn equals(settings: Settings) -> Settings {
    let mut settings = hedging(settings);
    settings.domains[0].policy = Policy::Fastest;
    settings
}

/// Answers every query but the first for a name.
async fn losing_the_first() -> Scripted {
    let seen = Mutex::new(HashSet::new());
    Scripted::start(move |asked| match seen.lock().unwrap().insert(asked.question.qname.to_string()) {
        true => Vec::new(),
        false => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await
}

#[tokio::test]
async fn a_late_answer_is_overtaken_by_that_of_an_equal() {
    let time = HandTime::stop();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (silent, good) = (Scripted::silent().await, Scripted::answering(60).await);
    let settings = equals(forward_all(&[silent.addr, good.addr]));
    let handle = tokio::runtime::Handle::current();
    let forwarder =
        metrics::with_local_recorder(&recorder, || Forwarder::new(settings, Clock::manual(), handle));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert!(result.is_ok());
    assert!(took >= Duration::from_millis(50) && took <= Duration::from_millis(100), "{took:?}");
    assert_eq!((silent.count(), good.count()), (1, 1));
    let text = recorder.handle().render();
    assert!(text.contains("zonelet_upstream_hedges_total{outcome=\"won\"} 1"), "{text}");
    assert!(text.contains("zonelet_upstream_hedges_total{outcome=\"lost\"} 0"), "{text}");
}

#[tokio::test]
async fn a_lost_packet_is_sent_again_soon_and_from_another_port() {
    let time = HandTime::stop();
    let upstream = losing_the_first().await;
    let forwarder = forwarder(hedging(Settings { sockets: 1, ..forward_all(&[upstream.addr]) }));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert!(result.is_ok() && took <= Duration::from_millis(100), "{took:?}");
    assert_eq!(ports(&upstream).len(), 2);
}

#[tokio::test]
async fn what_is_said_to_the_second_query_goes_for_the_first() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| match asked.number {
        0 => Vec::new(),
        _ => vec![Out::Reply(asked.question.reply(2, &[], &[]))],
    })
    .await;
    let forwarder = forwarder(hedging(forward_all(&[upstream.addr])));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    let (_, text) = super::exchange::failure(result);
    assert_eq!(text, format!("{} answered SERVFAIL", upstream.addr));
    assert!(took <= Duration::from_millis(100), "{took:?}");
}

fn ports(upstream: &Scripted) -> HashSet<u16> {
    upstream.log().iter().map(|asked| asked.from.port()).collect()
}

#[tokio::test]
async fn each_try_leaves_by_another_port_however_few_sockets_there_are() {
    let time = HandTime::stop();
    let upstream = Scripted::silent().await;
    let forwarder = forwarder(Settings { sockets: 1, ..forward_all(&[upstream.addr]) });
    assert!(time.drive(asked(&forwarder, "a.test")).await.0.is_err());
    assert_eq!((upstream.count(), ports(&upstream).len()), (3, 3));
}

#[tokio::test]
async fn where_the_order_means_something_the_next_upstream_is_not_asked_any_sooner() {
    let time = HandTime::stop();
    let (silent, next) = (Scripted::silent().await, Scripted::answering(60).await);
    let forwarder = forwarder(hedging(forward_all(&[silent.addr, next.addr])));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert!(result.is_ok() && took >= PATIENCE, "{took:?}");
    assert_eq!((silent.count(), next.count()), (2, 1));
}

#[tokio::test]
async fn second_queries_never_take_the_place_of_a_last_resort() {
    let time = HandTime::stop();
    let silent = [Scripted::silent().await, Scripted::silent().await];
    let last = Scripted::answering(60).await;
    let forwarder = forwarder(hedging(forward_all(&[silent[0].addr, silent[1].addr, last.addr])));
    assert!(time.drive(asked(&forwarder, "a.test")).await.0.is_ok());
    assert_eq!((silent[0].count(), silent[1].count(), last.count()), (1, 1, 1));
}

#[tokio::test]
async fn the_last_of_three_has_its_time_before_silence_is_over() {
    let time = HandTime::stop();
    let silent = [Scripted::silent().await, Scripted::silent().await];
    let last =
        Scripted::start(|asked| vec![Out::After(Duration::from_millis(500), asked.question.address(60, 1))])
            .await;
    let forwarder = forwarder(forward_all(&[silent[0].addr, silent[1].addr, last.addr]));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert!(result.is_ok() && took < Duration::from_millis(1800), "{took:?}");
}

#[tokio::test]
async fn three_dead_upstreams_take_less_than_two_seconds() {
    let time = HandTime::stop();
    let silent = [Scripted::silent().await, Scripted::silent().await, Scripted::silent().await];
    let forwarder = forwarder(forward_all(&silent.each_ref().map(|upstream| upstream.addr)));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert!(result.is_err() && took < Duration::from_secs(2), "{took:?}");
    assert!(silent.iter().all(|upstream| upstream.count() == 1));
}

#[tokio::test]
async fn second_queries_are_few() {
    let time = HandTime::stop();
    let upstream = losing_the_first().await;
    let forwarder = forwarder(hedging(forward_all(&[upstream.addr])));
    let mut soon = 0;
    for n in 0..60 {
        let (result, took) = time.drive(asked(&forwarder, &format!("n{n}.test"))).await;
        result.unwrap();
        soon += u32::from(took < PATIENCE);
    }
    assert!((10..=13).contains(&soon), "{soon}: ten that are saved up, and one in twenty");
}

#[tokio::test]
async fn what_may_be_a_loop_is_not_sent_a_second_time() {
    let time = HandTime::stop();
    let upstream = Scripted::silent().await;
    let agent = Agent::new(hedging(forward_all(&[upstream.addr])));
    let want = || Agent::want("a.test", Rtype::A);
    let _both = (agent.fetch(want()), agent.fetch(want()));
    time.advance(Duration::from_millis(500)).await;
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn who_answers_others_meanwhile_is_waited_for_to_the_end() {
    let time = HandTime::stop();
    let slow: Arc<Mutex<Option<Asked>>> = Arc::default();
    let kept = Arc::clone(&slow);
    let upstream = Scripted::start(move |asked| match asked.question.qname.to_string().as_str() {
        "slow.test." => {
            kept.lock().unwrap().get_or_insert_with(|| asked.clone());
            Vec::new()
        }
        "release.test." => {
            let first = kept.lock().unwrap().clone().unwrap();
            let late = Out::To(first.from, first.question.address(60, 7));
            vec![late, Out::Reply(asked.question.address(60, 1))]
        }
        _ => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await;
    let forwarder = forwarder(forward_all(&[upstream.addr]));
    let other = Arc::clone(&forwarder);
    let late = tokio::spawn(async move { asked(&other, "slow.test").await });
    time.advance(Duration::from_millis(1000)).await;
    for n in 0..10 {
        time.drive(asked(&forwarder, &format!("n{n}.test"))).await.0.unwrap();
    }
    time.advance(Duration::from_millis(2500)).await;
    assert!(!late.is_finished());
    time.drive(asked(&forwarder, "release.test")).await.0.unwrap();
    assert_eq!(super::exchange::last_byte(&late.await.unwrap().unwrap()), Some(7));
}
