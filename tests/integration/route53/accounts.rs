//! Several accounts in one source: who is asked, through which role, and what if one cannot be.

use serde_json::json;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::{Role, Route53Settings, VpcSelector, ZoneSelector};
use zonelet::source::{Origin, SourceError, ZoneSource};
use zonelet::zone::State;

use super::fixture::*;
use crate::harness::r53sim::{Sim, VPC};

const OTHER: &str = "222233334444";
const ROLE: &str = "arn:aws:iam::222233334444:role/dns/zonelet";

/// Settings with one role, which select by `zones`.
fn with_role(sim: &Sim, zones: ZoneSelector) -> Route53Settings {
    Route53Settings { zones, roles: vec![Role::new(ROLE)], ..settings(sim.url()) }
}

fn account() -> ZoneSelector {
    ZoneSelector { names: vec!["*.internal".into()], ..ZoneSelector::default() }
}

async fn role(sim: &Sim, mut fields: serde_json::Value) {
    fields["arn"] = ROLE.into();
    sim.control("POST", "role", fields).await;
}

/// Two zones, one in each account.
async fn two(sim: &Sim) -> (String, String) {
    role(sim, json!({})).await;
    let ours = sim.zone("ours.internal.", json!({ "generate": 1 })).await;
    let theirs = sim.zone("theirs.internal.", json!({ "generate": 2, "owner_account": OTHER })).await;
    (ours, theirs)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn apexes(source: &Route53Source) -> Vec<String> {
    source.discover().await.unwrap().iter().map(|zone| zone.apex.to_string()).collect()
}

/// How often `op` was called.
async fn count(sim: &Sim, op: &str) -> usize {
    column(&sim.calls().await, "op").iter().filter(|called| *called == op).count()
}

#[tokio::test]
async fn zones_of_every_account_are_found_and_read_through_its_role() {
    let sim = Sim::start();
    let (_, theirs) = two(&sim).await;
    let source = source_with(&sim, with_role(&sim, account()));
    let found = source.discover().await.unwrap();
    assert_eq!(
        found.iter().map(|z| z.apex.to_string()).collect::<Vec<_>>(),
        ["ours.internal.", "theirs.internal."]
    );
    assert_eq!(found.iter().map(|z| z.records).collect::<Vec<_>>(), [Some(3), Some(4)]);
    for zone in &found {
        fetch(&source, zone).await.unwrap();
    }
    let calls = sim.calls().await;
    assert_eq!(
        column(&calls, "op"),
        [
            "ListHostedZones",
            "AssumeRole",
            "ListHostedZones",
            "ListResourceRecordSets",
            "ListResourceRecordSets"
        ]
    );
    let keys = column(&calls, "access_key");
    assert_eq!((&*keys[0], &*keys[1], &*keys[3]), ("AKIDTEST", "AKIDTEST", "AKIDTEST"));
    assert!(keys[2].starts_with("ASIA") && keys[4] == keys[2], "{keys:?}");
    assert_eq!(calls[1]["query"]["RoleSessionName"], "zonelet");
    assert_eq!(calls[1]["signing_region"], "eu-west-1", "STS is regional, Route 53 is not");
    assert_eq!(source.origin(), Some(Origin::default()), "they have no account in common");
    let theirs = found.iter().find(|zone| *zone.id.0 == *theirs).unwrap();
    assert_eq!(source.origin_of(&theirs.id), Some(Origin { account: OTHER.into(), vpc: String::new() }));
}

#[tokio::test]
async fn a_zone_of_the_vpc_is_read_through_the_role_of_its_owner() {
    let sim = Sim::start();
    two(&sim).await;
    sim.zone("third.internal.", json!({ "owner_account": "999988887777" })).await;
    let vpc = ZoneSelector { vpc: Some(VpcSelector::Id(VPC.into())), ..ZoneSelector::default() };
    let source = source_with(&sim, with_role(&sim, vpc));
    let found = source.discover().await.unwrap();
    assert_eq!(count(&sim, "AssumeRole").await, 0, "listing a VPC takes no role");
    fetch(&source, named(&found, "ours.internal")).await.unwrap();
    fetch(&source, named(&found, "theirs.internal")).await.unwrap();
    let denied = fetch(&source, named(&found, "third.internal")).await;
    assert!(matches!(denied, Err(SourceError::Denied { .. })), "no role belongs to it: {denied:?}");
    let theirs = source.origin_of(&named(&found, "theirs.internal").id);
    assert_eq!(theirs, Some(Origin { account: OTHER.into(), vpc: VPC.into() }));
}

#[tokio::test]
async fn an_id_is_looked_for_in_each_account_until_found_and_remembered() {
    let sim = Sim::start();
    let (ours, theirs) = two(&sim).await;
    let ids = vec![theirs, ours, "ZNOWHERE".into()];
    let source = source_with(&sim, with_role(&sim, ZoneSelector { ids, ..ZoneSelector::default() }));
    assert_eq!(apexes(&source).await, ["theirs.internal.", "ours.internal."]);
    assert_eq!(count(&sim, "GetHostedZone").await, 5, "two for theirs, one for ours, two in vain");
    let found = source.discover().await.unwrap();
    assert_eq!(count(&sim, "GetHostedZone").await, 7, "only the one nobody had is looked for again");
    assert_eq!(fetch(&source, named(&found, "theirs.internal")).await.unwrap().data.sets.len(), 4);
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_holds_up_no_other_account_and_is_named() {
    let sim = Sim::start();
    two(&sim).await;
    let mut settings = with_role(&sim, account());
    settings.roles[0].external_id = Some("between-us".into());
    let source = source_with(&sim, settings.clone());
    assert_eq!(apexes(&source).await, ["ours.internal.", "theirs.internal."]);
    assert_eq!(sim.calls().await[1]["query"]["ExternalId"], "between-us");

    // Another process, to which the role's owner says no.
    role(&sim, json!({ "external_id": "another" })).await;
    let source = source_with(&sim, settings);
    assert_eq!(apexes(&source).await, ["ours.internal."]);
    assert_eq!(source.unseen(), [OTHER], "that its zones are not listed says nothing");
    let asked = zonelet::source::ZoneId("ZTHEIRS".into());
    assert_eq!(source.origin_of(&asked), Some(Origin::default()));
    sim.control("POST", "faults", json!({ "kind": "error", "op": "ListHostedZones", "status": 500 })).await;
    let failed = source.discover().await.unwrap_err();
    assert!(matches!(failed, SourceError::Failed { .. }), "with no account left it is the first's: {failed}");
    sim.heal().await;

    role(&sim, json!({ "external_id": "between-us" })).await;
    assert_eq!(apexes(&source).await, ["ours.internal.", "theirs.internal."]);
    assert!(source.unseen().is_empty());
}

#[tokio::test]
async fn a_refused_role_says_what_to_do_and_not_the_external_id() {
    let sim = Sim::start();
    role(&sim, json!({ "allowed": false })).await;
    sim.zone("theirs.internal.", json!({ "owner_account": OTHER })).await;
    let vpc = ZoneSelector { vpc: Some(VpcSelector::Id(VPC.into())), ..ZoneSelector::default() };
    let mut settings = with_role(&sim, vpc);
    settings.roles[0].external_id = Some("between-us".into());
    let source = source_with(&sim, settings);
    let found = source.discover().await.unwrap();
    let denied = fetch(&source, named(&found, "theirs.internal")).await.unwrap_err();
    let text = chain(&denied);
    assert!(matches!(denied, SourceError::Denied { .. }), "{text}");
    for word in [ROLE, "sts:AssumeRole", "trust policy", "external id", "not authorized"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert!(!text.contains("between-us") && !format!("{source:?}").contains("between-us"), "{text}");
}

#[tokio::test]
async fn an_account_that_could_not_be_reached_is_asked_again_at_the_next_discovery() {
    let sim = Sim::start();
    two(&sim).await;
    sim.fault(json!({ "kind": "throttle", "op": "AssumeRole" })).await;
    let source = source_with(&sim, with_role(&sim, account()));
    assert_eq!(apexes(&source).await, ["ours.internal."]);
    assert_eq!(source.unseen(), [OTHER]);
    sim.heal().await;
    assert_eq!(apexes(&source).await, ["ours.internal.", "theirs.internal."]);
}

#[tokio::test]
async fn keys_are_fetched_anew_before_they_expire() {
    let sim = Sim::start();
    two(&sim).await;
    let source = source_with(&sim, with_role(&sim, account()));
    for _ in 0..3 {
        source.discover().await.unwrap();
    }
    assert_eq!(count(&sim, "AssumeRole").await, 1, "good for an hour");
    role(&sim, json!({ "lifetime": 30 })).await;
    let source = source_with(&sim, with_role(&sim, account()));
    sim.forget_calls().await;
    for _ in 0..3 {
        source.discover().await.unwrap();
    }
    assert_eq!(count(&sim, "AssumeRole").await, 3, "what is about to expire is not used");
}

#[tokio::test]
async fn health_checks_are_those_of_the_account_that_has_them() {
    let sim = Sim::start();
    two(&sim).await;
    for (id, account, value) in [("ours", "111122223333", 1), ("theirs", OTHER, 0)] {
        let check = json!({ "id": id, "account": account, "Type": "CLOUDWATCH_METRIC" });
        sim.control("POST", "healthcheck", check).await;
        let values = json!({ "values": [{ "value": value, "age": 60 }] });
        sim.control("POST", &format!("metric/{id}"), values).await;
    }
    let source = source_with(&sim, Route53Settings { health: true, ..with_role(&sim, account()) });
    let checks = ["ours".into(), "theirs".into()];
    for look in 0..2 {
        sim.forget_calls().await;
        let seen = source.health(&checks).unwrap().await.unwrap();
        let found: Vec<_> = seen.iter().map(|sighting| (&*sighting.check, sighting.state)).collect();
        assert_eq!(found, [("ours", State::Healthy), ("theirs", State::Unhealthy)]);
        assert_eq!(count(&sim, "GetMetricData").await, 2, "one for each account");
        if look == 1 {
            assert_eq!(sim.calls().await.len(), 2, "it is remembered whose they are");
        }
    }
}
