//! What health checks and probes say, and the answers that follow from it.

use tokio::net::TcpListener;
use zonelet::import::{HealthPolicy, ProbePolicy};
use zonelet::wire::NamePattern;
use zonelet::zone::{Body, Content, Member, Policy, Probe, ProbeRule, RecordSet, State};

use super::*;

const EVERY: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_secs(600);

fn set(policy: Policy, check: Option<&str>, address: [u8; 4]) -> RecordSet {
    let member = Member {
        identifier: format!("{address:?}").into(),
        policy,
        health_check: check.map(Into::into),
        content: Content::Records { ttl: 60, rdata: vec![address.into()] },
    };
    let owner = "db.corp.internal".parse().unwrap();
    RecordSet { owner, rtype: Rtype::A, body: Body::Member(Box::new(member)) }
}

/// Primary 10.0.0.1 with a check, secondary 10.0.0.2 without.
fn pair(check: &str) -> Vec<RecordSet> {
    let role = |is_primary| Policy::Failover { is_primary };
    vec![set(role(true), Some(check), [10, 0, 0, 1]), set(role(false), None, [10, 0, 0, 2])]
}

fn ids(id: &str) -> Vec<Box<str>> {
    vec![id.into()]
}

fn followed() -> Setup {
    let health = Some(HealthPolicy { every: EVERY, max_age: MAX_AGE });
    Setup { policy: SourcePolicy { health, ..SourcePolicy::default() }, ..Setup::default() }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_turns_bad_turns_the_answer_without_an_import() {
    let source = Scripted::new("s");
    source.sets("Z1", "corp.internal", pair("hc-1"));
    source.sees(&[("hc-1", State::Healthy)]);
    let mut setup = followed();
    setup.policy.refresh = Duration::from_secs(3600);
    let world = setup.start(&[&source]);
    world.until("db.corp.internal", "1").await;
    world.until_true("the state is known", |_| !source.take_looks().is_empty()).await;
    let fetches = source.fetches("Z1");
    source.sees(&[("hc-1", State::Unhealthy)]);
    let changed = Instant::now();
    world.until("db.corp.internal", "2").await;
    assert!(changed.elapsed() <= EVERY.mul_f64(1.1), "by the next look");
    assert_eq!(source.fetches("Z1"), fetches, "the zone was not fetched for it");
    source.sees(&[("hc-1", State::Healthy)]);
    world.until("db.corp.internal", "1").await;
}

#[tokio::test(start_paused = true)]
async fn only_the_checks_of_imported_zones_are_asked_for() {
    let source = Scripted::new("s");
    source.sets("Z1", "corp.internal", pair("hc-1")).zone("Z2", "plain.test", &[("a", 1)]);
    source.sees(&[]);
    let world = followed().start(&[&source]);
    world.until("a.plain.test", "1").await;
    sleep(EVERY * 3).await;
    let looks = source.take_looks();
    assert!(looks.len() >= 3 && looks.iter().all(|look| *look == ids("hc-1")), "{looks:?}");
    source.sets("Z1", "corp.internal", pair("hc-2"));
    sleep(REFRESH * 3).await;
    source.take_looks();
    sleep(EVERY * 3).await;
    assert!(source.take_looks().iter().all(|look| *look == ids("hc-2")), "the old one is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_checks_costs_no_look() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("a", 1)]);
    source.sees(&[]);
    let world = followed().start(&[&source]);
    world.until("a.corp.internal", "1").await;
    sleep(EVERY * 10).await;
    assert!(source.take_looks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_state_outlives_failing_looks_until_it_is_too_old() {
    let source = Scripted::new("s");
    source.sets("Z1", "corp.internal", pair("hc-1"));
    source.sees(&[("hc-1", State::Unhealthy)]);
    let warnings = Warnings::capture();
    let world = followed().start(&[&source]);
    world.until("db.corp.internal", "2").await;
    source.health_fault(Some(Fault::Denied));
    sleep(MAX_AGE / 2).await;
    assert_eq!(world.ask("db.corp.internal"), "2", "half an age later it still counts");
    sleep(MAX_AGE).await;
    assert_eq!(world.ask("db.corp.internal"), "1", "unknown counts as healthy");
    assert_eq!(warnings.about("health checks could not be looked at"), 1, "one warning, however many tries");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_ends_nothing() {
    let source = Scripted::new("s");
    source.sets("Z1", "corp.internal", pair("hc-1"));
    source.sees(&[("hc-1", State::Unhealthy)]);
    source.health_fault(Some(Fault::Panic));
    let world = followed().start(&[&source]);
    world.until("db.corp.internal", "1").await;
    sleep(EVERY * 2).await;
    source.health_fault(None);
    world.until("db.corp.internal", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_imported_anew_is_chosen_from_by_what_is_known() {
    let source = Scripted::new("s");
    source.sets("Z1", "corp.internal", pair("hc-1"));
    source.sees(&[("hc-1", State::Unhealthy)]);
    let world = followed().start(&[&source]);
    world.until("db.corp.internal", "2").await;
    let role = |is_primary| Policy::Failover { is_primary };
    let moved = vec![set(role(true), Some("hc-1"), [10, 0, 0, 3]), set(role(false), None, [10, 0, 0, 4])];
    source.sets("Z1", "corp.internal", moved);
    world
        .until_true("the new secondary", |world| {
            let answer = world.ask("db.corp.internal");
            assert_ne!(answer, "3", "never the one that is known to be ill");
            answer == "4"
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_forgets_no_state() {
    let source = Scripted::new("s");
    source.sets("Z1", "corp.internal", pair("hc-1"));
    source.sees(&[("hc-1", State::Unhealthy)]);
    let world = followed().start(&[&source]);
    world.until("db.corp.internal", "2").await;
    let table = Arc::clone(&world.table);
    let kept = world.stop().await;
    source.health_fault(Some(Fault::Stall));
    let world = Setup { kept, table, ..followed() }.start(&[&source]);
    let before = source.fetches("Z1");
    world.until_true("it was imported anew", |_| source.fetches("Z1") > before).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.ask("db.corp.internal"), "2");
}

#[tokio::test]
async fn an_address_that_does_not_answer_here_is_not_given() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let source = Scripted::new("s");
    let role = |is_primary| Policy::Failover { is_primary };
    // Nobody listens on 127.0.0.2.
    let sets = vec![set(role(true), Some("hc"), [127, 0, 0, 2]), set(role(false), None, [127, 0, 0, 1])];
    source.sets("Z1", "corp.internal", sets);
    let names: Vec<NamePattern> = vec!["db.corp.internal".parse().unwrap()];
    let rule = ProbeRule { names, probe: Probe { port, path: None } };
    let second = Duration::from_secs(1);
    let probe = ProbePolicy { rule, every: second, timeout: second, rise: 1, fall: 1 };
    let policy = SourcePolicy { probes: vec![probe], ..SourcePolicy::default() };
    let world = Setup { policy, ..Setup::default() }.start(&[&source]);
    world.until("db.corp.internal", "1").await;
}
