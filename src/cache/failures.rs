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

#[derive(Clone, Debug)]
struct Remembered {
    failure: Arc<Failure>,
    until: Moment,
    lasts: Duration,
}

#[derive(Debug)]
pub(super) struct Failures {
    store: Store<Question, Remembered, UnitWeighter, RandomState>,
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

    pub(super) fn get(&self, key: &CacheKey<'_>, now: Moment) -> Option<Arc<Failure>> {
        if self.are_over(now) {
            return None;
        }
        self.store.get(&Probe::of(key)).filter(|r| now < r.until).map(|r| r.failure)
    }

    /// Remembers a failure for as long as the row it stands in says, or as `fixed`.
    pub(super) fn remember(
        &self,
        key: &CacheKey<'_>,
        failure: Failure,
        fixed: Option<Duration>,
        now: Moment,
    ) -> Arc<Failure> {
        let Spans { first, most } = **self.spans.load();
        // Failures are in a row if the last one has not been over for longer than the longest pause.
        let before = self.store.get(&Probe::of(key)).filter(|r| now < r.until.after(most));
        let lasts = before.map_or(first, |r| r.lasts.saturating_mul(2)).min(most);
        let (failure, until) = (Arc::new(failure), now.after(fixed.unwrap_or(lasts)));
        let question = Question { flags: key.flags(), qtype: key.qtype, qname: key.qname.to_owned() };
        self.store.insert(question, Remembered { failure: Arc::clone(&failure), until, lasts });
        self.over.fetch_max(until.after(most).as_millis(), Ordering::Relaxed);
        failure
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
