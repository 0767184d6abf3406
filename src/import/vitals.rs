//! What one desk knows of the health that its zones' choices hang on: whom to ask when, and what has
//! changed.

mod known;

use std::collections::{BTreeMap, BTreeSet, HashSet};
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
    /// Counts the changes of `health`.
    version: u64,
    /// What the last of them was about.
    changed: Arc<HashSet<Subject>>,
    look: Round,
    /// One for each of `probes`.
    rounds: Vec<Round>,
    failures: u32,
    warned: Option<FailureKind>,
    is_full: bool,
}

/// When something is asked next, and whether it is being asked.
#[derive(Clone, Copy, Debug)]
struct Round {
    due: Instant,
    running: bool,
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
        let round = Round { due: Instant::now(), running: false };
        Self {
            policy: policy.health,
            probes: policy.probes.clone(),
            known: BTreeMap::new(),
            health: Arc::default(),
            version: 0,
            changed: Arc::default(),
            look: round,
            rounds: vec![round; policy.probes.len()],
            failures: 0,
            warned: None,
            is_full: false,
        }
    }

    /// The states as they are, and how often they have changed.
    pub fn health(&self) -> (Arc<Health>, u64) {
        (Arc::clone(&self.health), self.version)
    }

    /// What has changed since `version`; `None` where that is not known any more.
    pub fn changed_since(&self, version: u64) -> Option<Arc<HashSet<Subject>>> {
        (version.checked_add(1) == Some(self.version)).then(|| Arc::clone(&self.changed))
    }

    /// Follows `used` and nothing else. What is new is asked for at once.
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
            // A look that failed goes on at its own pace.
            if let Some(round) = round.filter(|_| self.failures == 0 || matches!(subject, Subject::Probe(_)))
            {
                round.due = round.due.min(now);
            }
            self.known.insert(subject, Known::default());
        }
    }

    /// Takes over what an earlier importer knew of the same source. What is not used will be dropped.
    pub fn inherit(&mut self, earlier: Self) {
        self.known = earlier.known;
        self.refresh_health(HashSet::new());
    }

    fn checks(&self) -> impl Iterator<Item = &Box<str>> {
        self.known.keys().filter_map(|subject| match subject {
            Subject::Check(id) => Some(id),
            Subject::Probe(_) => None,
        })
    }

    /// The checks to look at now, if that is due.
    pub fn next_look(&mut self, now: Instant) -> Option<Vec<Box<str>>> {
        if self.policy.is_none() || self.look.running || self.look.due > now {
            return None;
        }
        let checks: Vec<Box<str>> = self.checks().cloned().collect();
        if checks.is_empty() {
            return None;
        }
        self.look.running = true;
        Some(checks)
    }

    /// The source turns out to know nothing of health: it is not asked again.
    pub fn knows_nothing(&mut self) {
        self.policy = None;
        self.look.running = false;
    }

    /// Takes the end of a look.
    pub fn looked(
        &mut self,
        result: Result<Vec<Sighting>, SourceError>,
        metrics: &HealthMetrics,
        now: Instant,
    ) {
        self.look.running = false;
        let Some(policy) = self.policy else { return };
        let wait = match result {
            Ok(sightings) => {
                if self.warned.take().is_some() {
                    info!("health checks can be looked at again");
                }
                self.failures = 0;
                for Sighting { check, state, age } in sightings {
                    if let Some(known) = self.known.get_mut(&Subject::Check(check)) {
                        known.seen(state, now.checked_sub(age).unwrap_or(now), policy.max_age);
                    }
                }
                jitter(policy.every, 0.95, 1.05)
            }
            Err(error) => self.look_failed(&error, metrics).max(policy.every / 2),
        };
        self.look.due = now + wait;
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
        let is_due = |round: &Round| !round.running && round.due <= now;
        for number in 0..self.rounds.len() {
            if !self.rounds.get(number).is_some_and(is_due) {
                continue;
            }
            let targets = self.targets_of(number);
            let (Some(round), Some(policy)) = (self.rounds.get_mut(number), self.probes.get(number)) else {
                continue;
            };
            if targets.is_empty() {
                round.due = now + policy.every;
                continue;
            }
            round.running = true;
            return Some(ProbeRound { number, targets, timeout: policy.timeout });
        }
        None
    }

    fn targets_of(&self, number: usize) -> Vec<ProbeTarget> {
        let targets = self.known.keys().filter_map(|subject| match subject {
            Subject::Probe(target) if number_of(&self.probes, target) == Some(number) => Some(target.clone()),
            _ => None,
        });
        targets.collect()
    }

    /// Takes the end of a round of probes; `None` for one that did not come to an end.
    pub fn probed(&mut self, number: usize, results: Option<Probed>, metrics: &HealthMetrics, now: Instant) {
        let (Some(round), Some(policy)) = (self.rounds.get_mut(number), self.probes.get(number)) else {
            return;
        };
        *round = Round { due: now + jitter(policy.every, 0.95, 1.05), running: false };
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
        let mut changed = HashSet::new();
        for (subject, known) in &mut self.known {
            known.expire(now);
            if known.state() != self.health.state(subject) {
                changed.insert(subject.clone());
            }
        }
        if !changed.is_empty() {
            metrics.changes.increment(changed.len() as u64);
            self.log(&changed);
            self.refresh_health(changed);
        }
    }

    fn log(&self, changed: &HashSet<Subject>) {
        for subject in changed.iter().take(NAMED) {
            let state = self.known.get(subject).map(Known::state).unwrap_or_default();
            info!(%subject, was = ?self.health.state(subject), is = ?state, "health changed");
        }
        if changed.len() > NAMED {
            info!(more = changed.len() - NAMED, "health changed");
        }
    }

    fn refresh_health(&mut self, changed: HashSet<Subject>) {
        let states = self.known.iter().map(|(subject, known)| (subject.clone(), known.state()));
        self.health = Arc::new(states.filter(|(_, state)| *state != State::Unknown).collect());
        self.changed = Arc::new(changed);
        self.version += 1;
    }

    /// When there is something to do next.
    pub fn next(&self) -> Option<Instant> {
        let is_looking = self.policy.is_some() && !self.look.running && self.checks().next().is_some();
        let look = is_looking.then_some(self.look.due);
        let has_probes = self.known.keys().any(|subject| matches!(subject, Subject::Probe(_)));
        let rounds = self.rounds.iter().filter(|round| has_probes && !round.running).map(|round| round.due);
        look.into_iter().chain(rounds).chain(self.known.values().filter_map(Known::until)).min()
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
