//! SIGHUP and changed files: taken over while serving, or refused whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::zone;
use crate::harness::client::{Ask, TcpClient, UdpClient, ask};
use crate::harness::dns::{Via, asked, line};
use crate::harness::program::{Home, Program, file, forward, until, upstream};

use hickory_proto::rr::RecordType;

const DB1: &str = "NOERROR aa; db.corp.internal. 60 A 10.0.0.1";

fn home() -> Home {
    let home = Home::new("");
    home.put("corp.zone", &zone("corp.internal", 1));
    home.put("other.zone", &zone("other.internal", 2));
    home
}

/// Has the program read its configuration, as often as it has by now and once more.
fn reload(program: &Program, times: usize) {
    program.signal("HUP");
    program.logged_times("configuration reloaded", times);
}

/// Asks one question after the other; each must be answered with one of `wanted`.
fn steady(
    program: &Program,
    via: Via,
    question: impl Fn(usize) -> String + Send + 'static,
    wanted: &'static [&'static str],
    stop: &Arc<AtomicBool>,
    asked_so_far: &Arc<AtomicUsize>,
) -> thread::JoinHandle<()> {
    let (server, stop, count) = (program.addr(), Arc::clone(stop), Arc::clone(asked_so_far));
    thread::spawn(move || {
        let udp = UdpClient::near(server);
        let mut tcp = TcpClient::connect(server);
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let query = asked(&question(n)).edns(1232, false).bytes();
            let response = match via {
                Via::Udp => udp.ask(&query, server),
                Via::Tcp => tcp.ask(&query),
            };
            let got = line(&query, &response);
            assert!(wanted.iter().any(|want| got.contains(want)), "{} by {via:?}: {got}", question(n));
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
}

#[test]
fn no_query_is_lost_or_answered_wrongly_while_everything_is_reloaded_under_load() {
    let home = home();
    let upstreams = [upstream(|q| q.address(0, 1)), upstream(|q| q.address(0, 2))];
    let config = |n: usize| {
        let access = ["['loopback']", "['127.0.0.0/8', 'private']"][n % 2];
        let second = if n.is_multiple_of(3) { file("other.zone") } else { String::new() };
        let limits = format!(
            "in_flight = {}\ntcp_in_flight = {}\n[cache]\nmax_ttl = '{}s'\n",
            1000 + n,
            50 + n,
            60 + n
        );
        let text = format!("{}{second}{}{limits}", file("corp.zone"), forward(upstreams[n % 2].addr));
        let head =
            crate::harness::program::HEAD.replace("workers = 1", &format!("workers = 1\naccess = {access}"));
        home.put("config.toml", &format!("{head}{text}"));
    };
    config(0);
    let mut program = home.start();
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let zone_name = |_| "db.corp.internal. A".to_owned();
    let forwarded = |n| format!("n{n}.test. A");
    let clients = [
        steady(&program, Via::Udp, zone_name, &[DB1], &stop, &count),
        steady(&program, Via::Tcp, zone_name, &[DB1], &stop, &count),
        steady(&program, Via::Udp, forwarded, &[". 0 A 192.0.2.1", ". 0 A 192.0.2.2"], &stop, &count),
        steady(&program, Via::Tcp, forwarded, &[". 0 A 192.0.2.1", ". 0 A 192.0.2.2"], &stop, &count),
    ];
    for n in 1..=12 {
        config(n);
        let before = count.load(Ordering::Relaxed);
        reload(&program, n);
        until("load between reloads", || (count.load(Ordering::Relaxed) > before + 40).then_some(()));
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client lost a query"));
    assert!(program.is_alive());
    program.answers("other.internal. SOA", "NOERROR aa; other.internal. 60 SOA");
    assert!(program.ask("db.other.internal. A").contains("10.0.0.2"), "reload 12 has the second zone");
    assert!(upstreams.iter().all(|upstream| upstream.count() > 0));
}

#[test]
fn zones_upstreams_access_and_limits_are_those_of_the_new_file() {
    let home = home();
    let (first, second) = (upstream(|q| q.address(300, 1)), upstream(|q| q.address(300, 2)));
    home.configure(&format!("{}{}", file("corp.zone"), forward(first.addr)));
    let program = home.start();
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    assert_eq!(program.ask("a.test. A"), "NOERROR; a.test. 300 A 192.0.2.1");
    let limits = "tcp_connections = 1\n[cache]\nmax_ttl = '10s'\n[special]\nlocalhost = false\n";
    home.configure(&format!("{}{}{limits}", file("other.zone"), forward(second.addr)));
    reload(&program, 1);
    assert_eq!(program.ask("b.test. A"), "NOERROR; b.test. 10 A 192.0.2.2");
    assert_eq!(program.ask("a.test. A").split(' ').next_back(), Some("192.0.2.1"), "the cache is kept");
    program.answers("db.other.internal. A", "NOERROR aa; db.other.internal. 60 A 10.0.0.2");
    program.answers("db.corp.internal. A", "NOERROR; db.corp.internal. 10 A 192.0.2.2");
    assert_eq!(program.ask("localhost. A"), "NOERROR; localhost. 10 A 192.0.2.2");
    let hit = ask("b.test.", RecordType::A).bytes();
    let mut only = TcpClient::connect(program.addr());
    only.ask(&hit);
    assert_eq!(TcpClient::connect(program.addr()).recv_after(&hit), None, "a second connection");
    assert!(program.log().iter().all(|line| !line.contains("next start")), "{:#?}", program.log());
    assert_eq!(program.metric("zonelet_config_reloads_total", &["taken"]), 1.0);
}

#[test]
fn a_changed_access_list_holds_from_the_next_query_on() {
    let home = home();
    let server = upstream(|q| q.address(300, 1));
    let config = |access: &str| {
        let head = crate::harness::program::HEAD;
        let head = head.replace("workers = 1", &format!("workers = 1\naccess = ['{access}']"));
        home.put("config.toml", &format!("{head}{}{}", file("corp.zone"), forward(server.addr)));
    };
    config("loopback");
    let program = home.start();
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    config("192.0.2.0/24");
    reload(&program, 1);
    let refused = "REFUSED EDE 18 this client's network is not on the access list";
    for via in [Via::Udp, Via::Tcp] {
        let query: Ask = asked("db.corp.internal. A").edns(1232, false);
        assert_eq!(program.ask_via(via, &query), refused);
    }
    config("loopback");
    reload(&program, 2);
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
}

#[test]
fn a_bad_file_is_refused_with_its_problems_and_the_old_one_stays() {
    let home = home();
    let server = upstream(|q| q.address(300, 1));
    let good = format!("{}{}", file("corp.zone"), forward(server.addr));
    home.configure(&good);
    let mut program = home.start();
    // The good half of a bad file is not used either.
    home.configure(&format!(
        "{}sends = 9\nwaitres = 3\n[special]\nlocalhost = false\n",
        forward(server.addr)
    ));
    program.signal("HUP");
    program.logged("refused");
    program.logged("limits.sends");
    program.logged("waitres");
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    assert!(program.ask("localhost. A").ends_with("127.0.0.1"));
    assert_eq!(program.metric("zonelet_config_reloads_total", &["refused"]), 1.0);
    home.put("config.toml", "no = [toml");
    program.signal("HUP");
    program.logged_times("refused", 2);
    std::fs::remove_file(home.path("config.toml")).unwrap();
    program.signal("HUP");
    program.logged_times("refused", 3);
    assert!(program.is_alive());
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    home.configure(&good);
    reload(&program, 1);
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let home = home();
    let server = upstream(|q| q.address(300, 1));
    home.configure(&format!("{}{}", file("corp.zone"), forward(server.addr)));
    let program = home.start();
    home.configure(&format!("{}{}", file("other.zone"), forward(server.addr)));
    program.logged("configuration reloaded");
    program.answers("db.other.internal. A", "NOERROR aa; db.other.internal. 60 A 10.0.0.2");
}

#[test]
fn the_level_of_the_log_changes_while_serving() {
    let home = home();
    let server = upstream(|q| q.reply(2, &[], &[]));
    let config = format!("{}{}", file("corp.zone"), forward(server.addr));
    home.configure(&config);
    let program = home.start();
    program.ask("quiet.test. A");
    home.configure(&format!("{config}[log]\nlevel = 'debug'\n"));
    reload(&program, 1);
    program.ask("loud.test. A");
    let line = program.logged("loud.test");
    assert!(line.contains("DEBUG"), "{line}");
    assert!(program.log().iter().all(|line| !line.contains("quiet.test")));
}

#[test]
fn a_reload_that_meets_the_end_does_not_hold_it_up() {
    let home = home();
    let server = upstream(|q| q.address(300, 1));
    home.configure(&format!("{}{}", file("corp.zone"), forward(server.addr)));
    let program = home.start();
    home.configure(&format!("{}{}", file("other.zone"), forward(server.addr)));
    program.signal("HUP");
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains("ERROR") && !line.contains("WARN")), "{log:#?}");
}

#[test]
fn a_zone_file_that_breaks_changes_nothing_that_is_served() {
    let home = home();
    let server = upstream(|q| q.address(300, 1));
    home.configure(&format!("{}{}", file("corp.zone"), forward(server.addr)));
    let program = home.start();
    home.put("corp.zone", "$INCLUDE elsewhere\n");
    program.logged("WARN");
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    std::fs::remove_file(home.path("corp.zone")).unwrap();
    let table = || String::from_utf8(home.run(&["zones"]).stdout).unwrap();
    until("the error in the listing", || table().contains("corp.zone").then_some(()));
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    home.put("corp.zone", &zone("corp.internal", 3));
    program.answers("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.3");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_taken() {
    let home = home();
    let server = upstream(|q| q.address(300, 1));
    home.configure(&format!("{}{}", file("corp.zone"), forward(server.addr)));
    let program = home.start();
    let head = crate::harness::program::HEAD.replace("workers = 1", "workers = 2");
    home.put("config.toml", &format!("{head}{}{}", file("other.zone"), forward(server.addr)));
    reload(&program, 1);
    let line = program.logged("next start");
    assert!(line.contains("server.workers"), "{line}");
    program.answers("db.other.internal. A", "NOERROR aa; db.other.internal. 60 A 10.0.0.2");
}
