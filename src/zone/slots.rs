//! The hash table from names to nodes.

use super::node::Node;
use crate::wire::Suffixes;

/// Open addressing over nodes in an arena: in each slot part of the hash above one more than where
/// the node begins, zero where nothing is. Three fifths full.
pub(super) struct Slots(Box<[u64]>);

impl Slots {
    /// Room for `names`.
    pub fn for_names(names: usize) -> Self {
        Self(vec![0; (names.saturating_mul(5) / 3).max(2)].into())
    }

    /// Enters the node that begins at `at`, whose name is not here yet. The caller enters no more
    /// names than it said.
    pub fn insert(&mut self, hash: u64, at: u32) {
        let mut slot = self.home(hash);
        while self.0[slot] != 0 {
            slot = if slot + 1 == self.0.len() { 0 } else { slot + 1 };
        }
        self.0[slot] = tag(hash) << 32 | (u64::from(at) + 1);
    }

    /// The node of `qname`'s suffix of `depth` labels, and where it begins.
    pub fn find<'z>(&self, arena: &'z [u8], qname: &Suffixes, depth: usize) -> Option<(usize, Node<'z>)> {
        let hash = qname.hash(depth);
        let mut slot = self.home(hash);
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

    /// Where looking for `hash` begins: its lower half, scaled, so that any size will do.
    fn home(&self, hash: u64) -> usize {
        (((hash & 0xffff_ffff) * self.0.len() as u64) >> 32) as usize
    }
}

/// The part of a hash that a slot keeps, never the part that chose the slot.
fn tag(hash: u64) -> u64 {
    hash >> 32
}
