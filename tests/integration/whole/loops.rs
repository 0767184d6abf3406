//! Two real zonelets that forward to each other.

use std::net::SocketAddr;

use crate::harness::program::{Home, Program, until, upstream};

fn forwards(domains: &[(&str, SocketAddr)]) -> String {
    let one = |(domain, to): &(&str, SocketAddr)| {
        format!("[[forward]]\ndomain = '{domain}'\nupstreams = ['{to}']\n")
    };
    domains.iter().map(one).collect::<String>() + "[limits]\nupstream_sockets = 8\n"
}

/// Two programs, the first of which sends everything to the second; and what the second sends where.
fn pair(second_sends: impl Fn(SocketAddr) -> String) -> [(Home, Program); 2] {
    let (home_b, home_a) =
        (Home::new("[[forward]]\ndomain = '.'\nupstreams = ['127.0.0.1:9']\n"), Home::new(""));
    let b = home_b.start();
    home_a.configure(&forwards(&[(".", b.addr())]));
    let a = home_a.start();
    home_b.configure(&second_sends(a.addr()));
    b.signal("HUP");
    b.logged("configuration reloaded");
    [(home_a, a), (home_b, b)]
}

/// What the first says must name whom it asked, or whom that one asked.
fn names_the_loop(answer: &str, programs: [&Program; 2]) {
    assert!(answer.starts_with("SERVFAIL EDE"), "{answer}");
    assert!(programs.iter().any(|program| answer.contains(&program.addr().to_string())), "{answer}");
}

#[test]
fn a_loop_of_one_subdomain_is_named_and_everything_else_goes_on() {
    let good = upstream(|q| q.address(300, 1));
    let [(_ha, mut a), (_hb, mut b)] = pair(|a| forwards(&[("loop.test", a), (".", good.addr)]));
    let before = |program: &Program| program.metric("zonelet_upstream_sends_total", &[]);
    let sent = before(&a) + before(&b);
    names_the_loop(&a.ask("x.loop.test. A"), [&a, &b]);
    assert!(before(&a) + before(&b) - sent <= 6.0, "three sends each at most");
    assert_eq!(a.ask("fine.test. A"), "NOERROR; fine.test. 300 A 192.0.2.1");
    assert_eq!(b.ask("also.test. A"), "NOERROR; also.test. 300 A 192.0.2.1");
    names_the_loop(&b.ask("y.loop.test. A"), [&a, &b]);
    for n in 0..20 {
        names_the_loop(&a.ask(&format!("n{n}.loop.test. A")), [&a, &b]);
        assert!(a.ask(&format!("n{n}.test. A")).starts_with("NOERROR"));
    }
    // Probes tell how much of the names goes round; from then on nothing of it is sent.
    until("the loop to be isolated", || {
        (a.metric("zonelet_upstream_isolated_domains", &[]) > 0.0).then_some(())
    });
    assert!(a.metric("zonelet_upstream_loops_total", &[]) > 0.0);
    let line = a.logged("forwarding loop");
    assert!(line.contains("WARN") && line.contains(&b.addr().to_string()), "{line}");
    assert!(line.contains("loop.test."), "{line}");
    let sent = a.metric("zonelet_upstream_sends_total", &[]);
    for n in 0..20 {
        names_the_loop(&a.ask(&format!("late{n}.loop.test. A")), [&a, &b]);
    }
    assert_eq!(a.metric("zonelet_upstream_sends_total", &[]), sent);
    assert_eq!(a.ask("still.test. A"), "NOERROR; still.test. 300 A 192.0.2.1");
    assert!(a.is_alive() && b.is_alive());
}

#[test]
fn a_loop_of_everything_is_named_and_both_go_on_with_what_they_have() {
    let [(_ha, mut a), (_hb, mut b)] = pair(|a| forwards(&[(".", a)]));
    names_the_loop(&a.ask("x.test. A"), [&a, &b]);
    names_the_loop(&b.ask("y.test. A"), [&a, &b]);
    assert_eq!(a.ask("localhost. A"), "NOERROR aa; localhost. 10800 A 127.0.0.1");
    assert!(a.is_alive() && b.is_alive());
    let (sends, asked) =
        (a.metric("zonelet_upstream_sends_total", &[]), b.metric("zonelet_upstream_sends_total", &[]));
    assert!(sends + asked <= 12.0, "{sends} and {asked} sends for two questions");
    assert_eq!((a.terminate().0, b.terminate().0), (Some(0), Some(0)));
}

#[test]
fn a_loop_through_three_processes_ends_in_all_of_them_at_once() {
    let good = upstream(|q| q.address(300, 1));
    let (home_c, home_b, home_a) =
        (Home::new("[[forward]]\ndomain = '.'\nupstreams = ['127.0.0.1:9']\n"), Home::new(""), Home::new(""));
    let mut c = home_c.start();
    home_b.configure(&forwards(&[(".", c.addr())]));
    let mut b = home_b.start();
    home_a.configure(&forwards(&[(".", b.addr())]));
    let mut a = home_a.start();
    home_c.configure(&forwards(&[("loop.test", a.addr()), (".", good.addr)]));
    c.signal("HUP");
    c.logged("configuration reloaded");

    let sends = |program: &Program| program.metric("zonelet_upstream_sends_total", &[]);
    let answer = a.ask("x.loop.test. A");
    assert!(answer.starts_with("SERVFAIL EDE"), "{answer}");
    assert!([&a, &b, &c].iter().any(|p| answer.contains(&p.addr().to_string())), "{answer}");
    // The others also pass on the probes of whoever looks for the loop, which is bounded by itself.
    assert!(sends(&a) <= 3.0, "{} sends for one question", sends(&a));
    let settled = [&a, &b, &c].map(sends).iter().sum::<f64>();
    assert!(settled <= 3.0 * 3.0 + 2.0 * 3.0 * 6.0, "{settled} sends in all");
    assert_eq!(a.ask("fine.test. A"), "NOERROR; fine.test. 300 A 192.0.2.1");
    assert!(a.is_alive() && b.is_alive() && c.is_alive());
}
