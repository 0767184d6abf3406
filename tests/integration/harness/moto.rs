//! moto's Route 53, and boto3 as the hand that writes to it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::python::{PythonServer, repository};
use super::venv;

/// The endpoint of the one moto server of this test process. Tests tell their zones apart by VPC.
pub fn endpoint() -> &'static str {
    static SERVER: OnceLock<PythonServer> = OnceLock::new();
    let start =
        || PythonServer::start(venv::python(), &repository("tests/integration/harness/moto_server.py"));
    &SERVER.get_or_init(start).url
}

/// Makes the calls with boto3 and returns their answers.
pub fn write(endpoint: &str, calls: &Value) -> Value {
    let mut child = Command::new(venv::python())
        .arg(repository("tests/integration/harness/moto_write.py"))
        .arg(endpoint)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the environment has an interpreter");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(calls.to_string().as_bytes()).expect("the calls are read");
    drop(stdin);
    let output = child.wait_with_output().expect("boto3 ends");
    assert!(output.status.success(), "boto3 refused {calls}");
    serde_json::from_slice(&output.stdout).expect("the answers are JSON")
}

/// Makes a private zone of `vpc` in eu-west-1, with a real SOA in place of the one moto makes up if
/// `soa` is given, and with `sets`; returns its id.
pub fn zone(endpoint: &str, name: &str, vpc: &str, soa: Option<&str>, sets: &[Value]) -> String {
    let soa = soa
        .map(|soa| json!({ "Name": name, "Type": "SOA", "TTL": 900, "ResourceRecords": [{ "Value": soa }] }));
    let changes: Vec<Value> = soa
        .into_iter()
        .chain(sets.iter().cloned())
        .map(|set| json!({ "Action": "UPSERT", "ResourceRecordSet": set }))
        .collect();
    let mut calls = vec![json!({ "call": "create_hosted_zone", "args": {
        "Name": name, "CallerReference": format!("{name}{vpc}"),
        "HostedZoneConfig": { "PrivateZone": true, "Comment": "" },
        "VPC": { "VPCRegion": "eu-west-1", "VPCId": vpc } } })];
    for batch in changes.chunks(500) {
        calls.push(json!({ "call": "change_resource_record_sets", "args": {
            "HostedZoneId": "$0.HostedZone.Id", "ChangeBatch": { "Changes": batch } } }));
    }
    let answers = write(endpoint, &Value::Array(calls));
    answers[0]["HostedZone"]["Id"].as_str().expect("a zone has an id").to_owned()
}
