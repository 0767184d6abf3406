//! Expired answers in place of failures (RFC 8767), and positive ones in place of sudden denials.

use std::sync::Arc;
use std::time::Duration;

use super::flights::Kind;
use super::{Fetched, Shared, Want};
use crate::answer::settings::Keeping;
use crate::cache::{Cache, CacheKey, Failure, Stale};
use crate::clock::Moment;
use crate::upstream::{Memory, Question};
use crate::wire::{EdeCode, Learned, Outcome, Rcode};

/// For how long a question is not put again to upstreams of which none may be asked, where an expired answer
/// stands in: that is then given as fast as a fresh one, and who is back is noticed as soon as without.
const UNASKED: Duration = Duration::from_secs(1);

/// The expired answer that may be given for a question when upstreams fail, if there is one.
///
/// Cost: a copy of the answer.
pub fn stale(
    cache: &Cache,
    key: &CacheKey<'_>,
    keeping: &Keeping,
    must_exist: bool,
    now: Moment,
) -> Option<Stale> {
    if keeping.max_stale.is_zero() {
        return None;
    }
    let stale = cache.stale(key, now, keeping.max_stale, keeping.stale_ttl)?;
    (!must_exist || !stale.entry.learned.denies_qname()).then_some(stale)
}

impl Shared {
    /// What those get who wait for a question that failed. The failure is remembered as `memory` says, for as
    /// long as an expired answer stands in for it if one does.
    pub(super) fn failed(
        &self,
        key: &CacheKey<'_>,
        failure: Failure,
        (memory, must_exist): (Memory, bool),
        now: Moment,
    ) -> (Fetched, Option<Fetched>) {
        let keepings = self.keepings.load();
        let keeping = keepings.find(key.qname);
        let stale = stale(&self.cache, key, keeping, false, now);
        // One that is still good was to be renewed: that can be tried again before it expires.
        let stands_in = stale.as_ref().is_some_and(|stale| {
            !(stale.expired.is_zero() || must_exist && stale.entry.learned.denies_qname())
        });
        let recheck = keeping.stale_recheck;
        let failure = match (memory, stands_in) {
            (Memory::Row, true) => self.cache.remember_failure_for(key, failure, recheck, now),
            (Memory::Row, false) => self.cache.remember_failure(key, failure, now),
            (Memory::BesideStale, true) => self.cache.rest(key, failure, recheck.min(UNASKED), now),
            (Memory::BesideStale, false) | (Memory::None, _) => Arc::new(failure),
        };
        match stale {
            Some(stale) => {
                let is_denial = stale.entry.learned.denies_qname();
                let denied = is_denial.then(|| Fetched::Failed(Arc::clone(&failure)));
                (Fetched::Stale(stale, failure), denied)
            }
            None => (Fetched::Failed(failure), None),
        }
    }

    /// The same for one who asks, and for whom nothing is asked: what fails is only this once.
    pub(super) fn refused(&self, key: &CacheKey<'_>, must_exist: bool, text: &str, now: Moment) -> Fetched {
        self.instead(key, must_exist, Arc::new(super::failure(text)), now)
    }

    /// The expired answer to a question, or why there is no other.
    pub(super) fn instead(
        &self,
        key: &CacheKey<'_>,
        must_exist: bool,
        failure: Arc<Failure>,
        now: Moment,
    ) -> Fetched {
        let keepings = self.keepings.load();
        match stale(&self.cache, key, keepings.find(key.qname), must_exist, now) {
            Some(stale) => Fetched::Stale(stale, failure),
            None => Fetched::Failed(failure),
        }
    }

    /// The positive answer that stands against a denial for a while, where the domain's rules say so: some
    /// servers deny what they have for as long as they restart.
    pub(super) fn doubts(&self, key: &CacheKey<'_>, learned: &Learned, now: Moment) -> Option<Fetched> {
        let keepings = self.keepings.load();
        let keeping = keepings.find(key.qname);
        let denies = matches!(learned.outcome, Outcome::NxDomain | Outcome::NoData);
        if keeping.keep_positive.is_zero() || !denies {
            return None;
        }
        let kept = self.cache.stale(key, now, keeping.keep_positive, keeping.stale_ttl)?;
        if !matches!(kept.entry.learned.outcome, Outcome::Answer | Outcome::OpenChain) {
            return None;
        }
        self.metrics.kept_positive.increment(1);
        let what = if learned.outcome == Outcome::NxDomain { "the name" } else { "such records" };
        let text = format!("the upstream now denies {what}, which is not believed for a while").into();
        let failure = Failure { rcode: Rcode::SERVFAIL, ede: EdeCode::STALE, text };
        // As long as the walk finds what is kept by itself; past that the upstream is asked each time.
        let failure = if kept.expired < keeping.max_stale {
            self.cache.rest(key, failure, keeping.stale_recheck, now)
        } else {
            Arc::new(failure)
        };
        Some(Fetched::Stale(kept, failure))
    }

    /// How long clients wait for upstreams before an expired answer is given.
    pub(super) fn stale_timer(&self, question: &Question) -> Duration {
        self.keepings.load().find(question.qname()).stale_timer
    }

    /// The expired answer that is given in place of asking while the upstream's packet budget is nearly used up.
    pub(super) fn spared(&self, want: &Want, now: Moment) -> Option<Fetched> {
        let keepings = self.keepings.load();
        let (key, keeping) = (want.key(), keepings.find(want.question.qname()));
        let stale = stale(&self.cache, &key, keeping, want.must_exist, now);
        let stale = stale.filter(|stale| !stale.expired.is_zero())?;
        let text = "the packet budget of the upstream is nearly used up".into();
        let failure = Failure { rcode: Rcode::NOERROR, ede: EdeCode::STALE, text };
        let failure = self.cache.rest(&key, failure, keeping.stale_recheck.min(UNASKED), now);
        Some(Fetched::Stale(stale, failure))
    }

    /// Gives those who wait for a question an expired answer if there is one: upstreams have been silent for
    /// as long as clients should wait. The question stays asked; whoever comes within the recheck time does not
    /// wait for it, unless what has expired is of no use to him.
    pub(super) fn overdue(&self, question: &Question, kind: Kind, number: u64) {
        let (now, key) = (self.clock.now(), kind.key(question));
        let keepings = self.keepings.load();
        let keeping = keepings.find(key.qname);
        let Some(stale) = stale(&self.cache, &key, keeping, false, now) else { return };
        let failure = super::failure("no reply from the upstreams in time, they are still waited for");
        let failure = Failure { ede: EdeCode::NO_REACHABLE_AUTHORITY, ..failure };
        let failure = self.cache.rest(&key, failure, keeping.stale_recheck, now);
        let is_denial = stale.entry.learned.denies_qname();
        self.metrics.overdue.increment(1);
        for waiter in self.flights.release(question, number, |waiter| !(is_denial && waiter.must_exist)) {
            self.finish(waiter, Fetched::Stale(stale.clone(), Arc::clone(&failure)), now);
        }
    }
}
