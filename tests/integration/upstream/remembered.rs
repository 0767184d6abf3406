//! What an upstream cannot do is remembered for a while: EDNS, TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zonelet::clock::Clock;
use zonelet::upstream::{Forwarder, Policy};
use zonelet::wire::Rcode;

use super::exchange::asked;
use crate::harness::agent::forward_all;
use crate::harness::upstream::{Out, Scripted};

#[tokio::test]
async fn an_upstream_that_refuses_edns_is_not_asked_twice_each_time() {
    let old = Scripted::start(|asked| match asked.question.opt() {
        Some(_) => vec![Out::Reply(asked.question.reply(1, &[], &[]))],
        None => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await;
    let clock = Clock::manual();
    let handle = tokio::runtime::Handle::current();
    let forwarder = Forwarder::new(forward_all(&[old.addr]), clock.clone(), handle);
    let mut counts = Vec::new();
    for span in [0, 1, 500, 200, 1] {
        clock.advance(Duration::from_secs(span));
        asked(&forwarder, "a.test").await.unwrap();
        counts.push(old.count());
    }
    assert_eq!(counts, [2, 3, 4, 6, 7], "tried again after ten minutes");
}

/// An upstream that cuts all it says, and has no TCP.
async fn cutting() -> Scripted {
    Scripted::start(|asked| {
        let mut part = asked.question.address(60, 66);
        part[2] |= 0x02;
        if asked.tcp { vec![Out::Close] } else { vec![Out::Reply(part)] }
    })
    .await
}

fn over_tcp(upstream: &Scripted) -> usize {
    upstream.log().iter().filter(|asked| asked.tcp).count()
}

#[tokio::test]
async fn where_tcp_fails_a_truncated_answer_leads_to_an_equal_at_once() {
    let (cut, whole) = (cutting().await, Scripted::answering(60).await);
    let (clock, mut settings) = (Clock::manual(), forward_all(&[cut.addr, whole.addr]));
    settings.domains[0].policy = Policy::Random;
    let forwarder = Forwarder::new(settings, clock.clone(), tokio::runtime::Handle::current());
    // That one of two is first in less than two of 64 happens once in 10^17 times.
    for _ in 0..64 {
        asked(&forwarder, "a.test").await.unwrap();
    }
    assert!(cut.count() - over_tcp(&cut) > 1, "its UDP is in order");
    assert_eq!(over_tcp(&cut), 1);
    clock.advance(Duration::from_secs(30));
    for _ in 0..64 {
        asked(&forwarder, "a.test").await.unwrap();
    }
    assert_eq!(over_tcp(&cut), 2);
}

#[tokio::test]
async fn where_the_order_means_something_tcp_is_tried_before_another_upstream_is() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let first = Scripted::start(move |asked| {
        let mut part = asked.question.address(60, 66);
        part[2] |= 0x02;
        match asked.tcp {
            true if is_broken.load(Ordering::Relaxed) => vec![Out::Close],
            true => vec![Out::Reply(asked.question.address(60, 1))],
            false => vec![Out::Reply(part)],
        }
    })
    .await;
    // One that knows nothing of the first one's names.
    let second = Scripted::start(|asked| vec![Out::Reply(asked.question.reply(3, &[], &[]))]).await;
    let handle = tokio::runtime::Handle::current();
    let forwarder = Forwarder::new(forward_all(&[first.addr, second.addr]), Clock::manual(), handle);
    asked(&forwarder, "a.test").await.unwrap();
    assert_eq!((over_tcp(&first), second.count()), (1, 1));
    broken.store(false, Ordering::Relaxed);
    let learned = asked(&forwarder, "b.test").await.unwrap();
    assert_eq!((learned.rcode, second.count()), (Rcode::NOERROR, 1));
}
