//! One response with the time it was learned: by itself, or where it lies in the cache.

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
            qtype: self.qtype,
        }
    }
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
    pub(super) qtype: Option<Rtype>,
}

impl EntryRef<'_> {
    /// Whether the response should be learned anew, if it is wanted further: the last tenth of its
    /// lifetime has begun.
    pub fn is_due(&self, now: Moment) -> bool {
        let (whole, left) = (self.expires.since(self.stored), self.expires.since(now));
        !whole.is_zero() && left <= whole / 10
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
