//! A part of the cache with a budget of its own: S3-FIFO over chunks.
//!
//! New entries go through a small queue, a tenth of the budget. What was asked for there moves on
//! to the main queue, the rest is dropped: a flood of names that are asked once passes through the
//! small queue and leaves the main one alone. What is dropped from the small queue is remembered by
//! its hash for a while, and goes straight to the main queue when it comes again.

mod ghosts;
mod room;

use std::collections::VecDeque;

use super::chunks::{Address, Chunks, MAX_CHUNK, MAX_CHUNKS};
use super::entry::EntryRef;
use super::index::Index;
use super::key::CacheKey;
use super::layout::{self, Fresh, Packed, UNIT};
use crate::clock::Moment;

use ghosts::Ghosts;

/// Chunks a shard's budget comes to at least.
const CHUNKS: usize = 32;
/// An entry may be this part of the budget.
const LARGEST_PART: usize = 4;

/// Chunks in the order they were opened.
#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<u32>,
    /// The chunk that entries are added to.
    open: Option<u32>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Small,
    Main,
}

#[derive(Debug)]
pub(super) struct Shard {
    chunks: Chunks,
    small: Queue,
    main: Queue,
    index: Index,
    /// What was dropped from the small queue.
    ghosts: Ghosts,
    entries: usize,
    /// Responses put in so far.
    inserted: u64,
    limit: usize,
}

impl Shard {
    /// An empty shard; takes no memory before something is put in.
    pub(super) fn new(limit: usize) -> Self {
        let size = (limit / CHUNKS).clamp(1024, MAX_CHUNK).next_multiple_of(UNIT);
        let limit = limit.min(size * MAX_CHUNKS);
        Self {
            chunks: Chunks::new(size),
            small: Queue::default(),
            main: Queue::default(),
            index: Index::default(),
            ghosts: Ghosts::default(),
            entries: 0,
            inserted: 0,
            limit,
        }
    }

    /// Entries, and the bytes of them and of what they are found by.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries, self.chunks.filled() + self.overhead())
    }

    /// Responses put in since the shard was made.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    fn overhead(&self) -> usize {
        self.index.held() + self.ghosts.held()
    }

    /// Has the memory that a name is found by brought near.
    pub(super) fn expect(&self, tag: u32) {
        self.index.expect(tag);
    }

    /// Finds the fresh answer to a question, and counts that it was handed out. Notes where there is none but
    /// an expired one that `was_in_use`.
    pub(super) fn get(
        &mut self,
        tag: u32,
        key: &CacheKey<'_>,
        now: Moment,
        was_in_use: &mut bool,
    ) -> Option<EntryRef<'_>> {
        let (mut found, mut for_name) = (None, None);
        for (address, packed) in self.index.about(tag, key, &self.chunks) {
            let qtype = packed.qtype();
            if now >= packed.expires() {
                *was_in_use |= qtype == Some(key.qtype) && packed.uses() > 0;
            } else if qtype == Some(key.qtype) {
                found = Some((address, packed.uses()));
                break;
            } else if qtype.is_none() {
                for_name = Some((address, packed.uses()));
            }
        }
        let (address, uses) = found.or(for_name)?;
        // Names in steady use are not written to.
        if uses < 3 {
            layout::set_uses(self.chunks.get_mut(address)?, uses + 1);
        }
        Packed::at(self.chunks.get(address)?)?.entry()
    }

    /// What was said last about a question, fresh or expired after `oldest`. It is not counted.
    pub(super) fn latest(&self, tag: u32, key: &CacheKey<'_>, oldest: Moment) -> Option<EntryRef<'_>> {
        let about = self.index.about(tag, key, &self.chunks).map(|(_, packed)| packed);
        let answers = about.filter(|packed| packed.qtype().is_none_or(|qtype| qtype == key.qtype));
        answers.filter(|packed| oldest < packed.expires()).max_by_key(|packed| packed.stored())?.entry()
    }

    /// Puts a response in, in place of what is known for its key and of what it contradicts: the
    /// denial of the name, or for a denial the answer for the type. Returns how many others had to
    /// go.
    pub(super) fn insert(&mut self, fresh: &Fresh<'_>, now: Moment) -> usize {
        self.inserted += 1;
        if !self.may_hold(fresh.len()) {
            self.end(fresh, Moment::MAX);
            return 0;
        }
        let (old, opposite) = self.find(fresh);
        opposite.into_iter().for_each(|address| self.take_out(fresh.tag, address));
        if let Some((address, packed)) = old.map(|at| (at, self.packed(at)))
            && packed.is_some_and(|(len, _)| (fresh.len()..fresh.len().saturating_mul(2)).contains(&len))
        {
            self.overwrite(address, fresh);
            return 0;
        }
        let is_wanted = old.is_some_and(|at| self.packed(at).is_some_and(|(_, uses)| uses > 0));
        if let Some(address) = old {
            self.take_out(fresh.tag, address);
        }
        let queue = if is_wanted || self.ghosts.forget(fresh.tag) { Which::Main } else { Which::Small };
        let mut gone = usize::from(self.drop_surplus(fresh.tag));
        self.index.grow(self.entries, &mut self.chunks);
        gone += self.make_room(fresh.len(), queue, now);
        if let Some(address) = self.place(fresh.len(), queue) {
            if let Some(out) = self.chunks.get_mut(address).and_then(|b| b.get_mut(..fresh.len())) {
                fresh.write(out, 0, 0);
            }
            self.index.link(fresh.tag, address, &mut self.chunks);
            self.entries += 1;
        }
        gone
    }

    /// Takes out what a response would replace and is past its time by `when`.
    pub(super) fn end(&mut self, fresh: &Fresh<'_>, when: Moment) {
        let (old, opposite) = self.find(fresh);
        for address in old.into_iter().chain(opposite) {
            if self.chunks.get(address).and_then(Packed::at).is_some_and(|packed| packed.expires() <= when) {
                self.take_out(fresh.tag, address);
            }
        }
    }

    /// [`Shard::insert`] for a response that may be old: not where something at least as new is known that it would take
    /// the place of, or end. Returns how many others had to go, `None` if it was not put in.
    pub(super) fn restore(&mut self, fresh: &Fresh<'_>, now: Moment) -> Option<usize> {
        let (old, opposite) = self.find(fresh);
        let known = old.into_iter().chain(opposite).filter_map(|at| Packed::at(self.chunks.get(at)?));
        let newest = known.map(Packed::stored).max();
        let is_news = newest.is_none_or(|known| known < fresh.entry.stored) && self.may_hold(fresh.len());
        is_news.then(|| self.insert(fresh, now))
    }

    /// Copies a chunk's entries to `out`, dead ones included; `false` behind the last.
    pub(super) fn copy_chunk(&self, id: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        self.chunks.content(id).map(|content| out.extend_from_slice(content)).is_some()
    }

    /// Whether an entry of this length is ever kept.
    fn may_hold(&self, len: usize) -> bool {
        len <= self.limit / LARGEST_PART
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self { inserted: self.inserted, ..Self::new(self.limit) };
    }

    /// Takes another budget, and keeps what has room in it. Returns how many entries had to go.
    ///
    /// Cost: nothing where the budget stays, else a copy of all entries; the old chunks go one by
    /// one as they are copied.
    pub(super) fn resize(&mut self, limit: usize) -> usize {
        let fresh = Self { inserted: self.inserted, ..Self::new(limit) };
        if fresh.limit == self.limit {
            return 0;
        }
        let mut old = std::mem::replace(self, fresh);
        let mut gone = 0;
        for (queue, which) in [(&old.small, Which::Small), (&old.main, Which::Main)] {
            for &id in &queue.chunks {
                for (_, packed) in entries_of(id, &old.chunks) {
                    gone += self.adopt(packed, which);
                }
                old.chunks.close(id);
                old.chunks.shrink();
            }
        }
        gone
    }

    /// Takes over an entry of another shard.
    fn adopt(&mut self, packed: Packed<'_>, which: Which) -> usize {
        let (len, now) = (packed.len(), Moment::default());
        if packed.is_dead() || !self.may_hold(len) {
            return usize::from(!packed.is_dead());
        }
        self.index.grow(self.entries, &mut self.chunks);
        let gone = self.make_room(len, which, now);
        let Some(address) = self.place(len, which) else { return gone + 1 };
        if let Some(out) = self.chunks.get_mut(address) {
            packed.copy_to(out);
        }
        self.index.link(packed.tag(), address, &mut self.chunks);
        self.entries += 1;
        gone
    }

    /// Takes out what is known of a name, whatever its type.
    pub(super) fn forget(&mut self, tag: u32, key: &CacheKey<'_>) {
        let known: Vec<Address> =
            self.index.about(tag, key, &self.chunks).map(|(address, _)| address).collect();
        known.into_iter().for_each(|address| self.take_out(tag, address));
    }

    /// What is known for the key of a response, and what the response contradicts.
    fn find(&self, fresh: &Fresh<'_>) -> (Option<Address>, Option<Address>) {
        let (mut old, mut opposite) = (None, None);
        for (address, packed) in self.index.about(fresh.tag, fresh.key, &self.chunks) {
            let qtype = packed.qtype();
            if qtype == fresh.entry.qtype {
                old = Some(address);
            } else if qtype.is_none() || qtype == Some(fresh.key.qtype) {
                opposite = Some(address);
            }
        }
        (old, opposite)
    }

    /// Length and uses of an entry.
    fn packed(&self, address: Address) -> Option<(usize, u8)> {
        self.chunks.get(address).and_then(Packed::at).map(|packed| (packed.len(), packed.uses()))
    }

    /// Writes a response over one of the same key, which keeps its place and length.
    fn overwrite(&mut self, address: Address, fresh: &Fresh<'_>) {
        let Some(bytes) = self.chunks.get_mut(address) else { return };
        let Some((next, len, uses)) = Packed::at(bytes).map(|p| (p.next(), p.len(), p.uses())) else {
            return;
        };
        if let Some(out) = bytes.get_mut(..len) {
            fresh.write(out, next, uses);
        }
    }

    fn take_out(&mut self, tag: u32, address: Address) {
        self.index.unlink(tag, address, &mut self.chunks);
        if let Some(bytes) = self.chunks.get_mut(address) {
            layout::set_dead(bytes);
        }
        self.entries -= 1;
    }

    fn drop_surplus(&mut self, tag: u32) -> bool {
        let surplus = self.index.surplus(tag, &self.chunks);
        let tag = surplus.and_then(|at| self.chunks.get(at)).and_then(Packed::at).map(Packed::tag);
        if let (Some(address), Some(tag)) = (surplus, tag) {
            self.take_out(tag, address);
        }
        surplus.is_some()
    }
}

/// The entries of a chunk, dead ones included.
fn entries_of(id: u32, chunks: &Chunks) -> impl Iterator<Item = (Address, Packed<'_>)> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let address = chunks.address(id, offset)?;
        let packed = Packed::at(chunks.get(address)?).filter(|packed| packed.len() > 0)?;
        offset += packed.len();
        Some((address, packed))
    })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
