//! Questions that failed, remembered for a short while (RFC 9520).

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache as Store;
use quick_cache::{Equivalent, UnitWeighter};

use super::key::CacheKey;
use super::settings::Settings;
use crate::clock::Moment;
use crate::wire::{EdeCode, Name, Rcode, Rtype};

/// Failures remembered at most; the oldest little-used ones go first.
const MAX_FAILURES: usize = 4096;

/// Why a question has no answer, as it is told to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The response code.
    pub rcode: Rcode,
    /// The extended error (RFC 8914).
    pub ede: EdeCode,
    /// Its text: names the upstream.
    pub text: Box<str>,
}

/// A key kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    flags: u8,
    qtype: Rtype,
    qname: Name,
}

/// A key borrowed; hashes as [`Question`] does.
#[derive(Hash)]
struct Probe<'a> {
    flags: u8,
    qtype: Rtype,
    qname: &'a [u8],
}

impl<'a> Probe<'a> {
    fn of(key: &CacheKey<'a>) -> Self {
        Self { flags: key.flags(), qtype: key.qtype, qname: key.qname.as_bytes() }
    }
}

impl Equivalent<Question> for Probe<'_> {
    fn equivalent(&self, question: &Question) -> bool {
        (self.flags, self.qtype) == (question.flags, question.qtype)
            && self.qname == question.qname.as_bytes()
    }
}

/// A failure that may stand in for asking again.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// What failed.
    pub failure: Arc<Failure>,
    /// Whether it does for everybody: else only for those whom an expired answer helps meanwhile.
    pub is_firm: bool,
}

#[derive(Clone, Debug)]
struct Kept {
    failure: Arc<Failure>,
    until: Moment,
    /// Until when it goes for those, too, for whom no expired answer stands in.
    firm_until: Moment,
    /// How long a failure of this row is remembered by itself; zero where there was none.
    lasts: Duration,
}

#[derive(Debug)]
pub(super) struct Failures {
    store: Store<Question, Kept, UnitWeighter, RandomState>,
    /// When the last of them has been over for so long that none counts any more, in milliseconds:
    /// a miss while nothing fails costs a look at this.
    over: AtomicU64,
    spans: ArcSwap<Spans>,
}

/// How long a first failure is remembered, and the longest one.
#[derive(Clone, Copy, Debug)]
struct Spans {
    first: Duration,
    most: Duration,
}

impl Spans {
    fn of(settings: &Settings) -> Self {
        Self { first: settings.failure_ttl, most: settings.max_failure_ttl }
    }
}

impl Failures {
    pub(super) fn new(settings: &Settings) -> Self {
        let (hash, life) = (RandomState::new(), Default::default());
        let store = Store::with(MAX_FAILURES, MAX_FAILURES as u64, UnitWeighter, hash, life);
        Self { store, over: AtomicU64::new(0), spans: ArcSwap::from_pointee(Spans::of(settings)) }
    }

    pub(super) fn reload(&self, settings: &Settings) {
        self.spans.store(Arc::new(Spans::of(settings)));
    }

    /// Whether there is nothing to look for.
    fn are_over(&self, now: Moment) -> bool {
        now.as_millis() >= self.over.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, key: &CacheKey<'_>, now: Moment) -> Option<Remembered> {
        if self.are_over(now) {
            return None;
        }
        let kept = self.store.get(&Probe::of(key)).filter(|kept| now < kept.until)?;
        Some(Remembered { failure: kept.failure, is_firm: now < kept.firm_until })
    }

    /// Remembers a failure for as long as the row it stands in says; for as long as `fixed` for those whom an
    /// expired answer helps meanwhile.
    pub(super) fn remember(
        &self,
        key: &CacheKey<'_>,
        failure: Failure,
        fixed: Option<Duration>,
        now: Moment,
    ) -> Arc<Failure> {
        let Spans { first, most } = **self.spans.load();
        let before = self.before(key, most, now);
        let lasts = before.map_or(first, |kept| kept.lasts.saturating_mul(2).max(first)).min(most);
        let until = now.after(fixed.unwrap_or(lasts));
        let firm_until = now.after(lasts).min(until);
        let failure = Arc::new(failure);
        self.keep(key, Kept { failure: Arc::clone(&failure), until, firm_until, lasts }, most);
        failure
    }

    /// Has a question rest for so long that has not failed, for those whom an expired answer helps meanwhile.
    /// That is none in a row, and takes nothing from a longer rest.
    pub(super) fn rest(
        &self,
        key: &CacheKey<'_>,
        failure: Failure,
        span: Duration,
        now: Moment,
    ) -> Arc<Failure> {
        let most = self.spans.load().most;
        let (failure, until) = (Arc::new(failure), now.after(span));
        let before = self.before(key, most, now);
        if before.as_ref().is_none_or(|kept| kept.until < until) {
            let (firm_until, lasts) =
                before.map_or((now, Duration::ZERO), |kept| (kept.firm_until, kept.lasts));
            self.keep(key, Kept { failure: Arc::clone(&failure), until, firm_until, lasts }, most);
        }
        failure
    }

    /// What the next failure is in a row with: one that has not been over for longer than the longest pause.
    fn before(&self, key: &CacheKey<'_>, most: Duration, now: Moment) -> Option<Kept> {
        self.store.get(&Probe::of(key)).filter(|kept| now < kept.until.after(most))
    }

    fn keep(&self, key: &CacheKey<'_>, kept: Kept, most: Duration) {
        let over = kept.until.after(most).as_millis();
        let question = Question { flags: key.flags(), qtype: key.qtype, qname: key.qname.to_owned() };
        self.store.insert(question, kept);
        self.over.fetch_max(over, Ordering::Relaxed);
    }

    pub(super) fn forget(&self, key: &CacheKey<'_>, now: Moment) {
        if !self.are_over(now) {
            self.store.remove(&Probe::of(key));
        }
    }

    pub(super) fn clear(&self) {
        self.store.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::name;

    const RECHECK: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    fn failure() -> Failure {
        Failure { rcode: Rcode::SERVFAIL, ede: EdeCode::OTHER, text: "no reply".into() }
    }

    /// Failures, and what is known at a second: `Some(true)` for everybody.
    fn known(failures: &Failures, qname: &Name, second: u64) -> Option<bool> {
        failures.get(&key(qname), at(second)).map(|remembered| remembered.is_firm)
    }

    fn key(qname: &Name) -> CacheKey<'_> {
        CacheKey { qname: qname.as_ref(), qtype: Rtype::A, dnssec_ok: false, checking_disabled: false }
    }

    #[test]
    fn the_recheck_time_is_for_those_whom_an_expired_answer_helps_and_others_ask_sooner() {
        let (failures, qname) = (Failures::new(&Settings::default()), name("a.test"));
        failures.remember(&key(&qname), failure(), Some(RECHECK), at(10));
        let seen = [10, 11, 39, 40].map(|second| known(&failures, &qname, second));
        assert_eq!(seen, [Some(true), Some(false), Some(false), None]);
        failures.remember(&key(&qname), failure(), None, at(41));
        assert_eq!(
            [42, 43].map(|second| known(&failures, &qname, second)),
            [Some(true), None],
            "a row of two"
        );
    }

    #[test]
    fn a_rest_is_nobodys_who_has_no_answer_and_none_in_a_row() {
        let (failures, qname) = (Failures::new(&Settings::default()), name("a.test"));
        for second in 0..20 {
            failures.rest(&key(&qname), failure(), Duration::from_secs(1), at(second));
            assert_eq!(known(&failures, &qname, second), Some(false));
        }
        assert_eq!(known(&failures, &qname, 20), None);
        failures.remember(&key(&qname), failure(), None, at(20));
        assert_eq!([20, 21].map(|second| known(&failures, &qname, second)), [Some(true), None]);
    }

    #[test]
    fn a_rest_takes_nothing_from_a_failure() {
        let (failures, qname) = (Failures::new(&Settings::default()), name("a.test"));
        failures.remember(&key(&qname), failure(), None, at(0));
        failures.remember(&key(&qname), failure(), Some(RECHECK), at(1));
        failures.rest(&key(&qname), failure(), Duration::from_secs(1), at(2));
        assert_eq!(
            [2, 3, 30].map(|second| known(&failures, &qname, second)),
            [Some(true), Some(false), Some(false)]
        );
        failures.rest(&key(&qname), failure(), RECHECK, at(30));
        failures.remember(&key(&qname), failure(), None, at(61));
        assert_eq!([64, 65].map(|second| known(&failures, &qname, second)), [Some(true), None], "the third");
    }
}
