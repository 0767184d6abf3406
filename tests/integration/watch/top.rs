//! `zonelet top` of the whole program.

#[cfg(feature = "top")]
use std::io::{Read, Write};
#[cfg(feature = "top")]
use std::process::{Command, Stdio};

use zonelet::admin::TopReport;

use super::home;
#[cfg(feature = "top")]
use crate::harness::packages;
use crate::harness::program::{Home, Program, until, upstream};

fn text(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn started() -> (Home, Program) {
    let upstream = upstream(|question| question.reply(3, &[], &[]));
    let home = home(upstream.addr, "[top]\nsample = 1\n[watchdog]\nenabled = false\n");
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
    assert!(report.process.resident_bytes > Some(0) && report.process.open_fds > Some(0));
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

/// What the terminal is sent until `zonelet top` has ended for these keys, in a terminal of its own.
#[cfg(feature = "top")]
fn on_a_terminal(home: &Home, keys: &[u8]) -> String {
    let inner = format!(
        "stty cols 80 rows 24; TERM=xterm exec {} top --socket {}",
        env!("CARGO_BIN_EXE_zonelet"),
        home.path("admin.sock").display()
    );
    // Whatever goes wrong, it ends.
    packages::command("script", "bsdutils");
    let mut child = Command::new("timeout")
        .args(["30", "script", "-qec", &inner, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut typed, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    // Keys that come before the terminal takes single ones would be echoed and lost. Blanks are not drawn: one word.
    while !String::from_utf8_lossy(&shown).contains("reverse") {
        let mut more = [0; 4096];
        let len = screen.read(&mut more).unwrap();
        assert!(len > 0, "it ended with {:?}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&more[..len]);
    }
    typed.write_all(keys).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    assert!(child.wait().unwrap().success(), "{:?}", String::from_utf8_lossy(&shown));
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
#[cfg(feature = "top")]
fn on_a_terminal_it_shows_pages_and_leaves_it_as_it_was() {
    let (home, _program) = started();
    for keys in [&b"q"[..], b"2q", b"\x03"] {
        let shown = on_a_terminal(&home, keys);
        let (enter, leave) = (shown.find("\x1b[?1049h"), shown.rfind("\x1b[?1049l"));
        assert!(enter.is_some() && enter < leave, "{shown:?}");
        assert!(shown.rfind("\x1b[?25h") > shown.find("\x1b[?25l"), "the cursor is shown again: {shown:?}");
        assert_eq!(shown.matches("panicked").count(), 0);
    }
}

#[test]
#[cfg(feature = "top")]
fn without_a_terminal_that_can_show_pages_it_names_what_can_be_had() {
    let (home, _program) = started();
    let output = home.run(&["top"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(
        error,
        "zonelet: no terminal to show pages on; --once prints everything, --json does so for programs\n"
    );
    let socket = home.path("admin.sock");
    let program = format!("{} top --socket {}", env!("CARGO_BIN_EXE_zonelet"), socket.display());
    for (inner, says) in [
        (format!("stty cols 80 rows 24; TERM=dumb exec {program}"), "TERM names no terminal"),
        (format!("stty cols 80 rows 24; unset TERM; exec {program}"), "TERM names no terminal"),
        (
            format!("stty cols 20 rows 24; TERM=xterm exec {program}"),
            "has 20 columns and 24 rows, 40 and 8 are",
        ),
    ] {
        let output = Command::new("timeout")
            .args(["30", "script", "-qec", &inner, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .expect("script: install the package bsdutils");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains(says) && shown.contains("--once"), "{shown:?}");
        assert!(!shown.contains("\x1b["), "nothing was drawn: {shown:?}");
        assert_eq!(output.status.code(), Some(1), "{shown:?}");
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
