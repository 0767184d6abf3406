//! Clients that are turned away are seen as such; what zonelet asks itself is not seen.

use serde_json::Value;
use zonelet::admin::TopReport;

use super::home;
use super::log::queries;
use crate::harness::dns::{Via, asked};
use crate::harness::program::{Home, Program, until, upstream};

const SEEN: &str = "[top]\nsample = 1\n[query_log]\nclasses = ['turned_away']\n[log]\nformat = 'json'\n";

fn started(config: &str) -> (Home, Program) {
    let upstream = upstream(|question| question.reply(0, &[], &[]));
    let home = home(upstream.addr, config);
    let program = home.start();
    (home, program)
}

/// The lines of the log that say this of what stopped a query.
fn stopped(program: &Program, by: &str) -> Vec<Value> {
    queries(program).into_iter().filter(|line| line["stopped_by"] == by).collect()
}

#[test]
fn a_client_above_its_rate_is_in_the_log_and_in_the_table_of_clients() {
    let limits = "client_rate = 1\nclient_burst = 4\nclient_slip = 2\n";
    let (home, program) = started(&format!("{limits}{SEEN}"));
    let client = crate::harness::client::UdpClient::near(program.addr());
    (0..64).for_each(|_| client.send(&asked("db.corp.internal A").bytes(), program.addr()));
    let bounded = |bound| program.metric("zonelet_answer_bounded_total", &[bound]) as usize;
    until("all queries", || (bounded("dropped") + bounded("slipped") >= 50).then_some(()));
    for (label, bound, rcode) in [("dropped", "dropped", "none"), ("sent to TCP", "slipped", "NOERROR")] {
        let lines = until("the lines", || {
            let lines = stopped(&program, &format!("limits.client_rate, {label}"));
            (lines.len() == bounded(bound)).then_some(lines)
        });
        let told = |line: &Value| line["class"] == "turned_away" && line["rcode"] == rcode;
        assert!(!lines.is_empty() && lines.iter().all(told), "{lines:#?}");
        assert!(lines.iter().all(|line| line["qname"] == "db.corp.internal."), "{lines:#?}");
    }
    let output = home.run(&["top", "--json"]);
    let report: TopReport = serde_json::from_slice(&output.stdout).unwrap();
    let [client] = report.top.clients.as_slice() else { panic!("{:?}", report.top.clients) };
    assert!(client.turned_away > 0.5 && client.failures == 0.0, "{client:?}");
    assert!(client.hint.as_ref().is_some_and(|hint| hint.contains("turned away")), "{client:?}");
}

#[test]
fn a_client_that_is_refused_or_dropped_by_rules_is_seen_with_what_became_of_it() {
    let rules = "[[access]]\naction = 'drop'\nclients = ['127.0.0.0/8']\ndomains = ['secret.corp.internal']\n\
                 [[access]]\naction = 'refuse'\nclients = ['127.0.0.0/8']\ndomains = ['no.corp.internal']\n";
    let (_home, program) = started(&format!("{rules}{SEEN}"));
    let client = crate::harness::client::UdpClient::near(program.addr());
    client.send(&asked("secret.corp.internal A").bytes(), program.addr());
    let refused = asked("no.corp.internal A").edns(1232, false);
    assert!(program.ask_via(Via::Tcp, &refused).starts_with("REFUSED"));
    let [dropped] =
        until("a line", || <[Value; 1]>::try_from(stopped(&program, "an access rule, dropped")).ok());
    assert_eq!((&dropped["rcode"], &dropped["bytes"]), (&"none".into(), &0.into()));
    let refused = until("a line", || queries(&program).into_iter().find(|line| line["rcode"] == "REFUSED"));
    assert_eq!(refused["why"], "an access rule refuses this name");
}

#[test]
fn however_much_is_turned_away_errors_have_their_lines() {
    let upstream = upstream(|question| question.reply(2, &[], &[]));
    let config = "[[access]]\naction = 'drop'\nclients = ['127.0.0.0/8']\ndomains = ['secret.corp.internal']\n\
                  [query_log]\nclasses = ['errors', 'turned_away']\nlines = '1/m'\n[log]\nformat = 'json'\n";
    let home = home(upstream.addr, config);
    let program = home.start();
    let client = crate::harness::client::UdpClient::near(program.addr());
    (0..20).for_each(|_| client.send(&asked("secret.corp.internal A").bytes(), program.addr()));
    let lines = |outcome| program.metric("zonelet_query_log_lines_total", &[outcome]);
    until("all to be counted", || (lines("written") + lines("suppressed") == 20.0).then_some(()));
    assert!(program.ask("bad.test A").starts_with("SERVFAIL"));
    let failed =
        until("its line", || queries(&program).into_iter().find(|line| line["qname"] == "bad.test."));
    assert_eq!((&failed["class"], &failed["rcode"]), (&"errors".into(), &"SERVFAIL".into()));
    assert_eq!(stopped(&program, "an access rule, dropped").len(), 1);
}

#[test]
fn what_the_watchdog_asks_is_counted_and_not_logged() {
    let config = "[query_log]\nclasses = ['all', 'errors']\nsample = 1\n[log]\nformat = 'json'\n\
                  [watchdog]\ninterval = '1s'\nlimit = '5s'\n";
    let (_home, program) = started(config);
    let rounds = || program.metric("zonelet_app_watchdog_rounds_total", &["well"]);
    until("the watchdog to have asked", || (rounds() >= 2.0).then_some(()));
    // Whatever was logged before this is in the log with it.
    assert!(program.ask("db.corp.internal A").starts_with("NOERROR"));
    let lines = until("a line", || {
        Some(queries(&program)).filter(|lines| lines.iter().any(|line| line["qname"] == "db.corp.internal."))
    });
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        program.metric("zonelet_server_queries_total", &["udp"]) >= 3.0,
        "they are counted, as a sign of life"
    );
}
