//! Which zones are found, by which calls, with which signature.

use std::sync::Arc;

use serde_json::json;
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::{VpcSelector, ZoneSelector};
use zonelet::source::{Access, Origin, SourceError, ZoneSource};

use super::fixture::*;
use crate::harness::r53sim::{Sim, VPC};

fn apexes(found: &[zonelet::source::FoundZone]) -> Vec<String> {
    let mut names: Vec<String> = found.iter().map(|zone| zone.apex.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn zones_seen_but_not_readable_are_carved_out_or_denied_one_by_one() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({ "generate": 1 })).await;
    sim.zone("vpce.amazonaws.com.", json!({ "owner_service": "vpce.amazonaws.com" })).await;
    sim.zone("other.internal.", json!({ "owner_account": "999988887777" })).await;
    let source = source(&sim);
    assert_eq!(source.origin(), None, "unknown before the first discovery");
    let found = source.discover().await.unwrap();
    let carved = Access::CarvedOut("owned by vpce.amazonaws.com".into());
    assert_eq!(named(&found, "vpce.amazonaws.com").access, carved);
    assert_eq!(named(&found, "other.internal").access, Access::Readable, "only asking tells");
    let denied = fetch(&source, named(&found, "other.internal")).await;
    assert!(matches!(denied, Err(SourceError::Denied { .. })), "{denied:?}");
    assert!(fetch(&source, named(&found, "corp.internal")).await.is_ok());
    // Two accounts own zones here: the data belongs to the VPC alone.
    assert_eq!(source.origin(), Some(Origin { account: String::new(), vpc: VPC.into() }));
}

#[tokio::test]
async fn of_zones_with_one_name_only_the_associated_one_appears() {
    let sim = Sim::start();
    let ours = sim.zone("corp.internal.", json!({})).await;
    let elsewhere = json!([{ "id": "vpc-0b", "region": "eu-west-1" }]);
    sim.zone("corp.internal.", json!({ "vpcs": elsewhere })).await;
    sim.zone("corp.internal.", json!({ "private": false, "vpcs": [] })).await;
    let source = source(&sim);
    let found = source.discover().await.unwrap();
    assert_eq!(found.iter().map(|z| z.id.to_string()).collect::<Vec<_>>(), [ours]);
    assert_eq!(source.origin(), Some(Origin { account: "111122223333".into(), vpc: VPC.into() }));
}

#[tokio::test]
async fn a_long_list_of_zones_is_paged_without_a_spare_call() {
    let sim = Sim::start();
    for n in 0..150 {
        sim.zone(&format!("z{n:03}.internal."), json!({ "defaults": false })).await;
    }
    let source = source(&sim);
    assert_eq!(source.discover().await.unwrap().len(), 150);
    assert_eq!(column(&sim.calls().await, "op"), ["ListHostedZonesByVPC"; 2]);
    sim.fault(json!({ "kind": "repeat_cursor" })).await;
    let error = source.discover().await.unwrap_err();
    assert!(
        matches!(&error, SourceError::Damaged { problem, .. } if problem.contains("stands still")),
        "{error}"
    );

    sim.heal().await;
    sim.forget_calls().await;
    let mut account = settings(sim.url());
    account.zones = ZoneSelector { names: vec!["*.internal".into()], ..ZoneSelector::default() };
    assert_eq!(source_with(&sim, account).discover().await.unwrap().len(), 150);
    assert_eq!(column(&sim.calls().await, "op"), ["ListHostedZones"; 2]);
}

#[tokio::test]
async fn selectors_narrow_each_other() {
    let sim = Sim::start();
    let a = sim.zone("a.internal.", json!({})).await;
    let b = sim.zone("b.internal.", json!({})).await;
    sim.zone("c.test.", json!({})).await;
    sim.zone("public.test.", json!({ "private": false, "vpcs": [] })).await;
    let found = async |zones: ZoneSelector, public: bool| {
        let settings = zonelet::source::settings::Route53Settings { zones, public, ..settings(sim.url()) };
        apexes(&source_with(&sim, settings).discover().await.unwrap())
    };
    let vpc = || Some(VpcSelector::Id(VPC.into()));
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let ids = vec![format!("/hostedzone/{a}"), b.clone()];
    let of = |vpc, ids: &[String], names| ZoneSelector {
        vpc,
        ids: ids.to_vec(),
        names,
        ..ZoneSelector::default()
    };
    assert_eq!(found(of(vpc(), &[], names(&["*.internal"])), false).await, ["a.internal.", "b.internal."]);
    assert_eq!(found(of(vpc(), &ids, names(&["b.internal"])), false).await, ["b.internal."]);
    assert_eq!(found(of(None, &ids, names(&["a.internal", "c.test"])), false).await, ["a.internal."]);
    assert_eq!(found(of(None, &[], names(&["*.test"])), false).await, ["c.test."]);
    assert_eq!(found(of(None, &[], names(&["*.test"])), true).await, ["c.test.", "public.test."]);
}

#[tokio::test]
async fn an_id_is_asked_for_once_and_again_after_its_zone_has_gone() {
    let sim = Sim::start();
    let kept = sim.zone("kept.internal.", json!({})).await;
    let gone = sim.zone("gone.internal.", json!({})).await;
    let mut by_id = settings(sim.url());
    by_id.zones = ZoneSelector { ids: vec![kept, "ZNOSUCH".into(), gone.clone()], ..ZoneSelector::default() };
    let source = source_with(&sim, by_id);
    let found = source.discover().await.unwrap();
    assert_eq!(apexes(&found), ["gone.internal.", "kept.internal."]);
    assert_eq!(sim.calls().await.len(), 3);
    source.discover().await.unwrap();
    assert_eq!(sim.calls().await.len(), 4, "only the one that was not there is asked for again");

    sim.control("DELETE", &format!("zone/{gone}"), json!({})).await;
    let fetched = fetch(&source, named(&found, "gone.internal")).await;
    assert!(matches!(fetched, Err(SourceError::Gone { .. })), "{fetched:?}");
    assert_eq!(apexes(&source.discover().await.unwrap()), ["kept.internal."]);
}

#[tokio::test]
async fn a_failed_discovery_by_id_goes_on_where_it_failed() {
    let sim = Sim::start();
    let mut ids = Vec::new();
    for name in ["a.internal.", "b.internal.", "c.internal."] {
        ids.push(sim.zone(name, json!({})).await);
    }
    sim.fault(json!({ "kind": "throttle", "zone": ids[1], "times": 1 })).await;
    let mut by_id = settings(sim.url());
    by_id.zones = ZoneSelector { ids, ..ZoneSelector::default() };
    let source = source_with(&sim, by_id);
    assert!(matches!(source.discover().await, Err(SourceError::Throttled { .. })));
    assert_eq!(source.discover().await.unwrap().len(), 3);
    assert_eq!(sim.calls().await.len(), 4);
}

#[tokio::test]
async fn the_partition_signs_and_not_the_region_we_are_in() {
    for (region, partition, signing) in [
        (Some("eu-west-1"), None, "us-east-1"),
        (None, None, "us-east-1"),
        (Some("cn-north-1"), None, "cn-northwest-1"),
        (Some("eu-west-1"), Some("aws-us-gov"), "us-gov-west-1"),
    ] {
        let sim = Sim::start();
        sim.zone("corp.internal.", json!({})).await;
        sim.control("POST", "signing", json!({ "require": true, "region": signing })).await;
        let mut settings = settings(sim.url());
        settings.zones = ZoneSelector::default();
        settings.region = None;
        settings.partition = partition.map(str::to_owned);
        let connection = connection(&sim, region, PATIENT);
        let metrics = SourceMetrics::register("signing");
        let source =
            Route53Source::with_connection(settings, Arc::new(Asked::default()), metrics, connection);
        assert_eq!(source.discover().await.unwrap().len(), 1, "{region:?} {partition:?}");
        assert_eq!(column(&sim.calls().await, "signing_region"), [signing]);
    }
}

#[tokio::test]
async fn the_endpoint_is_resolved_through_our_own_resolver() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({})).await;
    let asked = Arc::new(Asked::default());
    let settings = settings(&format!("http://route53.invalid:{}", sim.port()));
    let connection = connection(&sim, Some("eu-west-1"), PATIENT);
    let metrics = SourceMetrics::register("resolver");
    let source = Route53Source::with_connection(settings, asked.clone(), metrics, connection);
    assert_eq!(source.discover().await.unwrap().len(), 1);
    assert_eq!(*asked.0.lock().unwrap(), ["route53.invalid"]);
}

#[tokio::test]
async fn vpc_auto_is_what_instance_metadata_says() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({})).await;
    let elsewhere = json!([{ "id": VPC, "region": "us-east-2" }]);
    sim.zone("far.internal.", json!({ "vpcs": elsewhere })).await;
    sim.control("POST", "imds", json!({ "vpc_id": VPC, "region": "eu-west-1" })).await;
    let mut auto = settings(sim.url());
    auto.zones.vpc = Some(VpcSelector::Auto);
    auto.region = None;
    let source = source_with(&sim, auto.clone());
    assert_eq!(apexes(&source.discover().await.unwrap()), ["corp.internal."]);
    assert_eq!(source.origin().map(|origin| origin.vpc), Some(VPC.into()));
    let asked = async || sim.control("GET", "imds", json!({})).await["requests"].as_array().unwrap().len();
    let requests = asked().await;
    source.discover().await.unwrap();
    assert_eq!(asked().await, requests, "a VPC is found once");
}

#[tokio::test]
async fn vpc_auto_without_metadata_is_an_error_that_names_the_key_and_lists_nothing() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({})).await;
    sim.control("POST", "imds", json!({ "enabled": false })).await;
    let mut auto = settings(sim.url());
    auto.zones.vpc = Some(VpcSelector::Auto);
    let source = source_with(&sim, auto);
    let error = source.discover().await.unwrap_err();
    assert!(matches!(&error, SourceError::Misconfigured(text) if text.contains("zones.vpc")), "{error}");
    assert!(sim.calls().await.is_empty(), "never the zones of the whole account");
    sim.control("POST", "imds", json!({ "enabled": true, "region": "eu-west-1" })).await;
    assert_eq!(source.discover().await.unwrap().len(), 1, "looked for again at the next discovery");
}

#[tokio::test]
async fn a_vpc_without_a_region_is_an_error_that_names_the_key() {
    let sim = Sim::start();
    let mut settings = settings(sim.url());
    settings.region = None;
    let connection = connection(&sim, None, PATIENT);
    let metrics = SourceMetrics::register("regionless");
    let source = Route53Source::with_connection(settings, Arc::new(Asked::default()), metrics, connection);
    let error = source.discover().await.unwrap_err();
    assert!(matches!(&error, SourceError::Misconfigured(text) if text.starts_with("region")), "{error}");
}
