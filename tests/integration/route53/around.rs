//! Tags, profiles and resolver rules: what else decides about the zones of a VPC.

use serde_json::{Value, json};
use zonelet::source::settings::{Role, Route53Settings, VpcSelector, ZoneSelector};
use zonelet::source::{Access, FoundZone, SourceError, ZoneSource};

use super::fixture::*;
use crate::harness::r53sim::{Sim, VPC};

fn vpc() -> ZoneSelector {
    ZoneSelector { vpc: Some(VpcSelector::Id(VPC.into())), ..ZoneSelector::default() }
}

fn tagged(sim: &Sim, zones: ZoneSelector, tags: &[(&str, &str)]) -> Route53Settings {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Route53Settings { zones: ZoneSelector { tags, ..zones }, ..settings(sim.url()) }
}

/// Name and, for those that cannot be read, why.
fn lines(found: &[FoundZone]) -> Vec<String> {
    let line = |zone: &FoundZone| match &zone.access {
        Access::Readable => zone.apex.to_string(),
        Access::CarvedOut(why) => format!("{} ({why})", zone.apex),
    };
    let mut lines: Vec<String> = found.iter().map(line).collect();
    lines.sort();
    lines
}

async fn found(sim: &Sim, settings: Route53Settings) -> Vec<String> {
    lines(&source_with(sim, settings).discover().await.unwrap())
}

async fn tags_asked(sim: &Sim) -> usize {
    column(&sim.calls().await, "op").iter().filter(|op| *op == "ListTagsForResources").count()
}

#[tokio::test]
async fn all_tags_must_match_and_go_with_the_other_selectors() {
    let sim = Sim::start();
    let tags = |tags: Value| json!({ "tags": tags });
    sim.zone("a.internal.", tags(json!({ "team": "core", "env": "prod" }))).await;
    sim.zone("b.internal.", tags(json!({ "team": "core" }))).await;
    sim.zone("c.internal.", tags(json!({ "team": "edge", "env": "" }))).await;
    sim.zone("d.test.", tags(json!({ "team": "core", "env": "dev" }))).await;
    let core = [("team", "core"), ("env", "*")];
    assert_eq!(found(&sim, tagged(&sim, vpc(), &core)).await, ["a.internal.", "d.test."]);
    assert_eq!(
        found(&sim, tagged(&sim, vpc(), &[("env", "*")])).await,
        ["a.internal.", "c.internal.", "d.test."]
    );
    let names = ZoneSelector { names: vec!["*.internal".into()], ..ZoneSelector::default() };
    assert_eq!(found(&sim, tagged(&sim, names, &core)).await, ["a.internal."]);
    let none = ZoneSelector::default();
    assert_eq!(found(&sim, tagged(&sim, none, &[("team", "edge")])).await, ["c.internal."]);
}

#[tokio::test]
async fn tags_are_asked_for_ten_at_a_time_once_and_of_new_zones_at_once() {
    let sim = Sim::start();
    for n in 0..23 {
        sim.zone(&format!("z{n:02}.internal."), json!({ "tags": { "team": "core" } })).await;
    }
    sim.zone("other.test.", json!({})).await;
    let mut selected = tagged(&sim, vpc(), &[("team", "core")]);
    selected.zones.names = vec!["*.internal".into()];
    let source = source_with(&sim, selected);
    assert_eq!(source.discover().await.unwrap().len(), 23);
    assert_eq!(tags_asked(&sim).await, 3, "and not for what another selector leaves out");
    source.discover().await.unwrap();
    assert_eq!(tags_asked(&sim).await, 3);
    let id = sim.zone("new.internal.", json!({ "tags": { "team": "core" } })).await;
    assert_eq!(source.discover().await.unwrap().len(), 24);
    assert_eq!(tags_asked(&sim).await, 4);

    sim.control("PATCH", &format!("zone/{id}"), json!({ "tags": {} })).await;
    assert_eq!(source.discover().await.unwrap().len(), 24, "remembered for ten minutes");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(601)).await;
    tokio::time::resume();
    assert_eq!(source.discover().await.unwrap().len(), 23);
}

#[tokio::test]
async fn a_zone_whose_tags_cannot_be_read_is_left_out_and_takes_no_other_with_it() {
    let sim = Sim::start();
    sim.zone("a.internal.", json!({ "tags": { "team": "core" } })).await;
    sim.zone("b.internal.", json!({ "tags": { "team": "core" }, "tags_readable": false })).await;
    sim.zone("vpce.internal.", json!({ "owner_service": "vpce.amazonaws.com" })).await;
    let source = source_with(&sim, tagged(&sim, vpc(), &[("team", "core")]));
    let expected = ["a.internal.", "vpce.internal. (owned by vpce.amazonaws.com)"];
    assert_eq!(lines(&source.discover().await.unwrap()), expected);
    assert_eq!(tags_asked(&sim).await, 3, "both, then each alone");
    assert_eq!(lines(&source.discover().await.unwrap()), expected);
    assert_eq!(tags_asked(&sim).await, 3, "nor is it asked for at every turn");
}

#[tokio::test]
async fn tags_that_could_not_be_had_fail_the_discovery_only_where_nothing_is_known() {
    let sim = Sim::start();
    sim.zone("a.internal.", json!({ "tags": { "team": "core" } })).await;
    let source = source_with(&sim, tagged(&sim, vpc(), &[("team", "core")]));
    sim.fault(json!({ "kind": "throttle", "op": "ListTagsForResources" })).await;
    let throttled = source.discover().await;
    assert!(matches!(throttled, Err(SourceError::Throttled { .. })), "{throttled:?}");
    sim.heal().await;
    assert_eq!(source.discover().await.unwrap().len(), 1);
    sim.fault(json!({ "kind": "throttle", "op": "ListTagsForResources" })).await;
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(601)).await;
    tokio::time::resume();
    assert_eq!(source.discover().await.unwrap().len(), 1, "what is known stands");
}

#[tokio::test]
async fn tags_of_another_accounts_zone_are_read_through_its_role() {
    let sim = Sim::start();
    let role = "arn:aws:iam::222233334444:role/zonelet";
    sim.control("POST", "role", json!({ "arn": role })).await;
    let tags = json!({ "team": "core" });
    sim.zone("theirs.internal.", json!({ "owner_account": "222233334444", "tags": tags })).await;
    let selected = tagged(&sim, vpc(), &[("team", "core")]);
    assert_eq!(found(&sim, selected.clone()).await, [] as [&str; 0], "ours alone may not read them");
    let with_role = Route53Settings { roles: vec![Role::new(role)], ..selected };
    assert_eq!(found(&sim, with_role.clone()).await, ["theirs.internal."]);
    sim.control("POST", "role", json!({ "arn": role, "allowed": false })).await;
    let source = source_with(&sim, with_role);
    assert_eq!(lines(&source.discover().await.unwrap()), [] as [&str; 0]);
    assert_eq!(source.unseen(), ["222233334444"], "no reason to drop what an earlier process had");
}

#[tokio::test]
async fn what_is_not_selected_is_carved_out_of_what_is_selected_above_it() {
    let sim = Sim::start();
    sim.zone("internal.", json!({})).await;
    sim.zone("corp.internal.", json!({})).await;
    sim.zone("other.test.", json!({})).await;
    let names = ZoneSelector { names: vec!["internal".into()], ..vpc() };
    let found = found(&sim, Route53Settings { zones: names, ..settings(sim.url()) }).await;
    assert_eq!(found, ["corp.internal. (the VPC has it, and it is not selected)", "internal."]);
}

#[tokio::test]
async fn zones_of_profiles_are_the_vpcs_too() {
    let sim = Sim::start();
    sim.zone("own.internal.", json!({})).await;
    let shared = sim.zone("shared.internal.", json!({ "generate": 1, "vpcs": [] })).await;
    let pending = sim.zone("pending.internal.", json!({ "vpcs": [] })).await;
    let arn = |id: &str| format!("arn:aws:route53:::hostedzone/{id}");
    let resources = json!([
        arn(&shared),
        { "arn": arn(&pending), "status": "CREATING" },
        "arn:aws:route53resolver:eu-west-1:111122223333:firewall-rule-group/rslvr-frg-1",
        arn("ZNOWHERE"),
    ]);
    sim.control("POST", "profile", json!({ "id": "rp-1", "vpcs": [VPC], "resources": resources })).await;
    // Associated itself, later, with one of the profile's names: the VPC's own goes first.
    let twin = sim.zone("own.internal.", json!({ "generate": 5, "vpcs": [] })).await;
    sim.control("POST", "profile", json!({ "id": "rp-3", "vpcs": [VPC], "resources": [arn(&twin)] })).await;
    let off = sim.zone("off.internal.", json!({ "vpcs": [] })).await;
    let elsewhere = json!({ "id": "rp-2", "vpcs": [VPC], "resources": [arn(&off)], "status": "DELETED" });
    sim.control("POST", "profile", elsewhere).await;
    assert_eq!(found(&sim, settings(sim.url())).await, ["own.internal."]);

    let source = source_with(&sim, Route53Settings { profiles: true, ..settings(sim.url()) });
    let zones = source.discover().await.unwrap();
    assert_eq!(lines(&zones), ["own.internal.", "shared.internal."]);
    assert_eq!(fetch(&source, named(&zones, "shared.internal")).await.unwrap().data.sets.len(), 3);
    sim.fault(json!({ "kind": "error", "op": "ListProfileAssociations", "status": 403,
        "code": "AccessDeniedException" }))
        .await;
    let denied = source.discover().await;
    assert!(matches!(denied, Err(SourceError::Denied { .. })), "everything stays as it was: {denied:?}");
}

#[tokio::test]
async fn what_resolver_rules_forward_is_carved_out() {
    let sim = Sim::start();
    for zone in ["corp.internal.", "db.far.corp.internal.", "whole.test.", "kept.test."] {
        sim.zone(zone, json!({})).await;
    }
    let rule = async |id: &str, domain: &str, more: Value| {
        let mut rule = json!({ "id": id, "domain": domain, "vpcs": [VPC] });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sim.control("POST", "rule", rule).await;
    };
    rule("rslvr-rr-1", "far.corp.internal.", json!({})).await;
    rule("rslvr-rr-2", "whole.test.", json!({})).await;
    rule("rslvr-rr-3", "elsewhere.example.", json!({})).await;
    rule("rslvr-rr-4", "sys.kept.test.", json!({ "type": "SYSTEM" })).await;
    rule("rslvr-rr-5", "late.kept.test.", json!({ "status": "CREATING" })).await;
    rule("rslvr-rr-6", "x.kept.test.", json!({ "vpcs": ["vpc-b"] })).await;
    rule("rslvr-autodefined-rr-internet-resolver", ".", json!({ "type": "RECURSIVE" })).await;
    let shared = "arn:aws:route53resolver:eu-west-1:111122223333:resolver-rule/rslvr-rr-9";
    rule("rslvr-rr-9", "shared.kept.test.", json!({ "vpcs": [] })).await;
    sim.control("POST", "profile", json!({ "id": "rp-1", "vpcs": [VPC], "resources": [shared] })).await;
    let all = ["corp.internal.", "db.far.corp.internal.", "kept.test.", "whole.test."];
    assert_eq!(found(&sim, settings(sim.url())).await, all, "off unless asked for");

    let on = Route53Settings { resolver_rules: true, ..settings(sim.url()) };
    let expected = [
        "corp.internal.",
        "db.far.corp.internal.",
        "far.corp.internal. (resolver rule rslvr-rr-1 forwards it)",
        "kept.test.",
        "whole.test. (resolver rule rslvr-rr-2 forwards it)",
    ];
    assert_eq!(found(&sim, on.clone()).await, expected);
    let mut with_profiles = expected.to_vec();
    with_profiles.insert(4, "shared.kept.test. (resolver rule rslvr-rr-9 forwards it)");
    assert_eq!(found(&sim, Route53Settings { profiles: true, ..on.clone() }).await, with_profiles);

    let source = source_with(&sim, on);
    source.discover().await.unwrap();
    rule("rslvr-rr-2", "whole.test.", json!({ "vpcs": [] })).await;
    assert_eq!(lines(&source.discover().await.unwrap())[4], "whole.test.", "a rule that is gone gives back");
}
