//! Names of search lists that cannot exist, and those that can.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use zonelet::answer::Transport;
use zonelet::answer::explain::{Reach, Step};
use zonelet::answer::settings::{OverrideAnswer, Relief, ReliefKind};
use zonelet::metrics::AnswerSource;
use zonelet::wire::Rtype;
use zonelet::zone::ZoneData;

use super::{house, names, over};
use crate::harness::client::ask;
use crate::harness::dns::line;
use crate::harness::house::{House, records, zone};
use crate::harness::message::a;
use crate::harness::upstream::Scripted;

fn cluster() -> Relief {
    Relief {
        domain: "cluster.local".parse().unwrap(),
        kind: ReliefKind::Kubernetes,
        except: names(&["legacy.cluster.local"]),
        ttl: 25,
    }
}

async fn relieved(zone: Option<ZoneData>) -> (House, Scripted) {
    let upstream = Scripted::answering(60).await;
    let house = house(upstream.addr, zone, |settings| {
        settings.relief = vec![cluster()];
        let nowhere = OverrideAnswer::NoData;
        settings.overrides = vec![over(&["v.x.y.z.default.svc.cluster.local"], nowhere)];
    });
    (house, upstream)
}

async fn told(house: &House, qname: &str, rtype: RecordType) -> String {
    let query = ask(qname, rtype).edns(1232, false).bytes();
    line(&query, &house.raw(&query, Transport::Udp).await)
}

const DENIED: &str =
    "NXDOMAIN aa | cluster.local. 25 SOA EDE 29 no such name can be in this domain (section [[relief]])";

#[tokio::test]
async fn a_search_list_costs_no_upstream_a_question_and_the_name_itself_one() {
    let (house, upstream) = relieved(None).await;
    for domain in ["default.svc.cluster.local", "cluster.local"] {
        for rtype in [RecordType::A, RecordType::AAAA] {
            assert_eq!(told(&house, &format!("api.example.com.{domain}"), rtype).await, DENIED);
        }
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(house.tally().responses(AnswerSource::Relief, 3), 4, "NXDOMAIN stands in the fourth column");
    // What the domain in between makes of it may be a pod of a service.
    assert!(told(&house, "api.example.com.svc.cluster.local", RecordType::A).await.starts_with("NOERROR;"));
    assert!(told(&house, "api.example.com", RecordType::A).await.starts_with("NOERROR;"));
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn services_pods_endpoints_and_ports_are_asked_of_the_cluster() {
    let (house, upstream) = relieved(None).await;
    let real = [
        "kubernetes.default.svc.cluster.local",
        "web-0.nginx.default.svc.cluster.local",
        "10-0-0-1.nginx.default.svc.cluster.local",
        "_https._tcp.kubernetes.default.svc.cluster.local",
        "10-0-0-1.default.pod.cluster.local",
        "old.legacy.cluster.local",
        "dns-version.cluster.local",
    ];
    for qname in real {
        assert!(told(&house, qname, RecordType::A).await.starts_with("NOERROR;"), "{qname}");
    }
    assert_eq!(upstream.count(), real.len());
}

#[tokio::test]
async fn a_zone_or_an_override_at_or_below_the_domain_goes_before_it() {
    let own =
        zone("w.default.svc.cluster.local", vec![records(&[a("a.b.w.default.svc.cluster.local", 60, 5)])]);
    let (house, upstream) = relieved(Some(own)).await;
    let in_zone = told(&house, "a.b.w.default.svc.cluster.local", RecordType::A).await;
    assert_eq!(in_zone, "NOERROR aa; a.b.w.default.svc.cluster.local. 60 A 192.0.2.5");
    assert_eq!(upstream.count(), 0);
    assert_eq!(told(&house, "b.v.w2.default.svc.cluster.local", RecordType::A).await, DENIED);
    // A name above an override exists, whatever its shape.
    assert!(told(&house, "x.y.z.default.svc.cluster.local", RecordType::A).await.starts_with("NOERROR;"));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_name_above_a_zone_exists_whatever_its_shape() {
    let own = zone("q.x.y.z.default.svc.cluster.local", Vec::new());
    let (house, upstream) = relieved(Some(own)).await;
    assert!(told(&house, "x.y.z.default.svc.cluster.local", RecordType::A).await.starts_with("NOERROR;"));
    assert_eq!(upstream.count(), 1);
    assert_eq!(told(&house, "x.y.zz.default.svc.cluster.local", RecordType::A).await, DENIED);
}

#[tokio::test]
async fn an_explanation_says_that_the_name_cannot_exist() {
    let (house, _) = relieved(None).await;
    let told = house.explain("api.example.com.cluster.local", Rtype::A, Reach::Here).await;
    assert_eq!(told.from, "relief");
    assert!(told.steps.contains(&Step::Impossible { domain: "cluster.local.".into() }), "{told:#?}");
    assert_eq!(told.missing, None);
}

#[tokio::test]
async fn it_is_off_by_default() {
    let upstream = Scripted::answering(60).await;
    let house = Arc::new(house(upstream.addr, None, |_| ()));
    assert!(told(&house, "api.example.com.cluster.local", RecordType::A).await.starts_with("NOERROR;"));
}
