//! Listings of record sets: cursors, resuming, what the pages hold.

use std::sync::Arc;

use serde_json::{Value, json};
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::Route53Settings;
use zonelet::source::{Progress, SourceError, ZoneSource};
use zonelet::zone::{Alias, Body};

use super::fixture::*;
use crate::harness::r53sim::Sim;

fn weighted(name: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| {
            json!({ "Name": name, "Type": "A", "SetIdentifier": format!("set-{n:03}"), "Weight": 1,
                "ResourceRecords": [{ "Value": format!("10.9.0.{n}") }] })
        })
        .collect()
}

#[tokio::test]
async fn a_page_boundary_inside_a_group_is_crossed_with_its_identifier() {
    let sim = Sim::start();
    let records = weighted("wt.corp.internal.", 100);
    sim.zone("corp.internal.", json!({ "generate": 297, "records": records })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    let fetched = fetch(&source, &zone).await.unwrap();

    let calls = sim.calls().await;
    assert_eq!((calls.len(), fetched.calls), (2, 2), "399 sets are two pages, and no call is spare");
    let query = &calls[1]["query"];
    assert_eq!((&query["name"], &query["type"]), (&json!("wt.corp.internal."), &json!("A")));
    assert_eq!(query["identifier"], json!("set-001"));
    let group = fetched.data.sets.iter().filter(|s| matches!(s.body, Body::Member(_)));
    assert_eq!((fetched.data.sets.len(), group.count()), (399, 100), "each set of the group is one");
    assert!(fetched.data.skipped.is_empty());
}

#[tokio::test]
async fn a_cursor_that_stands_still_is_damage_and_the_listing_starts_over() {
    let sim = Sim::start();
    let id = sim.zone("corp.internal.", json!({ "generate": 700 })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    sim.fault(json!({ "kind": "repeat_cursor", "op": "ListResourceRecordSets", "zone": id, "page": 2 }))
        .await;
    let mut progress = Progress::default();
    let error = source.fetch(&zone, &mut progress).await.unwrap_err();
    assert!(
        matches!(&error, SourceError::Damaged { problem, .. } if problem.contains("stands still")),
        "{error}"
    );
    assert!(sim.calls().await.len() <= 4, "it is noticed at once");

    sim.heal().await;
    sim.forget_calls().await;
    let fetched = source.fetch(&zone, &mut progress).await.unwrap();
    assert_eq!(column(&sim.calls().await, "page"), ["1", "2", "3"]);
    assert_eq!(fetched.data.sets.len(), 702);
}

#[tokio::test]
async fn short_pages_are_followed_as_long_as_the_listing_is_truncated() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({ "generate": 20 })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    sim.fault(json!({ "kind": "short_page", "n": 7 })).await;
    let fetched = fetch(&source, &zone).await.unwrap();
    assert_eq!(fetched.data.sets.len(), 22);
    assert_eq!((sim.calls().await.len(), fetched.calls), (4, 4));
}

#[tokio::test]
async fn a_throttled_listing_resumes_at_the_page_that_failed() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({ "generate": 1300 })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    sim.fault(json!({ "kind": "throttle", "op": "ListResourceRecordSets", "page": 3, "times": 2 })).await;
    let mut progress = Progress::default();
    for _ in 0..2 {
        let throttled = source.fetch(&zone, &mut progress).await;
        assert!(matches!(throttled, Err(SourceError::Throttled { .. })), "{throttled:?}");
    }
    let fetched = source.fetch(&zone, &mut progress).await.unwrap();
    assert_eq!(column(&sim.calls().await, "page"), ["1", "2", "3", "3", "3", "4", "5"]);
    assert_eq!((fetched.data.sets.len(), fetched.calls), (1302, 5));
    assert!(progress.0.is_none(), "the next fetch starts over");
}

#[tokio::test]
async fn progress_of_another_zone_is_not_continued() {
    let sim = Sim::start();
    sim.zone("one.internal.", json!({ "generate": 400 })).await;
    sim.zone("two.internal.", json!({ "generate": 5 })).await;
    let source = source(&sim);
    let found = source.discover().await.unwrap();
    let mut progress = Progress::default();
    sim.fault(json!({ "kind": "throttle", "op": "ListResourceRecordSets", "page": 2 })).await;
    source.fetch(named(&found, "one.internal"), &mut progress).await.unwrap_err();
    let fetched = source.fetch(named(&found, "two.internal"), &mut progress).await.unwrap();
    assert_eq!((fetched.data.apex.to_string().as_str(), fetched.data.sets.len()), ("two.internal.", 7));
    assert!(fetched.data.skipped.is_empty());
}

#[tokio::test]
async fn a_set_listed_on_two_pages_counts_once() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({ "generate": 30 })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    sim.fault(json!({ "kind": "short_page", "n": 10, "page": 1 })).await;
    sim.fault(json!({ "kind": "duplicate_last", "page": 2 })).await;
    let fetched = fetch(&source, &zone).await.unwrap();
    assert_eq!(fetched.data.sets.len(), 32);
}

#[tokio::test]
async fn all_calls_draw_on_one_budget_and_waiting_is_counted() {
    let sim = Sim::start();
    sim.zone("one.internal.", json!({ "generate": 700 })).await;
    sim.zone("two.internal.", json!({ "generate": 1 })).await;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = metrics::with_local_recorder(&recorder, || SourceMetrics::register("budget"));
    let settings = Route53Settings { calls_per_second: 10.0, burst: 1, ..settings(sim.url()) };
    let connection = connection(&sim, Some("eu-west-1"), PATIENT);
    let source = Route53Source::with_connection(settings, Arc::new(Asked::default()), metrics, connection);
    let found = source.discover().await.unwrap();
    let (mut one, mut two) = (Progress::default(), Progress::default());
    let (one, two) = tokio::join!(
        source.fetch(named(&found, "one.internal"), &mut one),
        source.fetch(named(&found, "two.internal"), &mut two)
    );
    assert_eq!(one.unwrap().calls + two.unwrap().calls, 4);
    let text = recorder.handle().render();
    let value = |series: &str| {
        let line =
            text.lines().find(|l| l.starts_with(series)).unwrap_or_else(|| panic!("{series} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(value("zonelet_source_budget_waits_total") > 0, "two at once are more than a burst of 1");
    let pages =
        "zonelet_source_calls_total{source=\"budget\",operation=\"list_resource_record_sets\",result=\"ok\"}";
    assert_eq!(value(pages), 4);
}

#[tokio::test]
async fn octal_names_and_values_arrive_as_their_bytes() {
    let sim = Sim::start();
    let record = |name: &str, rtype: &str, value: &str| json!({ "Name": name, "Type": rtype, "ResourceRecords": [{ "Value": value }] });
    let records = json!([
        record("*.apps.corp.internal.", "A", "10.0.0.1"),
        record("a-*.apps.corp.internal.", "TXT", "\"heritage=x\""),
        record("txt.corp.internal.", "TXT", r#""ex\344mple" "c\"d""#),
        record("www.corp.internal.", "CNAME", "db.example.com"),
        { "Name": "elb.corp.internal.", "Type": "A", "AliasTarget": { "HostedZoneId": "Z2",
            "DNSName": "lb.elb.amazonaws.com.", "EvaluateTargetHealth": true } },
    ]);
    sim.zone("corp.internal.", json!({ "records": records })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    let data = fetch(&source, &zone).await.unwrap().data;
    assert_eq!(data.skipped, []);
    assert_eq!(sets_of(&data, "*.apps.corp.internal"), 1);
    assert_eq!(sets_of(&data, "a-*.apps.corp.internal"), 1);
    let body = |owner: &str| {
        let owner = owner.parse().unwrap();
        data.sets.iter().find(|set| set.owner == owner).map(|set| &set.body).unwrap()
    };
    let text = b"\x07\x65\x78\xe4\x6d\x70\x6c\x65\x03\x63\x22\x64";
    assert_eq!(*body("txt.corp.internal"), Body::Records { ttl: 300, rdata: vec![text[..].into()] });
    let target = b"\x02db\x07example\x03com\x00";
    assert_eq!(*body("www.corp.internal"), Body::Records { ttl: 300, rdata: vec![target[..].into()] });
    let target = "lb.elb.amazonaws.com".parse().unwrap();
    assert_eq!(
        *body("elb.corp.internal"),
        Body::Alias(Alias { target, is_inside: false, evaluates_health: true })
    );
}
