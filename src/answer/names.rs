//! A map from domains to what holds for them, found by a question's suffixes.

use std::collections::HashSet;

use crate::wire::{Name, Prehashed, Suffixes};

/// What holds for some domains, immutable once it is built.
#[derive(Debug)]
pub(super) struct NameMap<T> {
    entries: Box<[(Name, T)]>,
    /// Open addressing, at most half full; zero is empty, else index + 1.
    slots: Box<[u32]>,
    /// Bit `d` is set when some domain has `d` labels.
    depths: u128,
    /// The hashes of all domains above those that something holds for.
    above: HashSet<u64, Prehashed>,
}

impl<T> NameMap<T> {
    /// Builds the map; of entries with one name the first stands.
    pub fn new(entries: Vec<(Name, T)>) -> Self {
        let slots = vec![0; (entries.len() * 2).next_power_of_two().max(2)].into();
        let mut map = Self { slots, entries: entries.into(), depths: 0, above: HashSet::default() };
        for index in 0..map.entries.len() {
            let Some((name, _)) = map.entries.get(index) else { break };
            let all = Suffixes::of(name.as_ref());
            if let Err(free) = map.probe(&all, all.depth()) {
                map.depths |= 1 << all.depth();
                map.above.extend((0..all.depth()).map(|depth| all.hash(depth)));
                map.slots[free] = index as u32 + 1;
            }
        }
        map
    }

    /// What holds for `qname` and for the domains that it is in, the most specific first, each with
    /// its number of labels. Cost: a probe for each depth that some domain has.
    pub fn covering<'m>(&'m self, qname: &Suffixes) -> impl Iterator<Item = (usize, &'m T)> {
        // No name has more than 127 labels: the shift is at least zero.
        let mut depths = self.depths & (u128::MAX >> (127 - qname.depth().min(127)));
        std::iter::from_fn(move || {
            while depths != 0 {
                let depth = 127 - depths.leading_zeros() as usize;
                depths &= !(1 << depth);
                if let Ok(index) = self.probe(qname, depth) {
                    return self.entries.get(index).map(|(_, held)| (depth, held));
                }
            }
            None
        })
    }

    /// Whether something holds for a name below `qname`. Cost: a probe; a name with the hash of one that has such
    /// names, of 64 bits, is taken for it.
    pub fn has_below(&self, qname: &Suffixes) -> bool {
        self.above.contains(&qname.hash(qname.depth()))
    }

    /// The entry for the suffix of `depth` labels, or the free slot where it would go.
    fn probe(&self, qname: &Suffixes, depth: usize) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = qname.hash(depth) as usize & mask;
        loop {
            match self.slots[at] {
                0 => return Err(at),
                slot if self.entries[slot as usize - 1].0.as_ref() == qname.suffix(depth) => {
                    return Ok(slot as usize - 1);
                }
                _ => at = (at + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn suffixes(text: &str) -> Suffixes {
        Suffixes::of(text.parse::<Name>().unwrap().as_ref())
    }

    fn map(names: &[&str]) -> NameMap<usize> {
        NameMap::new(names.iter().enumerate().map(|(n, name)| (name.parse().unwrap(), n)).collect())
    }

    #[test]
    fn domains_are_found_from_the_most_specific_to_the_root() {
        let map = map(&["example.com", ".", "a.example.com", "com.example"]);
        let found: Vec<_> = map.covering(&suffixes("x.A.example.com")).map(|(d, n)| (d, *n)).collect();
        assert_eq!(found, [(3, 2), (2, 0), (0, 1)]);
        assert_eq!(map.covering(&suffixes("ba.example.com")).count(), 2);
    }

    #[test]
    fn names_below_are_seen_and_the_name_itself_is_not_below() {
        let map = map(&["a.b.example.com"]);
        assert!(map.has_below(&suffixes("b.example.com")) && map.has_below(&suffixes(".")));
        assert!(!map.has_below(&suffixes("a.b.example.com")) && !map.has_below(&suffixes("x.example.com")));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_search_through_all(
            names in vec("(\\.|([ab]\\.){1,4})", 0..12), qname in "([abA]\\.){1,5}",
        ) {
            let held: Vec<(Name, usize)> =
                names.iter().enumerate().map(|(n, name)| (name.parse().unwrap(), n)).collect();
            let (qname, map) = (suffixes(&qname), NameMap::new(held.clone()));
            let mut want: Vec<(usize, usize)> = Vec::new();
            for (name, n) in &held {
                let depth = name.as_ref().label_count();
                if qname.name().is_at_or_below(name.as_ref()) && want.iter().all(|(d, _)| *d != depth) {
                    want.push((depth, *n));
                }
            }
            want.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
            let found: Vec<_> = map.covering(&qname).map(|(depth, n)| (depth, *n)).collect();
            prop_assert_eq!(found, want);
            let is_below = |(name, _): &(Name, usize)| {
                name.as_ref() != qname.name() && name.as_ref().is_at_or_below(qname.name())
            };
            prop_assert_eq!(map.has_below(&qname), held.iter().any(is_below));
        }
    }
}
