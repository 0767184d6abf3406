//! Making room in a shard: the oldest chunk goes, but for what is in use.

use std::time::Duration;

use super::{Shard, Which};
use crate::cache::chunks::Address;
use crate::cache::layout::{self, Packed};
use crate::clock::Moment;

/// The small queue's part of the budget.
const SMALL_PART: usize = 10;
/// An entry longer than this part of a chunk gets one of its own.
const SHARED_PART: usize = 8;
/// What was in use is spared for so long after it expired: it may be all there is when upstreams fail
/// (RFC 8767 §4).
const STALE_FOR: Duration = Duration::from_secs(24 * 3600);
/// Chunks looked through for entries to spare; the next one goes whole.
const MAX_SPARED: usize = 4;

impl Shard {
    /// Takes room for an entry at the end of a queue.
    pub(super) fn place(&mut self, len: usize, which: Which) -> Option<Address> {
        let is_shared = len <= self.chunks.size() / SHARED_PART;
        let queue = match which {
            Which::Small => &mut self.small,
            Which::Main => &mut self.main,
        };
        if let Some(address) = queue.open.filter(|_| is_shared).and_then(|id| self.chunks.reserve(id, len)) {
            return Some(address);
        }
        let id = self.chunks.open(if is_shared { self.chunks.size() } else { len })?;
        queue.chunks.push_back(id);
        queue.bytes += self.chunks.len_of(id);
        if is_shared {
            queue.open = Some(id);
        }
        self.chunks.reserve(id, len)
    }

    /// Drops what must go before an entry can be placed. Returns how many went.
    pub(super) fn make_room(&mut self, len: usize, which: Which, now: Moment) -> usize {
        let open = if which == Which::Small { self.small.open } else { self.main.open };
        let is_shared = len <= self.chunks.size() / SHARED_PART;
        if is_shared && open.is_some_and(|id| self.chunks.has_room(id, len)) {
            return 0;
        }
        let (mut gone, mut spared) = (0, 0);
        let chunk = if is_shared { self.chunks.size() } else { len };
        while self.chunks.held() + self.overhead() + self.chunks.needs(chunk) > self.limit {
            // A spare chunk that is of no use now: the index has grown, or the entry is too long.
            if self.chunks.shrink() {
                continue;
            }
            match self.evict(spared < MAX_SPARED, now) {
                Some(count) => gone += count,
                None => break,
            }
            spared += 1;
        }
        gone
    }

    /// Drops the oldest chunk of a queue, but for the entries in it that may be spared: they move
    /// to the end of the main queue. Returns how many were dropped, `None` if all is empty.
    fn evict(&mut self, may_spare: bool, now: Moment) -> Option<usize> {
        let is_small = self.main.chunks.is_empty() || self.small.bytes * SMALL_PART >= self.limit;
        let queue = if is_small && !self.small.chunks.is_empty() { &mut self.small } else { &mut self.main };
        let id = queue.chunks.pop_front()?;
        queue.bytes -= self.chunks.len_of(id);
        queue.open = queue.open.filter(|&open| open != id);
        let (mut offset, mut gone) = (0, 0);
        while let Some(address) = self.chunks.address(id, offset) {
            let Some(packed) = self.chunks.get(address).and_then(Packed::at).filter(|p| p.len() > 0) else {
                break;
            };
            let (tag, len, uses) = (packed.tag(), packed.len(), packed.uses());
            offset += len;
            if packed.is_dead() {
                continue;
            }
            let is_wanted = may_spare && uses > 0 && now.before(STALE_FOR) < packed.expires();
            // What has expired gets one more round, and no more.
            let uses = if now < packed.expires() { uses.saturating_sub(1) } else { 0 };
            if is_wanted && self.spare(address, tag, len, uses).is_some() {
                continue;
            }
            self.take_out(tag, address);
            gone += 1;
            if is_small {
                self.ghosts.remember(tag, self.limit);
            }
        }
        self.chunks.close(id);
        Some(gone)
    }

    /// Moves an entry to the end of the main queue.
    fn spare(&mut self, from: Address, tag: u32, len: usize, uses: u8) -> Option<()> {
        let to = self.place(len, Which::Main)?;
        self.chunks.copy(from, to, len)?;
        layout::set_uses(self.chunks.get_mut(to)?, uses);
        self.index.relink(tag, from, to, &mut self.chunks);
        Some(())
    }
}
