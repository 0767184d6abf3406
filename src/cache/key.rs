//! What an entry is found by, and the hash that strangers cannot predict.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use quick_cache::Equivalent;
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

/// Bit of the flags byte: it is kept under this key that the name does not exist, whatever the type.
const ANY_TYPE: u8 = 4;

impl<'a> CacheKey<'a> {
    /// What finds the entry for this type.
    pub(super) fn for_type(&self) -> Probe<'a> {
        let [high, low] = self.qtype.0.to_be_bytes();
        Probe { name: self.qname.as_bytes(), tail: [high, low, self.flags()] }
    }

    /// What finds the entry that says the name does not exist.
    pub(super) fn for_any_type(&self) -> Probe<'a> {
        Probe { name: self.qname.as_bytes(), tail: [0, 0, self.flags() | ANY_TYPE] }
    }

    fn flags(&self) -> u8 {
        u8::from(self.dnssec_ok) | u8::from(self.checking_disabled) << 1
    }
}

/// A key borrowed: the name, then type and flags.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    name: &'a [u8],
    tail: [u8; 3],
}

/// A key kept, in one allocation shared with its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored(Arc<[u8]>);

impl Stored {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The type, `None` for a name that does not exist.
    pub(super) fn qtype(&self) -> Option<Rtype> {
        let [high, low, flags] = *self.0.last_chunk()?;
        (flags & ANY_TYPE == 0).then_some(Rtype(u16::from_be_bytes([high, low])))
    }
}

impl From<Probe<'_>> for Stored {
    fn from(probe: Probe<'_>) -> Self {
        Self([probe.name, &probe.tail].concat().into())
    }
}

impl Hash for Stored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The bytes of `Stored`, in two pieces: SipHash does not see where one ends.
        state.write(self.name);
        state.write(&self.tail);
    }
}

impl Equivalent<Stored> for Probe<'_> {
    fn equivalent(&self, stored: &Stored) -> bool {
        stored.0.split_last_chunk().is_some_and(|(name, tail)| *tail == self.tail && name == self.name)
    }
}

/// SipHash-1-3 under a random key: names come from strangers, who must not choose the buckets.
#[derive(Clone)]
pub(super) struct KeyedHash(SipHasher13);

impl KeyedHash {
    pub(super) fn random() -> Self {
        Self(SipHasher13::new_with_keys(rand::random(), rand::random()))
    }
}

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash")
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}
