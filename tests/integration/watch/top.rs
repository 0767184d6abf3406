//! `zonelet top` of the whole program.

use zonelet::admin::TopReport;

use super::home;
use crate::harness::program::{Home, Program, until, upstream};

fn text(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn started() -> (Home, Program) {
    let upstream = upstream(|question| question.reply(3, &[], &[]));
    let home = home(upstream.addr, "[top]\nsample = 1\n");
    let program = home.start();
    (0..5).for_each(|_| assert!(program.ask("db.corp.internal A").starts_with("NOERROR")));
    for n in 0..40 {
        assert!(program.ask(&format!("api.example.com.ns{n}.svc.cluster.local A")).starts_with("NXDOMAIN"));
    }
    (home, program)
}

#[test]
fn a_report_tells_rates_zones_upstreams_and_who_asks_most() {
    let (home, program) = started();
    // A late answer is counted when it is sent, which its client may have seen a little before.
    let report = until("all queries", || {
        let report: TopReport = serde_json::from_str(&text(&home, &["top", "--json"])).unwrap();
        Some(report).filter(|report| report.top.sampled == 45)
    });
    assert_eq!((report.queries["udp"], report.queries["tcp"]), (45, 0));
    let zone = report.responses.iter().find(|made| made.source == "zone").unwrap();
    assert_eq!((zone.rcode.as_str(), zone.count), ("NOERROR", 5));
    assert_eq!(report.zones[0].zone, "corp.internal.");
    let upstream = report.upstreams.iter().find(|told| told.domain == ".").unwrap();
    assert_eq!(upstream.buckets.iter().sum::<u64>(), 40);
    assert!(report.process.resident_bytes > Some(0) && report.cache.entries > 0);
    let [client] = report.top.clients.as_slice() else { panic!("{:?}", report.top.clients) };
    assert_eq!(client.client.to_string(), "127.0.0.1");
    assert_eq!(
        client.hint.as_deref(),
        Some("gets 8 NXDOMAIN for each answer, mostly below cluster.local.: ndots and search list")
    );
    assert_eq!(report.top.names[0].name, "db.corp.internal.");
    drop(program);
}

#[test]
#[cfg(feature = "top")]
fn a_look_without_a_terminal_prints_every_page() {
    let (home, _program) = started();
    let shown = text(&home, &["top", "--once"]);
    for words in
        ["from memory", "\nclients\nCLIENT", "127.0.0.1", "\nupstreams\n", "corp.internal.", "\nzones\nZONE"]
    {
        assert!(shown.contains(words), "{words} is not in\n{shown}");
    }
}

#[test]
fn without_a_running_zonelet_it_says_so() {
    let output = Home::new("").run(&["top", "--json"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("no zonelet answers on"), "{error}");
}

#[test]
fn switched_off_it_costs_nothing_and_says_so() {
    let upstream = upstream(|question| question.reply(3, &[], &[]));
    let home = home(upstream.addr, "[top]\nsample = 0\n");
    let program = home.start();
    assert!(program.ask("db.corp.internal A").starts_with("NOERROR"));
    let report: TopReport = serde_json::from_str(&text(&home, &["top", "--json"])).unwrap();
    assert_eq!((report.top.sample, report.top.sampled), (0, 0));
}
