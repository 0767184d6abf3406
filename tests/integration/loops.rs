//! Forwarding loops on real sockets: what they cost, who is told, and what goes on working.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonelet::answer::miss::Want;
use zonelet::upstream::Settings;
use zonelet::wire::Rtype;

use crate::harness::agent::{Agent, failed, forward, forward_all, front, ttls};
use crate::harness::message::name;
use crate::harness::time::HandTime;
use crate::harness::upstream::{Relay, RelayServer, Scripted};

fn want(qname: &str) -> Want {
    Agent::want(qname, Rtype::A)
}

/// How the forwarders of a loop behave.
#[derive(Clone, Copy, Debug)]
struct Manners {
    strip_edns: bool,
    set_cd: bool,
}

const MANNERS: [Manners; 4] = [
    Manners { strip_edns: false, set_cd: false },
    Manners { strip_edns: true, set_cd: false },
    Manners { strip_edns: false, set_cd: true },
    Manners { strip_edns: true, set_cd: true },
];

/// An agent whose upstream sends the names below `domain` back to it, through one forwarder or two.
struct Loop {
    agent: Agent,
    /// The forwarder that the agent asks.
    first: RelayServer,
    /// Which names it sends on; everything else it answers.
    domain: Arc<Mutex<&'static str>>,
}

impl Loop {
    async fn start(host: u8, hops: usize, domain: &'static str, manners: Manners) -> Self {
        let (socket, mut to) = front(host).await;
        let domain = Arc::new(Mutex::new(domain));
        let mut first = None;
        for hop in 0..hops {
            let sends = Arc::clone(&domain);
            let relay = move || Relay {
                domain: name(*sends.lock().unwrap()),
                to,
                strip_edns: manners.strip_edns,
                set_cd: manners.set_cd,
            };
            let server = RelayServer::start(host + hop as u8, relay).await;
            to = server.addr;
            first = Some(server);
        }
        let first = first.expect("at least one forwarder");
        let agent = Agent::new(forward_all(&[first.addr]));
        let serving = agent.clone();
        tokio::spawn(async move { serving.serve(socket).await });
        Self { agent, first, domain }
    }

    fn loops_via(&self) -> (u16, String) {
        (0, format!("forwarding loop via {}", self.first.addr))
    }
}

#[tokio::test]
async fn a_loop_of_everything_costs_three_sends_at_most_and_names_the_upstream() {
    let time = HandTime::stop();
    for hops in [1, 2] {
        for manners in MANNERS {
            let bad = Loop::start(10, hops, ".", manners).await;
            let (outcome, took) = time.drive(bad.agent.ask(want("a.corp.test"))).await;
            assert_eq!(failed(outcome), bad.loops_via(), "{hops} {manners:?}");
            assert!(bad.first.count() <= 3, "{hops} {manners:?}: {} sends", bad.first.count());
            assert!(took < Duration::from_secs(2), "{hops} {manners:?}: {took:?}");
            // The probes settle; from then on nothing is sent at all.
            time.advance(Duration::from_secs(2)).await;
            bad.agent.clock.advance(Duration::from_secs(2));
            let sent = bad.first.count();
            for qname in ["a.corp.test", "b.corp.test", "other.example"] {
                assert_eq!(failed(time.drive(bad.agent.ask(want(qname))).await.0), bad.loops_via());
            }
            assert_eq!(bad.first.count(), sent, "{hops} {manners:?}");
            assert!(bad.first.probes() <= 6, "{} probes", bad.first.probes());
            assert!(bad.agent.probes_seen() > 0);
        }
    }
}

#[tokio::test]
async fn a_loop_of_one_sub_domain_leaves_the_other_names_of_the_upstream_alone() {
    let time = HandTime::stop();
    for hops in [1, 2] {
        for manners in MANNERS {
            let bad = Loop::start(20, hops, "corp.test", manners).await;
            let (outcome, _) = time.drive(bad.agent.ask(want("a.b.corp.test"))).await;
            assert_eq!(failed(outcome), bad.loops_via(), "{hops} {manners:?}");
            assert!(bad.first.count() <= 3, "{hops} {manners:?}: {} sends", bad.first.count());
            time.advance(Duration::from_secs(2)).await;
            bad.agent.clock.advance(Duration::from_secs(2));
            let sent = bad.first.count();
            assert_eq!(failed(time.drive(bad.agent.ask(want("z.corp.test"))).await.0), bad.loops_via());
            assert_eq!(bad.first.count(), sent, "the whole sub-domain is kept from it");
            for (count, qname) in ["www.test", "corp.example"].into_iter().enumerate() {
                let fine = time.drive(bad.agent.ask(want(qname))).await.0;
                assert_eq!(ttls(&fine, &bad.agent.clock), [300]);
                assert_eq!(bad.first.count(), sent + count + 1);
            }
        }
    }
}

#[tokio::test]
async fn what_was_kept_from_an_upstream_is_tried_again_after_the_hold() {
    let time = HandTime::stop();
    let bad = Loop::start(30, 1, "corp.test", MANNERS[1]).await;
    failed(time.drive(bad.agent.ask(want("a.corp.test"))).await.0);
    time.advance(Duration::from_secs(2)).await;
    let sent = bad.first.count();
    bad.agent.clock.advance(Duration::from_secs(29));
    failed(time.drive(bad.agent.ask(want("a.corp.test"))).await.0);
    assert_eq!(bad.first.count(), sent);
    // Still looping: found again, at the same price.
    bad.agent.clock.advance(Duration::from_secs(2));
    assert_eq!(failed(time.drive(bad.agent.ask(want("a.corp.test"))).await.0), bad.loops_via());
    assert!(bad.first.count() > sent && bad.first.count() <= sent + 3);
    // Mended.
    time.advance(Duration::from_secs(2)).await;
    *bad.domain.lock().unwrap() = "nothing.invalid";
    bad.agent.clock.advance(Duration::from_secs(31));
    let fine = time.drive(bad.agent.ask(want("a.corp.test"))).await.0;
    assert_eq!(ttls(&fine, &bad.agent.clock), [300]);
}

#[tokio::test]
async fn other_upstreams_take_over_what_one_sends_back() {
    let time = HandTime::stop();
    let (socket, back) = front(40).await;
    let relay = move || Relay { domain: name("corp.test"), to: back, strip_edns: true, set_cd: false };
    let first = RelayServer::start(40, relay).await;
    let second = Scripted::answering(60).await;
    let agent = Agent::new(forward_all(&[first.addr, second.addr]));
    let serving = agent.clone();
    tokio::spawn(async move { serving.serve(socket).await });
    let answer = time.drive(agent.ask(want("a.corp.test"))).await.0;
    assert_eq!(ttls(&answer, &agent.clock), [60]);
    time.advance(Duration::from_secs(2)).await;
    let sent = first.count();
    assert!(sent <= 3);
    let (answer, took) = time.drive(agent.ask(want("b.corp.test"))).await;
    assert_eq!((ttls(&answer, &agent.clock), took), (vec![60], Duration::ZERO));
    assert_eq!(first.count(), sent);
}

#[tokio::test]
async fn other_domains_work_while_one_loops() {
    let time = HandTime::stop();
    let (socket, back) = front(45).await;
    let relay = move || Relay { domain: name("."), to: back, strip_edns: true, set_cd: false };
    let looping = RelayServer::start(45, relay).await;
    let good = Scripted::answering(60).await;
    let mut settings = forward_all(&[looping.addr]);
    settings.domains.push(forward("good.test", &[good.addr]));
    let agent = Agent::new(settings);
    let serving = agent.clone();
    tokio::spawn(async move { serving.serve(socket).await });
    let bad = agent.fetch(want("a.bad.test"));
    let (answer, took) = time.drive(agent.ask(want("a.good.test"))).await;
    assert_eq!((ttls(&answer, &agent.clock), took), (vec![60], Duration::ZERO));
    failed(time.drive(bad).await.0.unwrap());
}

#[tokio::test]
async fn two_agents_that_forward_to_each_other_stop_at_once() {
    let time = HandTime::stop();
    let ((one_socket, one_addr), (two_socket, two_addr)) = (front(50).await, front(51).await);
    let (one, two) = (Agent::new(forward_all(&[two_addr])), Agent::new(forward_all(&[one_addr])));
    let (first, second) = (one.clone(), two.clone());
    tokio::spawn(async move { first.serve(one_socket).await });
    tokio::spawn(async move { second.serve(two_socket).await });
    let (outcome, took) = time.drive(one.ask(want("a.test"))).await;
    assert_eq!(failed(outcome), (0, format!("forwarding loop via {two_addr}")));
    assert_eq!(took, Duration::ZERO, "by the marker alone");
    time.advance(Duration::from_secs(2)).await;
    assert!(one.probes_seen() > 0, "the other passes our probes on");
    one.clock.advance(Duration::from_secs(2));
    let (outcome, took) = time.drive(one.ask(want("b.test"))).await;
    assert_eq!((failed(outcome).1, took), (format!("forwarding loop via {two_addr}"), Duration::ZERO));
}

#[tokio::test]
async fn a_forged_marker_hurts_only_its_sender() {
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    let forged = || Want { marker: Some(vec![7; 64].into()), ..want("a.test") };
    let honest = agent.fetch(want("a.test"));
    let (code, text) = failed(agent.fetch(forged()).try_recv().expect("at once"));
    assert_eq!((code, text.as_str()), (0, "the query has passed 4 instances of zonelet"));
    assert_eq!(ttls(&honest.await.unwrap(), &agent.clock), [60]);
    assert_eq!(ttls(&agent.ask(want("b.test")).await, &agent.clock), [60]);
    failed(agent.fetch(forged()).await.unwrap());
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_forged_marker_that_is_refused_further_on_is_nobody_elses_failure() {
    // The next instance refuses what seems to have come too far.
    let next = Agent::new(forward_all(&[Scripted::answering(60).await.addr]));
    let (socket, addr) = front(60).await;
    tokio::spawn(async move { next.serve(socket).await });
    let agent = Agent::new(forward_all(&[addr]));
    let forged = agent.fetch(Want { marker: Some(vec![7; 48].into()), ..want("a.test") });
    let honest = agent.fetch(want("a.test"));
    assert!(failed(forged.await.unwrap()).1.contains("has passed 4 instances"));
    assert_eq!(ttls(&honest.await.unwrap(), &agent.clock), [60]);
    for _ in 0..5 {
        let forged = Want { marker: Some(vec![7; 48].into()), ..want("c.test") };
        failed(agent.fetch(forged).await.unwrap());
    }
    assert_eq!(ttls(&agent.fetch(want("c.test")).await.unwrap(), &agent.clock), [60], "not remembered");
}

#[tokio::test]
async fn a_silent_upstream_with_many_askers_is_no_loop() {
    let time = HandTime::stop();
    let (dead, good) = (Scripted::silent().await, Scripted::answering(60).await);
    let agent = Agent::new(forward_all(&[dead.addr, good.addr]));
    let (one, two) = (agent.fetch(want("a.test")), agent.fetch(want("a.test")));
    let (answer, took) = time.drive(one).await;
    assert_eq!(ttls(&answer.unwrap(), &agent.clock), [60]);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(ttls(&time.drive(two).await.0.unwrap(), &agent.clock), [60]);

    // Alone, it is still asked again, once the suspicion has come to nothing.
    let agent = Agent::new(forward_all(&[dead.addr]));
    let before = dead.count();
    let (one, two) = (agent.fetch(want("b.test")), agent.fetch(want("b.test")));
    assert_eq!(failed(time.drive(one).await.0.unwrap()).0, 22);
    assert_eq!(failed(time.drive(two).await.0.unwrap()).0, 22);
    assert_eq!(dead.count(), before + 2);
}

#[tokio::test]
async fn a_client_on_the_upstreams_host_is_no_loop_by_itself() {
    let upstream = Scripted::answering(60).await;
    let agent = Agent::new(forward_all(&[upstream.addr]));
    let client: SocketAddr = (upstream.addr.ip(), 5353).into();
    let (one, two) = (agent.fetch(want("a.test")), agent.fetch(Want { client, ..want("a.test") }));
    assert_eq!(ttls(&one.await.unwrap(), &agent.clock), [60]);
    assert_eq!(ttls(&two.await.unwrap(), &agent.clock), [60]);
    assert_eq!(ttls(&agent.ask(want("b.test")).await, &agent.clock), [60]);
}

#[tokio::test]
async fn found_loops_and_probes_are_counted_by_upstream() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let time = HandTime::stop();
    let bad = Loop::start(70, 1, "corp.test", MANNERS[1]).await;
    failed(time.drive(bad.agent.ask(want("a.corp.test"))).await.0);
    time.advance(Duration::from_secs(2)).await;
    bad.agent.forwarder.observe();
    let text = handle.render();
    let label = format!("{{upstream=\"{}\"}}", bad.first.addr);
    for line in [
        format!("zonelet_upstream_loops_total{label} 1"),
        format!("zonelet_upstream_isolated_domains{label} 1"),
        format!("zonelet_upstream_loop_probes_total{label} {}", bad.first.probes()),
    ] {
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    let sends = format!("zonelet_upstream_sends_total{{upstream=\"{}\",protocol=\"udp\"}} 1", bad.first.addr);
    assert!(text.contains(&sends), "{text}");
}

#[tokio::test]
async fn an_own_address_is_never_an_upstream() {
    let (_socket, addr) = front(80).await;
    let settings = Settings { own: vec![addr], ..forward_all(&[addr]) };
    let agent = Agent::new(settings);
    assert_eq!(agent.forwarder.health().borrow().unserved, [name(".")]);
    let (code, text) = failed(agent.ask(want("a.test")).await);
    assert_eq!((code, text.as_str()), (22, "no upstream is configured for ."));
}
