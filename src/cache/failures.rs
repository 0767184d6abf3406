//! Questions that failed, remembered for a short while (RFC 9520).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache as Store;

use super::key::{CacheKey, KeyedHash, Stored};
use super::settings::Settings;
use crate::clock::Moment;
use crate::wire::{EdeCode, Rcode};

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

#[derive(Clone, Debug)]
struct Remembered {
    failure: Arc<Failure>,
    until: Moment,
    lasts: Duration,
}

#[derive(Debug)]
pub(super) struct Failures {
    store: Store<Stored, Remembered, UnitWeighter, KeyedHash>,
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
    pub(super) fn new(settings: &Settings, hash: KeyedHash) -> Self {
        let store = Store::with(MAX_FAILURES, MAX_FAILURES as u64, UnitWeighter, hash, Default::default());
        Self { store, spans: ArcSwap::from_pointee(Spans::of(settings)) }
    }

    pub(super) fn reload(&self, settings: &Settings) {
        self.spans.store(Arc::new(Spans::of(settings)));
    }

    pub(super) fn get(&self, key: &CacheKey<'_>, now: Moment) -> Option<Arc<Failure>> {
        self.store.get(&key.for_type()).filter(|r| now < r.until).map(|r| r.failure)
    }

    pub(super) fn remember(&self, key: &CacheKey<'_>, failure: Failure, now: Moment) -> Arc<Failure> {
        let Spans { first, most } = **self.spans.load();
        // Failures are in a row if the last one has not been over for longer than the longest pause.
        let before = self.store.get(&key.for_type()).filter(|r| now < r.until.after(most));
        let lasts = before.map_or(first, |r| r.lasts.saturating_mul(2)).min(most);
        let failure = Arc::new(failure);
        let remembered = Remembered { failure: Arc::clone(&failure), until: now.after(lasts), lasts };
        self.store.insert(key.for_type().into(), remembered);
        failure
    }

    pub(super) fn forget(&self, key: &CacheKey<'_>) {
        self.store.remove(&key.for_type());
    }

    pub(super) fn clear(&self) {
        self.store.clear();
    }
}
