//! The explanation and the answer, question by question.

use std::collections::BTreeSet;

use hickory_proto::rr::RecordType;
use zonelet::answer::explain::{Explanation, Reach, Step};
use zonelet::source::file::json;
use zonelet::wire::Rtype;
use zonelet::zone::{Region, Zone, ZoneOptions};

use super::{CORP, NAMES};
use crate::harness::client::PATIENCE;
use crate::harness::house::House;
use crate::harness::message::{Question, a, soa};
use crate::harness::upstream::{Out, Scripted};

/// What resolvers elsewhere say.
fn elsewhere(question: &Question) -> Vec<u8> {
    let qname = question.qname.to_string();
    match (qname.as_str(), question.qtype) {
        ("denied.example.org." | "f.corp.test.", _) => question.reply(3, &[], &[soa("test", 60, 60)]),
        (_, Rtype::A) => question.reply(0, &[a(&qname, 20, 9)], &[]),
        _ => question.reply(0, &[], &[soa("test", 60, 60)]),
    }
}

async fn house() -> House {
    let upstream = Scripted::start(|asked| vec![Out::Reply(elsewhere(&asked.question))]).await;
    let data = json::parse(CORP.as_bytes(), None).unwrap().unwrap();
    let options = ZoneOptions { region: Region::find("eu-west-1"), ..ZoneOptions::default() };
    House::of(vec![Zone::build(&data, &options).zone], upstream.addr)
}

/// What the answer must look like for the way that is told.
fn check(told: &Explanation) {
    let what = format!("{} {}: {:#?}", told.qname, told.qtype, told.steps);
    let answer = told.answer.as_ref().expect(&what);
    let data: BTreeSet<&str> = answer.answers.iter().map(|record| &*record.data).collect();
    let cnames: Vec<&str> =
        answer.answers.iter().filter(|record| record.rtype == "CNAME").map(|record| &*record.data).collect();
    let followed: Vec<&str> = told
        .steps
        .iter()
        .filter_map(|step| if let Step::Cname { target, .. } = step { Some(target.as_str()) } else { None })
        .collect();
    if answer.rcode != "SERVFAIL" && told.qtype != "CNAME" {
        assert_eq!(cnames, followed, "{what}");
    }
    let last = told.steps.iter().rev().find(|step| !matches!(step, Step::Upstream(_) | Step::Cname { .. }));
    match last.expect(&what) {
        Step::Found { says, asks_upstream: false, told: found } => match says.as_str() {
            "answer" => {
                let rrset = found.rrsets.iter().find(|rrset| rrset.rtype == told.qtype).expect(&what);
                if rrset.kind == "records" {
                    assert!(rrset.values.iter().all(|value| data.contains(value.as_str())), "{what}");
                }
                assert_eq!(answer.rcode, "NOERROR", "{what}");
            }
            "nx_domain" => assert_eq!(answer.rcode, "NXDOMAIN", "{what}"),
            "no_data" => assert!(answer.rcode == "NOERROR" && answer.answers.len() == cnames.len(), "{what}"),
            "loop" => assert_eq!(answer.rcode, "SERVFAIL", "{what}"),
            "cname" => {
                assert_eq!(answer.rcode, if told.qtype == "CNAME" { "NOERROR" } else { "SERVFAIL" }, "{what}")
            }
            "any" => assert!(data.contains("\"RFC8482\" \"\""), "{what}"),
            other => panic!("{other} decides nothing: {what}"),
        },
        Step::Found { told: found, .. } => {
            assert_eq!(answer.rcode, "NOERROR", "upstreams know: {what}");
            assert!(
                found.group.as_ref().is_none_or(|group| group.is_uncertain || group.ends.is_empty()),
                "{what}"
            );
        }
        Step::Impossible { .. } => assert_eq!(answer.rcode, "NXDOMAIN", "{what}"),
        Step::Local { .. } => assert!(answer.authoritative, "{what}"),
        Step::Chosen { values, .. } => {
            let told_data: BTreeSet<&str> = values.iter().map(String::as_str).collect();
            if !values.is_empty() {
                assert_eq!(data, told_data, "{what}");
            }
        }
        Step::Linked { values, .. } => assert!(values.iter().all(|value| data.contains(&**value)), "{what}"),
        Step::Special { .. } => assert_eq!(told.from, "special", "{what}"),
        Step::NoZone => assert!(["cache", "upstream"].contains(&&*told.from) || !cnames.is_empty(), "{what}"),
        Step::Name { .. } | Step::Zone(_) | Step::Upstream(_) | Step::Cname { .. } => {
            panic!("no end: {what}")
        }
    }
    if answer.rcode == "SERVFAIL" || matches!(told.from.as_str(), "zone" | "special") {
        assert_eq!(answer.authoritative, answer.rcode != "SERVFAIL", "{what}");
    }
}

fn qtypes() -> [(Rtype, RecordType); 5] {
    [
        (Rtype::A, RecordType::A),
        (Rtype::AAAA, RecordType::AAAA),
        (Rtype::TXT, RecordType::TXT),
        (Rtype::CNAME, RecordType::CNAME),
        (Rtype::ANY, RecordType::ANY),
    ]
}

#[tokio::test]
async fn every_question_is_answered_the_way_that_is_told() {
    let house = house().await;
    for qname in NAMES {
        for (qtype, record_type) in qtypes() {
            let told = house.explain(qname, qtype, Reach::Upstreams(PATIENCE)).await;
            assert!(told.missing.is_none(), "{told:#?}");
            check(&told);
            // What others are told, where nothing is drawn.
            let is_drawn = told.steps.iter().any(|step| matches!(step, Step::Chosen { .. }));
            let response = house.ask(&format!("{qname}."), record_type).await;
            let answer = told.answer.unwrap();
            let rcode = format!("{:?}", response.metadata.response_code).to_uppercase();
            assert_eq!(rcode, answer.rcode, "{qname} {qtype}");
            assert_eq!(response.metadata.authoritative, answer.authoritative, "{qname} {qtype}");
            if !is_drawn {
                let count = response.answers.iter().filter(|r| r.record_type() != RecordType::OPT).count();
                assert_eq!(count, answer.answers.len(), "{qname} {qtype}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_asked_offline_and_what_would_be_is_named() {
    let upstream = Scripted::silent().await;
    let data = json::parse(CORP.as_bytes(), None).unwrap().unwrap();
    let house = House::new(data, upstream.addr);
    for (qname, asked) in [
        ("www.example.org", "www.example.org."),
        ("away.corp.test", "www.example.org."),
        ("lb.corp.test", "lb.elb.example.org."),
        ("f.corp.test", "f.corp.test."),
        ("cidr.corp.test", "cidr.corp.test."),
        ("a.sub.corp.test", "a.sub.corp.test."),
    ] {
        let told = house.explain(qname, Rtype::A, Reach::Here).await;
        let missing = told.missing.as_ref().expect(qname);
        assert_eq!(
            (missing.name.as_str(), told.answer.is_none(), told.is_offline),
            (asked, true, true),
            "{qname}"
        );
        let Some(Step::Upstream(consulted)) = told.steps.last() else { panic!("{told:#?}") };
        assert_eq!((consulted.name.as_str(), consulted.cached.is_none()), (asked, true));
        assert_eq!(consulted.route.as_ref().unwrap().domain, ".");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_waited_for_no_longer_than_allowed() {
    let upstream = Scripted::silent().await;
    let house = House::of(Vec::new(), upstream.addr);
    let told = house.explain("www.example.org", Rtype::A, Reach::Upstreams(std::time::Duration::ZERO)).await;
    assert_eq!(told.missing.unwrap().why, "no answer came within 0 s");
}

#[tokio::test]
async fn a_cached_answer_is_told_with_its_age() {
    let house = house().await;
    let first = house.explain("www.example.org", Rtype::A, Reach::Upstreams(PATIENCE)).await;
    assert_eq!((first.asked.len(), first.from.as_str()), (1, "upstream"));
    house.clock.advance(std::time::Duration::from_secs(5));
    let second = house.explain("www.example.org", Rtype::A, Reach::Upstreams(PATIENCE)).await;
    assert_eq!((second.asked.len(), second.from.as_str()), (0, "cache"));
    let Some(Step::Upstream(consulted)) = second.steps.last() else { panic!("{second:#?}") };
    let known = consulted.cached.as_ref().unwrap();
    assert_eq!((known.outcome.as_str(), known.age_seconds, known.left_seconds), ("answer", 5, 15));
    assert_eq!(second.answer.unwrap().answers[0].ttl, 15);
    let denied = house.explain("denied.example.org", Rtype::A, Reach::Upstreams(PATIENCE)).await;
    assert_eq!(
        (denied.asked[0].outcome.as_str(), denied.answer.unwrap().rcode.as_str()),
        ("nx_domain", "NXDOMAIN")
    );
}

#[tokio::test]
async fn each_draw_of_a_policy_is_told_as_it_fell() {
    let house = house().await;
    let mut seen = BTreeSet::new();
    for _ in 0..64 {
        let told = house.explain("to-w.corp.test", Rtype::A, Reach::Here).await;
        let Some(Step::Chosen { values, .. }) = told.steps.last() else { panic!("{told:#?}") };
        assert_eq!(values[0], told.answer.unwrap().answers[0].data);
        seen.insert(values[0].clone());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["10.1.0.1", "10.1.0.2"], "weight 0 is never given");
}
