//! What an upstream cannot do is remembered for a while: EDNS, TCP.

use std::time::Duration;

use zonelet::clock::Clock;
use zonelet::upstream::Forwarder;

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

#[tokio::test]
async fn where_tcp_fails_a_truncated_answer_leads_to_the_next_upstream_at_once() {
    let cut = Scripted::start(|asked| {
        let mut part = asked.question.address(60, 66);
        part[2] |= 0x02;
        if asked.tcp { vec![Out::Close] } else { vec![Out::Reply(part)] }
    })
    .await;
    let whole = Scripted::answering(60).await;
    let clock = Clock::manual();
    let handle = tokio::runtime::Handle::current();
    let forwarder = Forwarder::new(forward_all(&[cut.addr, whole.addr]), clock.clone(), handle);
    let over_tcp = || cut.log().iter().filter(|a| a.tcp).count();
    for _ in 0..10 {
        asked(&forwarder, "a.test").await.unwrap();
    }
    assert_eq!((cut.count() - over_tcp(), over_tcp()), (10, 1), "its UDP is in order");
    clock.advance(Duration::from_secs(30));
    asked(&forwarder, "a.test").await.unwrap();
    assert_eq!(over_tcp(), 2);
}
