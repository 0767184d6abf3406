//! What one run leaves to the next, and what a run keeps through reloads.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hickory_proto::rr::RecordType;

use crate::harness::client::{TcpClient, UdpClient, ask, id_of, message};
use crate::harness::program::{Home, Program, forward, until, upstream};
use crate::harness::upstream::{Out, Scripted};

/// An upstream that counts what it is asked.
fn counting() -> (Scripted, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = upstream(move |q| {
        counter.fetch_add(1, Ordering::Relaxed);
        q.address(300, 7)
    });
    (server, asked)
}

const STATE: &str = "[state]\ndir = 'state'\n";

fn learns(program: &Program) {
    let answer = program.ask("learnt.test. A");
    assert!(answer.starts_with("NOERROR; learnt.test. ") && answer.ends_with(" A 192.0.2.7"), "{answer}");
}

/// A home whose last run has learned a name, and how often its upstream was asked.
fn after_a_run() -> (Home, Arc<AtomicUsize>) {
    let (server, asked) = counting();
    let home = Home::new(&format!("{STATE}{}", forward(server.addr)));
    let program = home.start();
    learns(&program);
    assert_eq!(program.terminate().0, Some(0));
    (home, asked)
}

#[test]
fn the_cache_of_the_last_run_answers_and_goes_on_ageing() {
    let (home, asked) = after_a_run();
    let program = home.start();
    program.logged("the cache of the last run is back");
    learns(&program);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(program.metric("zonelet_app_restored_entries", &[]), 1.0);
    // Other upstreams may say otherwise.
    assert_eq!(program.terminate().0, Some(0));
    let (other, asked) = counting();
    home.configure(&format!("{STATE}{}", forward(other.addr)));
    let program = home.start();
    program.logged("it was learned from other upstreams");
    learns(&program);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_damaged_snapshot_is_refused_whole_and_replaced() {
    let (home, asked) = after_a_run();
    let path = home.path("state/cache.snapshot");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 40;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let program = home.start();
    program.logged("refused, all of it");
    learns(&program);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(program.terminate().0, Some(0));
    let program = home.start();
    program.logged("the cache of the last run is back");
}

#[test]
fn what_was_flushed_does_not_come_back_after_a_crash() {
    let (home, asked) = after_a_run();
    let program = home.start();
    program.logged("the cache of the last run is back");
    assert!(home.run(&["flush"]).status.success());
    until("a new file", || {
        (program.metric("zonelet_app_snapshots_total", &["written"]) >= 1.0).then_some(())
    });
    program.signal("KILL");
    drop(program.ended());
    let program = home.start();
    program.logged("the cache of the last run is back");
    learns(&program);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn nothing_is_written_where_it_is_switched_off() {
    let (server, _) = counting();
    let off = "snapshot = '0s'\nlast_good_config = false\n[handover]\nenabled = false\n";
    let home = Home::new(&format!("{STATE}{off}{}", forward(server.addr)));
    let program = home.start();
    learns(&program);
    assert_eq!(program.terminate().0, Some(0));
    assert!(!home.path("state").exists());
}

#[test]
fn a_start_with_a_bad_file_goes_on_with_the_last_good_one_until_it_is_mended() {
    let (server, _) = counting();
    let good = format!("{STATE}{}", forward(server.addr));
    let home = Home::new(&good);
    let program = home.start();
    learns(&program);
    assert_eq!(program.metric("zonelet_app_config_fallback", &[]), 0.0);
    assert_eq!(program.terminate().0, Some(0));
    home.configure(&format!("{good}[cache\nmax_tll = '1s'\n"));
    let program = home.start();
    let line = program.logged("the last good one is at work in its place");
    assert!(line.contains("ERROR"), "{line}");
    learns(&program);
    assert_eq!(program.metric("zonelet_app_config_fallback", &[]), 1.0);
    // Who asks is told the truth about the file.
    assert_eq!(home.run(&["check"]).status.code(), Some(2));
    program.signal("HUP");
    program.logged("the new configuration is refused");
    assert_eq!(program.metric("zonelet_app_config_fallback", &[]), 1.0);
    home.configure(&format!("{good}[cache]\nmax_ttl = '1h'\n"));
    program.signal("HUP");
    program.logged("configuration reloaded");
    assert_eq!(program.metric("zonelet_app_config_fallback", &[]), 0.0);
    let kept = fs::read_to_string(home.path("state/config.last-good.toml")).unwrap();
    assert!(kept.ends_with("max_ttl = '1h'\n"), "{kept}");
}

#[test]
fn without_a_last_good_configuration_a_bad_file_is_refused() {
    let home = Home::new(&format!("{STATE}nonsense = 1\n"));
    assert_eq!(home.run(&["run"]).status.code(), Some(2));
}

#[test]
fn the_watchdog_finds_a_working_program_well_whoever_may_ask_it() {
    let mut home = Home::new("[watchdog]\ninterval = '1s'\nlimit = '5s'\n[special]\nlocalhost = false\n");
    home.variable("ZONELET_SERVER__ACCESS", "10.0.0.0/8").variable("ZONELET_SERVER__WORKERS", "3");
    let program = home.start();
    until("two rounds", || {
        (program.metric("zonelet_app_watchdog_rounds_total", &["well"]) >= 2.0).then_some(())
    });
    assert_eq!(program.metric("zonelet_app_watchdog_rounds_total", &["stuck"]), 0.0);
    assert_eq!(program.metric("zonelet_app_watchdog_stuck", &[]), 0.0);
    assert_eq!(program.get("/livez").0, 200);
}

#[test]
fn a_hundred_reloads_of_upstreams_and_limits_keep_every_connection_and_query() {
    const ROUNDS: usize = 10;
    const WAITING: u16 = 10;
    let gate = Arc::new(AtomicBool::new(false));
    let door = Arc::clone(&gate);
    // It waits on a thread of its own, which no other test's upstream needs.
    let outside = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = outside.block_on(Scripted::start(move |asked| {
        until("the gate", || door.load(Ordering::Relaxed).then_some(()));
        vec![Out::Reply(asked.question.address(60, 1))]
    }));
    let (other, _) = counting();
    let config = |turn: usize| {
        format!(
            "[[forward]]\ndomain = '.'\nupstreams = ['{}']\n[[forward]]\ndomain = 'turn-{turn}.test'\n\
             upstreams = ['{}']\n[limits]\nupstream_sockets = 8\nupstream_timeout = '60s'\n\
             tcp_idle = '{}s'\nwaiters = {}\n[cache]\nmax_ttl = '{}s'\n",
            server.addr,
            other.addr,
            60 + turn,
            512 + turn,
            3600 + turn,
        )
    };
    let home = Home::new(&config(0));
    let program = home.start();
    let (udp, mut tcp) = (UdpClient::near(program.addr()), TcpClient::connect(program.addr()));
    let answered = |response: &[u8]| {
        assert_eq!(message(response).answers.len(), 1, "{:?}", message(response));
        id_of(response)
    };
    for round in 0..ROUNDS {
        gate.store(false, Ordering::Relaxed);
        for id in 0..WAITING {
            let query = |kind| ask(&format!("{kind}{id}.round-{round}.test."), RecordType::A).id(id).bytes();
            udp.send(&query("u"), program.addr());
            tcp.send(&query("t"));
        }
        until("all to wait", || {
            (program.metric("zonelet_miss_waiting", &[]) == 2.0 * f64::from(WAITING)).then_some(())
        });
        for turn in 10 * round + 1..=10 * round + 10 {
            home.configure(&config(turn));
            program.signal("HUP");
            program.logged_times("configuration reloaded", turn);
        }
        gate.store(true, Ordering::Relaxed);
        let mut by_udp: Vec<u16> = (0..WAITING).map(|_| answered(&udp.recv().0)).collect();
        let mut by_tcp: Vec<u16> =
            (0..WAITING).map(|_| answered(&tcp.recv().expect("the connection is kept"))).collect();
        by_udp.sort_unstable();
        by_tcp.sort_unstable();
        let all: Vec<u16> = (0..WAITING).collect();
        assert_eq!((&by_udp, &by_tcp), (&all, &all));
    }
    assert_eq!(program.ask("x.turn-100.test. A"), "NOERROR; x.turn-100.test. 300 A 192.0.2.7");
    assert_eq!(program.metric("zonelet_config_reloads_total", &["refused"]), 0.0);
}
