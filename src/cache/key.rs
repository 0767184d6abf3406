//! What an entry is found by.

use crate::wire::{NameRef, Rtype, name_hash};

/// A question as the cache tells questions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheKey<'a> {
    /// The name asked for.
    pub qname: NameRef<'a>,
    /// The type asked for.
    pub qtype: Rtype,
    /// DO: with signatures and proofs.
    pub dnssec_ok: bool,
    /// CD: validated or not.
    pub checking_disabled: bool,
}

impl CacheKey<'_> {
    /// DO and CD as two bits.
    pub(super) fn flags(&self) -> u8 {
        u8::from(self.dnssec_ok) | u8::from(self.checking_disabled) << 1
    }
}

/// The hash of a name in two independent halves.
///
/// Only the name is hashed. What is known of a name for several types lies in one bucket, so one
/// probe finds the answer for the type or that the name does not exist. Whoever finds names with one
/// hash in spite of its random key fills one bucket with them, which holds a bounded number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameHash {
    /// Chooses the shard.
    pub(super) shard: u32,
    /// Chooses the bucket, and stands in the entry.
    pub(super) tag: u32,
}

impl NameHash {
    pub(super) fn of(name: NameRef<'_>) -> Self {
        Self::from(name_hash(name))
    }
}

impl From<u64> for NameHash {
    fn from(hash: u64) -> Self {
        Self { shard: (hash >> 32) as u32, tag: hash as u32 }
    }
}
