//! deploy/iam: the policies are well formed, and no wider than they have to be.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{files_below, read};

/// What the program may ever ask of AWS, besides the exchange of credentials.
const CALLS: [&str; 4] =
    ["GetHostedZone", "ListHostedZones", "ListHostedZonesByVPC", "ListResourceRecordSets"];

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

#[test]
fn policies_only_read_and_name_each_action() {
    for path in files_below("deploy/iam").iter().filter(|path| !path.contains("/trust-")) {
        for statement in policy(path) {
            assert_eq!(statement["Effect"], "Allow", "{path}");
            assert!(statement["Sid"].is_string() && statement["Principal"].is_null(), "{path}");
            for action in strings(&statement["Action"]) {
                let known = action.strip_prefix("route53:").is_some_and(|call| CALLS.contains(&call));
                assert!(known || action == "ec2:DescribeVpcs", "{path} allows {action}");
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
    let read = ["route53:GetHostedZone", "route53:ListResourceRecordSets"];
    let with = |more: &[&str]| read.iter().chain(more).map(|&a| a.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(actions("deploy/iam/explicit-ids.json"), with(&[]));
    let by_vpc = with(&["route53:ListHostedZonesByVPC", "ec2:DescribeVpcs"]);
    assert_eq!(actions("deploy/iam/vpc-discovery.json"), by_vpc);
    assert_eq!(actions("deploy/iam/name-pattern.json"), with(&["route53:ListHostedZones"]));
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
}
