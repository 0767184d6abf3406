//! Routing policies that are followed here: what is asked of upstreams all the same, and what is said then.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use zonelet::wire::Rtype;
use zonelet::zone::{Alias, Body, Content, Location, Member, OnMissing, Place, Policy, RecordSet};
use zonelet::zone::{Region, Zone, ZoneOptions};

use crate::harness::house::{House, zone};
use crate::harness::message::{a, name, soa};
use crate::harness::upstream::{Out, Scripted};

fn failover(is_primary: bool, check: Option<&str>, last: u8) -> RecordSet {
    let content = Content::Records { ttl: 60, rdata: vec![[192, 0, 2, last].into()] };
    let (policy, health_check) = (Policy::Failover { is_primary }, check.map(Into::into));
    let identifier = if is_primary { "p" } else { "s" }.into();
    let member = Member { identifier, policy, health_check, content };
    RecordSet { owner: name("f.corp.test"), rtype: Rtype::A, body: Body::Member(Box::new(member)) }
}

fn told(response: &Message) -> (ResponseCode, Vec<String>) {
    let answers = response.answers.iter().map(|r| format!("{} {}", r.ttl, r.data)).collect();
    (response.metadata.response_code, answers)
}

fn noerror(answer: &str) -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, vec![answer.to_owned()])
}

fn ede(response: &Message) -> String {
    let options = response.edns.as_ref().unwrap().options().as_ref().iter();
    options.map(|(_, option)| format!("{option:?}")).collect()
}

#[tokio::test]
async fn what_hangs_on_unknown_health_is_asked_of_who_knows_it() {
    let upstream =
        Scripted::start(|asked| vec![Out::Reply(asked.question.reply(0, &[a("f.corp.test", 20, 2)], &[]))])
            .await;
    let sets = vec![failover(true, Some("hc"), 1), failover(false, None, 2)];
    let house = House::new(zone("corp.test", sets), upstream.addr);
    for _ in 0..2 {
        let response = house.ask("f.corp.test.", RecordType::A).await;
        assert_eq!(told(&response), noerror("20 192.0.2.2"), "its answer, not ours");
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn where_nobody_says_the_choice_is_made_here_and_said_to_be() {
    for rcode in [2, 3] {
        let upstream = Scripted::start(move |asked| {
            let denial = [soa("test", 60, 60)];
            vec![Out::Reply(asked.question.reply(rcode, &[], if rcode == 3 { &denial } else { &[] }))]
        })
        .await;
        let sets = vec![failover(true, Some("hc"), 1), failover(false, None, 2)];
        let house = House::new(zone("corp.test", sets), upstream.addr);
        for _ in 0..2 {
            let response = house.ask("f.corp.test.", RecordType::A).await;
            assert_eq!(told(&response), noerror("60 192.0.2.1"), "{rcode}");
            assert!(response.metadata.authoritative);
            let said: Vec<u8> = b"as if what has an unknown state".to_vec();
            assert!(ede(&response).contains(&format!("{said:?}")[1..20]), "{}", ede(&response));
        }
        assert_eq!(upstream.count(), 1, "what failed is remembered");
    }
}

#[tokio::test]
async fn what_does_not_hang_on_it_is_answered_at_once() {
    let silent = Scripted::silent().await;
    let sets = vec![failover(true, None, 1), failover(false, Some("hc"), 2)];
    let house = House::new(zone("corp.test", sets), silent.addr);
    let response = house.ask("f.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), noerror("60 192.0.2.1"));
    assert_eq!(silent.count(), 0);
}

fn weighted(owner: &str, weight: u16, target: &str) -> RecordSet {
    let alias = Alias { target: name(target), is_inside: false, evaluates_health: false };
    let (identifier, policy) = (target.into(), Policy::Weighted(weight));
    let member = Member { identifier, policy, health_check: None, content: Content::Alias(alias) };
    RecordSet { owner: name(owner), rtype: Rtype::A, body: Body::Member(Box::new(member)) }
}

#[tokio::test]
async fn a_choice_stands_while_what_was_chosen_is_fetched_and_falls_anew_for_the_next_query() {
    let upstream = Scripted::start(|asked| {
        let last = if asked.question.qname == name("one.elb") { 1 } else { 2 };
        let answer = a(&asked.question.qname.to_string(), 5, last);
        vec![Out::Reply(asked.question.reply(0, &[answer], &[]))]
    })
    .await;
    let sets = vec![weighted("w.corp.test", 1, "one.elb"), weighted("w.corp.test", 1, "two.elb")];
    let house = House::new(zone("corp.test", sets), upstream.addr);
    let mut given = [0; 2];
    for _ in 0..60 {
        house.clock.advance(Duration::from_secs(6));
        let response = house.ask("w.corp.test.", RecordType::A).await;
        given[usize::from(response.answers[0].data.to_string().ends_with('2'))] += 1;
    }
    assert!(given.iter().all(|&n| n >= 20), "{given:?}");
    assert_eq!(upstream.count(), 60, "none is fetched for nothing");
}

#[tokio::test]
async fn choices_on_the_way_to_one_answer_fall_independently() {
    let silent = Scripted::silent().await;
    let cname = |weight, target: &str| {
        let content = Content::Records { ttl: 60, rdata: vec![name(target).as_bytes().into()] };
        let (identifier, policy) = (target.into(), Policy::Weighted(weight));
        let member = Member { identifier, policy, health_check: None, content };
        RecordSet { owner: name("c.corp.test"), rtype: Rtype::CNAME, body: Body::Member(Box::new(member)) }
    };
    let address = |owner: &str, last: u8| {
        let content = Content::Records { ttl: 60, rdata: vec![[192, 0, 2, last].into()] };
        let (identifier, policy) = (last.to_string().into(), Policy::Weighted(1));
        let member = Member { identifier, policy, health_check: None, content };
        RecordSet { owner: name(owner), rtype: Rtype::A, body: Body::Member(Box::new(member)) }
    };
    let sets = vec![
        cname(1, "x.corp.test"),
        cname(3, "y.corp.test"),
        address("x.corp.test", 1),
        address("x.corp.test", 2),
        address("y.corp.test", 3),
        address("y.corp.test", 4),
    ];
    let house = House::new(zone("corp.test", sets), silent.addr);
    let mut given = [0; 5];
    for _ in 0..800 {
        let response = house.ask("c.corp.test.", RecordType::A).await;
        let last = response.answers.last().unwrap().data.to_string();
        given[usize::from(last.as_bytes()[last.len() - 1] - b'0')] += 1;
    }
    assert!((60..140).contains(&given[1]) && (60..140).contains(&given[2]), "{given:?}");
    assert!((230..370).contains(&given[3]) && (230..370).contains(&given[4]), "{given:?}");
}

#[tokio::test]
async fn an_upstream_that_does_not_know_the_zone_is_not_asked() {
    let silent = Scripted::silent().await;
    let sets = vec![failover(true, Some("hc"), 1), failover(false, None, 2)];
    let house = House::off_the_vpc(zone("corp.test", sets), silent.addr);
    let response = house.ask("f.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), noerror("60 192.0.2.1"));
    assert_eq!(silent.count(), 0);
}

fn placed(identifier: &str, policy: Policy, last: u8) -> RecordSet {
    let content = Content::Records { ttl: 60, rdata: vec![[192, 0, 2, last].into()] };
    let member = Member { identifier: identifier.into(), policy, health_check: None, content };
    RecordSet { owner: name("g.corp.test"), rtype: Rtype::A, body: Body::Member(Box::new(member)) }
}

/// A zone asked from Ireland.
fn in_ireland(sets: Vec<RecordSet>, on_missing: OnMissing) -> Zone {
    let options = ZoneOptions { region: Region::find("eu-west-1"), on_missing, ..ZoneOptions::default() };
    Zone::build(&zone("corp.test", sets), &options).zone
}

#[tokio::test]
async fn a_choice_that_gives_nobody_here_anything_is_no_data_or_what_the_upstream_has() {
    let us = || vec![placed("us", Policy::Geolocation(Location::Country("US".into())), 1)];
    let upstream =
        Scripted::start(|asked| vec![Out::Reply(asked.question.reply(0, &[a("g.corp.test", 20, 7)], &[]))])
            .await;
    let house = House::of(vec![in_ireland(us(), OnMissing::NxDomain)], upstream.addr);
    let response = house.ask("g.corp.test.", RecordType::A).await;
    assert_eq!((told(&response), response.authorities.len()), ((ResponseCode::NoError, vec![]), 1));
    assert_eq!(upstream.count(), 0);
    let house = House::of(vec![in_ireland(us(), OnMissing::ForwardNoData)], upstream.addr);
    let response = house.ask("g.corp.test.", RecordType::A).await;
    assert_eq!((told(&response), response.metadata.authoritative), (noerror("20 192.0.2.7"), false));
}

#[tokio::test]
async fn biased_distances_are_the_origins_to_weigh_and_approximated_where_it_is_not_asked() {
    let near = |bias| {
        let policy = |code: &str, bias| Policy::Geoproximity { place: Place::Region(code.into()), bias };
        let sets =
            vec![placed("far", policy("us-east-1", bias), 1), placed("near", policy("eu-west-2", 0), 2)];
        in_ireland(sets, OnMissing::NxDomain)
    };
    let upstream =
        Scripted::start(|asked| vec![Out::Reply(asked.question.reply(0, &[a("g.corp.test", 20, 7)], &[]))])
            .await;
    let response = House::of(vec![near(0)], upstream.addr).ask("g.corp.test.", RecordType::A).await;
    assert_eq!((told(&response), upstream.count()), (noerror("60 192.0.2.2"), 0), "nothing to be weighed");
    let response = House::of(vec![near(40)], upstream.addr).ask("g.corp.test.", RecordType::A).await;
    assert_eq!(told(&response), noerror("20 192.0.2.7"));
    let silent = Scripted::silent().await;
    let house = House::with(vec![near(40)], silent.addr, false);
    let response = house.ask("g.corp.test.", RecordType::A).await;
    assert_eq!((told(&response), silent.count()), (noerror("60 192.0.2.2"), 0));
    let said: Vec<u8> = b"reckoned with approximately".to_vec();
    assert!(ede(&response).contains(format!("{said:?}").trim_matches(['[', ']'])), "{}", ede(&response));
}
