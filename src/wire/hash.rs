//! The hash of names that every table of names goes by: keyed; a multiplication for each 16 bytes, and
//! one more.
//!
//! Folded multiplication is fast and not cryptographic. That strangers choose the names is met in two
//! ways: the keys are random numbers of this process, which nothing it says gives away, and no table
//! has more than a bounded number of entries that a collision could line up.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

use super::NameRef;

/// Bytes that are hashed in one go.
pub(super) const BLOCK: usize = 16;

/// A hash under way.
#[derive(Clone, Copy)]
pub(super) struct Folded {
    hash: u64,
    key: u64,
    last: u64,
}

impl Folded {
    /// The hash of nothing.
    pub(super) fn new() -> Self {
        let [hash, key, last] = keys();
        Self { hash, key, last }
    }

    /// The same with one block more.
    #[inline]
    pub(super) fn with(self, block: &[u8; BLOCK]) -> Self {
        let both = u128::from_le_bytes(*block);
        Self { hash: fold(both as u64 ^ self.hash, (both >> 64) as u64 ^ self.key), ..self }
    }

    /// The hash. Once more folded: where blocks differ in a few bits only, one multiplication by a key
    /// with a run of zeros would leave some bits of it alike.
    #[inline]
    pub(super) fn finish(self) -> u64 {
        fold(self.hash, self.last)
    }
}

/// The hash of a name, the one that [`Suffixes::hash`](super::Suffixes::hash) has for it.
#[inline]
pub fn name_hash(name: NameRef<'_>) -> u64 {
    of_name(name).finish()
}

/// The hash of a name and a number that goes with it.
#[inline]
pub fn name_hash_with(name: NameRef<'_>, number: u16) -> u64 {
    of_name(name).with(&u128::from(number).to_le_bytes()).finish()
}

/// The hash of a wire name in any case.
#[inline]
pub(super) fn hash_in_any_case(name: &[u8]) -> u64 {
    // Length bytes, up to 63, are no letters.
    of_bytes(name, |block| block.map(|byte| byte.to_ascii_lowercase())).finish()
}

#[inline]
fn of_name(name: NameRef<'_>) -> Folded {
    of_bytes(name.as_bytes(), |block| block)
}

#[inline]
fn of_bytes(name: &[u8], read: impl Fn([u8; BLOCK]) -> [u8; BLOCK]) -> Folded {
    let (blocks, rest) = name.as_chunks();
    let folded = blocks.iter().fold(Folded::new(), |folded, block| folded.with(&read(*block)));
    if rest.is_empty() {
        return folded;
    }
    let mut last = [0; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    folded.with(&read(last))
}

/// Random numbers: strangers choose the names, and must not choose the buckets.
fn keys() -> [u64; 3] {
    static KEYS: OnceLock<[u64; 3]> = OnceLock::new();
    *KEYS.get_or_init(|| rand::random::<[u64; 3]>().map(|key| key | 1))
}

/// Both halves of the product: each bit of it depends on all bits of both factors.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// For maps whose keys hash to one number, which is a good hash already.
pub type Prehashed = BuildHasherDefault<Taken>;

/// Takes the number as it is.
#[derive(Debug, Default)]
pub struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, bytes: &[u8]) {
        // Not the way these keys go; right all the same.
        for &byte in bytes {
            self.0 = fold(self.0 ^ u64::from(byte), 0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::{Name, Suffixes};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_has_the_hash_that_it_has_among_suffixes() {
        let mut seen = HashSet::new();
        for len in 1..60 {
            let name = name(&"a".repeat(len));
            let all = Suffixes::of(name.as_ref());
            assert_eq!(name_hash(name.as_ref()), all.hash(all.depth()), "{len}");
            assert_eq!(hash_in_any_case(&name.as_bytes().to_ascii_uppercase()), name_hash(name.as_ref()));
            assert!(seen.insert(name_hash(name.as_ref())));
        }
    }

    #[test]
    fn types_of_one_name_hash_apart_in_all_bits() {
        let name = name("a.test");
        let of = |number| name_hash_with(name.as_ref(), number);
        let differ = (1..200).map(|n| of(0) ^ of(n)).fold(0, |all, bits| all | bits);
        assert_eq!(differ, u64::MAX);
        assert_eq!((0..=u16::MAX).map(of).collect::<HashSet<_>>().len(), 1 << 16);
    }
}
