//! Routing policies that are followed here: what is asked of upstreams all the same, and what is said then.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use zonelet::wire::Rtype;
use zonelet::zone::{Body, Content, Member, Policy, RecordSet};

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
