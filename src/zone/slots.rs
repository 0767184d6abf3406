//! The hash table from names to nodes.

use std::sync::Arc;

use super::node::Node;
use crate::wire::Suffixes;

/// Open addressing over nodes in an arena: in each slot part of the hash above one more than where
/// the node begins, zero where nothing is. Three fifths full.
#[derive(Clone)]
pub(super) struct Slots(Arc<[u64]>);

impl Slots {
    /// The table of `names` nodes, each with its hash and where it begins; no more than that, and no name
    /// twice.
    pub fn of(names: usize, nodes: impl Iterator<Item = (u64, u32)>) -> Self {
        let mut slots: Arc<[u64]> = std::iter::repeat_n(0, (names.saturating_mul(5) / 3).max(2)).collect();
        // Nobody else has it yet.
        let free = Arc::get_mut(&mut slots).unwrap_or_default();
        for (hash, at) in nodes.take(names) {
            let mut slot = home(hash, free.len());
            while free[slot] != 0 {
                slot = if slot + 1 == free.len() { 0 } else { slot + 1 };
            }
            free[slot] = tag(hash) << 32 | (u64::from(at) + 1);
        }
        Self(slots)
    }

    /// The node of `qname`'s suffix of `depth` labels, and where it begins.
    pub fn find<'z>(&self, arena: &'z [u8], qname: &Suffixes, depth: usize) -> Option<(usize, Node<'z>)> {
        let hash = qname.hash(depth);
        let mut slot = home(hash, self.0.len());
        loop {
            let entry = *self.0.get(slot)?;
            if entry == 0 {
                return None;
            }
            if entry >> 32 == tag(hash) {
                let at = (entry as u32 - 1) as usize;
                let node = Node::read(arena, at)?;
                if node.name() == qname.suffix(depth) {
                    return Some((at, node));
                }
            }
            slot = if slot + 1 == self.0.len() { 0 } else { slot + 1 };
        }
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Where in so many slots looking for `hash` begins: its lower half, scaled, so that any size will do.
fn home(hash: u64, slots: usize) -> usize {
    (((hash & 0xffff_ffff) * slots as u64) >> 32) as usize
}

/// The part of a hash that a slot keeps, never the part that chose the slot.
fn tag(hash: u64) -> u64 {
    hash >> 32
}
