//! `zonelet check --online` and `--policy`: what works, what fails, and what to allow.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::program::Home;
use crate::harness::r53sim::{Sim, VPC};

const ROLE: &str = "arn:aws:iam::222233334444:role/zonelet";

/// Exit code and everything printed by `zonelet check` with one source of these keys.
async fn check(sim: &Sim, source: &str, how: &str) -> (i32, String) {
    let mut home = Home::new(&format!("[[source]]\nkind = \"route53\"\n{source}\n"));
    home.variable("AWS_REGION", "eu-west-1");
    for service in ["ROUTE_53", "STS", "ROUTE53PROFILES", "ROUTE53RESOLVER", "CLOUDWATCH"] {
        home.variable(&format!("AWS_ENDPOINT_URL_{service}"), sim.url());
    }
    let how = how.to_owned();
    let run = tokio::task::spawn_blocking(move || home.run(&["check", &how]));
    let Output { status, stdout, stderr } = run.await.unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap(), text)
}

/// The policies in what was printed, behind their headings.
fn policies(text: &str) -> Vec<(String, Value)> {
    let parts = text.split("\n# policy ").skip(1);
    let read = |part: &str| {
        let (heading, json) = part.split_once('\n').unwrap();
        let mut values = serde_json::Deserializer::from_str(json).into_iter();
        (heading.to_owned(), values.next().unwrap().unwrap())
    };
    parts.map(read).collect()
}

fn assert_says(text: &str, wanted: &[&str]) {
    for line in wanted {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_configuration_needs_is_tried_and_told() {
    let sim = Sim::start();
    sim.control("POST", "role", json!({ "arn": ROLE, "external_id": "between-us" })).await;
    sim.zone("corp.internal.", json!({ "tags": { "team": "core" } })).await;
    let theirs = json!({ "owner_account": "222233334444", "tags": { "team": "core" } });
    sim.zone("theirs.internal.", theirs).await;
    sim.control("POST", "profile", json!({ "id": "rp-1", "vpcs": [VPC] })).await;
    sim.control("POST", "rule", json!({ "id": "rslvr-rr-1", "domain": "a.corp.internal", "vpcs": [VPC] }))
        .await;
    let source = format!(
        "zones = {{ vpc = \"{VPC}\", tags = {{ team = \"core\" }} }}\nprofiles = true\nresolver_rules = true\n\
         roles = [{{ arn = \"{ROLE}\", external_id = \"between-us\" }}]"
    );
    let (code, text) = check(&sim, &source, "--online").await;
    assert_says(
        &text,
        &[
            "ok    credentials: from EnvironmentVariable",
            "ok    identity: account 111122223333, arn:aws:iam::111122223333:user/zonelet",
            &format!("ok    role {ROLE}: can be assumed"),
            &format!("ok    zones.vpc: {VPC} in eu-west-1"),
            "ok    route53:ListHostedZonesByVPC: 2 zones, 2 of them selected",
            "through the account of the credentials found: may be read",
            &format!("through account 222233334444 through role {ROLE}: may be read"),
            "ok    route53:ListTagsForResources on",
            "ok    route53profiles:ListProfileAssociations: 1 profiles",
            "ok    route53profiles:ListProfileResourceAssociations: 0 resources of rp-1",
            "ok    route53resolver:ListResolverRuleAssociations: 1 rules",
            "ok    route53resolver:GetResolverRule: rslvr-rr-1 may be read",
        ],
    );
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("FAIL") && !text.contains("between-us"), "{text}");
    let policies = policies(&text);
    let [(_, own), (of_role, _), (_, trust)] = policies.as_slice() else { panic!("three policies: {text}") };
    assert_eq!(of_role, &format!("of {ROLE}"));
    let assumed = own["Statement"].as_array().unwrap().iter().find(|s| s["Action"] == "sts:AssumeRole");
    assert_eq!(assumed.unwrap()["Resource"], json!([ROLE]));
    assert_eq!(trust["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::111122223333:user/zonelet");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_does_not_work_is_named_with_its_permission() {
    let sim = Sim::start();
    sim.control("POST", "role", json!({ "arn": ROLE, "allowed": false })).await;
    sim.zone("corp.internal.", json!({})).await;
    let denied = |op: &str| json!({ "kind": "error", "op": op, "status": 403, "code": "AccessDenied" });
    sim.fault(denied("ListResourceRecordSets")).await;
    sim.fault(denied("ListResolverRuleAssociations")).await;
    let source = format!("zones = {{ vpc = \"{VPC}\" }}\nresolver_rules = true\nroles = [\"{ROLE}\"]");
    let (code, text) = check(&sim, &source, "--online").await;
    assert_eq!(code, 1, "{text}");
    assert_says(
        &text,
        &[
            &format!("FAIL  role {ROLE}: role {ROLE} cannot be assumed: User: "),
            "sts:AssumeRole",
            "FAIL  route53:ListResourceRecordSets on ",
            "(it needs route53:ListResourceRecordSets)",
            "(it needs route53resolver:ListResolverRuleAssociations)",
        ],
    );
    sim.fault(denied("ListHostedZonesByVPC")).await;
    let (code, text) = check(&sim, &source, "--online").await;
    assert_eq!(code, 1);
    assert_says(&text, &["(it needs route53:ListHostedZonesByVPC and ec2:DescribeVpcs)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_role_is_told_once_and_the_other_accounts_are_tried() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({})).await;
    let source = format!("zones = {{ names = [\"*.internal\"] }}\nroles = [\"{ROLE}\"]");
    let (code, text) = check(&sim, &source, "--online").await;
    assert_eq!((code, text.matches("FAIL").count()), (1, 1), "{text}");
    assert_says(&text, &["ok    route53:ListHostedZones of the account of the credentials found: 1 zones"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_names_are_held_against_what_there_is() {
    let sim = Sim::start();
    let corp = sim.zone("corp.internal.", json!({})).await;
    let test = sim.zone("x.test.", json!({})).await;
    let source = format!(
        "zones = {{ ids = [\"{corp}\", \"{test}\", \"ZNOSUCH\"], names = [\"*.internal\", \"none.internal\"] }}"
    );
    let (code, text) = check(&sim, &source, "--online").await;
    assert_eq!(code, 1);
    assert_says(
        &text,
        &[
            &format!("ok    zones.ids: {corp}: is zone corp.internal."),
            &format!("FAIL  zones.ids: {test}: is zone x.test., which none of zones.names matches"),
            "FAIL  zones.ids: ZNOSUCH: does not exist",
            "FAIL  zones.names: none.internal: matches no zone",
        ],
    );
    assert!(!text.contains("zones.names: *.internal"), "{text}");
    let (code, text) = check(&sim, &format!("zones = {{ ids = [\"{corp}\"] }}"), "--online").await;
    assert_eq!(code, 0, "{text}");
    let zones = json!([format!("arn:aws:route53:::hostedzone/{corp}")]);
    assert_eq!(policies(&text)[0].1["Statement"][0]["Resource"], zones, "no other zone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_told_without_asking_anybody() {
    let sim = Sim::start();
    let (code, text) = check(&sim, "zones = { names = [\"*.internal\"] }", "--policy").await;
    assert_eq!(code, 0);
    let checked_in =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/iam/name-pattern.json"));
    let checked_in: Value = serde_json::from_str(&checked_in.unwrap()).unwrap();
    assert_eq!(policies(&text), [("of the role that zonelet runs with".to_owned(), checked_in)]);
    assert!(sim.calls().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_else_is_tried() {
    let sim = Sim::start();
    let mut home = Home::new("[[source]]\nkind = \"route53\"\nzones = { ids = [\"Z1\"] }\n");
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        home.variable(variable, "");
    }
    home.variable("AWS_CONFIG_FILE", "/dev/null").variable("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    home.variable("AWS_REGION", "eu-west-1").variable("AWS_ENDPOINT_URL", sim.url());
    let output = tokio::task::spawn_blocking(move || home.run(&["check", "--online"])).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert_says(&text, &["FAIL  credentials: "]);
    assert_eq!(text.matches("FAIL").count(), 1, "{text}");
    assert!(sim.calls().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_hints_are_tried_where_they_are_configured() {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({})).await;
    sim.control("POST", "queue/changes", json!({})).await;
    let queue = format!("{}/111122223333/changes", sim.url());
    let source = format!("zones = {{ vpc = \"{VPC}\" }}\nhealth = \"cloudwatch\"\nhints = \"{queue}\"");
    let (code, text) = check(&sim, &source, "--online").await;
    assert_eq!(code, 0, "{text}");
    let account = "the account of the credentials found";
    assert_says(
        &text,
        &[
            &format!("ok    cloudwatch:GetMetricData of {account}: may be read"),
            &format!("ok    route53:ListHealthChecks of {account}: may be read"),
            &format!("ok    sqs:ReceiveMessage: {queue} may be read"),
        ],
    );
    let told = &policies(&text)[0].1;
    let actions = told["Statement"].to_string();
    assert!(
        actions.contains("cloudwatch:GetMetricData") && actions.contains("sqs:DeleteMessage"),
        "{actions}"
    );
    for op in ["GetMetricData", "ListHealthChecks", "ReceiveMessage"] {
        sim.fault(json!({ "kind": "error", "op": op, "status": 403, "code": "AccessDenied" })).await;
    }
    let (code, text) = check(&sim, &source, "--online").await;
    assert_eq!(code, 1, "{text}");
    assert_says(
        &text,
        &[
            "(it needs cloudwatch:GetMetricData)",
            "(it needs route53:ListHealthChecks and route53:GetHealthCheck)",
            "(it needs sqs:ReceiveMessage and sqs:DeleteMessage)",
        ],
    );
}
