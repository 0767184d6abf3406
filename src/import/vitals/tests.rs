//! States, ages and rounds.

use super::round::GATHERING;
use super::*;
use crate::zone::{Probe, ProbeRule};

const EVERY: Duration = Duration::from_secs(60);
const MAX_AGE: Duration = Duration::from_secs(300);

fn check(id: &str) -> Subject {
    Subject::Check(id.into())
}

fn ids(ids: &[&str]) -> Vec<Box<str>> {
    ids.iter().map(|&id| id.into()).collect()
}

fn target(last: u8) -> ProbeTarget {
    ProbeTarget { address: [10, 0, 0, last].into(), probe: Probe { port: 80, path: None } }
}

fn vitals(subjects: &[Subject], now: Instant) -> (Vitals, HealthMetrics) {
    let rule = ProbeRule { names: Vec::new(), probe: Probe { port: 80, path: None } };
    let probe = ProbePolicy { rule, every: EVERY, timeout: Duration::from_secs(1), rise: 2, fall: 3 };
    let policy = SourcePolicy {
        health: Some(HealthPolicy { every: EVERY, max_age: MAX_AGE }),
        probes: vec![probe],
        ..SourcePolicy::default()
    };
    let mut vitals = Vitals::new(&policy);
    vitals.follow(subjects.iter().cloned().collect(), now);
    (vitals, HealthMetrics::register())
}

fn sighting(id: &str, state: State, age: u64) -> Sighting {
    Sighting { check: id.into(), state, age: Duration::from_secs(age) }
}

fn states(vitals: &Vitals, subjects: &[Subject]) -> Vec<State> {
    subjects.iter().map(|subject| vitals.health().state(subject)).collect()
}

#[tokio::test(start_paused = true)]
async fn only_checks_that_are_used_are_asked_for() {
    let now = Instant::now();
    let (mut vitals, metrics) = vitals(&[check("b"), check("a"), Subject::Probe(target(1))], now);
    assert_eq!(vitals.next_look(now).unwrap(), ids(&["a", "b"]));
    assert_eq!(vitals.next_look(now), None, "one look at a time");
    vitals.looked(
        Ok(vec![sighting("a", State::Unhealthy, 0), sighting("c", State::Healthy, 0)]),
        &metrics,
        now,
    );
    assert_eq!(
        states(&vitals, &[check("a"), check("b"), check("c")]),
        [State::Unhealthy, State::Unknown, State::Unknown]
    );
    assert_eq!(vitals.next_look(now), None, "not before its time");
    vitals.follow([check("b")].into(), now + EVERY);
    assert_eq!(vitals.next_look(now + EVERY * 2).unwrap(), ids(&["b"]));
}

#[tokio::test(start_paused = true)]
async fn a_state_counts_until_it_is_too_old_whatever_fails_meanwhile() {
    let now = Instant::now();
    let (mut vitals, metrics) = vitals(&[check("a")], now);
    vitals.looked(Ok(vec![sighting("a", State::Unhealthy, 100)]), &metrics, now);
    let failed = SourceError::Gone { what: "the states".into() };
    vitals.looked(Err(failed), &metrics, now + EVERY);
    assert_eq!(states(&vitals, &[check("a")]), [State::Unhealthy]);
    let over = now + MAX_AGE - Duration::from_secs(100);
    assert!(vitals.next().unwrap() <= over);
    vitals.settle(&metrics, over - Duration::from_millis(1));
    assert_eq!(states(&vitals, &[check("a")]), [State::Unhealthy]);
    vitals.settle(&metrics, over);
    assert_eq!(states(&vitals, &[check("a")]), [State::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_replaced_only_when_it_changes() {
    let now = Instant::now();
    let (mut vitals, metrics) = vitals(&[check("a"), check("b")], now);
    let before = vitals.health();
    vitals.looked(Ok(vec![sighting("a", State::Healthy, 0)]), &metrics, now);
    let first = vitals.health();
    assert!(!Arc::ptr_eq(&before, &first));
    vitals.looked(Ok(vec![sighting("a", State::Healthy, 90)]), &metrics, now);
    assert!(Arc::ptr_eq(&first, &vitals.health()), "nothing has changed");
    vitals.looked(Ok(vec![sighting("a", State::Unhealthy, 90)]), &metrics, now);
    assert_eq!(states(&vitals, &[check("a")]), [State::Unhealthy], "the last word counts, whatever its age");
}

#[tokio::test(start_paused = true)]
async fn a_shorter_age_counts_for_what_was_known_before() {
    let now = Instant::now();
    let (mut earlier, metrics) = vitals(&[check("a")], now);
    earlier.looked(Ok(vec![sighting("a", State::Unhealthy, 0)]), &metrics, now);
    let policy = SourcePolicy {
        health: Some(HealthPolicy { every: EVERY, max_age: MAX_AGE / 2 }),
        ..SourcePolicy::default()
    };
    let mut next = Vitals::new(&policy);
    next.inherit(earlier);
    next.settle(&metrics, now + MAX_AGE / 2 - Duration::from_secs(1));
    assert_eq!(states(&next, &[check("a")]), [State::Unhealthy]);
    next.looked(Ok(vec![sighting("a", State::Healthy, 0)]), &metrics, now + MAX_AGE / 4);
    assert_eq!(states(&next, &[check("a")]), [State::Healthy]);
    next.settle(&metrics, now + MAX_AGE);
    assert_eq!(states(&next, &[check("a")]), [State::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_asked_for_soon_and_alone_also_when_a_look_is_under_way() {
    let now = Instant::now();
    let (mut vitals, metrics) = vitals(&[check("a")], now);
    assert_eq!(vitals.next_look(now).unwrap(), ids(&["a"]));
    vitals.follow([check("a"), check("b")].into(), now);
    vitals.looked(Ok(vec![sighting("a", State::Healthy, 0)]), &metrics, now);
    assert_eq!(vitals.next_look(now), None, "others may come in with it");
    assert_eq!(vitals.next(), Some(now + GATHERING));
    assert_eq!(vitals.next_look(now + GATHERING).unwrap(), ids(&["b"]));
    vitals.looked(Ok(vec![]), &metrics, now + GATHERING);
    assert_eq!(
        vitals.next_look(now + EVERY / 2),
        None,
        "nobody knows of it; it has its turn with the others"
    );
    assert_eq!(vitals.next_look(now + EVERY * 2).unwrap(), ids(&["a", "b"]));
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_decides_and_then_several_in_a_row() {
    let now = Instant::now();
    let subject = Subject::Probe(target(1));
    let (mut vitals, metrics) = vitals(std::slice::from_ref(&subject), now);
    let round = vitals.next_probes(now).unwrap();
    assert_eq!((round.number, round.targets), (0, vec![target(1)]));
    assert!(vitals.next_probes(now + EVERY * 9).is_none(), "one round at a time");
    let mut found = Vec::new();
    for result in [true, false, false, true, false, false, false, true, true] {
        vitals.probed(0, Some(vec![(target(1), result)]), &metrics, now);
        found.push(states(&vitals, std::slice::from_ref(&subject))[0] == State::Healthy);
    }
    assert_eq!(found, [true, true, true, true, true, true, false, false, true]);
    assert!(vitals.next_probes(now + EVERY / 2).is_none());
    assert!(vitals.next_probes(now + EVERY * 2).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_round_that_panicked_changes_nothing_and_another_follows() {
    let now = Instant::now();
    let (mut vitals, metrics) = vitals(&[Subject::Probe(target(1))], now);
    vitals.next_probes(now).unwrap();
    vitals.probed(0, None, &metrics, now);
    assert!(vitals.next_probes(now + EVERY * 2).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_has_a_limit() {
    let now = Instant::now();
    let many: Vec<Subject> = (0..MAX_SUBJECTS + 5).map(|n| check(&format!("c{n}"))).collect();
    let (mut vitals, _) = vitals(&many, now);
    assert_eq!(vitals.next_look(now).unwrap().len(), MAX_SUBJECTS);
}
