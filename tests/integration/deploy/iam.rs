//! deploy/iam: the policies are well formed, and no wider than they have to be.

use std::collections::BTreeSet;

use serde_json::Value;
use zonelet::metrics::source::ApiCall;

use super::{files_below, read};

/// Whether the program makes the call of this name, which its metrics label in snake case.
fn is_made(call: &str) -> bool {
    let mut snake = String::new();
    for c in call.replace("VPC", "Vpc").chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    ApiCall::ALL.iter().any(|made| made.label() == snake)
}

fn policy(path: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert_eq!(policy["Version"], "2012-10-17", "{path}");
    policy["Statement"].as_array().unwrap_or_else(|| panic!("{path}: a list of statements")).clone()
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn actions(path: &str) -> BTreeSet<String> {
    policy(path).iter().flat_map(|s| strings(&s["Action"])).map(str::to_owned).collect()
}

/// Whether an action is one that the program takes. Messages of hints are deleted in batches, for
/// which there is no action of its own.
fn is_needed(action: &str) -> bool {
    match action.split_once(':') {
        Some(("route53" | "route53profiles" | "route53resolver" | "cloudwatch", call)) => is_made(call),
        Some(("sqs", "DeleteMessage")) => is_made("DeleteMessageBatch"),
        Some(("sqs", call)) => is_made(call),
        _ => ["ec2:DescribeVpcs", "sts:AssumeRole"].contains(&action),
    }
}

#[test]
fn policies_only_read_and_name_each_action() {
    for path in files_below("deploy/iam").iter().filter(|path| !path.contains("/trust-")) {
        for statement in policy(path) {
            assert_eq!(statement["Effect"], "Allow", "{path}");
            assert!(statement["Sid"].is_string() && statement["Principal"].is_null(), "{path}");
            for action in strings(&statement["Action"]) {
                assert!(is_needed(action), "{path} allows {action}");
            }
            if statement["Action"] == "sts:AssumeRole" {
                let exact = |arn: &&str| arn.starts_with("arn:aws:iam::") && !arn.contains('*');
                assert!(strings(&statement["Resource"]).iter().all(exact), "{path} assumes any role");
                continue;
            }
            let on_zones = ["route53:ListResourceRecordSets", "route53:ListTagsForResources"];
            let zones = strings(&statement["Action"]).iter().any(|action| on_zones.contains(action));
            for resource in strings(&statement["Resource"]) {
                assert_eq!(
                    resource.starts_with("arn:aws:route53:::hostedzone/"),
                    zones,
                    "{path}: {resource}"
                );
            }
        }
    }
}

#[test]
fn each_way_of_choosing_zones_has_just_what_it_calls() {
    for (file, more) in [
        ("explicit-ids", vec!["route53:GetHostedZone"]),
        ("vpc-discovery", vec!["route53:ListHostedZonesByVPC", "ec2:DescribeVpcs"]),
        ("name-pattern", vec!["route53:ListHostedZones"]),
    ] {
        let wanted = more.into_iter().chain(["route53:ListResourceRecordSets"]).map(str::to_owned).collect();
        assert_eq!(actions(&format!("deploy/iam/{file}.json")), wanted, "{file}");
    }
}

#[cfg(feature = "route53")]
#[test]
fn the_checked_in_policies_are_those_that_check_tells() {
    use zonelet::source::route53::policy::{Policy, of_role, own, trust};
    use zonelet::source::route53::vpc::Vpc;
    use zonelet::source::settings::{HintQueue, Role, Route53Settings, VpcSelector, ZoneSelector};

    let vpc = Vpc { id: "vpc-0123456789abcdef0".into(), region: "eu-west-1".into() };
    let by_vpc = || ZoneSelector { vpc: Some(VpcSelector::Auto), ..ZoneSelector::default() };
    let ids = ZoneSelector { ids: vec!["Z0123456789EXAMPLE".into()], ..ZoneSelector::default() };
    let names = ZoneSelector { names: vec!["*.internal".into()], ..ZoneSelector::default() };
    let tags = ZoneSelector { tags: [("team".to_owned(), "core".to_owned())].into(), ..by_vpc() };
    let selecting = |zones| Route53Settings { zones, ..Route53Settings::default() };
    let external_id = Some("between us".to_owned());
    let role = Role { external_id, ..Role::new("arn:aws:iam::444455556666:role/zonelet") };
    let several = Route53Settings { roles: vec![role.clone()], ..selecting(by_vpc()) };
    let all = Route53Settings { profiles: true, resolver_rules: true, ..selecting(tags) };
    let caller = "arn:aws:iam::111122223333:role/zonelet";
    let queue = HintQueue {
        url: "https://sqs.us-east-1.amazonaws.com/111122223333/zonelet-changes".into(),
        region: Some("us-east-1".into()),
    };
    let signals = Route53Settings { health: true, hints: Some(queue), ..selecting(by_vpc()) };
    let added = |file: &str| {
        let told: Value = serde_json::from_str(&own(&signals, None).text()).unwrap();
        let told = told["Statement"].as_array().unwrap().clone();
        policy(&format!("deploy/iam/{file}.json")).iter().all(|statement| told.contains(statement))
    };
    assert!(added("health") && added("hints"), "{}", own(&signals, None).text());
    let told: [(&str, Policy); 7] = [
        ("explicit-ids", own(&selecting(ids), None)),
        ("vpc-discovery", own(&selecting(by_vpc()), Some(&vpc))),
        ("name-pattern", own(&selecting(names), None)),
        ("several-accounts", own(&several, Some(&vpc))),
        ("role-in-another-account", of_role(&several)),
        ("trust-another-account", trust(&role, caller)),
        ("vpc-tags-profiles-rules", own(&all, Some(&vpc))),
    ];
    for (file, policy) in told {
        let checked_in: Value = serde_json::from_str(&read(&format!("deploy/iam/{file}.json"))).unwrap();
        let told: Value = serde_json::from_str(&policy.text()).unwrap();
        assert_eq!(told, checked_in, "{file}");
    }
}

#[test]
fn health_and_hints_have_just_what_they_call() {
    let wanted = ["cloudwatch:GetMetricData", "route53:GetHealthCheck", "route53:ListHealthChecks"];
    assert_eq!(actions("deploy/iam/health.json"), wanted.map(str::to_owned).into());
    let wanted = ["sqs:DeleteMessage", "sqs:ReceiveMessage"];
    assert_eq!(actions("deploy/iam/hints.json"), wanted.map(str::to_owned).into());
    for statement in policy("deploy/iam/hints.json") {
        assert!(strings(&statement["Resource"]).iter().all(|arn| !arn.contains('*')), "one queue only");
    }
}

#[test]
fn explicit_ids_allow_no_other_zone() {
    for statement in policy("deploy/iam/explicit-ids.json") {
        assert!(strings(&statement["Resource"]).iter().all(|arn| !arn.contains('*')));
    }
}

#[test]
fn trust_is_for_one_service_account_or_cluster() {
    let irsa = policy("deploy/iam/trust-irsa.json").remove(0);
    assert_eq!(irsa["Action"], "sts:AssumeRoleWithWebIdentity");
    let exact = irsa["Condition"]["StringEquals"].as_object().expect("exact conditions");
    let ends = |end: &str| exact.iter().find(|(key, _)| key.ends_with(end)).map(|(_, value)| value.clone());
    assert_eq!(ends(":aud"), Some("sts.amazonaws.com".into()));
    assert_eq!(ends(":sub"), Some("system:serviceaccount:zonelet:zonelet".into()));
    let other = policy("deploy/iam/trust-another-account.json").remove(0);
    assert!(
        other["Principal"]["AWS"].as_str().is_some_and(|arn| !arn.contains('*') && !arn.ends_with(":root"))
    );
    assert!(other["Condition"]["StringEquals"]["sts:ExternalId"].is_string());
    let pods = policy("deploy/iam/trust-pod-identity.json").remove(0);
    assert_eq!(pods["Principal"]["Service"], "pods.eks.amazonaws.com");
    assert_eq!(strings(&pods["Action"]), ["sts:AssumeRole", "sts:TagSession"]);
    assert!(pods["Condition"].is_object());
    let events = policy("deploy/iam/trust-events.json").remove(0);
    assert_eq!(events["Principal"]["Service"], "events.amazonaws.com");
    assert_eq!(strings(&events["Action"]), ["sqs:SendMessage"]);
    let rule = events["Condition"]["ArnEquals"]["aws:SourceArn"].as_str().expect("one rule");
    assert!(rule.starts_with("arn:aws:events:us-east-1:") && !rule.contains('*'), "{rule}");
    assert_eq!(events["Resource"], policy("deploy/iam/hints.json")[0]["Resource"], "one queue");
}
