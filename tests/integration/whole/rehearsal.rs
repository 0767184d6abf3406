//! `zonelet import`: what would be served, against what was kept, with nothing served and nothing written.

use std::fs;

use serde_json::{Value, json};

use super::imports::{DB1, route53, set, simulated};
use super::zone;
use crate::harness::program::{Home, file, forward, outside, until, upstream};
use crate::harness::r53sim::{Sim, VPC, VPC_REGION};

/// Exit code, standard output and standard error of `zonelet import ARGS`.
fn import(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = home.run(&[&["import"], arguments].concat());
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, err)
}

fn report(home: &Home, arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, out, err) = import(home, &[&["--json"], arguments].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

fn keys(sim: &Sim) -> String {
    format!("zones = {{ vpc = '{VPC}' }}\nregion = '{VPC_REGION}'\nendpoint = '{}'\n", sim.url())
}

#[test]
fn a_rehearsal_names_what_would_change_and_writes_nothing() {
    let (sim, id) = simulated();
    let server = upstream(|q| q.address(300, 1));
    let home =
        Home::new(&format!("{}{}[state]\ndir = 'state'\n", route53(&keys(&sim)), forward(server.addr)));
    let kept = || fs::read_dir(home.path("state/zones")).map_or(0, Iterator::count);

    let (code, first) = report(&home, &[]);
    assert_eq!((code, kept()), (Some(0), 0), "{first:#}");
    let zone = &first["zones"][0];
    assert_eq!(
        (&zone["zone"], &zone["id"], &zone["is_served"]),
        (&"corp.internal.".into(), &id.clone().into(), &true.into())
    );
    assert_eq!((&zone["counts"]["aliases"], &zone["changes"]), (&1.into(), &Value::Null));

    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    until("a state file", || (kept() > 0).then_some(()));
    assert_eq!(program.terminate().0, Some(0));
    // What was kept answers offline, and nobody is asked for it.
    outside().block_on(sim.forget_calls());
    let output = home.run(&["explain", "db.corp.internal", "--offline", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["answer"]["answers"][0]["data"], "10.0.0.1", "{told:#}");
    assert_eq!(
        (&told["zones"][0]["from_state_file"], &told["zones"][0]["id"]),
        (&true.into(), &id.clone().into())
    );
    let output = home.run(&["explain", "lb.corp.internal", "--offline", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["missing"]["name"], "lb.elb.amazonaws.com.", "{told:#}");
    let exported = String::from_utf8(home.run(&["export", "corp.internal", "--offline"]).stdout).unwrap();
    assert!(exported.contains(", from its state file\n$ORIGIN corp.internal.\n"), "{exported}");
    assert!(outside().block_on(sim.calls()).is_empty());
    let cidr = json!({ "Name": "c.corp.internal.", "Type": "A", "SetIdentifier": "one", "TTL": 60,
        "CidrRoutingConfig": { "CollectionId": "aa", "LocationName": "x" }, "ResourceRecords": [{ "Value": "10.0.0.7" }] });
    let changes = json!({ "changes": [
        { "Action": "UPSERT", "ResourceRecordSet": set("db.corp.internal.", "A", &["10.0.0.5"]) },
        { "Action": "CREATE", "ResourceRecordSet": set("new.corp.internal.", "A", &["10.0.0.6"]) },
        { "Action": "CREATE", "ResourceRecordSet": cidr },
    ] });
    outside().block_on(sim.control("POST", &format!("zone/{id}/changes"), changes));
    let before =
        fs::read(fs::read_dir(home.path("state/zones")).unwrap().next().unwrap().unwrap().path()).unwrap();
    let (code, out, err) = import(&home, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for line in [
        "ago: 2 added, 0 removed, 1 changed",
        "    ~ db.corp.internal. A",
        "    + new.corp.internal. A",
        "  listed: c.corp.internal. A: a policy that is not followed here: set identifier \"one\", policy CIDR, TTL 60, values [\"10.0.0.7\"]",
        "  forwarded: c.corp.internal. A: choice",
    ] {
        assert!(out.contains(line), "{line}\nis not in\n{out}");
    }
    let after =
        fs::read(fs::read_dir(home.path("state/zones")).unwrap().next().unwrap().unwrap().path()).unwrap();
    assert!(before == after, "state files are only read");
}

#[test]
fn what_cannot_be_imported_is_listed_and_the_rest_is_told_all_the_same() {
    let (sim, _) = simulated();
    let denied = outside().block_on(sim.zone("denied.internal.", json!({})));
    outside().block_on(sim.fault(json!({ "kind": "cut_body", "zone": denied, "op": "*" })));
    let home = Home::new(&format!("{}{}", route53(&keys(&sim)), file("missing.zone")));
    let (code, out, err) = import(&home, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("corp.internal. of route53 ") && out.contains("): would be served\n"), "{out}");
    assert!(out.contains("denied.internal. of route53 ") && out.contains("): was not imported\n"), "{out}");
    assert!(err.contains("zonelet: source file ") && err.contains("missing.zone"), "{err}");
    assert!(err.contains("zonelet: zone denied.internal."), "{err}");
    // One zone by its name is not held up by the others.
    let (code, one) = report(&home, &["--zone", "corp.internal"]);
    assert_eq!(one["zones"].as_array().unwrap().len(), 1);
    assert_eq!(
        (code, one["problems"].as_array().unwrap().len()),
        (Some(1), 1),
        "the file is still missing: {one:#}"
    );
}

#[test]
fn an_api_that_stalls_is_given_up() {
    let (sim, _) = simulated();
    outside().block_on(sim.fault(json!({ "kind": "stall", "seconds": 600 })));
    let home = Home::new(&route53(&keys(&sim)));
    let (code, out, err) = import(&home, &["--timeout", "1"]);
    assert_eq!((code, out.as_str()), (Some(1), "no zones\n"));
    assert_eq!(err, "zonelet: not all was fetched within 1 s: give it more with --timeout\n");
}

#[test]
fn a_zone_file_is_rehearsed_like_any_source() {
    let home = Home::new("");
    home.put("a.zone", &(zone("a.test", 1) + "bad A 10.0.0\n"));
    home.configure(&file("a.zone"));
    let (code, told) = report(&home, &["--zone", "A.test"]);
    assert_eq!(code, Some(0));
    let line = &told["zones"][0];
    assert_eq!(
        (&line["zone"], &line["serial"], &line["skipped"][0]["reason"]),
        (&"a.test.".into(), &1.into(), &"bad_value".into())
    );
    assert_eq!(line["forwarded"][0]["owner"], "bad.a.test.");
    let (code, out, err) = import(&home, &["--zone", "b.test"]);
    assert_eq!((code, out.as_str()), (Some(1), "no zones\n"));
    assert_eq!(err, "zonelet: no source has the zone b.test.\n");
    assert_eq!(import(&home, &["--zone", "b..test"]).0, Some(2));
}

#[test]
fn a_last_good_zone_that_is_gone_or_has_shrunk_is_said_to_be() {
    let home = Home::new("");
    let many: String = (0..30).map(|n| format!("h{n} A 10.0.0.{n}\n")).collect();
    home.put("a.zone", &(zone("a.test", 1) + &many));
    home.put("b.zone", &zone("b.test", 1));
    let both = format!("{}{}[state]\ndir = 'state'\n", file("a.zone"), file("b.zone"));
    home.configure(&both);
    let program = home.start();
    until("state files", || {
        (fs::read_dir(home.path("state/zones")).map_or(0, Iterator::count) == 2).then_some(())
    });
    program.terminate();
    home.put("a.zone", &zone("a.test", 2));
    home.put("b.zone", &zone("c.test", 1));
    let (code, out, _) = import(&home, &[]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("it has shrunk sharply and would be held until a second import confirms it"),
        "{out}"
    );
    assert!(out.contains("    - h29.a.test. A\n") && out.contains("0 added, 30 removed, 2 changed"), "{out}");
    // The file's zone has another name by now, and the same id.
    assert!(
        out.contains("c.test. of file ") && out.contains("\n  no last-good zone to compare with\n"),
        "{out}"
    );
    assert!(
        out.contains("b.test. of file ") && out.contains("): no longer there, it would be removed\n"),
        "{out}"
    );
}
