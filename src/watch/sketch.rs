//! The most frequent of many, in fixed memory: the Space-Saving algorithm (Metwally, Agrawal and El Abbadi, 2005).
//!
//! Of `n` things seen, a count is too high by at most `n / K`, never too low, and whatever makes up more than a `K`th
//! of all is in the table. Each entry knows by how much it may be too high.

use std::collections::HashMap;

use crate::wire::Prehashed;

/// A table of fixed size.
#[derive(Debug)]
pub(super) struct Sketch<T> {
    places: HashMap<u64, usize, Prehashed>,
    /// By themselves, so that the least is found quickly.
    counts: Vec<u32>,
    entries: Vec<Entry<T>>,
    total: u64,
    most: usize,
}

/// What is known of one thing.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    /// Its hash, which is all that tells it from others.
    pub hash: u64,
    /// How often others were counted for it before it took their place.
    pub error: u32,
    /// What is kept of it, since it has its place.
    pub item: T,
}

impl<T: Default> Sketch<T> {
    /// For at most so many.
    pub fn new(most: usize) -> Self {
        Self {
            places: HashMap::with_capacity_and_hasher(most * 2, Prehashed::default()),
            counts: Vec::with_capacity(most),
            entries: Vec::with_capacity(most),
            total: 0,
            most,
        }
    }

    /// Counts one. Returns what is kept of it; `true` where it is new and the item still somebody else's, to be reset.
    ///
    /// Cost: one probe of a hash table; where another has to give way a look at each count as well.
    pub fn add(&mut self, hash: u64) -> (&mut T, bool) {
        self.total += 1;
        if let Some(&place) = self.places.get(&hash) {
            self.counts[place] = self.counts[place].saturating_add(1);
            return (&mut self.entries[place].item, false);
        }
        let place = self.entries.len();
        if place < self.most {
            self.places.insert(hash, place);
            self.counts.push(1);
            self.entries.push(Entry { hash, error: 0, item: T::default() });
            return (&mut self.entries[place].item, true);
        }
        let least = self.counts.iter().copied().min().unwrap_or(0);
        let place = self.counts.iter().position(|&count| count == least).unwrap_or(0);
        let entry = &mut self.entries[place];
        self.places.remove(&entry.hash);
        self.places.insert(hash, place);
        self.counts[place] = least.saturating_add(1);
        (entry.hash, entry.error) = (hash, least);
        (&mut entry.item, true)
    }

    /// Every entry with its count.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Entry<T>)> {
        self.counts.iter().copied().zip(&self.entries)
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Forgets all and keeps the memory.
    pub fn clear(&mut self) {
        self.places.clear();
        self.counts.clear();
        self.entries.clear();
        self.total = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_makes_up_more_than_its_share_is_in_the_table_however_many_others_there_are() {
        let mut sketch = Sketch::<()>::new(8);
        for n in 0..10_000u64 {
            sketch.add(if n % 4 == 0 { 7 } else { 1000 + n });
        }
        let (count, entry) = sketch.iter().find(|(_, entry)| entry.hash == 7).unwrap();
        assert!((2500..=2500 + 10_000 / 8).contains(&count), "{count}");
        assert!(count - entry.error <= 2500);
    }

    proptest! {
        #[test]
        fn counts_are_within_the_bounds_that_they_name(
            stream in prop::collection::vec(prop_oneof![0u64..6, 0u64..200], 0..600),
            most in 1usize..20,
        ) {
            let mut sketch = Sketch::<u32>::new(most);
            let mut exact = BTreeMap::new();
            for &hash in &stream {
                *exact.entry(hash).or_insert(0u32) += 1;
                let (item, is_new) = sketch.add(hash);
                *item = if is_new { 1 } else { *item + 1 };
            }
            let bound = (stream.len() / most) as u32;
            prop_assert_eq!(sketch.total(), stream.len() as u64);
            prop_assert!(sketch.iter().count() <= most);
            for (count, entry) in sketch.iter() {
                let truth = exact[&entry.hash];
                prop_assert!(count >= truth && count - entry.error <= truth && entry.error <= bound);
                // What is kept of an entry is since it has its place.
                prop_assert_eq!(entry.item, count - entry.error);
            }
            for (hash, count) in exact {
                let is_in = sketch.iter().any(|(_, entry)| entry.hash == hash);
                prop_assert!(is_in || count <= bound, "{} was counted {} times", hash, count);
            }
        }
    }
}
