//! Responses learned by another process, put in as old as they are.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::entry::Entry;
use super::key::NameHash;
use super::layout::{self, Fresh};
use super::snapshot::MAX_STALE;
use super::{Cache, CacheKey};
use crate::clock::Moment;
use crate::wire::{Learned, Outcome};

/// Names remembered at most; beyond them nothing more comes back.
const MAX_NAMES: usize = 10_000;

/// What was forgotten while a snapshot is read: it would bring it back.
#[derive(Debug, Default)]
pub(super) struct Barred {
    is_restoring: bool,
    names: HashSet<(u32, u32)>,
    all: bool,
}

impl Barred {
    /// Notes that a name was forgotten.
    pub fn forget(&mut self, name: NameHash) {
        if self.is_restoring {
            self.names.insert((name.shard, name.tag));
            self.all |= self.names.len() > MAX_NAMES;
        }
    }

    /// Notes that everything was.
    pub fn forget_all(&mut self) {
        self.all |= self.is_restoring;
    }

    fn is_barred(&self, name: NameHash) -> bool {
        self.all || self.names.contains(&(name.shard, name.tag))
    }
}

/// A snapshot is being read; ends when dropped.
pub(super) struct Restoring<'a>(&'a Cache);

impl Drop for Restoring<'_> {
    fn drop(&mut self) {
        *self.0.barred() = Barred::default();
    }
}

impl Cache {
    pub(super) fn barred(&self) -> MutexGuard<'_, Barred> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, until the guard is dropped, what is forgotten is noted. One snapshot is read at a time.
    pub(super) fn begin_restore(&self) -> Restoring<'_> {
        *self.barred() = Barred { is_restoring: true, ..Barred::default() };
        Restoring(self)
    }

    /// Puts in a response that was learned `age` ago, if it may still be of use and nothing newer is known. Whether it
    /// was.
    pub(super) fn restore(
        &self,
        key: &CacheKey<'_>,
        mut learned: Learned,
        age: Duration,
        now: Moment,
    ) -> bool {
        let stored = now.before(age);
        // A clock that does not reach so far back would make it younger than it is.
        if now.since(stored) != age || learned.outcome == Outcome::Error || learned.lifetime == 0 {
            return false;
        }
        let [longest, negative] = self.caps();
        learned.cap_ttls(longest, negative);
        let expires = stored.after(Duration::from_secs(learned.lifetime.into()));
        if expires.after(MAX_STALE) <= now || learned.lifetime == 0 || !layout::fits(key, &learned) {
            return false;
        }
        let qtype = if learned.denies_qname() { None } else { Some(key.qtype) };
        let entry = Entry { learned, stored, expires, qtype };
        let hash = NameHash::of(key.qname);
        let barred = self.barred();
        if barred.is_barred(hash) {
            return false;
        }
        let fresh = Fresh { key, tag: hash.tag, entry: entry.view() };
        let evicted = self.shard(hash).restore(&fresh, now);
        drop(barred);
        self.metrics.evictions.increment(evicted.unwrap_or(0) as u64);
        evicted.is_some()
    }

    /// How many shards there are.
    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Copies the entries of a chunk of a shard; `false` behind the shard's last.
    pub(super) fn copy_chunk(&self, shard: usize, id: usize, out: &mut Vec<u8>) -> bool {
        self.shards.get(shard).is_some_and(|shard| shard.lock().copy_chunk(id, out))
    }
}
