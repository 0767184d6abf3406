//! What one desk knows of the health that its zones' choices hang on: whom to ask when, and what has
//! changed.

mod known;
mod round;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::entry::{chain, kind_of};
use super::pace::{backoff, jitter};
use super::settings::{HealthPolicy, ProbePolicy, SourcePolicy};
use crate::metrics::health::{Census, HealthMetrics, SubjectKind, SubjectState};
use crate::metrics::import::FailureKind;
use crate::source::{Sighting, SourceError};
use crate::zone::{Health, ProbeTarget, State, Subject};

use known::Known;
use round::Round;

/// Health checks and probes of one source that are followed; the rest stay unknown.
const MAX_SUBJECTS: usize = 10_000;
/// Changes named in the log at a time.
const NAMED: usize = 10;

/// The results of one round of probes.
pub(super) type Probed = Vec<(ProbeTarget, bool)>;

/// States and schedule.
pub(super) struct Vitals {
    policy: Option<HealthPolicy>,
    probes: Vec<ProbePolicy>,
    known: BTreeMap<Subject, Known>,
    health: Arc<Health>,
    look: Round,
    /// One for each of `probes`.
    rounds: Vec<Round>,
    failures: u32,
    warned: Option<FailureKind>,
    is_full: bool,
    is_slow: bool,
}

/// A round of probes to be made.
pub(super) struct ProbeRound {
    /// Its number.
    pub number: usize,
    pub targets: Vec<ProbeTarget>,
    /// For each probe.
    pub timeout: Duration,
}

impl Vitals {
    pub fn new(policy: &SourcePolicy) -> Self {
        let round = Round::due(Instant::now());
        Self {
            policy: policy.health,
            probes: policy.probes.clone(),
            known: BTreeMap::new(),
            health: Arc::default(),
            look: round,
            rounds: vec![round; policy.probes.len()],
            failures: 0,
            warned: None,
            is_full: false,
            is_slow: false,
        }
    }

    /// The states as they are.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Follows `used` and nothing else. What is new is asked for soon.
    pub fn follow(&mut self, used: BTreeSet<Subject>, now: Instant) {
        self.known.retain(|subject, _| used.contains(subject));
        for subject in used {
            if self.known.contains_key(&subject) {
                continue;
            }
            if self.known.len() >= MAX_SUBJECTS {
                if !std::mem::replace(&mut self.is_full, true) {
                    warn!(limit = MAX_SUBJECTS, "too many health checks, the rest stays unknown");
                }
                return;
            }
            let round = match &subject {
                Subject::Check(_) => Some(&mut self.look),
                Subject::Probe(target) => {
                    let number = number_of(&self.probes, target);
                    number.and_then(|number| self.rounds.get_mut(number))
                }
            };
            if let Some(round) = round {
                round.add(now);
            }
            self.known.insert(subject, Known::default());
        }
    }

    /// Takes over what an earlier importer knew of the same source. What is not used will be dropped.
    pub fn inherit(&mut self, earlier: Self) {
        self.known = earlier.known;
        self.refresh_health();
    }

    fn checks(&self) -> impl Iterator<Item = (&Box<str>, State)> {
        self.known.iter().filter_map(|(subject, known)| match subject {
            Subject::Check(id) => Some((id, known.state())),
            Subject::Probe(_) => None,
        })
    }

    /// The checks to look at now, if that is due.
    pub fn next_look(&mut self, now: Instant) -> Option<Vec<Box<str>>> {
        if self.policy.is_none() || self.checks().next().is_none() {
            return None;
        }
        let is_whole = self.look.begin(now)?;
        let asked = self.checks().filter(|(_, state)| is_whole || *state == State::Unknown);
        let asked: Vec<Box<str>> = asked.map(|(id, _)| id.clone()).collect();
        if asked.is_empty() {
            self.look.end(now, Duration::ZERO);
            return None;
        }
        Some(asked)
    }

    /// The source turns out to know nothing of health: it is not asked again.
    pub fn knows_nothing(&mut self) {
        self.policy = None;
        self.look.forget();
    }

    /// Takes the end of a look.
    pub fn looked(
        &mut self,
        result: Result<Vec<Sighting>, SourceError>,
        metrics: &HealthMetrics,
        now: Instant,
    ) {
        let Some(policy) = self.policy else { return };
        let wait = match result {
            Ok(sightings) => {
                if self.warned.take().is_some() {
                    info!("health checks can be looked at again");
                }
                self.failures = 0;
                for Sighting { check, state, age } in sightings {
                    if let Some(known) = self.known.get_mut(&Subject::Check(check)) {
                        known.seen(state, now.checked_sub(age).unwrap_or(now));
                    }
                }
                jitter(policy.every, 0.95, 1.05)
            }
            Err(error) => {
                let wait = self.look_failed(&error, metrics).max(policy.every / 2);
                // What is new is still not known.
                if self.look.is_early() {
                    self.look.retry_early(now + wait);
                }
                wait
            }
        };
        self.look.end(now, wait);
        self.settle(metrics, now);
    }

    fn look_failed(&mut self, error: &SourceError, metrics: &HealthMetrics) -> Duration {
        let kind = kind_of(error);
        metrics.failed(kind);
        self.failures = self.failures.saturating_add(1);
        let text = chain(error);
        if self.warned.replace(kind) == Some(kind) {
            debug!(error = text, "health checks could not be looked at again");
        } else {
            warn!(
                error = text,
                "health checks could not be looked at, their states count until they are too old"
            );
        }
        match error {
            SourceError::Throttled { retry_after, .. } => backoff(self.failures).max(*retry_after),
            _ => backoff(self.failures),
        }
    }

    /// The probes to make now, if any are due.
    pub fn next_probes(&mut self, now: Instant) -> Option<ProbeRound> {
        for number in 0..self.rounds.len() {
            let Some(is_whole) = self.rounds.get_mut(number).and_then(|round| round.begin(now)) else {
                continue;
            };
            let targets = self.targets_of(number, is_whole);
            let (Some(round), Some(policy)) = (self.rounds.get_mut(number), self.probes.get(number)) else {
                continue;
            };
            if targets.is_empty() {
                round.end(now, policy.every);
                continue;
            }
            return Some(ProbeRound { number, targets, timeout: policy.timeout });
        }
        None
    }

    fn targets_of(&self, number: usize, is_whole: bool) -> Vec<ProbeTarget> {
        let targets = self.known.iter().filter_map(|(subject, known)| match subject {
            Subject::Probe(target) if is_whole || known.state() == State::Unknown => Some(target),
            _ => None,
        });
        targets.filter(|target| number_of(&self.probes, target) == Some(number)).cloned().collect()
    }

    /// Takes the end of a round of probes; `None` for one that did not come to an end.
    pub fn probed(&mut self, number: usize, results: Option<Probed>, metrics: &HealthMetrics, now: Instant) {
        let (Some(round), Some(policy)) = (self.rounds.get_mut(number), self.probes.get(number)) else {
            return;
        };
        // Each address is probed every so often, however long a round takes.
        let every = jitter(policy.every, 0.95, 1.05);
        let took = round.took(now);
        round.end(now, every.saturating_sub(took));
        if took > policy.every && !std::mem::replace(&mut self.is_slow, true) {
            warn!(
                check = %policy.rule.probe, ?took, interval = ?policy.every,
                "a round of probes takes longer than its interval: allow more time, or probe fewer names"
            );
        }
        for (target, is_well) in results.unwrap_or_default() {
            let counter = if is_well { &metrics.probes_ok } else { &metrics.probes_failed };
            counter.increment(1);
            if let Some(known) = self.known.get_mut(&Subject::Probe(target)) {
                known.probed(is_well, policy);
            }
        }
        self.settle(metrics, now);
    }

    /// Lets go of what is too old, and notes what has changed.
    pub fn settle(&mut self, metrics: &HealthMetrics, now: Instant) {
        let max_age = self.max_age();
        let mut changed = Vec::new();
        for (subject, known) in &mut self.known {
            known.expire(now, max_age);
            if known.state() != self.health.state(subject) {
                changed.push(subject.clone());
            }
        }
        if !changed.is_empty() {
            metrics.changes.increment(changed.len() as u64);
            self.log(&changed);
            self.refresh_health();
        }
    }

    /// How long a state of the origin's counts; without a policy, what was inherited counts no more.
    fn max_age(&self) -> Duration {
        self.policy.map_or(Duration::ZERO, |policy| policy.max_age)
    }

    fn log(&self, changed: &[Subject]) {
        for subject in changed.iter().take(NAMED) {
            let state = self.known.get(subject).map(Known::state).unwrap_or_default();
            info!(%subject, was = ?self.health.state(subject), is = ?state, "health changed");
        }
        if changed.len() > NAMED {
            info!(more = changed.len() - NAMED, "health changed");
        }
    }

    fn refresh_health(&mut self) {
        let states = self.known.iter().map(|(subject, known)| (subject.clone(), known.state()));
        self.health = Arc::new(states.filter(|(_, state)| *state != State::Unknown).collect());
    }

    /// When there is something to do next.
    pub fn next(&self) -> Option<Instant> {
        let has_checks = self.policy.is_some() && self.checks().next().is_some();
        let has_probes = self.known.keys().any(|subject| matches!(subject, Subject::Probe(_)));
        let look = has_checks.then(|| self.look.next()).flatten();
        let rounds = self.rounds.iter().filter(|_| has_probes).filter_map(Round::next);
        let ends = self.known.values().filter_map(|known| known.until(self.max_age()));
        look.into_iter().chain(rounds).chain(ends).min()
    }

    /// Adds what is followed to a count.
    pub fn count(&self, census: &mut Census) {
        for (subject, known) in &self.known {
            let kind = match subject {
                Subject::Check(_) => SubjectKind::Check,
                Subject::Probe(_) => SubjectKind::Probe,
            };
            let state = match known.state() {
                State::Healthy => SubjectState::Healthy,
                State::Unhealthy => SubjectState::Unhealthy,
                State::Unknown => SubjectState::Unknown,
            };
            census[kind as usize][state as usize] += 1;
        }
    }
}

/// The policy by which a target is probed: the first with that probe.
fn number_of(policies: &[ProbePolicy], target: &ProbeTarget) -> Option<usize> {
    policies.iter().position(|policy| policy.rule.probe == target.probe)
}

#[cfg(test)]
mod tests;
