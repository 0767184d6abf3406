//! What a refresh costs: the calls of one discovery and one fetch of every zone, and no other.

use serde_json::json;
use zonelet::source::ZoneSource;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::{Role, Route53Settings, VpcSelector, ZoneSelector};

use super::fixture::*;
use crate::harness::r53sim::{Sim, VPC};

/// Discovers and fetches everything, and says which calls that took: `op` or `op×n`, in order of names.
async fn round(sim: &Sim, source: &Route53Source) -> Vec<String> {
    sim.forget_calls().await;
    for zone in source.discover().await.unwrap() {
        fetch(source, &zone).await.unwrap();
    }
    let mut counts = std::collections::BTreeMap::new();
    for op in column(&sim.calls().await, "op") {
        *counts.entry(op).or_insert(0) += 1;
    }
    counts.into_iter().map(|(op, n)| if n == 1 { op } else { format!("{op}×{n}") }).collect()
}

fn selecting(sim: &Sim, zones: ZoneSelector) -> Route53Settings {
    Route53Settings { zones, ..settings(sim.url()) }
}

fn vpc() -> ZoneSelector {
    ZoneSelector { vpc: Some(VpcSelector::Id(VPC.into())), ..ZoneSelector::default() }
}

#[tokio::test]
async fn a_refresh_is_one_listing_and_the_pages_of_the_zones() {
    let sim = Sim::start();
    let mut ids = Vec::new();
    for (n, records) in [1, 250, 700].into_iter().enumerate() {
        let tags = json!({ "team": "core" });
        ids.push(sim.zone(&format!("z{n}.internal."), json!({ "generate": records, "tags": tags })).await);
    }
    // 3, 252 and 702 sets: one, one and three pages.
    let pages = "ListResourceRecordSets×5";

    let source = source_with(&sim, selecting(&sim, vpc()));
    for _ in 0..3 {
        assert_eq!(round(&sim, &source).await, ["ListHostedZonesByVPC", pages]);
    }
    let names = ZoneSelector { names: vec!["*.internal".into()], ..ZoneSelector::default() };
    let source = source_with(&sim, selecting(&sim, names));
    for _ in 0..3 {
        assert_eq!(round(&sim, &source).await, ["ListHostedZones", pages]);
    }
    let source = source_with(&sim, selecting(&sim, ZoneSelector { ids, ..ZoneSelector::default() }));
    assert_eq!(round(&sim, &source).await, ["GetHostedZone×3", pages]);
    assert_eq!(round(&sim, &source).await, [pages], "an id's name never changes");

    let tags: std::collections::BTreeMap<_, _> = [("team".to_owned(), "*".to_owned())].into();
    let source = source_with(&sim, selecting(&sim, ZoneSelector { tags: tags.clone(), ..vpc() }));
    assert_eq!(round(&sim, &source).await, ["ListHostedZonesByVPC", pages, "ListTagsForResources"]);
    assert_eq!(round(&sim, &source).await, ["ListHostedZonesByVPC", pages], "tags are remembered");
}

#[tokio::test]
async fn further_accounts_profiles_and_rules_cost_one_listing_each() {
    let sim = Sim::start();
    let role = "arn:aws:iam::222233334444:role/zonelet";
    sim.control("POST", "role", json!({ "arn": role })).await;
    sim.zone("ours.internal.", json!({})).await;
    sim.zone("theirs.internal.", json!({ "owner_account": "222233334444", "vpcs": [] })).await;
    let names = ZoneSelector { names: vec!["*.internal".into()], ..ZoneSelector::default() };
    let two = Route53Settings { roles: vec![Role::new(role)], ..selecting(&sim, names) };
    let source = source_with(&sim, two);
    assert_eq!(round(&sim, &source).await, ["AssumeRole", "ListHostedZones×2", "ListResourceRecordSets×2"]);
    assert_eq!(round(&sim, &source).await, ["ListHostedZones×2", "ListResourceRecordSets×2"]);

    let shared = sim.zone("shared.internal.", json!({ "vpcs": [] })).await;
    let arn = format!("arn:aws:route53:::hostedzone/{shared}");
    sim.control("POST", "profile", json!({ "id": "rp-1", "vpcs": [VPC], "resources": [arn] })).await;
    let rule = json!({ "id": "rslvr-rr-1", "domain": "far.ours.internal.", "vpcs": [VPC] });
    sim.control("POST", "rule", rule).await;
    let full = Route53Settings { profiles: true, resolver_rules: true, ..selecting(&sim, vpc()) };
    let source = source_with(&sim, full);
    let first = [
        "GetHostedZone",
        "GetResolverRule",
        "ListHostedZonesByVPC",
        "ListProfileAssociations",
        "ListProfileResourceAssociations",
        "ListResolverRuleAssociations",
    ];
    source.discover().await.unwrap();
    let mut ops = column(&sim.calls().await, "op");
    ops.retain(|op| first.contains(&op.as_str()));
    ops.sort();
    ops.dedup();
    assert_eq!(ops, first);
    sim.forget_calls().await;
    source.discover().await.unwrap();
    let mut ops = column(&sim.calls().await, "op");
    ops.sort();
    assert_eq!(ops, first[2..], "what a rule or an id stands for is asked once");
}

#[tokio::test]
async fn five_hundred_zones_cost_five_listings_and_a_page_each() {
    let sim = Sim::start();
    for n in 0..500 {
        sim.zone(&format!("z{n:03}.internal."), json!({ "generate": 1 })).await;
    }
    let source = source_with(&sim, selecting(&sim, vpc()));
    assert_eq!(round(&sim, &source).await, ["ListHostedZonesByVPC×5", "ListResourceRecordSets×500"]);
}

#[tokio::test]
async fn within_the_buckets_of_an_account_nothing_is_throttled() {
    let sim = Sim::start();
    for n in 0..60 {
        sim.zone(&format!("z{n:03}.internal."), json!({ "generate": 1 })).await;
    }
    sim.control("POST", "limits", json!({ "preset": "route53" })).await;
    // The account's own 50 and 10 a second, a little below.
    let budget = Route53Settings { calls_per_second: 9.0, burst: 45, ..selecting(&sim, vpc()) };
    let source = source_with(&sim, budget);
    assert_eq!(round(&sim, &source).await, ["ListHostedZonesByVPC", "ListResourceRecordSets×60"]);
    assert!(column(&sim.calls().await, "code").iter().all(String::is_empty));
}
