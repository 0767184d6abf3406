//! One exchange for all who ask the same, and the caps.

use std::time::Duration;

use zonelet::answer::miss::Want;
use zonelet::wire::Rtype;

use crate::harness::agent::{Agent, failed, forward_all, ttls};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

fn want(qname: &str) -> Want {
    Agent::want(qname, Rtype::A)
}

fn caps(max_in_flight: usize, max_waiters: usize) -> zonelet::answer::Settings {
    zonelet::answer::Settings { max_in_flight, max_waiters, ..Default::default() }
}

#[tokio::test]
async fn a_hundred_equal_questions_cost_one_query_and_losing_the_first_asker_hurts_nobody() {
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    let mut asked: Vec<_> = (0..100).map(|_| agent.fetch(want("a.test"))).collect();
    drop(asked.remove(0));
    for outcome in asked {
        assert_eq!(ttls(&outcome.await.unwrap(), &agent.clock), [60]);
    }
    assert_eq!((upstream.count(), agent.miss.waiting()), (1, 0));
}

#[tokio::test]
async fn all_who_wait_for_a_silent_upstream_are_told() {
    let time = HandTime::stop();
    let upstream = Scripted::silent().await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    let asked: Vec<_> = (0..10).map(|_| agent.fetch(want("a.test"))).collect();
    for outcome in asked {
        let (code, text) = failed(time.drive(outcome).await.0.unwrap());
        assert_eq!((code, text), (22, format!("no reply from {}", upstream.addr)));
    }
    assert_eq!(upstream.count(), 2, "a round of probes lies between them");
    failed(time.drive(agent.ask(want("a.test"))).await.0);
    assert_eq!(upstream.count(), 2, "remembered");
}

#[tokio::test]
async fn past_the_cap_the_answer_is_immediate_and_not_remembered() {
    let time = HandTime::stop();
    let upstream = Scripted::start(|asked| match asked.question.qname.to_string().as_str() {
        "slow.test." => Vec::new(),
        _ => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await;
    let agent = Agent::with_caps(forward_all(&[upstream.addr]), &caps(1, 10));
    let slow = agent.fetch(want("slow.test"));
    let (code, text) = failed(agent.fetch(want("a.test")).try_recv().expect("at once"));
    assert_eq!((code, text.as_str()), (0, "too many queries wait for upstreams"));
    failed(time.drive(slow).await.0.unwrap());
    assert_eq!(ttls(&time.drive(agent.ask(want("a.test"))).await.0, &agent.clock), [60]);
}

#[tokio::test]
async fn those_who_wait_for_one_question_are_bounded() {
    let upstream = Scripted::answering(60).await;
    let agent = Agent::with_caps(forward_all(&[upstream.addr]), &caps(100, 3));
    let asked: Vec<_> = (0..3).map(|_| agent.fetch(want("a.test"))).collect();
    let (_, text) = failed(agent.fetch(want("a.test")).try_recv().expect("at once"));
    assert_eq!(text, "too many clients wait for this answer");
    for outcome in asked {
        ttls(&outcome.await.unwrap(), &agent.clock);
    }
    assert_eq!((upstream.count(), agent.miss.waiting()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_came_meanwhile_is_taken_from_the_cache() {
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    agent.ask(want("a.test")).await;
    // As one who looked into the cache just before.
    let late = agent.fetch(want("a.test")).try_recv().expect("at once");
    assert_eq!((ttls(&late, &agent.clock), upstream.count()), (vec![60], 1));
}

#[tokio::test]
async fn those_who_wait_are_told_when_the_process_ends() {
    let (upstream, outcome) = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = Scripted::silent().await;
            let agent = Agent::new(forward_all(&[upstream.addr]));
            let outcome = agent.fetch(want("a.test"));
            while upstream.count() == 0 {
                tokio::task::yield_now().await;
            }
            (upstream.count(), outcome)
        })
    })
    .join()
    .unwrap();
    let (_, text) = failed(outcome.await.unwrap());
    assert_eq!((upstream, text.as_str()), (1, "zonelet stops"));
}

#[tokio::test]
async fn a_dead_upstream_of_one_domain_holds_up_no_other() {
    let time = HandTime::stop();
    let (dead, good) = (Scripted::silent().await, Scripted::answering(60).await);
    let mut settings = forward_all(&[good.addr]);
    settings.domains.push(crate::harness::agent::forward("dead.test", &[dead.addr]));
    let agent = Agent::new(settings);
    let waiting: Vec<_> = (0..50).map(|i| agent.fetch(want(&format!("n{i}.dead.test")))).collect();
    let (answer, took) = time.drive(agent.ask(want("a.test"))).await;
    assert_eq!((ttls(&answer, &agent.clock), took), (vec![60], Duration::ZERO));
    drop(waiting);
}
