//! From the hash of a name to the entries about it.
//!
//! A bucket is one cache line: hashes and addresses side by side, so that a name that is not here
//! costs that line alone, and one that is costs the entry's besides. What a bucket has no slot for is
//! chained through the entries themselves.
//!
//! The table grows by one bucket at a time (linear hashing), so that no query waits for a whole
//! table to be laid out anew. Moving an entry from bucket to bucket does not touch the entry.

use super::chunks::{Address, Chunks};
use super::key::CacheKey;
use super::layout::{self, Packed};
use crate::sys;

/// Entries that a bucket has slots for.
const SLOTS: usize = 7;
/// Entries for each bucket on average. Those that are split next have up to twice as many.
const LOAD: usize = 3;
/// Entries a bucket holds at most: one client may ask for every type of a name.
pub(super) const MAX_CHAIN: usize = 64;

/// One cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    tags: [u32; SLOTS],
    /// Links to the entries; 0 where the slot is free.
    links: [u32; SLOTS],
    /// The first of those there is no slot for.
    more: u32,
}

/// The bucket of a table without any.
static NO_BUCKET: Bucket = Bucket { tags: [0; SLOTS], links: [0; SLOTS], more: 0 };

impl Bucket {
    fn slots(&self) -> impl Iterator<Item = (u32, Address)> + use<> {
        let Self { tags, links, .. } = *self;
        tags.into_iter().zip(links).filter_map(|(tag, link)| Some((tag, Address::of_link(link)?)))
    }

    /// The entries in slots with this hash. All slots are compared before any is looked at: mostly
    /// there is one or none, and a branch for each would be guessed wrong.
    fn tagged(&self, tag: u32) -> impl Iterator<Item = Address> + use<'_> {
        let slots = self.tags.iter().zip(&self.links).enumerate();
        let mut left =
            slots.fold(0u32, |bits, (i, (&t, &link))| bits | u32::from(t == tag && link != 0) << i);
        std::iter::from_fn(move || {
            let at = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            Address::of_link(*self.links.get(at)?)
        })
    }

    /// The slot with this link; with 0, a free one.
    fn slot_of(&mut self, link: u32) -> Option<(&mut u32, &mut u32)> {
        let at = self.links.iter().position(|&l| l == link)?;
        Some((&mut self.tags[at], &mut self.links[at]))
    }
}

/// The buckets of a shard.
#[derive(Debug, Default)]
pub(super) struct Index {
    buckets: Vec<Bucket>,
}

impl Index {
    /// Bytes taken from the allocator.
    pub(super) fn held(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The bucket of a hash: its low bits, one fewer where the table has not grown that far yet.
    fn number(&self, tag: u32) -> usize {
        let mask = self.buckets.len().next_power_of_two().wrapping_sub(1);
        let number = tag as usize & mask;
        if number < self.buckets.len() { number } else { number & (mask >> 1) }
    }

    fn bucket(&self, tag: u32) -> Option<&Bucket> {
        self.buckets.get(self.number(tag))
    }

    fn bucket_mut(&mut self, tag: u32) -> Option<&mut Bucket> {
        let number = self.number(tag);
        self.buckets.get_mut(number)
    }

    /// Has the bucket of a hash brought near.
    pub(super) fn expect(&self, tag: u32) {
        self.bucket(tag).into_iter().for_each(sys::prefetch);
    }

    /// The entries about a name, asked with certain flags, whatever their type.
    pub(super) fn about<'c>(
        &self,
        tag: u32,
        key: &CacheKey<'_>,
        chunks: &'c Chunks,
    ) -> impl Iterator<Item = (Address, Packed<'c>)> {
        let bucket = self.bucket(tag).unwrap_or(&NO_BUCKET);
        let in_slots = bucket.tagged(tag).filter_map(|at| Some((at, Packed::at(chunks.get(at)?)?)));
        let all = in_slots.chain(Chain { link: bucket.more, chunks });
        all.filter(move |(_, packed)| packed.is_about(tag, key))
    }

    /// An entry to drop from a bucket that is full.
    pub(super) fn surplus(&self, tag: u32, chunks: &Chunks) -> Option<Address> {
        let chain = Chain { link: self.bucket(tag)?.more, chunks };
        let last = chain.enumerate().filter(|(n, _)| SLOTS + n + 1 >= MAX_CHAIN).last();
        last.map(|(_, (at, _))| at)
    }

    /// Puts an entry, written but for its link, in its bucket.
    pub(super) fn link(&mut self, tag: u32, address: Address, chunks: &mut Chunks) {
        let Some(bucket) = self.bucket_mut(tag) else { return };
        if let Some((slot, link)) = bucket.slot_of(0) {
            (*slot, *link) = (tag, address.link());
        } else if let Some(bytes) = chunks.get_mut(address) {
            layout::set_next(bytes, std::mem::replace(&mut bucket.more, address.link()));
        }
    }

    /// Finds an entry `to` where it was copied.
    pub(super) fn relink(&mut self, tag: u32, from: Address, to: Address, chunks: &mut Chunks) {
        self.replace(tag, from, to.link(), chunks);
    }

    /// Takes an entry out of its bucket.
    pub(super) fn unlink(&mut self, tag: u32, address: Address, chunks: &mut Chunks) {
        if let Some((_, link)) = self.bucket_mut(tag).and_then(|bucket| bucket.slot_of(address.link())) {
            *link = 0;
        } else {
            let next = chunks.get(address).and_then(Packed::at).map_or(0, Packed::next);
            self.replace(tag, address, next, chunks);
        }
    }

    /// Lets the link that leads to `from` be `to` instead.
    fn replace(&mut self, tag: u32, from: Address, to: u32, chunks: &mut Chunks) {
        let Some(bucket) = self.bucket_mut(tag) else { return };
        if let Some((_, link)) = bucket.slot_of(from.link()) {
            *link = to;
            return;
        }
        if bucket.more == from.link() {
            bucket.more = to;
            return;
        }
        let mut chain = Chain { link: bucket.more, chunks };
        let before = chain.find(|(_, packed)| packed.next() == from.link());
        if let Some((at, _)) = before
            && let Some(bytes) = chunks.get_mut(at)
        {
            layout::set_next(bytes, to);
        }
    }

    /// Makes room for one more where there are `entries`.
    pub(super) fn grow(&mut self, entries: usize, chunks: &mut Chunks) {
        for _ in 0..2 {
            if self.buckets.len() * LOAD <= entries {
                self.split(chunks);
                // The next one to be split, some insertions ahead.
                self.buddy().into_iter().for_each(sys::prefetch);
            }
        }
    }

    /// The bucket that stands for the one that is added next, too.
    fn buddy(&self) -> Option<&Bucket> {
        self.buckets.get(buddy(self.buckets.len())?)
    }

    /// Adds a bucket, and moves there what belongs there from the one that stood for both.
    fn split(&mut self, chunks: &mut Chunks) {
        let added = self.buckets.len();
        self.buckets.push(Bucket::default());
        let Some(buddy) = buddy(added) else { return };
        let Some(old) = self.buckets.get_mut(buddy).map(std::mem::take) else { return };
        for (tag, address) in old.slots() {
            self.link(tag, address, chunks);
        }
        let mut link = old.more;
        while let Some(address) = Address::of_link(link) {
            let Some(packed) = chunks.get(address).and_then(Packed::at) else { return };
            let tag = packed.tag();
            link = packed.next();
            self.link(tag, address, chunks);
        }
    }
}

/// The bucket that stands for another until that is added: the number without its highest bit.
fn buddy(number: usize) -> Option<usize> {
    Some(number - (1 << number.checked_ilog2()?))
}

/// A walk along the entries that no slot was left for.
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
