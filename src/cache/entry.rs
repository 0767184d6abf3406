//! One response with the time it was learned: by itself, or where it lies in the cache.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::wire::{Learned, LearnedRef, Rtype};

/// A response by itself: what the miss path hands to those who wait for it.
#[derive(Debug)]
pub struct Entry {
    /// The response, its TTLs capped as the settings say.
    pub learned: Learned,
    /// When it was learned; a TTL shown to a client is the record's less the time since.
    pub stored: Moment,
    /// From then on it is no answer any more.
    pub expires: Moment,
    pub(super) qtype: Option<Rtype>,
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

    /// The type it counts for, `None` if the name has no records of any type.
    pub fn qtype(&self) -> Option<Rtype> {
        self.qtype
    }

    /// The same as it is lent by the cache.
    pub fn view(&self) -> EntryRef<'_> {
        EntryRef {
            learned: self.learned.view(),
            stored: self.stored,
            expires: self.expires,
            uses: 0,
            qtype: self.qtype,
        }
    }
}

/// An answer that is given though it has expired, or may soon be denied (RFC 8767).
#[derive(Clone, Debug)]
pub struct Stale {
    /// The answer, as if it had been learned just now with the TTLs that stale answers have.
    pub entry: Arc<Entry>,
    /// How long ago it expired.
    pub expired: Duration,
}

/// A response where it lies, in the cache's memory or in an [`Entry`].
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    /// The response, its TTLs capped as the settings say.
    pub learned: LearnedRef<'a>,
    /// When it was learned.
    pub stored: Moment,
    /// From then on it is no answer any more.
    pub expires: Moment,
    /// How often the cache has handed it out, up to three.
    pub uses: u8,
    pub(super) qtype: Option<Rtype>,
}

impl EntryRef<'_> {
    /// Whether the response should be learned anew, if it is wanted further: the last part of its
    /// lifetime has begun. Mostly that is somewhat less than a tenth, and not the same part for all, so that
    /// what was learned together is not asked for together again.
    pub fn is_due(&self, now: Moment) -> bool {
        let (stored, expires) = (self.stored.as_millis(), self.expires.as_millis());
        let (whole, left) = (expires.saturating_sub(stored), expires.saturating_sub(now.as_millis()));
        whole > 0 && left.saturating_mul(10 + stored % 8) <= whole
    }

    /// The same as an answer that has expired: with TTLs of at most `ttl` seconds, counted from now on.
    pub(super) fn to_stale(self, now: Moment, ttl: u32) -> Stale {
        let mut entry = self.to_owned();
        entry.learned.cap_ttls(ttl, ttl);
        entry.stored = now;
        entry.expires = now.after(Duration::from_secs(entry.learned.lifetime.into()));
        Stale { entry: Arc::new(entry), expired: now.since(self.expires) }
    }

    /// A copy by itself. Cost: two allocations, three with an extended error.
    pub fn to_owned(&self) -> Entry {
        let learned = self.learned;
        Entry {
            learned: Learned {
                rcode: learned.rcode,
                outcome: learned.outcome,
                authentic: learned.authentic,
                answers: learned.answers,
                authorities: learned.authorities,
                block: learned.block.to_vec(),
                turning: learned.turning,
                open_end: learned.open_end,
                qname_len: learned.qname_len,
                lifetime: learned.lifetime,
                ede: learned.ede.map(|(code, text)| (code, text.into())),
            },
            stored: self.stored,
            expires: self.expires,
            qtype: self.qtype,
        }
    }
}
