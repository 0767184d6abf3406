//! What the source finds in its environment: credentials, region, endpoint, proxies, CA bundle.
//!
//! A process cannot change its own environment safely, so each case runs this test binary again
//! with the variables set and one test selected: the one that plays the child.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::ZoneSource;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::{Route53Settings, VpcSelector, ZoneSelector};

use super::fixture::*;
use crate::harness::moto;
use crate::harness::r53sim::{Sim, VPC};

/// Set in the child: how it selects zones, `account` or `auto`; or `health`, to look at a check.
const CHILD: &str = "ZONELET_TEST_ENVIRONMENT_CHILD";

#[tokio::test]
async fn child() {
    // In the parent's own run this is no child, and nothing is to be done.
    let Ok(select) = std::env::var(CHILD) else { return };
    let vpc = (select == "auto").then_some(VpcSelector::Auto);
    let settings = Route53Settings {
        zones: ZoneSelector { vpc, ..ZoneSelector::default() },
        region: None,
        endpoint: None,
        ..settings("")
    };
    let settings = Route53Settings { health: select == "health", ..settings };
    let source = Route53Source::new(settings, Arc::new(Asked::default()), SourceMetrics::register("child"));
    if let Some(look) = source.health(&["check".into()]) {
        let seen = look.await;
        return println!(
            "outcome: {}",
            seen.map_or_else(|error| chain(&error), |seen| format!("{} states", seen.len()))
        );
    }
    let found = source.discover().await;
    println!(
        "outcome: {}",
        found.map_or_else(|error| chain(&error), |zones| format!("{} zones", zones.len()))
    );
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes.map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
}

/// Runs the child with only these variables about AWS and proxies, and returns its outcome.
pub async fn outcome(select: &str, variables: &[(&str, &str)]) -> String {
    let mut all = BTreeMap::from([
        (CHILD, select),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]);
    all.extend(variables.iter().copied());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "route53::environment::child", "--nocapture"])
        .env_clear()
        .envs(all)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("outcome: "));
    let line = line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    line.1.to_owned()
}

/// Made-up keys.
pub const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "not a secret")];

/// A simulator with one zone, which accepts no signature but that of us-east-1.
pub async fn strict() -> Sim {
    let sim = Sim::start();
    sim.zone("corp.internal.", json!({})).await;
    sim.control("POST", "signing", json!({ "require": true, "region": "us-east-1" })).await;
    sim
}

#[tokio::test]
async fn keys_and_endpoint_are_taken_and_the_signing_region_stays() {
    let sim = strict().await;
    for endpoint in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ROUTE_53"] {
        let found =
            outcome("account", &[KEYS[0], KEYS[1], (endpoint, sim.url()), ("AWS_REGION", "eu-west-1")]).await;
        assert_eq!(found, "1 zones", "{endpoint}");
    }
    let calls = sim.calls().await;
    assert_eq!(column(&calls, "access_key"), ["AKIDENVIRONMENT"; 2]);
}

#[tokio::test]
async fn cloudwatch_has_an_endpoint_of_its_own_and_the_partition_s_region() {
    let (route53, cloudwatch) = (strict().await, strict().await);
    cloudwatch.control("POST", "metric/check", json!({ "values": [{ "value": 1 }] })).await;
    let apart = [
        ("AWS_ENDPOINT_URL_ROUTE_53", route53.url()),
        ("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.url()),
        ("AWS_REGION", "eu-west-1"),
    ];
    assert_eq!(outcome("health", &[&KEYS[..], &apart].concat()).await, "1 states");
    assert_eq!(column(&route53.calls().await, "op"), ["GetHealthCheck"]);
    let calls = cloudwatch.calls().await;
    assert_eq!(column(&calls, "op"), ["GetMetricData"]);
    assert_eq!(column(&calls, "signing_region"), ["us-east-1"]);
}

#[tokio::test]
async fn a_proxy_is_gone_through_except_to_this_host_and_where_it_is_told_not_to() {
    let sim = strict().await;
    // Whatever comes to it in a proxy's form, the simulator answers itself.
    let proxy = ("HTTP_PROXY", sim.url());
    let remote = ("AWS_ENDPOINT_URL_ROUTE_53", "http://route53.invalid");
    assert_eq!(outcome("account", &[KEYS[0], KEYS[1], proxy, remote]).await, "1 zones");

    let nobody = ("HTTP_PROXY", "http://127.0.0.1:1");
    let here = ("AWS_ENDPOINT_URL_ROUTE_53", sim.url());
    assert_eq!(outcome("account", &[KEYS[0], KEYS[1], nobody, here]).await, "1 zones");

    let named = format!("http://route53.invalid:{}", sim.port());
    let except = ("NO_PROXY", "route53.invalid");
    let there = ("AWS_ENDPOINT_URL_ROUTE_53", named.as_str());
    assert_eq!(outcome("account", &[KEYS[0], KEYS[1], nobody, there, except]).await, "1 zones");
    assert_ne!(outcome("account", &[KEYS[0], KEYS[1], nobody, there]).await, "1 zones");
}

#[tokio::test]
async fn region_and_vpc_come_from_instance_metadata() {
    let sim = strict().await;
    sim.control("POST", "imds", json!({ "vpc_id": VPC, "region": "eu-west-1" })).await;
    let metadata = [
        KEYS[0],
        KEYS[1],
        ("AWS_ENDPOINT_URL_ROUTE_53", sim.url()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", sim.url()),
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
    ];
    assert_eq!(outcome("auto", &metadata).await, "1 zones");
    let disabled = outcome("auto", &[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL_ROUTE_53", sim.url())]).await;
    assert!(disabled.contains("zones.vpc") && disabled.contains("AWS_EC2_METADATA_DISABLED"), "{disabled}");
}

#[tokio::test]
async fn web_identity_is_exchanged_at_sts_without_a_region_being_set() {
    let sim = strict().await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "a.web.identity").unwrap();
    let identity = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/zonelet"),
        ("AWS_ROLE_SESSION_NAME", "test"),
        ("AWS_ENDPOINT_URL_STS", moto::endpoint()),
        ("AWS_ENDPOINT_URL_ROUTE_53", sim.url()),
    ];
    assert_eq!(outcome("account", &identity).await, "1 zones");
    let key = column(&sim.calls().await, "access_key").join("");
    assert!(key.starts_with("ASIA"), "a temporary key of STS: {key}");
}

#[tokio::test]
async fn container_credentials_are_asked_for_with_their_token_past_the_proxy() {
    let sim = strict().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v1/credentials", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        let body = json!({ "AccessKeyId": "ASIACONTAINER", "SecretAccessKey": "not a secret",
            "Token": "t", "Expiration": "2099-01-01T00:00:00Z" })
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).to_lowercase()
    });
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "pod-token").unwrap();
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_ROUTE_53", sim.url()),
        ("AWS_REGION", "eu-west-1"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
    ];
    assert_eq!(outcome("account", &container).await, "1 zones");
    assert!(served.await.unwrap().contains("authorization: pod-token"));
    assert_eq!(column(&sim.calls().await, "access_key"), ["ASIACONTAINER"]);
}

#[tokio::test]
async fn a_ca_bundle_that_cannot_be_used_is_named_and_nothing_panics() {
    let sim = strict().await;
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle.pem");
    std::fs::write(&bundle, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for path in [bundle.to_str().unwrap(), "/nonexistent/bundle.pem"] {
        let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL_ROUTE_53", sim.url()), ("AWS_CA_BUNDLE", path)];
        let said = outcome("account", &variables).await;
        assert!(said.starts_with("AWS_CA_BUNDLE"), "{said}");
    }
}

#[tokio::test]
async fn without_credentials_the_error_says_so_and_no_call_is_made() {
    let sim = strict().await;
    let said =
        outcome("account", &[("AWS_ENDPOINT_URL_ROUTE_53", sim.url()), ("AWS_REGION", "eu-west-1")]).await;
    assert!(said.to_lowercase().contains("credential"), "{said}");
    assert!(sim.calls().await.is_empty());
}
