//! `zonelet explain` of the real program, over its socket and offline.

use serde_json::Value;
use zonelet::answer::explain::Explanation;

use super::CORP;
use crate::harness::program::{Home, file, forward, until, upstream};

/// What `zonelet explain ARGS --json` says.
fn told(home: &Home, arguments: &[&str]) -> Value {
    let output = home.run(&[&["explain", "--json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    // The shape that scripts rely on: these keys, and it is read back as it was written.
    let mut keys: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut want = [
        "qname",
        "qtype",
        "client",
        "is_offline",
        "admitted_by",
        "zones",
        "steps",
        "asked",
        "missing",
        "from",
        "answer",
    ];
    want.sort_unstable();
    assert_eq!(keys, want);
    let read: Explanation = serde_json::from_value(told.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), told);
    told
}

fn words(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(&[&["explain"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The step of this kind that comes last.
fn step<'t>(told: &'t Value, kind: &str) -> &'t Value {
    let steps = told["steps"].as_array().unwrap();
    steps.iter().rev().find(|step| step["step"] == kind).unwrap_or_else(|| panic!("no {kind} in {told:#}"))
}

fn home(more: &str) -> Home {
    let home = Home::new("");
    home.put("corp.json", CORP);
    home.put("outer.zone", "$ORIGIN test.\n$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\n");
    home.put(
        "rival.zone",
        "$ORIGIN corp.test.\n$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\ndb A 10.99.0.1\n",
    );
    let sources =
        format!("{}region = 'eu-west-1'\n{}{}", file("corp.json"), file("outer.zone"), file("rival.zone"));
    home.configure(&format!("{sources}{more}"));
    home
}

#[test]
fn offline_and_over_the_socket_the_same_is_said_of_zones() {
    let server = upstream(|question| question.address(20, 9));
    let home = home(&forward(server.addr));
    let program = home.start();
    for question in [
        &["db.corp.test"][..],
        &["a.apps.corp.test"],
        &["ent.corp.test", "TXT"],
        &["one.corp.test"],
        &["nx.corp.test"],
        &["www.corp.test", "AAAA"],
        &["loop.corp.test"],
        &["m.corp.test"],
        &["localhost"],
        &["db.corp.test", "--client", "192.0.2.1"],
    ] {
        let (mut live, mut offline) =
            (told(&home, question), told(&home, &[question, &["--offline"]].concat()));
        for told in [&mut live, &mut offline] {
            told.as_object_mut().unwrap().remove("is_offline");
            for zone in told["zones"].as_array_mut().unwrap() {
                zone.as_object_mut().unwrap().remove("age_seconds");
            }
            // Rotation is drawn.
            told["answer"]["answers"].as_array_mut().unwrap().sort_by_key(Value::to_string);
            for step in told["steps"].as_array_mut().unwrap() {
                if let Some(values) = step.get_mut("values").and_then(Value::as_array_mut) {
                    values.sort_by_key(Value::to_string);
                }
            }
        }
        assert_eq!(live, offline, "{question:?}");
    }
    drop(program);
    let gone = home.run(&["explain", "db.corp.test"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no zonelet answers on "));
}

#[test]
fn zones_that_lost_are_named_with_the_reason() {
    let home = home("");
    let told = told(&home, &["db.corp.test", "--offline"]);
    let zones = told["zones"].as_array().unwrap();
    let verdict = |source: &str| {
        let zone = zones.iter().find(|zone| zone["source"].as_str().unwrap().ends_with(source));
        zone.unwrap_or_else(|| panic!("{told:#}"))["verdict"].as_str().unwrap()
    };
    assert_eq!(
        [verdict("corp.json"), verdict("outer.zone"), verdict("rival.zone")],
        ["chosen", "less_specific", "shadowed"]
    );
    assert_eq!(step(&told, "zone")["apex"], "corp.test.");
    assert_eq!(told["answer"]["answers"][0]["owner"], "db.corp.test.");
}

#[test]
fn wildcards_aliases_and_policies_are_taken_apart() {
    let home = home("");
    let place = |name: &str| step(&told(&home, &[name, "--offline"]), "found")["told"]["place"].clone();
    let wildcard = place("a.apps.corp.test");
    assert_eq!(wildcard["source_of_synthesis"], "*.apps.corp.test.");
    assert_eq!(wildcard["closest_encloser"], "apps.corp.test.");
    assert_eq!(place("ent.corp.test")["kind"], "empty_non_terminal");
    assert_eq!(place("a.b.corp.test")["closest_encloser"], "corp.test.");
    assert_eq!(place("a.sub.corp.test")["cut"], "sub.corp.test.");

    let found = step(&told(&home, &["one.corp.test", "--offline"]), "found").clone();
    let aliases: Vec<_> = found["told"]["aliases"].as_array().unwrap().iter().map(|a| &a["target"]).collect();
    assert_eq!(aliases, ["two.corp.test.", "db.corp.test."]);

    let found = step(&told(&home, &["to-w.corp.test", "--offline"]), "found").clone();
    let group = &found["told"]["group"];
    assert_eq!((&group["policy"], &group["owner"]), (&"weighted".into(), &"w.corp.test.".into()));
    let odds: Vec<_> =
        group["sets"].as_array().unwrap().iter().map(|set| set["odds"].as_f64().unwrap()).collect();
    assert_eq!(odds, [0.75, 0.25, 0.0]);
    assert_eq!(group["ends"][0]["odds"], 0.75);

    let latency = step(&told(&home, &["l.corp.test", "--offline"]), "found")["told"]["group"].clone();
    assert_eq!(
        (&latency["region"], &latency["ends"][0]["values"][0]),
        (&"eu-west-1".into(), &"10.4.0.1".into())
    );
    let text = words(&home, &["f.corp.test", "--offline"]);
    for line in [
        "    \"p\", role primary, health check hc-1 unknown: 10.2.0.1, TTL 30; eligible, given to 100.0 %",
        "    the choice is uncertain: it hangs on health that is not known",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
    let text = words(&home, &["cidr.corp.test", "--offline"]);
    assert!(text.contains("cidr.corp.test. A: forwarded: a policy that is not followed here"), "{text}");
    assert!(text.contains("policy CIDR, TTL 30, values [\"10.6.0.1\"]"), "as it was listed: {text}");
}

#[test]
fn what_is_forwarded_is_told_with_its_upstream_and_the_cache() {
    let server = upstream(|question| question.address(20, 9));
    let home = home(&forward(server.addr));
    let program = home.start();
    let first = told(&home, &["www.example.org"]);
    assert_eq!(first["asked"][0]["outcome"], "answer");
    let consulted = step(&first, "upstream");
    assert_eq!(consulted["route"]["domain"], ".");
    assert_eq!(consulted["route"]["upstreams"][0]["upstream"], server.addr.to_string());
    let second = told(&home, &["www.example.org"]);
    assert_eq!((second["asked"].as_array().unwrap().len(), &second["from"]), (0, &"cache".into()));
    assert_eq!(step(&second, "upstream")["cached"]["outcome"], "answer");
    assert_eq!(server.count(), 1, "it is the cache that clients have");
    assert!(program.ask("www.example.org. A").starts_with("NOERROR; www.example.org. "));
    // Nobody is counted who did not ask.
    assert_eq!(program.metric("zonelet_server_queries_total", &[]), 1.0);

    let through = told(&home, &["away.corp.test"]);
    assert_eq!(through["answer"]["answers"][1]["data"], "192.0.2.9");
    assert_eq!(step(&through, "cname")["target"], "www.example.org.");
}

#[test]
fn a_client_off_the_access_list_is_told_to_be_refused() {
    let home = home("");
    let told = told(&home, &["db.corp.test", "--client", "192.0.2.1", "--offline"]);
    assert_eq!((&told["admitted_by"], &told["answer"]["rcode"]), (&Value::Null, &"REFUSED".into()));
    assert_eq!(told["answer"]["ede"]["code"], 18);
    let text = words(&home, &["db.corp.test", "--client", "10.1.2.3", "--offline"]);
    assert!(text.contains("\naccess: let in by 10.0.0.0/8\n"), "{text}");
}

#[test]
fn a_zone_that_is_not_loaded_is_told_with_what_becomes_of_its_names() {
    let home = Home::new("");
    let missing = |what: &str| {
        format!(
            "{}zone = 'late.test'\non_unloaded = '{what}'\n{}",
            file("late.zone"),
            forward(([127, 0, 0, 1], 9).into())
        )
    };
    for (what, says) in [("fail", "names fail"), ("forward", "names are forwarded")] {
        home.configure(&missing(what));
        let text = words(&home, &["a.late.test", "--offline"]);
        assert!(text.contains("late.test. has not been loaded") && text.contains(says), "{text}");
        assert!(text.contains("late.zone"), "its source: {text}");
    }
}

#[test]
fn questions_that_cannot_be_are_refused() {
    let home = Home::new("");
    for (arguments, why) in [(&["a..b"][..], "empty label"), (&["a", "AXFR"], "is no type of data")] {
        let output = home.run(&[&["explain", "--offline"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why));
    }
}

/// The zone of the README's example.
const README_ZONE: &str = r#"{ "ResourceRecordSets": [
  { "Name": "corp.internal.", "Type": "SOA", "TTL": 900, "ResourceRecords": [{ "Value": "a. b. 7 7200 900 1209600 86400" }] },
  { "Name": "api.corp.internal.", "Type": "A", "AliasTarget": { "HostedZoneId": "Z1", "DNSName": "pool.corp.internal.", "EvaluateTargetHealth": false } },
  { "Name": "pool.corp.internal.", "Type": "A", "SetIdentifier": "blue", "Weight": 3, "TTL": 60, "ResourceRecords": [{ "Value": "10.0.0.1" }] },
  { "Name": "pool.corp.internal.", "Type": "A", "SetIdentifier": "green", "Weight": 1, "TTL": 60, "ResourceRecords": [{ "Value": "10.0.0.2" }] }
] }"#;

/// An explanation without what is different each time.
fn lasting(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(", imported ") {
        Some((head, tail)) => format!("{head}{}", &tail[tail.find(" ago").expect("an age") + 4..]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_readmes_example_is_what_is_said() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("$ zonelet explain api.corp.internal\n").expect("the example");
    let want = lasting(rest.split("```").next().unwrap());
    let home = Home::new("");
    home.put("corp.json", README_ZONE);
    home.put("internal.zone", "$ORIGIN internal.\n$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\n");
    home.configure(&format!("{}region = 'eu-west-1'\n{}", file("corp.json"), file("internal.zone")));
    let _program = home.start();
    let dir = format!("{}/", home.path("").display().to_string().trim_end_matches('/'));
    until("the draw of the example", || {
        let said = words(&home, &["api.corp.internal"]).replace(&dir, "");
        said.contains("chosen for this query: records 10.0.0.1\n").then(|| assert_eq!(lasting(&said), want))
    });
}
