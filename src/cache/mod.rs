//! Floor 1: responses learned from upstreams. Knows no zones.

mod chunks;
mod entry;
mod failures;
mod index;
mod key;
mod layout;
mod restore;
pub mod settings;
mod shard;
pub mod snapshot;

use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::metrics::CacheMetrics;
use crate::wire::{Learned, NameRef, Outcome, Rtype};

use failures::Failures;
use key::NameHash;
use layout::Fresh;
use restore::Barred;
use shard::Shard;

pub use entry::{Entry, EntryRef, Stale};
pub use failures::{Failure, Remembered};
pub use key::CacheKey;
pub use settings::Settings;

/// Parts with a lock each, for each processor: so many threads seldom want the same one, and more
/// would only scatter what is written over more memory.
const SHARDS_PER_CPU: usize = 8;
/// The most parts.
const MAX_SHARDS: u64 = 64;
/// The least that a part's budget is worth splitting for.
const MIN_SHARD: u64 = 1 << 20;

/// The answers of upstreams, within a budget of bytes.
///
/// An entry that has expired stays until its room is needed, but is not handed out. What an entry
/// takes is said in the table of `cache/layout.rs`; the budget counts whole chunks of memory and
/// the index, so it is what the process grows by.
#[derive(Debug)]
pub struct Cache {
    shards: Box<[Aligned]>,
    failures: Failures,
    /// Seconds; read where a response is put in.
    max_ttl: AtomicU32,
    max_negative_ttl: AtomicU32,
    metrics: CacheMetrics,
    /// What must not come back from a snapshot that is being read.
    barred: Mutex<Barred>,
}

/// A shard on cache lines of its own: a lock taken must not slow down its neighbours.
#[derive(Debug)]
#[repr(align(128))]
struct Aligned(Mutex<Shard>);

impl Aligned {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        // Who panics here does so in what a caller does with an entry, when nothing is half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// An empty cache. Its memory is taken as it fills.
    pub fn new(settings: &Settings, metrics: CacheMetrics) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        let useful = MAX_SHARDS.min((cpus * SHARDS_PER_CPU) as u64);
        let shards = 1 << (settings.max_bytes / MIN_SHARD).clamp(1, useful).ilog2();
        let budget = part(settings.max_bytes, shards);
        Self {
            shards: (0..shards).map(|_| Aligned(Mutex::new(Shard::new(budget)))).collect(),
            failures: Failures::new(settings),
            max_ttl: AtomicU32::new(seconds(settings.max_ttl)),
            max_negative_ttl: AtomicU32::new(seconds(settings.max_negative_ttl)),
            metrics,
            barred: Mutex::default(),
        }
    }

    /// Takes other bounds. Less memory evicts at once what is too much; the times hold for what is
    /// put in from now on.
    ///
    /// The number of shards stays: an entry may be a quarter of a shard's part of the bytes, so a
    /// cache that was made large and is made very small keeps short answers only.
    ///
    /// Cost: where the bytes change, a copy of all entries, each shard's under its lock.
    pub fn reload(&self, settings: &Settings) {
        let budget = part(settings.max_bytes, self.shards.len());
        for shard in &self.shards {
            let evicted = shard.lock().resize(budget);
            self.metrics.evictions.increment(evicted as u64);
        }
        self.failures.reload(settings);
        self.max_ttl.store(seconds(settings.max_ttl), Ordering::Relaxed);
        self.max_negative_ttl.store(seconds(settings.max_negative_ttl), Ordering::Relaxed);
    }

    fn shard(&self, hash: NameHash) -> MutexGuard<'_, Shard> {
        self.shards[self.shard_number(hash)].lock()
    }

    fn shard_number(&self, hash: NameHash) -> usize {
        // As many shards as a power of two.
        hash.shard as usize & (self.shards.len() - 1)
    }

    /// Lends the fresh answer to a question to `serve`: one learned for its type, or that the name
    /// does not exist. `None` if there is neither, and `serve` is not called.
    ///
    /// `serve` runs under the lock of the entry's shard: it copies what it needs, and must not come
    /// back to the cache.
    ///
    /// Cost: one hash, an uncontended lock and the memory of the entry, on a hit as on a miss; no
    /// allocation.
    pub fn with<R>(
        &self,
        key: &CacheKey<'_>,
        now: Moment,
        serve: impl FnOnce(EntryRef<'_>) -> R,
    ) -> Option<R> {
        self.consult(key, now, serve).ok()
    }

    /// [`Cache::with`] for those who want to know more of what is not there.
    ///
    /// # Errors
    /// There is no fresh answer; `true`: there was one, which clients have been given.
    pub fn consult<R>(
        &self,
        key: &CacheKey<'_>,
        now: Moment,
        serve: impl FnOnce(EntryRef<'_>) -> R,
    ) -> Result<R, bool> {
        let (hash, mut was_in_use) = (NameHash::of(key.qname), false);
        self.shard(hash).get(hash.tag, key, now, &mut was_in_use).map(serve).ok_or(was_in_use)
    }

    /// What was last answered, if that has expired no longer than `max_stale` ago, with TTLs of at most `ttl`
    /// (RFC 8767 §4, §5). Cost: a copy.
    pub fn stale(
        &self,
        key: &CacheKey<'_>,
        now: Moment,
        max_stale: Duration,
        ttl: Duration,
    ) -> Option<Stale> {
        let hash = NameHash::of(key.qname);
        let shard = self.shard(hash);
        let latest = shard.latest(hash.tag, key, now.before(max_stale))?;
        Some(latest.to_stale(now, seconds(ttl)))
    }

    /// Whether clients have been given an answer that is due or has expired, up to `max_stale` ago: one that
    /// is worth learning anew.
    pub fn is_worth_renewing(&self, key: &CacheKey<'_>, now: Moment, max_stale: Duration) -> bool {
        let hash = NameHash::of(key.qname);
        let shard = self.shard(hash);
        let latest = shard.latest(hash.tag, key, now.before(max_stale));
        latest.is_some_and(|entry| entry.uses > 0 && entry.is_due(now))
    }

    /// Has what is looked at first for a name of this hash (see [`name_hash`](crate::wire::name_hash))
    /// brought near: mostly it is far away, and the wait for it the better part of a look-up.
    ///
    /// Cost: an uncontended lock; where another thread has it nothing is done.
    pub fn expect(&self, hash: u64) {
        let hash = NameHash::from(hash);
        if let Ok(shard) = self.shards[self.shard_number(hash)].0.try_lock() {
            shard.expect(hash.tag);
        }
    }

    /// A copy of what [`Cache::with`] lends, for those who keep it.
    pub fn get(&self, key: &CacheKey<'_>, now: Moment) -> Option<Arc<Entry>> {
        self.with(key, now, |entry| Arc::new(entry.to_owned()))
    }

    /// Puts a response in, unless it may not be kept (lifetime 0, an error). Returns it as an entry
    /// in either case, for those who wait for it.
    ///
    /// NXDOMAIN without a CNAME chain counts for the name (every type), everything else for the
    /// type and ends a denial of the name. What was known before for the question is replaced, and
    /// its failures are forgotten. So is what it contradicts where it may not be kept itself: that has been
    /// refreshed, and must not come back when upstreams fail (RFC 8767 §4).
    ///
    /// Cost: a copy of the response and one allocation; when the cache is full a chunk of entries is
    /// looked through once in a few hundred times.
    pub fn insert(&self, key: &CacheKey<'_>, learned: Learned, now: Moment) -> Arc<Entry> {
        let entry = self.entry(key, learned, now);
        self.failures.forget(key, now);
        let hash = NameHash::of(key.qname);
        let fresh = Fresh { key, tag: hash.tag, entry: entry.view() };
        if entry.is_fresh(now) && layout::fits(key, &entry.learned) {
            let evicted = self.shard(hash).insert(&fresh, now);
            if evicted > 0 {
                self.metrics.evictions.increment(evicted as u64);
            }
        } else {
            match entry.learned.outcome {
                Outcome::Error => {}
                // A denial without SOA is what forwarders say that fail: it ends nothing before its time.
                Outcome::NxDomain | Outcome::NoData => self.shard(hash).end(&fresh, now),
                Outcome::Answer | Outcome::OpenChain => self.shard(hash).end(&fresh, Moment::MAX),
            }
        }
        entry
    }

    /// A response as an entry that is not put in: for an answer that only those who wait may have.
    pub fn entry(&self, key: &CacheKey<'_>, mut learned: Learned, now: Moment) -> Arc<Entry> {
        let [longest, negative] = self.caps();
        learned.cap_ttls(longest, negative);
        if learned.outcome == Outcome::Error {
            learned.lifetime = 0;
        }
        let expires = now.after(Duration::from_secs(learned.lifetime.into()));
        let qtype = if learned.denies_qname() { None } else { Some(key.qtype) };
        Arc::new(Entry { learned, stored: now, expires, qtype })
    }

    /// The highest TTLs of answers and of negative answers, seconds.
    fn caps(&self) -> [u32; 2] {
        [&self.max_ttl, &self.max_negative_ttl].map(|cap| cap.load(Ordering::Relaxed))
    }

    /// The failure remembered for a question, while it may stand in for asking again.
    pub fn failure(&self, key: &CacheKey<'_>, now: Moment) -> Option<Remembered> {
        self.failures.get(key, now)
    }

    /// Remembers that a question failed (RFC 9520 §3.2): for a second, twice as long each time in
    /// a row up to the cap of the settings. A good answer is never touched by it.
    pub fn remember_failure(&self, key: &CacheKey<'_>, failure: Failure, now: Moment) -> Arc<Failure> {
        self.metrics.failures.increment(1);
        self.failures.remember(key, failure, None, now)
    }

    /// The same for a question that an expired answer stands in for: for so long nobody asks again whom that
    /// helps (RFC 8767 §5, the failure recheck timer).
    pub fn remember_failure_for(
        &self,
        key: &CacheKey<'_>,
        failure: Failure,
        recheck: Duration,
        now: Moment,
    ) -> Arc<Failure> {
        self.metrics.failures.increment(1);
        self.failures.remember(key, failure, Some(recheck), now)
    }

    /// Has a question rest for so long for which an expired answer is given, though it has not failed: it was
    /// not asked, not answered yet, or not as was believed. Whoever has no use for that answer asks.
    pub fn rest(&self, key: &CacheKey<'_>, why: Failure, span: Duration, now: Moment) -> Arc<Failure> {
        self.metrics.failures.increment(1);
        self.failures.rest(key, why, span, now)
    }

    /// Forgets what is known of a name, for any type, and that asking for this type failed. Cost: a lock.
    pub fn forget(&self, qname: NameRef<'_>, rtype: Rtype, now: Moment) {
        let hash = NameHash::of(qname);
        let mut barred = self.barred();
        barred.forget(hash);
        let mut shard = self.shard(hash);
        for (dnssec_ok, checking_disabled) in [(false, false), (false, true), (true, false), (true, true)] {
            let key = CacheKey { qname, qtype: rtype, dnssec_ok, checking_disabled };
            shard.forget(hash.tag, &key);
            self.failures.forget(&key, now);
        }
    }

    /// Forgets everything.
    pub fn flush(&self) {
        let mut barred = self.barred();
        barred.forget_all();
        for shard in &self.shards {
            shard.lock().clear();
        }
        self.failures.clear();
    }

    /// Entries and their bytes, expired ones included. Cost: a lock per shard.
    pub fn size(&self) -> (usize, u64) {
        self.shards.iter().fold((0, 0), |(entries, bytes), shard| {
            let (more, taken) = shard.lock().size();
            (entries + more, bytes + taken as u64)
        })
    }

    /// Brings the gauges up to date, before they are read.
    pub fn observe(&self) {
        let (entries, bytes) = self.size();
        self.metrics.entries.set(entries as f64);
        self.metrics.bytes.set(bytes as f64);
        self.metrics.inserts.absolute(self.inserted());
    }

    /// Responses put in so far. Cost: a lock per shard.
    pub fn inserted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().inserted()).sum()
    }
}

fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

/// One shard's part of a budget.
fn part(max_bytes: u64, shards: usize) -> usize {
    usize::try_from(max_bytes / shards as u64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
