//! The query log of the whole program.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::home;
use crate::harness::message::a;
use crate::harness::program::{Program, until, upstream};

/// The lines of the query log so far.
pub(super) fn queries(program: &Program) -> Vec<Value> {
    let read = |line: &String| serde_json::from_str::<Value>(line).ok();
    program.log().iter().filter_map(read).filter(|line| line["target"] == "zonelet::query").collect()
}

#[test]
fn denials_errors_and_slow_queries_are_logged_with_what_explains_them() {
    let upstream = upstream(|question| {
        if question.qname.to_string().starts_with("slow") {
            // The scripted server's time, not the test's: the program measures it.
            thread::sleep(Duration::from_millis(30));
        }
        let code = if question.qname.to_string().starts_with("bad") { 2 } else { 0 };
        question.reply(code, &[a("slow.test", 60, 7)][..usize::from(code == 0)], &[])
    });
    let config =
        "[query_log]\nclasses = ['denials', 'errors', 'slow']\nslow = '20ms'\n[log]\nformat = 'json'\n";
    let home = home(upstream.addr, config);
    let program = home.start();
    assert!(program.ask("db.corp.internal A").starts_with("NOERROR"));
    assert!(program.ask("nO.corp.internal AAAA").starts_with("NXDOMAIN"));
    assert!(program.ask("slow.test A").starts_with("NOERROR"));
    assert!(program.ask("bad.test A").starts_with("SERVFAIL"));
    let lines = until("three lines", || Some(queries(&program)).filter(|lines| lines.len() >= 3));
    let of =
        |name: &str| lines.iter().find(|line| line["qname"] == name).unwrap_or_else(|| panic!("{lines:#?}"));
    let denial = of("nO.corp.internal.");
    assert_eq!(
        (&denial["class"], &denial["rcode"], &denial["source"]),
        (&"denials".into(), &"NXDOMAIN".into(), &"zone".into())
    );
    assert_eq!((&denial["qtype"], &denial["protocol"]), (&"AAAA".into(), &"udp".into()));
    let slow = of("slow.test.");
    assert!(slow["milliseconds"].as_f64().unwrap() >= 20.0, "{slow}");
    assert_eq!((&slow["class"], &slow["answers"]), (&"slow".into(), &1.into()));
    assert_eq!(slow["upstreams"], format!("{} of .", upstream.addr));
    assert_eq!(slow["upstream"], upstream.addr.to_string());
    let took = slow["upstream_milliseconds"].as_f64().unwrap();
    assert!((20.0..=slow["milliseconds"].as_f64().unwrap()).contains(&took), "{slow}");
    assert!(denial.get("upstream").is_none(), "nobody was asked: {denial}");
    let failed = of("bad.test.");
    assert!(failed["rcode"] == "SERVFAIL" && failed["ede"].is_u64(), "{failed}");
    assert!(failed["why"].as_str().is_some_and(|why| !why.is_empty()), "{failed}");
    assert_eq!(lines.len(), 3, "an answer is not logged: {lines:#?}");
    assert_eq!(program.metric("zonelet_query_log_lines_total", &["written"]), 3.0);
}

#[test]
fn a_reload_switches_it_on_and_lines_keep_to_their_rate() {
    let upstream = upstream(|question| question.reply(0, &[], &[]));
    let home = home(upstream.addr, "");
    let program = home.start();
    assert!(program.ask("no.corp.internal A").starts_with("NXDOMAIN"));
    let config = std::fs::read_to_string(home.path("config.toml")).unwrap();
    home.put("config.toml", &format!("{config}[query_log]\nclasses = ['all']\nsample = 1\nlines = '1/m'\n"));
    program.signal("HUP");
    program.logged_times("configuration reloaded", 1);
    (0..20).for_each(|_| assert!(program.ask("db.corp.internal A").starts_with("NOERROR")));
    let count = |outcome| program.metric("zonelet_query_log_lines_total", &[outcome]);
    until("all to be counted", || (count("written") + count("suppressed") == 20.0).then_some(()));
    assert_eq!(count("written"), 1.0);
    let lines: Vec<String> =
        program.log().into_iter().filter(|line| line.contains("zonelet::query")).collect();
    assert!(lines.len() == 1 && lines[0].contains("qname=db.corp.internal."), "{lines:#?}");
}
