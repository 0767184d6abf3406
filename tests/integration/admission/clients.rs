//! Bounds for each client: its rate, its questions under way.

use std::time::Duration;

use zonelet::answer::Settings;
use zonelet::answer::Transport::{Tcp, Udp};
use zonelet::metrics::{Bound, DropReason};

use super::{asker, house, query};
use crate::harness::client::message;
use crate::harness::dns::line;
use crate::harness::house::{Begun, House, records, zone};
use crate::harness::message::a;
use crate::harness::upstream::{Out, Scripted};

async fn limited(change: impl FnOnce(&mut Settings)) -> House {
    let upstream = Scripted::silent().await;
    let corp = zone("corp.test", vec![records(&[a("db.corp.test", 60, 1)])]);
    house(upstream.addr, Some(corp), change)
}

/// How so many queries at once are answered: whole, cut, not at all.
async fn burst(house: &House, client: &str, queries: usize) -> (usize, usize, usize) {
    let (mut whole, mut cut, mut silent) = (0, 0, 0);
    for _ in 0..queries {
        match house.raw_from(&query("db.corp.test"), asker(client, Udp)).await.map(|r| message(&r)) {
            None => silent += 1,
            Some(message) if message.metadata.truncation => {
                assert!(message.answers.is_empty());
                cut += 1;
            }
            Some(message) => {
                assert_eq!(message.answers.len(), 1);
                whole += 1;
            }
        }
    }
    (whole, cut, silent)
}

#[tokio::test]
async fn a_client_above_its_rate_is_sent_to_tcp_or_dropped_and_others_are_served() {
    let house = limited(|s| (s.clients.rate, s.clients.burst) = (Some(10), 20)).await;
    assert_eq!(burst(&house, "10.0.0.1", 40).await, (20, 10, 10));
    assert_eq!(burst(&house, "10.0.0.2", 20).await, (20, 0, 0));
    assert_eq!(house.tally().bounds(Bound::Slipped), 10);
    assert_eq!(
        (house.tally().bounds(Bound::Dropped), house.tally().drops(DropReason::RateLimited)),
        (10, 10)
    );
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(burst(&house, "10.0.0.1", 12).await, (10, 1, 1));
}

#[tokio::test]
async fn over_tcp_a_client_has_a_rate_of_its_own_above_which_it_is_refused() {
    let house = limited(|s| (s.clients.rate, s.clients.burst) = (Some(1), 2)).await;
    burst(&house, "10.0.0.1", 9).await;
    let query = query("db.corp.test");
    for want in
        ["NOERROR aa; db", "NOERROR aa; db", "REFUSED EDE 18 this client asks more than limits.client_rate"]
    {
        let response = house.raw_from(&query, asker("10.0.0.1", Tcp)).await.unwrap();
        assert!(line(&query, &response).starts_with(want), "{want}");
    }
    assert_eq!(house.tally().bounds(Bound::Refused), 1);
}

#[tokio::test]
async fn garbage_above_the_rate_is_dropped_and_costs_the_client_its_rate() {
    let house = limited(|s| (s.clients.rate, s.clients.burst, s.clients.slip) = (Some(1), 3, 1)).await;
    let garbage = &query("db.corp.test")[..14];
    for is_answered in [true, true, true, false, false] {
        assert_eq!(house.raw_from(garbage, asker("10.0.0.1", Udp)).await.is_some(), is_answered);
    }
    assert_eq!(burst(&house, "10.0.0.1", 2).await, (0, 2, 0));
}

#[tokio::test]
async fn a_client_with_too_many_questions_under_way_leaves_room_for_others() {
    let upstream = Scripted::start(|asked| match asked.question.qname.to_string().starts_with("slow") {
        true => Vec::new(),
        false => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await;
    let house = house(upstream.addr, None, |s| s.clients.in_flight = Some(3));
    let begin = |n: usize| house.begin(&query(&format!("slow{n}.test")), asker("10.0.0.1", Udp));
    let waiting: Vec<_> = (0..3).map(begin).collect();
    assert!(waiting.iter().all(|begun| matches!(begun, Begun::Waiting(_))));
    let query = query("fast.test");
    let response = house.raw_from(&query, asker("10.0.0.1", Tcp)).await.unwrap();
    let want =
        "SERVFAIL EDE 18 too many questions of this client wait for upstreams (limits.client_in_flight)";
    assert_eq!(line(&query, &response), want);
    assert_eq!(house.tally().bounds(Bound::InFlight), 1);
    let response = house.raw_from(&query, asker("10.0.0.2", Udp)).await.unwrap();
    assert_eq!(line(&query, &response), "NOERROR; fast.test. 60 A 192.0.2.1");
    let response = house.raw_from(&query, asker("10.0.0.1", Udp)).await.unwrap();
    assert_eq!(line(&query, &response), "NOERROR; fast.test. 60 A 192.0.2.1", "a hit takes no place");
}

#[tokio::test]
async fn a_place_is_free_again_when_its_question_is_answered() {
    let upstream = Scripted::answering(0).await;
    let house = house(upstream.addr, None, |s| s.clients.in_flight = Some(1));
    for n in 0..5 {
        let query = query(&format!("n{n}.test"));
        let response = house.raw_from(&query, asker("10.0.0.1", Udp)).await.unwrap();
        assert!(line(&query, &response).starts_with("NOERROR;"), "{n}");
    }
}

#[tokio::test]
async fn explanations_are_outside_of_all_bounds() {
    use zonelet::answer::explain::Reach;
    let house = limited(|s| (s.clients.rate, s.clients.burst) = (Some(1), 1)).await;
    for _ in 0..5 {
        let told = house.explain("db.corp.test", zonelet::wire::Rtype::A, Reach::Here).await;
        assert_eq!(told.answer.map(|answer| answer.rcode).as_deref(), Some("NOERROR"));
    }
}
