//! A zone as ExternalDNS writes it by default: aliases of load balancers for both families, its registry of
//! TXT records, wildcards and their registry under names with a literal star.

use hickory_proto::rr::RecordType;
use zonelet::answer::Transport;
use zonelet::source::recordset::{ApiRecordSet, Collector};
use zonelet::wire::Rtype;
use zonelet::zone::{Zone, ZoneOptions};

use crate::harness::house::House;
use crate::harness::message::{a, name};
use crate::harness::upstream::{Out, Scripted};

const LB: &str = "k8s-web-0123456789.eu-west-1.elb.amazonaws.com";

fn listing() -> Vec<ApiRecordSet> {
    let alias = |owner: &str, rtype: &str| {
        format!(
            r#"{{"Name":"{owner}.corp.internal.","Type":"{rtype}","AliasTarget":
            {{"HostedZoneId":"Z32O12XQLNTSW2","DNSName":"{LB}.","EvaluateTargetHealth":true}}}}"#
        )
    };
    let text = |owner: &str| {
        format!(
            r#"{{"Name":"{owner}.corp.internal.","Type":"TXT","TTL":300,"ResourceRecords":[{{"Value":
            "\"heritage=external-dns,external-dns/owner=me,external-dns/resource=ingress/web/app\""}}]}}"#
        )
    };
    let star = r"\\052.apps";
    let sets = [
        alias("app", "A"),
        alias("app", "AAAA"),
        text("a-app"),
        text("aaaa-app"),
        alias(star, "A"),
        alias(star, "AAAA"),
        text(&format!("a-{star}")),
        text(&format!("aaaa-{star}")),
    ];
    serde_json::from_str(&format!("[{}]", sets.join(","))).unwrap()
}

async fn house(drops_registry: bool) -> (House, Scripted) {
    // The load balancer has IPv4 only.
    let upstream = Scripted::start(|asked| {
        let is_v4 = asked.question.qtype == Rtype::A;
        let answers = [a(LB, 60, 1), a(LB, 60, 2)];
        let denial = [crate::harness::message::soa("amazonaws.com", 60, 60)];
        let reply =
            asked.question.reply(0, if is_v4 { &answers } else { &[] }, if is_v4 { &[] } else { &denial });
        vec![Out::Reply(reply)]
    })
    .await;
    let mut collector = Collector::of_zone(name("corp.internal"), "Z1");
    listing().into_iter().for_each(|set| collector.add(set));
    let built = Zone::build(&collector.finish(), &ZoneOptions { drops_registry, ..ZoneOptions::default() });
    assert_eq!(built.skipped, []);
    (House::of(vec![built.zone], upstream.addr), upstream)
}

#[tokio::test]
async fn every_name_of_a_zone_of_external_dns_resolves() {
    let (house, upstream) = house(false).await;
    for owner in ["app.corp.internal.", "shop.apps.corp.internal.", "a.b.apps.corp.internal."] {
        let response = house.ask(owner, RecordType::A).await;
        let told: Vec<String> = response.answers.iter().map(|r| format!("{} {}", r.name, r.ttl)).collect();
        assert_eq!(told, [format!("{owner} 60"), format!("{owner} 60")]);
        let none = house.ask(owner, RecordType::AAAA).await;
        let is_nodata = none.answers.is_empty() && none.metadata.response_code == 0.into();
        assert!(is_nodata && none.authorities[0].name.to_string() == "corp.internal.", "{owner}: {none}");
    }
    assert_eq!(upstream.count(), 2, "one question for each family");
    for owner in ["a-app", "aaaa-app", "a-*.apps", "aaaa-*.apps"] {
        // The client library reads no name with a star inside a label.
        let mut query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
        query.extend(name(&format!("{owner}.corp.internal")).as_bytes());
        query.extend([0, 16, 0, 1]);
        let response = house.raw(&query, Transport::Udp).await;
        assert_eq!(response[6..8], [0, 1], "{owner}: one answer");
    }
    let literal = house.ask("a-x.apps.corp.internal.", RecordType::TXT).await;
    assert!(literal.answers.is_empty(), "a star inside a label is no wildcard");
}

#[tokio::test]
async fn its_registry_can_be_left_out_and_nothing_else_goes_with_it() {
    let (house, _upstream) = house(true).await;
    let gone = house.ask("a-app.corp.internal.", RecordType::TXT).await;
    assert_eq!((gone.answers.len(), gone.metadata.response_code), (0, 3.into()));
    for owner in ["app.corp.internal.", "shop.apps.corp.internal."] {
        assert_eq!(house.ask(owner, RecordType::A).await.answers.len(), 2, "{owner}");
    }
}
