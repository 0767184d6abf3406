//! Replies that may not be believed, and connections that break.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::ZoneSelector;
use zonelet::source::{Progress, SourceError, ZoneSource};

use super::fixture::*;
use crate::harness::r53sim::Sim;

/// Each fault hurts page 2 of 3; the fetch fails, and the next one gets the rest.
async fn after_each(faults: Vec<Value>, call_timeout: Duration, is_expected: fn(&SourceError) -> bool) {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({ "generate": 620 })).await;
    let patient = source(&sim);
    let zone = find(&sim, &patient, "corp.internal").await;
    let hasty = connection(&sim, Some("eu-west-1"), call_timeout);
    let source = Route53Source::with_connection(
        settings(sim.url()),
        Arc::new(Asked::default()),
        SourceMetrics::register("hasty"),
        hasty,
    );
    for mut fault in faults {
        fault["op"] = json!("ListResourceRecordSets");
        fault["page"] = json!(2);
        let mut progress = Progress::default();
        sim.fault(json!({ "kind": "throttle", "page": 2 })).await;
        patient.fetch(&zone, &mut progress).await.unwrap_err();
        sim.heal().await;
        sim.fault(fault.clone()).await;
        let result = source.fetch(&zone, &mut progress).await;
        let error = result.err().unwrap_or_else(|| panic!("{fault} was believed"));
        assert!(is_expected(&error), "{fault}: {error:?}");
        assert!(error.to_string().contains("corp.internal."), "{error}");
        sim.heal().await;
        sim.forget_calls().await;
        let fetched = patient.fetch(&zone, &mut progress).await.unwrap();
        assert_eq!(fetched.data.sets.len(), 622, "{fault}");
        assert_eq!(column(&sim.calls().await, "page"), ["2", "3"], "{fault}: resumed where it failed");
    }
}

fn is_damaged(error: &SourceError) -> bool {
    matches!(error, SourceError::Damaged { .. })
}

fn is_failed(error: &SourceError) -> bool {
    matches!(error, SourceError::Failed { .. })
}

#[tokio::test]
async fn a_body_cut_in_valid_framing_is_not_believed() {
    let points = [json!(0.1), json!(0.5), json!(0.9), json!("last_record"), json!("after_last_record")];
    let ends = [json!(-1), json!(-20), json!(-60), json!(200)];
    let cuts = points.into_iter().chain(ends).map(|at| json!({ "kind": "cut_body", "at": at }));
    after_each(cuts.collect(), PATIENT, is_damaged).await;
}

#[tokio::test]
async fn a_200_that_is_no_listing_is_not_believed() {
    let faults = ["drop_is_truncated", "empty_root", "empty_body", "html"];
    after_each(faults.iter().map(|kind| json!({ "kind": kind })).collect(), PATIENT, is_damaged).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failure_and_the_page_is_asked_again() {
    let faults = vec![
        json!({ "kind": "refuse" }),
        json!({ "kind": "reset" }),
        json!({ "kind": "wrong_content_length", "delta": 64 }),
        json!({ "kind": "error", "status": 500, "code": "InternalFailure" }),
        json!({ "kind": "error", "status": 503, "code": "ServiceUnavailable" }),
        json!({ "kind": "html", "status": 502 }),
    ];
    after_each(faults, PATIENT, is_failed).await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_ends_in_a_time_out() {
    let faults = vec![json!({ "kind": "stall", "seconds": 600 }), json!({ "kind": "delay", "seconds": 600 })];
    after_each(faults, Duration::from_millis(200), is_failed).await;
}

#[tokio::test]
async fn a_listing_without_apex_soa_or_ns_is_not_a_zone() {
    let sim = Sim::start();
    sim.zone("nosoa.internal.", json!({ "default_soa": false, "generate": 3 })).await;
    sim.zone("nons.internal.", json!({ "default_ns": false, "generate": 3 })).await;
    let source = source(&sim);
    let found = source.discover().await.unwrap();
    for apex in ["nosoa.internal", "nons.internal"] {
        let mut progress = Progress::default();
        let error = source.fetch(named(&found, apex), &mut progress).await.unwrap_err();
        assert!(is_damaged(&error) && error.to_string().contains("SOA"), "{error}");
        assert!(progress.0.is_none(), "such a listing cannot be continued");
    }
}

#[tokio::test]
async fn an_soa_that_cannot_be_read_still_marks_a_whole_listing() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({ "soa": "{'Value': 'ns-2048.awsdns-64.com. h.'}" })).await;
    let source = source(&sim);
    let zone = find(&sim, &source, "corp.internal").await;
    let data = fetch(&source, &zone).await.unwrap().data;
    let skipped: Vec<&str> = data.skipped.iter().map(|s| s.rtype.as_str()).collect();
    assert_eq!(skipped, ["SOA"]);
}

#[tokio::test]
async fn a_cut_list_of_zones_does_not_disassociate_the_rest() {
    let sim = Sim::start();
    let id = sim.zone("one.internal.", json!({})).await;
    sim.zone("two.internal.", json!({})).await;
    let mut by_id = settings(sim.url());
    by_id.zones = ZoneSelector { ids: vec![id], ..ZoneSelector::default() };
    let mut of_account = settings(sim.url());
    of_account.zones = ZoneSelector::default();
    for (settings, zones) in [(settings(sim.url()), 2), (by_id, 1), (of_account, 2)] {
        let source = source_with(&sim, settings);
        for at in [json!("after_last_record"), json!("last_record"), json!(-1), json!(0.4)] {
            sim.fault(json!({ "kind": "cut_body", "at": at })).await;
            let error = source.discover().await.unwrap_err();
            assert!(is_damaged(&error), "{at}: {error:?}");
            sim.heal().await;
        }
        assert_eq!(source.discover().await.unwrap().len(), zones);
    }
}
