//! The memory that entries lie in: chunks of one size, used again by the shard that has them.
//!
//! Entries of all lengths come and go on several threads. Allocated one by one they would leave
//! holes that only the allocator knows of, and that no budget counts; in chunks what is taken is
//! what is counted.

use super::layout::UNIT;
use crate::sys;

/// A chunk holds so many units at most: what an [`Address`] has bits for.
const OFFSET_BITS: u32 = 12;
/// The longest chunk that entries share, in bytes.
pub(super) const MAX_CHUNK: usize = UNIT << OFFSET_BITS;
/// Chunks a shard has at most.
pub(super) const MAX_CHUNKS: usize = (1 << (32 - OFFSET_BITS)) - 1;

/// A cache line.
const LINE: usize = 64;

/// Where an entry begins. Never 0, which stands for none in links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(u32);

impl Address {
    fn new(chunk: u32, offset: usize) -> Self {
        Self(((chunk + 1) << OFFSET_BITS) | (offset / UNIT) as u32)
    }

    /// Reads a link.
    pub(super) fn of_link(link: u32) -> Option<Self> {
        (link >> OFFSET_BITS > 0).then_some(Self(link))
    }

    /// The address as a link.
    pub(super) fn link(self) -> u32 {
        self.0
    }

    fn chunk(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize - 1
    }

    fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize * UNIT
    }
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

/// The chunks of a shard.
#[derive(Debug)]
pub(super) struct Chunks {
    slots: Vec<Chunk>,
    /// Slots without a chunk.
    vacant: Vec<u32>,
    /// Chunks without a slot, of the common size.
    spare: Vec<Box<[u8]>>,
    size: usize,
    held: usize,
    filled: usize,
}

impl Chunks {
    /// None yet; `size` is the common length in bytes, a multiple of [`UNIT`].
    pub(super) fn new(size: usize) -> Self {
        Self { slots: Vec::new(), vacant: Vec::new(), spare: Vec::new(), size, held: 0, filled: 0 }
    }

    /// The common length.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Bytes taken from the allocator.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Bytes that entries lie in, dead ones included.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Bytes that opening a chunk of this length would take from the allocator.
    pub(super) fn needs(&self, len: usize) -> usize {
        if len == self.size && !self.spare.is_empty() { 0 } else { len }
    }

    /// Gives a spare chunk back to the allocator; whether there was one.
    pub(super) fn shrink(&mut self) -> bool {
        let spare = self.spare.pop();
        self.held -= spare.as_ref().map_or(0, |bytes| bytes.len());
        spare.is_some()
    }

    /// Opens a chunk of this length. `None` if there are too many.
    pub(super) fn open(&mut self, len: usize) -> Option<u32> {
        if self.vacant.is_empty() && self.slots.len() >= MAX_CHUNKS {
            return None;
        }
        let spare = if len == self.size { self.spare.pop() } else { None };
        let bytes = spare.unwrap_or_else(|| {
            self.held += len;
            vec![0; len].into()
        });
        let chunk = Chunk { bytes, filled: 0 };
        match self.vacant.pop() {
            Some(id) => {
                *self.slots.get_mut(id as usize)? = chunk;
                Some(id)
            }
            None => {
                self.slots.push(chunk);
                u32::try_from(self.slots.len() - 1).ok()
            }
        }
    }

    /// Whether a chunk has `len` bytes left.
    pub(super) fn has_room(&self, id: u32, len: usize) -> bool {
        self.slots.get(id as usize).is_some_and(|chunk| chunk.bytes.len() - chunk.filled >= len)
    }

    /// Takes `len` bytes of a chunk, `None` if it has not as many left.
    pub(super) fn reserve(&mut self, id: u32, len: usize) -> Option<Address> {
        if !self.has_room(id, len) {
            return None;
        }
        let chunk = self.slots.get_mut(id as usize)?;
        let address = Address::new(id, chunk.filled);
        chunk.filled += len;
        // Where the next entry will lie: written while it is far away, it would hold up the unlocking.
        let lines = [chunk.filled, chunk.filled + LINE];
        lines.into_iter().filter_map(|at| chunk.bytes.get(at)).for_each(sys::prefetch);
        self.filled += len;
        Some(address)
    }

    /// Where the entry at `offset` of a chunk lies; `None` behind the last one.
    pub(super) fn address(&self, id: u32, offset: usize) -> Option<Address> {
        self.slots.get(id as usize).filter(|chunk| offset < chunk.filled).map(|_| Address::new(id, offset))
    }

    /// The bytes from an address to the end of its chunk.
    pub(super) fn get(&self, address: Address) -> Option<&[u8]> {
        self.slots.get(address.chunk())?.bytes.get(address.offset()..)
    }

    /// The same to write to.
    pub(super) fn get_mut(&mut self, address: Address) -> Option<&mut [u8]> {
        self.slots.get_mut(address.chunk())?.bytes.get_mut(address.offset()..)
    }

    /// Copies `len` bytes from one chunk to another.
    pub(super) fn copy(&mut self, from: Address, to: Address, len: usize) -> Option<()> {
        let [source, target] = self.slots.get_disjoint_mut([from.chunk(), to.chunk()]).ok()?;
        let source = source.bytes.get(from.offset()..from.offset() + len)?;
        target.bytes.get_mut(to.offset()..to.offset() + len)?.copy_from_slice(source);
        Some(())
    }

    /// Closes a chunk, whatever lies in it.
    pub(super) fn close(&mut self, id: u32) {
        let Some(chunk) = self.slots.get_mut(id as usize).map(std::mem::take) else { return };
        self.vacant.push(id);
        self.filled -= chunk.filled;
        if chunk.bytes.len() == self.size {
            self.spare.push(chunk.bytes);
        } else {
            self.held -= chunk.bytes.len();
        }
    }

    /// What chunk `id` was filled with, nothing for a slot without one; `None` behind the last slot.
    pub(super) fn content(&self, id: usize) -> Option<&[u8]> {
        let chunk = self.slots.get(id)?;
        Some(chunk.bytes.get(..chunk.filled).unwrap_or_default())
    }

    /// The length of an open chunk.
    pub(super) fn len_of(&self, id: u32) -> usize {
        self.slots.get(id as usize).map_or(0, |chunk| chunk.bytes.len())
    }
}
