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
        Some(("route53" | "cloudwatch", call)) => is_made(call),
        Some(("sqs", "DeleteMessage")) => is_made("DeleteMessageBatch"),
        Some(("sqs", call)) => is_made(call),
        _ => action == "ec2:DescribeVpcs",
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
            let zones = strings(&statement["Action"]).contains(&"route53:ListResourceRecordSets");
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
