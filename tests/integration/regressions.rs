//! Faults that were found by trying to break the whole, each with what should have happened.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use zonelet::answer::miss::{Fetched, Want};
use zonelet::wire::Rtype;
use zonelet::zone::{Body, DeferredReason, RecordSet};

use crate::harness::agent::{Agent, failed, forward_all};
use crate::harness::house::{House, records, zone};
use crate::harness::message::{a, cname, name, soa};
use crate::harness::upstream::{Out, Scripted};

#[tokio::test]
async fn a_deferred_alias_for_a_name_that_does_not_exist_is_passed_on_as_the_upstream_says_it() {
    let upstream = Scripted::start(|asked| {
        let chain = [cname("app.corp.test", 60, "gone.example")];
        vec![Out::Reply(asked.question.reply(3, &chain, &[soa("example", 60, 60)]))]
    })
    .await;
    let body = Body::Deferred(DeferredReason::Choice);
    let deferred = RecordSet { owner: name("app.corp.test"), rtype: Rtype::CNAME, body };
    let house = House::new(zone("corp.test", vec![deferred]), upstream.addr);
    for from in ["upstream", "cache"] {
        let response = house.ask("app.corp.test.", RecordType::A).await;
        assert_eq!(response.metadata.response_code, ResponseCode::NXDomain, "{from}");
        assert_eq!((response.answers.len(), response.authorities.len()), (1, 1), "{from}");
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_client_that_asks_for_both_families_sees_every_address_first() {
    let upstream = Scripted::silent().await;
    let sets = vec![records(&[a("two.corp.test", 60, 1), a("two.corp.test", 60, 2)])];
    let house = House::new(zone("corp.test", sets), upstream.addr);
    let mut first = [0; 2];
    for _ in 0..100 {
        let response = house.ask("two.corp.test.", RecordType::A).await;
        let is_two = response.answers[0].data.to_string().ends_with('2');
        first[usize::from(is_two)] += 1;
        house.ask("two.corp.test.", RecordType::AAAA).await;
    }
    assert!(first.iter().all(|&n| n >= 25), "{first:?}");
}

#[tokio::test]
async fn an_upstream_that_echoes_queries_is_said_to_do_so() {
    let upstream = Scripted::start(|asked| vec![Out::Reply(asked.question.message.clone())]).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    let (code, text) = failed(agent.ask(Agent::want("a.test", Rtype::A)).await);
    assert_eq!((code, text), (0, format!("{} sent what is no reply to the query", upstream.addr)));
}

#[tokio::test]
async fn a_client_on_the_upstreams_host_gets_the_signatures_it_asked_for() {
    let upstream = Scripted::start(|asked| {
        let last = if asked.question.dnssec_ok() { 2 } else { 1 };
        vec![Out::Reply(asked.question.address(60, last))]
    })
    .await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    let client = (upstream.addr.ip(), 4711).into();
    let plain = Want { client, ..Agent::want("a.test", Rtype::A) };
    let signed = Want { dnssec_ok: true, ..plain.clone() };
    let asked = [agent.fetch(plain), agent.fetch(signed.clone()), agent.fetch(signed)];
    let mut last = Vec::new();
    for outcome in asked {
        let Fetched::Entry(entry) = outcome.await.unwrap() else { panic!("failed") };
        last.extend(entry.learned.block.last().copied());
    }
    assert_eq!((last, upstream.count()), (vec![1, 2, 2], 2));
    assert_eq!(agent.miss.waiting(), 0);
}

#[tokio::test]
async fn an_upstream_that_always_has_one_more_cname_is_asked_a_few_times_only() {
    let upstream = Scripted::start(|asked| {
        let owner = asked.question.qname.to_string();
        let chain = [cname(&owner, 60, &format!("x{owner}"))];
        vec![Out::Reply(asked.question.reply(0, &chain, &[]))]
    })
    .await;
    let house = House::new(zone("corp.test", Vec::new()), upstream.addr);
    let response = house.ask("a.endless.example.", RecordType::A).await;
    assert_eq!((response.metadata.response_code, response.answers.len()), (ResponseCode::ServFail, 0));
    assert_eq!(upstream.count(), 8);
}
