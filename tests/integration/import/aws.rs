//! From the API to the table, through the SDK and the simulator: what CloudWatch says turns answers, and a
//! change that leaves the number of records as it was is seen.

use serde_json::{Value, json};
use zonelet::import::HealthPolicy;
use zonelet::source::settings::Route53Settings;

use super::*;
use crate::harness::r53sim::Sim;
use crate::route53::fixture::{column, settings, source_with};

/// A set of a failover pair at `db`.
fn role(role: &str, last: u8, check: Option<&str>) -> Value {
    let mut set = json!({
        "Name": "db.corp.internal.", "Type": "A", "TTL": 60, "SetIdentifier": role, "Failover": role,
        "ResourceRecords": [{ "Value": format!("10.0.0.{last}") }],
    });
    if let Some(check) = check {
        set["HealthCheckId"] = check.into();
    }
    set
}

async fn measured(sim: &Sim, check: &str, value: u8) {
    sim.control("POST", &format!("metric/{check}"), json!({ "values": [{ "value": value, "age": 1 }] }))
        .await;
}

fn world(sim: &Sim, refresh: Duration) -> World {
    let health = Some(HealthPolicy { every: Duration::from_millis(50), max_age: Duration::from_secs(600) });
    let policy = SourcePolicy { health, refresh, ..SourcePolicy::default() };
    let source = source_with(sim, Route53Settings { health: true, ..settings(sim.url()) });
    Setup { policy, ..Setup::default() }.over([Arc::new(source) as Arc<dyn ZoneSource>])
}

#[tokio::test]
async fn what_cloudwatch_measures_turns_answers_without_a_listing() {
    let sim = Sim::start();
    let records = json!([role("PRIMARY", 1, Some("leaf")), role("SECONDARY", 2, Some("all"))]);
    sim.zone("corp.internal.", json!({ "records": records })).await;
    for check in [
        json!({ "id": "leaf", "Type": "CLOUDWATCH_METRIC" }),
        json!({ "id": "all", "Type": "CALCULATED", "ChildHealthChecks": ["leaf"], "HealthThreshold": 1, "Inverted": true }),
    ] {
        sim.control("POST", "healthcheck", check).await;
    }
    measured(&sim, "leaf", 1).await;
    let world = world(&sim, Duration::from_secs(3600));
    world.until("db.corp.internal", "1").await;
    measured(&sim, "leaf", 0).await;
    world.until("db.corp.internal", "2").await;
    measured(&sim, "leaf", 1).await;
    world.until("db.corp.internal", "1").await;
    let calls = column(&sim.calls().await, "op");
    let count = |op: &str| calls.iter().filter(|called| *called == op).count();
    assert_eq!((count("ListResourceRecordSets"), count("GetHealthCheckStatus")), (1, 0));
    assert!(count("GetMetricData") >= 3);
}

#[tokio::test]
async fn an_upsert_that_leaves_the_number_of_records_is_seen_at_the_next_refresh() {
    let sim = Sim::start();
    let plain = |last: u8| {
        let value = [json!({ "Value": format!("10.0.0.{last}") })];
        json!({ "Name": "db.corp.internal.", "Type": "A", "TTL": 60, "ResourceRecords": value })
    };
    let id = sim.zone("corp.internal.", json!({ "records": [plain(1)] })).await;
    let world = world(&sim, Duration::from_secs(1));
    world.until("db.corp.internal", "1").await;
    let change = json!({ "changes": [{ "Action": "UPSERT", "ResourceRecordSet": plain(2) }] });
    sim.control("POST", &format!("zone/{id}/changes"), change).await;
    sim.forget_calls().await;
    world.until("db.corp.internal", "2").await;
    let calls = column(&sim.calls().await, "op");
    let listings = calls.iter().filter(|op| *op == "ListResourceRecordSets").count();
    assert!(listings <= 2, "by the first listing that began after it: {calls:?}");
}
