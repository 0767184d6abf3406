//! Which domains one upstream sends back to us, and the round of probes that finds out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Moment;
use crate::wire::{Name, NameRef};

/// Domains kept from one upstream at most; the oldest makes room.
const MAX_DOMAINS: usize = 32;
/// At most one round of probes to one upstream in this time.
pub(super) const ROUND_EVERY: Duration = Duration::from_secs(30);
/// How long a round of probes is waited for.
pub(super) const ROUND_LASTS: Duration = Duration::from_secs(1);

/// The loops of one upstream.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    state: Mutex<State>,
    /// Something has been found or looked for, so that the state must be asked.
    is_stirred: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    domains: Vec<(Name, Moment)>,
    last_round: Option<Moment>,
    round_ends: Option<Instant>,
}

impl State {
    fn is_quiet(&self, now: Moment) -> bool {
        let round = self.round_ends.is_some_and(|end| Instant::now() < end);
        !round && self.domains.iter().all(|(_, until)| *until <= now)
    }
}

impl Isolation {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is kept from this upstream and no round of probes is under way. Cost: a load,
    /// as long as nothing was found or looked for; a lock until it is over.
    pub(super) fn is_quiet(&self, now: Moment) -> bool {
        if !self.is_stirred.load(Ordering::Acquire) {
            return true;
        }
        let state = self.state();
        let is_quiet = state.is_quiet(now);
        if is_quiet {
            // Under the lock, under which alone it is set.
            self.is_stirred.store(false, Ordering::Release);
        }
        is_quiet
    }

    fn stir(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        self.is_stirred.store(true, Ordering::Release);
        state
    }

    /// Whether `qname` is at or below a domain that this upstream sends back to us.
    pub(super) fn covers(&self, qname: NameRef<'_>, now: Moment) -> bool {
        self.state().domains.iter().any(|(d, until)| now < *until && qname.is_at_or_below(d.as_ref()))
    }

    /// Keeps `suffix` from this upstream until `until`. Returns false when a domain above it, or
    /// itself, is kept already.
    pub(super) fn isolate(&self, suffix: NameRef<'_>, now: Moment, until: Moment) -> bool {
        let mut state = self.stir();
        state.domains.retain(|(_, until)| now < *until);
        if state.domains.iter().any(|(d, _)| suffix.is_at_or_below(d.as_ref())) {
            return false;
        }
        state.domains.retain(|(d, _)| !d.as_ref().is_at_or_below(suffix));
        if state.domains.len() >= MAX_DOMAINS {
            state.domains.remove(0);
        }
        state.domains.push((suffix.to_owned(), until));
        true
    }

    /// The domains that are kept from it, and for how much longer.
    pub(super) fn kept(&self, now: Moment) -> Vec<(Name, Duration)> {
        let state = self.state();
        let kept = state.domains.iter().filter(|(_, until)| now < *until);
        kept.map(|(domain, until)| (domain.clone(), until.since(now))).collect()
    }

    /// How many domains are kept from it.
    pub(super) fn len(&self, now: Moment) -> usize {
        self.state().domains.iter().filter(|(_, until)| now < *until).count()
    }

    /// Begins a round of probes, unless one began too short a while ago.
    pub(super) fn begin_round(&self, now: Moment) -> bool {
        let mut state = self.stir();
        if state.last_round.is_some_and(|last| now.since(last) < ROUND_EVERY) {
            return false;
        }
        state.last_round = Some(now);
        state.round_ends = Some(Instant::now() + ROUND_LASTS);
        true
    }

    /// Ends the round of probes.
    pub(super) fn end_round(&self) {
        self.state().round_ends = None;
    }

    /// When the round of probes under way ends, `None` if there is none.
    pub(super) fn round_ends(&self) -> Option<Instant> {
        self.state().round_ends.filter(|&end| Instant::now() < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_domain_is_kept_with_all_below_it_and_let_go_after_its_time() {
        let (isolation, now, until) = (Isolation::default(), Moment::default(), Moment::from_millis(30_000));
        assert!(isolation.isolate(name("corp.test").as_ref(), now, until));
        assert!(isolation.covers(name("a.corp.test").as_ref(), now));
        assert!(!isolation.covers(name("test").as_ref(), now));
        assert!(!isolation.isolate(name("b.corp.test").as_ref(), now, until), "covered");
        assert!(isolation.isolate(name("test").as_ref(), now, until), "a shorter one replaces it");
        assert_eq!(isolation.len(now), 1);
        assert!(!isolation.covers(name("a.corp.test").as_ref(), until));
        assert_eq!(isolation.len(until), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_quiet_again_when_rounds_and_holds_are_over() {
        let (isolation, now, until) = (Isolation::default(), Moment::default(), Moment::from_millis(30_000));
        assert!(isolation.is_quiet(now));
        assert!(isolation.begin_round(now));
        assert!(!isolation.is_quiet(now));
        isolation.isolate(name("corp.test").as_ref(), now, until);
        isolation.end_round();
        assert!(!isolation.is_quiet(now));
        assert!(isolation.is_quiet(until) && isolation.is_quiet(now), "looked at no more");
    }

    #[test]
    fn the_domains_of_one_upstream_are_bounded() {
        let (isolation, now, until) = (Isolation::default(), Moment::default(), Moment::from_millis(1));
        for i in 0..100 {
            isolation.isolate(name(&format!("n{i}.test")).as_ref(), now, until);
        }
        assert_eq!(isolation.len(now), MAX_DOMAINS);
        assert!(isolation.covers(name("n99.test").as_ref(), now));
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_of_probes_keep_their_distance() {
        let isolation = Isolation::default();
        assert!(isolation.begin_round(Moment::default()));
        assert!(isolation.round_ends().is_some());
        assert!(!isolation.begin_round(Moment::from_millis(29_999)));
        isolation.end_round();
        assert!(isolation.round_ends().is_none());
        assert!(isolation.begin_round(Moment::from_millis(30_000)));
        tokio::time::advance(ROUND_LASTS).await;
        assert!(isolation.round_ends().is_none());
    }
}
