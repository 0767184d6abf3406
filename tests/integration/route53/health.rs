//! States of health checks: which calls find them out, and what is made of what they say.

use serde_json::{Value, json};
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::Route53Settings;
use zonelet::source::{Sighting, SourceError, ZoneSource};
use zonelet::zone::State;

use super::fixture::*;
use crate::harness::r53sim::Sim;

const HEALTHY: State = State::Healthy;
const ILL: State = State::Unhealthy;

fn watching(sim: &Sim) -> Route53Source {
    source_with(sim, Route53Settings { health: true, ..settings(sim.url()) })
}

fn ids<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Box<str>> {
    names.into_iter().map(Box::from).collect()
}

async fn look(source: &Route53Source, checks: &[Box<str>]) -> Result<Vec<Sighting>, SourceError> {
    source.health(checks).expect("this source knows of health").await
}

/// The states of `names`, in their order; a check that is not in the answer is `Unknown`.
async fn states(source: &Route53Source, names: &[&str]) -> Vec<State> {
    let seen = look(source, &ids(names.iter().copied())).await.unwrap();
    let of = |name: &&str| seen.iter().find(|s| &*s.check == *name).map_or(State::Unknown, |s| s.state);
    names.iter().map(of).collect()
}

async fn check(sim: &Sim, id: &str, settings: Value) {
    let mut check = json!({ "id": id });
    for (key, value) in settings.as_object().unwrap() {
        check[key] = value.clone();
    }
    sim.control("POST", "healthcheck", check).await;
}

/// Gives a check a newest value, and an older one that says the opposite.
async fn measured(sim: &Sim, id: &str, value: u8, age: u32) {
    let values = json!([{ "value": 1 - value, "age": age + 60 }, { "value": value, "age": age }]);
    sim.control("POST", &format!("metric/{id}"), json!({ "values": values })).await;
}

async fn operations(sim: &Sim) -> Vec<String> {
    let calls = sim.calls().await;
    sim.forget_calls().await;
    column(&calls, "op")
}

#[tokio::test]
async fn health_is_asked_for_only_where_it_is_wanted() {
    let sim = Sim::start();
    assert!(source(&sim).health(&ids(["a"])).is_none());
    assert_eq!(look(&watching(&sim), &[]).await.unwrap(), []);
    assert_eq!(operations(&sim).await, [""; 0]);
}

#[tokio::test]
async fn states_are_the_newest_values_of_cloudwatch_in_the_partition_s_region() {
    let sim = Sim::start();
    sim.control("POST", "signing", json!({ "require": true, "region": "us-east-1" })).await;
    for id in ["up", "down", "old", "new"] {
        check(&sim, id, json!({ "Type": "CLOUDWATCH_METRIC" })).await;
    }
    measured(&sim, "up", 1, 90).await;
    measured(&sim, "down", 0, 120).await;
    measured(&sim, "old", 1, 1000).await;
    let source = watching(&sim);
    let seen = look(&source, &ids(["up", "down", "old", "new", "absent", "not an id"])).await.unwrap();
    let found: Vec<(&str, State)> = seen.iter().map(|s| (&*s.check, s.state)).collect();
    assert_eq!(found, [("up", HEALTHY), ("down", ILL)], "without a recent value nothing is said");
    assert!(seen[0].age.as_secs() >= 90 && seen[1].age.as_secs() >= 120, "{seen:?}");
    assert_eq!(operations(&sim).await, ["ListHealthChecks", "GetMetricData"]);

    measured(&sim, "down", 1, 60).await;
    assert_eq!(states(&source, &["up", "down"]).await, [HEALTHY, HEALTHY]);
    let calls = sim.calls().await;
    assert_eq!(column(&calls, "op"), ["GetMetricData"], "settings are remembered");
    assert_eq!(column(&calls, "signing_region"), ["us-east-1"]);
}

#[tokio::test]
async fn each_partition_has_its_own_cloudwatch() {
    for (region, signing) in [("cn-north-1", "cn-northwest-1"), ("us-gov-east-1", "us-gov-west-1")] {
        let sim = Sim::start();
        sim.control("POST", "signing", json!({ "require": true, "region": signing })).await;
        measured(&sim, "up", 1, 60).await;
        let settings = Route53Settings { health: true, region: Some(region.into()), ..settings(sim.url()) };
        assert_eq!(states(&source_with(&sim, settings), &["up"]).await, [HEALTHY]);
        assert_eq!(column(&sim.calls().await, "signing_region"), [signing; 2]);
    }
}

#[tokio::test]
async fn settings_decide_what_a_value_means() {
    let sim = Sim::start();
    check(&sim, "off", json!({ "Type": "TCP", "Disabled": true })).await;
    check(&sim, "turned", json!({ "Type": "HTTPS", "Inverted": true })).await;
    let sum = |threshold: u8, children: &[&str]| json!({ "Type": "CALCULATED", "HealthThreshold": threshold, "ChildHealthChecks": children });
    check(&sim, "zero", sum(0, &["a"])).await;
    check(&sim, "beyond", sum(2, &["a"])).await;
    check(&sim, "sum", sum(1, &["a"])).await;
    for (id, value) in [("off", 0), ("turned", 0), ("zero", 0), ("beyond", 1), ("sum", 0), ("a", 1)] {
        measured(&sim, id, value, 60).await;
    }
    let source = watching(&sim);
    let found = states(&source, &["off", "turned", "zero", "beyond", "sum"]).await;
    assert_eq!(found, [HEALTHY, HEALTHY, HEALTHY, ILL, ILL]);
    measured(&sim, "turned", 1, 60).await;
    assert_eq!(states(&source, &["turned"]).await, [ILL]);
    assert!(!operations(&sim).await.contains(&"GetHealthCheckStatus".to_owned()));
}

#[tokio::test]
async fn a_calculated_check_without_values_follows_its_children() {
    let sim = Sim::start();
    let sum = |threshold: u8, children: &[&str]| json!({ "Type": "CALCULATED", "HealthThreshold": threshold, "ChildHealthChecks": children });
    check(&sim, "top", sum(2, &["inner", "a", "off"])).await;
    check(&sim, "inner", sum(1, &["b", "top"])).await;
    check(&sim, "off", json!({ "Disabled": true })).await;
    for id in ["a", "b"] {
        check(&sim, id, json!({})).await;
        measured(&sim, id, 0, 60).await;
    }
    let source = watching(&sim);
    assert_eq!(states(&source, &["top"]).await, [State::Unknown], "it follows itself through `inner`");
    check(&sim, "inner", sum(1, &["b"])).await;
    let source = watching(&sim);
    assert_eq!(states(&source, &["top"]).await, [ILL]);
    measured(&sim, "b", 1, 60).await;
    assert_eq!(states(&source, &["top"]).await, [HEALTHY]);
    measured(&sim, "top", 0, 60).await;
    sim.forget_calls().await;
    assert_eq!(states(&source, &["top"]).await, [ILL], "its own value goes first");
    assert_eq!(operations(&sim).await, ["GetMetricData"], "and its children are not asked for");
}

#[tokio::test]
async fn few_settings_are_read_one_by_one_and_many_by_listing_pages() {
    let sim = Sim::start();
    let names: Vec<String> = (0..250).map(|n| format!("c{n:03}")).collect();
    for name in &names {
        check(&sim, name, json!({})).await;
        measured(&sim, name, 1, 60).await;
    }
    let source = watching(&sim);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(states(&source, &names[..2]).await, [HEALTHY; 2]);
    assert_eq!(operations(&sim).await, ["GetHealthCheck", "GetHealthCheck", "GetMetricData"]);
    assert_eq!(states(&source, &names[..6]).await, [HEALTHY; 6]);
    let listing = ["ListHealthChecks"; 3];
    assert_eq!(operations(&sim).await, [&listing[..], &["GetMetricData"]].concat());
    assert_eq!(states(&source, &names).await, [HEALTHY; 250]);
    assert_eq!(operations(&sim).await, ["GetMetricData"], "the listing had them all");
    sim.fault(json!({ "kind": "repeat_cursor", "op": "ListHealthChecks" })).await;
    let error = look(&watching(&sim), &ids(names)).await.unwrap_err();
    assert!(matches!(&error, SourceError::Damaged { problem, .. } if problem.contains("stands still")));
}

#[tokio::test]
async fn many_checks_take_several_calls_and_pages() {
    let sim = Sim::start();
    sim.fault(json!({ "kind": "error", "op": "ListHealthChecks", "status": 403, "code": "AccessDenied" }))
        .await;
    let names: Vec<String> = (0..950).map(|n| format!("c{n:03}")).collect();
    for (n, name) in names.iter().enumerate().step_by(100) {
        measured(&sim, name, (n / 100 % 2) as u8, 60).await;
    }
    let source = watching(&sim);
    let checks = ids(names.iter().map(String::as_str));
    let seen = look(&source, &checks).await.unwrap();
    let up = seen.iter().filter(|s| s.state == HEALTHY).count();
    assert_eq!((seen.len(), up), (10, 5));
    // 500 and 450 queries, 400 results a page.
    let pages = ["GetMetricData"; 4];
    assert_eq!(operations(&sim).await, [&["ListHealthChecks"], &pages[..]].concat());
    sim.fault(json!({ "kind": "repeat_cursor", "op": "GetMetricData" })).await;
    let error = look(&source, &checks).await.unwrap_err();
    assert!(matches!(&error, SourceError::Damaged { problem, .. } if problem.contains("stands still")));
}

#[tokio::test]
async fn without_permission_for_settings_the_metric_alone_counts() {
    let sim = Sim::start();
    check(&sim, "off", json!({ "Disabled": true })).await;
    measured(&sim, "off", 0, 60).await;
    sim.fault(json!({ "kind": "error", "op": "GetHealthCheck", "status": 403, "code": "AccessDenied" }))
        .await;
    let source = watching(&sim);
    assert_eq!(states(&source, &["off"]).await, [ILL]);
    assert_eq!(states(&source, &["off"]).await, [ILL]);
    assert_eq!(operations(&sim).await, ["GetHealthCheck", "GetMetricData", "GetMetricData"]);
}

#[tokio::test]
async fn a_check_whose_settings_could_not_be_read_is_not_judged() {
    let sim = Sim::start();
    for id in ["known", "new"] {
        check(&sim, id, json!({})).await;
        measured(&sim, id, 1, 60).await;
    }
    let source = watching(&sim);
    assert_eq!(states(&source, &["known"]).await, [HEALTHY]);
    sim.fault(json!({ "kind": "throttle", "op": "GetHealthCheck" })).await;
    assert_eq!(states(&source, &["known", "new"]).await, [HEALTHY, State::Unknown]);
    let error = look(&source, &ids(["new"])).await.unwrap_err();
    assert!(matches!(error, SourceError::Throttled { .. }), "{error}");
    sim.heal().await;
    assert_eq!(states(&source, &["known", "new"]).await, [HEALTHY, HEALTHY]);
}

#[tokio::test]
async fn what_cloudwatch_refuses_or_spoils_is_an_error_with_its_kind() {
    let sim = Sim::start();
    check(&sim, "a", json!({})).await;
    measured(&sim, "a", 1, 60).await;
    let source = watching(&sim);
    let checks = ids(["a"]);
    let meets = async |fault: Value| {
        sim.heal().await;
        let mut fault = fault;
        fault["op"] = json!("GetMetricData");
        sim.fault(fault).await;
        look(&source, &checks).await.unwrap_err()
    };
    let throttled = meets(json!({ "kind": "throttle" })).await;
    assert!(matches!(throttled, SourceError::Throttled { .. }), "{throttled}");
    let denied = meets(json!({ "kind": "error", "status": 403, "code": "AccessDeniedException" })).await;
    assert!(matches!(denied, SourceError::Denied { .. }), "{denied}");
    assert!(denied.to_string().contains("cloudwatch:GetMetricData"), "{denied}");
    for fault in [
        json!({ "kind": "error", "status": 500 }),
        json!({ "kind": "cut_body", "at": 0.5 }),
        json!({ "kind": "cut_body", "at": -1 }),
        json!({ "kind": "html" }),
        json!({ "kind": "empty_body" }),
        json!({ "kind": "refuse" }),
        json!({ "kind": "reset" }),
    ] {
        let failed = meets(fault.clone()).await;
        assert!(matches!(failed, SourceError::Failed { .. }), "{fault}: {failed:?}");
    }
    sim.heal().await;
    sim.control("POST", "metric/a", json!({ "status": "InternalError" })).await;
    assert!(matches!(look(&source, &checks).await, Err(SourceError::Failed { .. })));
}

#[tokio::test]
async fn each_call_is_counted_by_what_came_of_it() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = metrics::with_local_recorder(&recorder, || SourceMetrics::register("health"));
    let sim = Sim::start();
    check(&sim, "a", json!({})).await;
    let settings = Route53Settings { health: true, ..settings(sim.url()) };
    let source = counted_source(&sim, settings, metrics);
    sim.fault(json!({ "kind": "throttle", "op": "GetMetricData", "times": 1 })).await;
    assert!(look(&source, &ids(["a"])).await.is_err());
    assert_eq!(look(&source, &ids(["a"])).await.unwrap(), []);
    let text = recorder.handle().render();
    for (operation, result) in
        [("get_health_check", "ok"), ("get_metric_data", "throttled"), ("get_metric_data", "ok")]
    {
        let series = format!("operation=\"{operation}\",result=\"{result}\"}} 1");
        assert!(text.contains(&series), "{series} in {text}");
    }
}
