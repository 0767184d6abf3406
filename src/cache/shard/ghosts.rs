//! What was dropped from the small queue, remembered by its hash.

/// Bytes of the budget for each hash remembered.
const BYTES_A_GHOST: usize = 1024;

/// Hashes, each in a place of its own, where it stays until another needs the place.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    places: Vec<u32>,
}

impl Ghosts {
    /// Bytes taken from the allocator.
    pub(super) fn held(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }

    /// Remembers a hash; `limit` is the shard's budget.
    pub(super) fn remember(&mut self, tag: u32, limit: usize) {
        if self.places.is_empty() {
            self.places = vec![0; (limit / BYTES_A_GHOST).max(1)];
        }
        if let Some(place) = self.place(tag) {
            *place = tag;
        }
    }

    /// Whether the hash was remembered; it is not any more.
    pub(super) fn forget(&mut self, tag: u32) -> bool {
        self.place(tag).filter(|ghost| **ghost == tag && tag != 0).map(std::mem::take).is_some()
    }

    fn place(&mut self, tag: u32) -> Option<&mut u32> {
        let at = (tag as usize).checked_rem(self.places.len())?;
        self.places.get_mut(at)
    }
}
