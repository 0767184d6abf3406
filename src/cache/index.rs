//! From the hash of a name to the entries about it: chains through the entries themselves.
//!
//! The table grows by one bucket at a time (linear hashing), so that no query waits for a whole
//! table to be laid out anew.

use super::chunks::{Address, Chunks};
use super::key::CacheKey;
use super::layout::{self, Packed};

/// Buckets for each entry: two, since a chain costs a step in cold memory for each link.
const BUCKETS: usize = 2;
/// Entries a bucket holds at most: one client may ask for every type of a name.
pub(super) const MAX_CHAIN: usize = 64;

/// The buckets of a shard.
#[derive(Debug, Default)]
pub(super) struct Index {
    heads: Vec<u32>,
}

impl Index {
    /// Bytes taken from the allocator.
    pub(super) fn held(&self) -> usize {
        self.heads.capacity() * size_of::<u32>()
    }

    /// The bucket of a hash: its low bits, one fewer where the table has not grown that far yet.
    fn bucket(&self, tag: u32) -> usize {
        let mask = self.heads.len().next_power_of_two().wrapping_sub(1);
        let bucket = tag as usize & mask;
        if bucket < self.heads.len() { bucket } else { bucket & (mask >> 1) }
    }

    /// The entries of a bucket.
    fn chain<'c>(&self, tag: u32, chunks: &'c Chunks) -> Chain<'c> {
        Chain { link: self.heads.get(self.bucket(tag)).copied().unwrap_or(0), chunks }
    }

    /// The entries about a name, asked with certain flags, whatever their type.
    pub(super) fn about<'c>(
        &self,
        tag: u32,
        key: &CacheKey<'_>,
        chunks: &'c Chunks,
    ) -> impl Iterator<Item = (Address, Packed<'c>)> {
        self.chain(tag, chunks).filter(move |(_, packed)| packed.is_about(tag, key))
    }

    /// The last entry of a bucket that is full.
    pub(super) fn surplus(&self, tag: u32, chunks: &Chunks) -> Option<Address> {
        self.chain(tag, chunks).enumerate().filter(|(n, _)| n + 1 >= MAX_CHAIN).last().map(|(_, (at, _))| at)
    }

    /// Puts an entry, written but for its link, in front of its bucket.
    pub(super) fn link(&mut self, tag: u32, address: Address, chunks: &mut Chunks) {
        let bucket = self.bucket(tag);
        if let (Some(head), Some(bytes)) = (self.heads.get_mut(bucket), chunks.get_mut(address)) {
            layout::set_next(bytes, *head);
            *head = address.link();
        }
    }

    /// Lets the link that leads to `from` lead to `to` instead.
    pub(super) fn relink(&mut self, tag: u32, from: Address, to: u32, chunks: &mut Chunks) {
        let bucket = self.bucket(tag);
        let Some(head) = self.heads.get_mut(bucket) else { return };
        if *head == from.link() {
            *head = to;
            return;
        }
        let before = self.chain(tag, chunks).find(|(_, packed)| packed.next() == from.link());
        if let Some((at, _)) = before
            && let Some(bytes) = chunks.get_mut(at)
        {
            layout::set_next(bytes, to);
        }
    }

    /// Takes an entry out of its bucket.
    pub(super) fn unlink(&mut self, tag: u32, address: Address, chunks: &mut Chunks) {
        let next = chunks.get(address).and_then(Packed::at).map_or(0, Packed::next);
        self.relink(tag, address, next, chunks);
    }

    /// Makes room for one more where there are `entries`.
    pub(super) fn grow(&mut self, entries: usize, chunks: &mut Chunks) {
        for _ in 0..2 * BUCKETS {
            if self.heads.len() < (entries + 1) * BUCKETS {
                self.split(chunks);
            }
        }
    }

    /// Adds a bucket, and moves there what belongs there from the one that stood for both.
    fn split(&mut self, chunks: &mut Chunks) {
        let added = self.heads.len();
        self.heads.push(0);
        let Some(buddy) = added.checked_sub(1 << added.checked_ilog2().unwrap_or(0)) else { return };
        let mut link = self.heads.get_mut(buddy).map(std::mem::take).unwrap_or(0);
        while let Some(address) = Address::of_link(link) {
            let Some(packed) = chunks.get(address).and_then(Packed::at) else { return };
            let tag = packed.tag();
            link = packed.next();
            self.link(tag, address, chunks);
        }
    }
}

/// A walk along the links of a bucket.
struct Chain<'c> {
    link: u32,
    chunks: &'c Chunks,
}

impl<'c> Iterator for Chain<'c> {
    type Item = (Address, Packed<'c>);

    fn next(&mut self) -> Option<Self::Item> {
        let address = Address::of_link(self.link)?;
        let packed = Packed::at(self.chunks.get(address)?)?;
        self.link = packed.next();
        Some((address, packed))
    }
}
