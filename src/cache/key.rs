//! What an entry is found by, and the hash that strangers cannot predict.

use siphasher::sip::SipHasher13;

use crate::wire::{NameRef, Rtype};

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

/// SipHash-1-3 under a random key: names come from strangers, who must not choose the buckets.
///
/// Only the name is hashed. What is known of a name for several types lies in one bucket, so one
/// probe finds the answer for the type or that the name does not exist.
#[derive(Clone)]
pub(super) struct KeyedHash(SipHasher13);

impl KeyedHash {
    pub(super) fn random() -> Self {
        Self(SipHasher13::new_with_keys(rand::random(), rand::random()))
    }

    pub(super) fn of(&self, name: NameRef<'_>) -> NameHash {
        let hash = self.0.hash(name.as_bytes());
        NameHash { shard: (hash >> 32) as u32, tag: hash as u32 }
    }
}

/// The hash of a name in two independent halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameHash {
    /// Chooses the shard.
    pub(super) shard: u32,
    /// Chooses the bucket, and stands in the entry.
    pub(super) tag: u32,
}

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash")
    }
}
