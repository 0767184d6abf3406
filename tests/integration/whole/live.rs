//! What operators see of the running program: pages, logs, commands, exit codes.

use serde_json::Value;

use super::zone;
use crate::harness::dns::unknown;
use crate::harness::program::{Home, Program, file, forward, until, upstream};

/// A program with one zone, and an upstream that knows `known.test` alone.
fn started(log: &str) -> (Home, Program) {
    let server = upstream(|q| match q.qname.to_string() {
        name if name.starts_with("known") => q.address(300, 1),
        name if name.starts_with("broken") => q.reply(2, &[], &[]),
        _ => unknown(q),
    });
    let home = Home::new("");
    home.put("corp.zone", &zone("corp.internal", 1));
    home.configure(&format!("{}{}{log}", file("corp.zone"), forward(server.addr)));
    let program = home.start();
    (home, program)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_pages_tell_life_readiness_and_what_was_counted() {
    let (_home, program) = started("");
    assert_eq!(program.get("/livez").0, 200);
    until("readiness", || (program.get("/readyz").0 == 200).then_some(()));
    assert_eq!(program.get("/").0, 404);
    program.ask("db.corp.internal. A");
    program.ask("nope.corp.internal. A");
    program.ask("known.test. A");
    program.ask("known.test. A");
    let responses = |labels: &[&str]| program.metric("zonelet_answer_responses_total", labels);
    assert_eq!(responses(&["source=\"zone\"", "rcode=\"NOERROR\""]), 1.0);
    assert_eq!(responses(&["source=\"zone\"", "rcode=\"NXDOMAIN\""]), 1.0);
    assert_eq!(responses(&["source=\"upstream\""]), 1.0);
    assert_eq!(responses(&["source=\"cache\""]), 1.0);
    assert_eq!(program.metric("zonelet_server_queries_total", &["proto=\"udp\""]), 4.0);
    assert_eq!(program.metric("zonelet_import_zones", &["state=\"loaded\""]), 1.0);
    assert_eq!(program.metric("zonelet_cache_entries", &[]), 1.0);
    assert_eq!(program.metric("zonelet_upstream_sends_total", &[]), 1.0);
}

#[test]
fn json_logs_are_one_object_a_line_and_say_nothing_of_queries() {
    let (_home, program) = started("[log]\nformat = 'json'\n");
    let log = asked_a_lot(program);
    for line in &log {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for key in ["timestamp", "level", "target", "message"] {
            assert!(event[key].is_string(), "no {key}: {line}");
        }
        assert!(event["target"].as_str().unwrap().starts_with("zonelet"), "{line}");
    }
}

#[test]
fn text_logs_are_lines_of_time_level_and_place_and_say_nothing_of_queries() {
    let (_home, program) = started("");
    for line in asked_a_lot(program) {
        let mut words = line.split_whitespace();
        let time = words.next().expect("a time");
        assert!(time.ends_with('Z') && time.contains('T'), "{line}");
        assert!(["INFO", "WARN", "ERROR"].contains(&words.next().unwrap_or_default()), "{line}");
        assert!(words.next().unwrap_or_default().starts_with("zonelet::"), "{line}");
        assert!(!line.contains('\u{1b}'), "colours belong on a terminal: {line}");
    }
}

/// Asks for names of every kind, ends the program, and returns its log.
fn asked_a_lot(program: Program) -> Vec<String> {
    for n in 0..50 {
        for qname in ["db.corp.internal", "secret.corp.internal", "known.secret", "secret", "broken.secret"] {
            program.ask(&format!("{}{n}.{qname}. A", if n == 0 { "x" } else { "known" }));
            program.ask(&format!("{qname}. A"));
        }
    }
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0));
    assert!(
        log.iter().any(|line| line.contains("zone loaded") || line.contains("corp.internal")),
        "{log:#?}"
    );
    let of_queries: Vec<&String> = log.iter().filter(|line| line.contains("secret")).collect();
    assert!(of_queries.is_empty(), "{of_queries:#?}");
    assert!(log.len() < 30, "{log:#?}");
    log
}

#[test]
fn the_running_program_lists_its_zones_imports_anew_and_empties_its_cache() {
    let (home, program) = started("");
    let table = text(&home.run(&["zones"]).stdout);
    let row = table.lines().find(|row| row.starts_with("corp.internal.")).expect("a row of the zone");
    assert!(row.contains("file") && row.contains("loaded"), "{table}");
    let json: Value = serde_json::from_slice(&home.run(&["zones", "--json"]).stdout).unwrap();
    assert_eq!(
        (&json["zones"][0]["zone"], &json["zones"][0]["serial"]),
        (&"corp.internal.".into(), &1.into())
    );

    home.put("corp.zone", &zone("corp.internal", 7));
    let refreshed = home.run(&["refresh", "corp.internal"]);
    assert_eq!(
        (refreshed.status.code(), text(&refreshed.stdout).as_str()),
        (Some(0), "importing 1 zones now\n")
    );
    program.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.7");
    let unknown = home.run(&["refresh", "other.internal"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("no source has this zone"), "{}", text(&unknown.stderr));

    program.ask("known.test. A");
    program.ask("known.test. A");
    let sends = || program.metric("zonelet_upstream_sends_total", &[]);
    assert_eq!(sends(), 1.0);
    assert_eq!(text(&home.run(&["flush"]).stdout), "dropped 1 responses\n");
    program.ask("known.test. A");
    assert_eq!(sends(), 2.0);

    assert_eq!(program.terminate().0, Some(0));
    let nobody = home.run(&["zones"]);
    assert_eq!(nobody.status.code(), Some(1), "nobody is there any more");
    assert!(text(&nobody.stderr).contains("admin.sock"), "{}", text(&nobody.stderr));
}

#[test]
fn check_ends_with_0_for_a_good_file_and_2_for_one_with_every_problem_named() {
    let home = Home::new("");
    let good = home.run(&["check"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    home.configure("[cache]\nmax_ttl = 'soon'\nmax_byts = 1\n[limits]\nsends = 9\n");
    let bad = home.run(&["check"]);
    assert_eq!(bad.status.code(), Some(2));
    let said = text(&bad.stdout) + &text(&bad.stderr);
    for part in [
        "config.toml:8",
        "cache.max_ttl",
        "config.toml:9",
        "max_byts",
        "max_bytes",
        "config.toml:11",
        "limits.sends",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let refused = home.run(&["run"]);
    assert_eq!(refused.status.code(), Some(2), "nor is it run");
    std::fs::remove_file(home.path("config.toml")).unwrap();
    assert_eq!(home.run(&["check"]).status.code(), Some(2), "a file that is named must be there");
}

#[test]
fn an_address_in_use_ends_the_program_with_1_and_names_it() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let mut home = Home::new("");
    home.variable("ZONELET_SERVER__LISTEN", addr.to_string());
    let ended = home.run(&["run"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains(&addr.to_string()), "{}", text(&ended.stderr));
}
