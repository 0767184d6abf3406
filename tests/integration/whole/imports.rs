//! The real import, end to end: written by boto3 or simulated, imported, answered, changed.

use serde_json::{Value, json};

use crate::harness::moto;
use crate::harness::program::{Home, forward, outside, until, upstream};
use crate::harness::r53sim::{Sim, VPC, VPC_REGION};

const SOA: &str = "ns-0.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";

/// A record set of the API.
pub fn set(name: &str, rtype: &str, values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({ "Value": value })).collect();
    json!({ "Name": name, "Type": rtype, "TTL": 60, "ResourceRecords": values })
}

/// A `[[source]]` with these keys.
pub fn route53(keys: &str) -> String {
    format!("[[source]]\nkind = 'route53'\nrefresh = '1s'\nbudget = '50/s'\n{keys}\n")
}

/// A simulator with `corp.internal` of the test VPC: `db` and an alias `lb`.
pub fn simulated() -> (Sim, String) {
    let sim = Sim::start();
    let alias = json!({ "Name": "lb.corp.internal.", "Type": "A", "AliasTarget": {
        "HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "lb.elb.amazonaws.com.", "EvaluateTargetHealth": false } });
    let records = json!({ "records": [set("db.corp.internal.", "A", &["10.0.0.1"]), alias] });
    let id = outside().block_on(sim.zone("corp.internal.", records));
    (sim, id)
}

pub const DB1: &str = "NOERROR aa; db.corp.internal. 60 A 10.0.0.1";

#[test]
fn what_boto3_writes_is_answered_and_a_change_arrives_with_the_next_import() {
    let vpc = "vpc-00000000000000077";
    let octal = r"\052.apps.whole.internal.";
    let sets = [
        set("db.whole.internal.", "A", &["10.0.0.1", "10.0.0.2"]),
        set("www.whole.internal.", "CNAME", &["db.whole.internal"]),
        set("txt.whole.internal.", "TXT", &["\"a\" \"b\""]),
        set(octal, "A", &["10.0.0.9"]),
    ];
    let id = moto::zone(moto::endpoint(), "whole.internal.", vpc, Some(SOA), &sets);
    let server = upstream(|q| q.address(300, 1));
    let keys = format!("zones = {{ vpc = '{vpc}' }}\nregion = 'eu-west-1'");
    let mut home = Home::new(&format!("{}{}", route53(&keys), forward(server.addr)));
    home.variable("AWS_ENDPOINT_URL_ROUTE_53", moto::endpoint());
    let program = home.start();
    program.answers(
        "db.whole.internal. A",
        "NOERROR aa; db.whole.internal. 60 A 10.0.0.1; db.whole.internal. 60 A 10.0.0.2",
    );
    assert_eq!(
        program.ask("www.whole.internal. A"),
        "NOERROR aa; www.whole.internal. 60 CNAME db.whole.internal.; db.whole.internal. 60 A 10.0.0.1; db.whole.internal. 60 A 10.0.0.2"
    );
    assert!(program.ask("x.apps.whole.internal. A").ends_with("10.0.0.9"));
    assert_eq!(program.ask("nope.whole.internal. A"), "NXDOMAIN aa | whole.internal. 30 SOA");
    assert_eq!(program.ask("example.test. A"), "NOERROR; example.test. 300 A 192.0.2.1");
    let banner = program.banner().join("\n");
    assert!(banner.contains("serves whole.internal."), "{banner}");

    let change =
        json!({ "Action": "UPSERT", "ResourceRecordSet": set("db.whole.internal.", "A", &["10.0.0.77"]) });
    let calls = json!([{ "call": "change_resource_record_sets", "args": {
        "HostedZoneId": id, "ChangeBatch": { "Changes": [change] } } }]);
    moto::write(moto::endpoint(), &calls);
    program.answers("db.whole.internal. A", "NOERROR aa; db.whole.internal. 60 A 10.0.0.77");
    assert_eq!(program.terminate().0, Some(0));
}

#[test]
fn the_vpc_of_instance_metadata_decides_which_zones_are_served() {
    let (sim, _) = simulated();
    let elsewhere = json!({ "vpcs": [{ "id": "vpc-0b", "region": VPC_REGION }] });
    outside().block_on(sim.zone("elsewhere.internal.", elsewhere));
    outside().block_on(sim.control("POST", "imds", json!({ "vpc_id": VPC, "region": VPC_REGION })));
    let server = upstream(|q| q.address(300, 1));
    let mut home = Home::new(&format!("{}{}", route53("zones = { vpc = 'auto' }"), forward(server.addr)));
    home.variable("AWS_ENDPOINT_URL_ROUTE_53", sim.url())
        .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", sim.url())
        .variable("AWS_EC2_METADATA_DISABLED", "false");
    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    assert_eq!(
        program.ask("lb.corp.internal. A"),
        "NOERROR aa; lb.corp.internal. 300 A 192.0.2.1",
        "an alias"
    );
    assert_eq!(program.ask("lb.corp.internal. AAAA"), "NOERROR aa | corp.internal. 30 SOA");
    assert_eq!(program.ask("x.elsewhere.internal. A"), "NOERROR; x.elsewhere.internal. 300 A 192.0.2.1");
    // One that is made, or associated, later is found without a restart.
    let records = json!({ "records": [set("db.late.internal.", "A", &["10.0.0.8"])] });
    outside().block_on(sim.zone("late.internal.", records));
    program.answers("db.late.internal. A", "NOERROR aa; db.late.internal. 60 A 10.0.0.8");
}

#[test]
fn throttling_delays_an_import_and_changes_nothing_that_is_served() {
    let (sim, id) = simulated();
    outside().block_on(sim.fault(json!({ "kind": "throttle", "times": 2 })));
    let server = upstream(|q| q.address(300, 1));
    let keys = format!(
        "zones = {{ vpc = '{VPC}' }}\nregion = '{VPC_REGION}'\nendpoint = '{}'\non_unloaded = 'forward'",
        sim.url()
    );
    let home = Home::new(&format!("{}{}", route53(&keys), forward(server.addr)));
    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    let throttled = |program: &crate::harness::program::Program| {
        program.metric("zonelet_source_calls_total", &["throttl"])
    };
    assert!(throttled(&program) >= 1.0, "{}", program.get("/metrics").1);
    outside().block_on(sim.fault(json!({ "kind": "throttle" })));
    let change = json!({ "changes": [{ "Action": "UPSERT",
        "ResourceRecordSet": set("db.corp.internal.", "A", &["10.0.0.5"]) }] });
    outside().block_on(sim.control("POST", &format!("zone/{id}/changes"), change));
    let before = throttled(&program);
    until("more throttling", || (throttled(&program) > before).then_some(()));
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    outside().block_on(sim.heal());
    program.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.5");
}

#[test]
fn an_api_that_stalls_holds_up_neither_queries_nor_a_reload_nor_the_end() {
    let (sim, _) = simulated();
    outside().block_on(sim.fault(json!({ "kind": "stall", "seconds": 600 })));
    let server = upstream(|q| q.address(300, 1));
    let keys = format!(
        "zones = {{ vpc = '{VPC}', names = ['corp.internal'] }}\nregion = '{VPC_REGION}'\nendpoint = '{}'\non_unloaded = 'fail'",
        sim.url()
    );
    let home = Home::new(&format!("{}{}", route53(&keys), forward(server.addr)));
    let program = home.start();
    until("a call", || (!outside().block_on(sim.calls()).is_empty()).then_some(()));
    assert!(program.ask("db.corp.internal. A").starts_with("SERVFAIL EDE 14"));
    let patient = keys.replace("'fail'", "'forward'");
    home.configure(&format!("{}{}", route53(&patient), forward(server.addr)));
    program.signal("HUP");
    program.logged("configuration reloaded");
    program.answers("db.corp.internal. A", "NOERROR; db.corp.internal. 300 A 192.0.2.1");
    assert_eq!(program.terminate().0, Some(0));
}

#[test]
fn a_zone_that_never_loaded_is_answered_as_on_unloaded_says_and_the_start_does_not_wait() {
    let server = upstream(|q| q.address(300, 1));
    for (word, want) in [
        ("fail", "SERVFAIL EDE 14 the zone has not been loaded yet"),
        ("forward", "NOERROR; db.corp.internal. 300 A 192.0.2.1"),
    ] {
        // The discard port: nobody answers there.
        let keys = format!(
            "zones = {{ vpc = '{VPC}', names = ['corp.internal'] }}\nregion = '{VPC_REGION}'\nendpoint = 'http://127.0.0.1:9'\non_unloaded = '{word}'"
        );
        let home = Home::new(&format!("{}{}", route53(&keys), forward(server.addr)));
        let program = home.start();
        assert_eq!(program.ask("db.corp.internal. A"), want);
        assert_eq!(program.ask("example.test. A"), "NOERROR; example.test. 300 A 192.0.2.1");
        assert_eq!(program.get("/livez").0, 200);
        assert_eq!(program.terminate().0, Some(0));
    }
}
