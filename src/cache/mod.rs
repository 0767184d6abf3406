//! Floor 1: responses learned from upstreams. Knows no zones.

mod failures;
mod key;
pub mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache as Store;
use quick_cache::{Lifecycle, Weighter};

use crate::clock::Moment;
use crate::metrics::CacheMetrics;
use crate::wire::{Learned, Outcome, Rtype};

use failures::Failures;
use key::{KeyedHash, Stored};

pub use failures::Failure;
pub use key::CacheKey;
pub use settings::Settings;

/// The answers of upstreams, within a budget of bytes.
///
/// An entry that has expired stays until its room is needed, but is not handed out.
#[derive(Debug)]
pub struct Cache {
    store: Store<Stored, Arc<Entry>, Weigh, KeyedHash, CountEvictions>,
    failures: Failures,
    /// Seconds; read where a response is put in.
    max_ttl: AtomicU32,
    max_negative_ttl: AtomicU32,
    metrics: CacheMetrics,
}

/// One response with the time it was learned.
#[derive(Debug)]
pub struct Entry {
    key: Stored,
    /// The response, its TTLs capped as the settings say.
    pub learned: Learned,
    /// When it was learned; a TTL shown to a client is the record's less the time since.
    pub stored: Moment,
    /// From then on it is no answer any more.
    pub expires: Moment,
}

impl Entry {
    /// Seconds since the response was learned.
    pub fn age(&self, now: Moment) -> u32 {
        now.secs_since(self.stored)
    }

    /// Whether the response may still be given.
    pub fn is_fresh(&self, now: Moment) -> bool {
        now < self.expires
    }
}

impl Cache {
    /// An empty cache with its own random hash key.
    pub fn new(settings: &Settings, metrics: CacheMetrics) -> Self {
        let hash = KeyedHash::random();
        let capacity = usize::try_from(settings.max_bytes / TYPICAL_WEIGHT).unwrap_or(usize::MAX);
        let evictions = CountEvictions(metrics.clone());
        Self {
            store: Store::with(capacity.max(1), settings.max_bytes, Weigh, hash.clone(), evictions),
            failures: Failures::new(settings, hash),
            max_ttl: AtomicU32::new(seconds(settings.max_ttl)),
            max_negative_ttl: AtomicU32::new(seconds(settings.max_negative_ttl)),
            metrics,
        }
    }

    /// Takes other bounds. Less memory evicts at once what is too much; the times hold for what is
    /// put in from now on.
    pub fn reload(&self, settings: &Settings) {
        self.store.set_capacity(settings.max_bytes);
        self.failures.reload(settings);
        self.max_ttl.store(seconds(settings.max_ttl), Ordering::Relaxed);
        self.max_negative_ttl.store(seconds(settings.max_negative_ttl), Ordering::Relaxed);
    }

    /// The fresh answer to a question: one learned for its type, or that the name does not exist.
    ///
    /// Cost: one hash probe for an answer of the type, a second one for NXDOMAIN and for a miss;
    /// no allocation.
    pub fn get(&self, key: &CacheKey<'_>, now: Moment) -> Option<Arc<Entry>> {
        let fresh = |entry: &Arc<Entry>| entry.is_fresh(now);
        self.store
            .get(&key.for_type())
            .filter(fresh)
            .or_else(|| self.store.get(&key.for_any_type()).filter(fresh))
    }

    /// Puts a response in, unless it may not be kept (lifetime 0, an error). Returns it as an entry
    /// in either case, for those who wait for it.
    ///
    /// NXDOMAIN without a CNAME chain counts for the name (every type), everything else for the
    /// type and ends a denial of the name. What was known before for the question is replaced, and
    /// its failures are forgotten.
    pub fn insert(&self, key: &CacheKey<'_>, learned: Learned, now: Moment) -> Arc<Entry> {
        let entry = self.entry(key, learned, now);
        self.failures.forget(key);
        if entry.is_fresh(now) {
            // Whichever of the two says the opposite: questions for several types cross.
            let other = if entry.qtype().is_none() { key.for_type() } else { key.for_any_type() };
            self.store.remove(&other);
            self.store.insert(entry.key.clone(), Arc::clone(&entry));
            self.metrics.inserts.increment(1);
        }
        entry
    }

    /// A response as an entry that is not put in: for an answer that only those who wait may have.
    pub fn entry(&self, key: &CacheKey<'_>, mut learned: Learned, now: Moment) -> Arc<Entry> {
        let (longest, negative) = (&self.max_ttl, &self.max_negative_ttl);
        learned.cap_ttls(longest.load(Ordering::Relaxed), negative.load(Ordering::Relaxed));
        let for_name = learned.denies_qname();
        let lifetime = if learned.outcome == Outcome::Error { 0 } else { learned.lifetime };
        let expires = now.after(Duration::from_secs(lifetime.into()));
        let key = if for_name { key.for_any_type() } else { key.for_type() }.into();
        Arc::new(Entry { key, learned, stored: now, expires })
    }

    /// The failure remembered for a question, while it may stand in for asking again.
    pub fn failure(&self, key: &CacheKey<'_>, now: Moment) -> Option<Arc<Failure>> {
        self.failures.get(key, now)
    }

    /// Remembers that a question failed (RFC 9520 §3.2): for a second, twice as long each time in
    /// a row up to the cap of the settings. A good answer is never touched by it.
    pub fn remember_failure(&self, key: &CacheKey<'_>, failure: Failure, now: Moment) -> Arc<Failure> {
        self.metrics.failures.increment(1);
        self.failures.remember(key, failure, now)
    }

    /// Forgets everything.
    pub fn flush(&self) {
        self.store.clear();
        self.failures.clear();
    }

    /// Entries and their bytes, expired ones included. Cost: a lock per shard.
    pub fn size(&self) -> (usize, u64) {
        (self.store.len(), self.store.weight())
    }

    /// Brings the gauges up to date, before they are read.
    pub fn observe(&self) {
        let (entries, bytes) = self.size();
        self.metrics.entries.set(entries as f64);
        self.metrics.bytes.set(bytes as f64);
    }
}

fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

/// What an entry weighs beyond its bytes: itself, the reference counts of the entry and its key,
/// what the allocator adds to five allocations, and its place in the store's tables (59 bytes with
/// full tables, by the store's own `memory_used`; they grow by doubling).
const OVERHEAD: usize = size_of::<Entry>() + 2 * 16 + 5 * 8 + 96;

/// The weight the store's tables are laid out for.
const TYPICAL_WEIGHT: u64 = 512;

#[derive(Clone, Debug)]
struct Weigh;

impl Weighter<Stored, Arc<Entry>> for Weigh {
    fn weight(&self, key: &Stored, entry: &Arc<Entry>) -> u64 {
        let text = entry.learned.ede.as_ref().map_or(0, |(_, text)| text.len());
        let starts = size_of_val(&*entry.learned.starts);
        (OVERHEAD + key.len() + entry.learned.block.len() + starts + text) as u64
    }
}

#[derive(Clone, Debug)]
struct CountEvictions(CacheMetrics);

impl Lifecycle<Stored, Arc<Entry>> for CountEvictions {
    /// What was evicted is freed after the shard's lock is released.
    type RequestState = Vec<Arc<Entry>>;

    fn on_evict(&self, state: &mut Self::RequestState, _: Stored, entry: Arc<Entry>) {
        self.0.evictions.increment(1);
        state.push(entry);
    }
}

impl Entry {
    /// The type it counts for, `None` if the name has no records of any type.
    pub fn qtype(&self) -> Option<Rtype> {
        self.key.qtype()
    }
}

#[cfg(test)]
mod tests;
