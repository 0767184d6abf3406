//! All zones of the process: which one a name belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::Zone;
use crate::wire::{Name, NameRef, Suffixes};

/// The table as everyone holds it: swapped whole, read without a lock.
pub type SharedTable = Arc<ArcSwap<ZoneTable>>;

/// What is known of a zone.
#[derive(Clone, Debug)]
pub enum Authority {
    /// Its records.
    Loaded(Arc<Zone>),
    /// It exists, but its records cannot be had here: its subtree is forwarded.
    CarvedOut,
    /// It has not been loaded yet.
    Unloaded(WhenUnloaded, Asked),
}

/// How often names of a zone were asked for while it was not loaded; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<AtomicU64>);

impl Asked {
    /// Counts one question.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The questions so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The entry that a name belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    /// The zone's name.
    pub apex: NameRef<'t>,
    /// What is known of it.
    pub authority: &'t Authority,
    /// Some names below the apex belong to another entry, whatever is known of that one.
    pub is_divided: bool,
    /// The upstream for the zone's names knows the zone, and the health of what it leads to.
    pub asks_origin: bool,
}

/// What becomes of a query below a zone that has not been loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnloaded {
    /// It is forwarded.
    Forward,
    /// SERVFAIL with EDE 14: an empty zone would be a lie.
    Fail,
}

/// An immutable set of zones. At most one for each apex.
#[derive(Debug)]
pub struct ZoneTable {
    entries: Box<[(Name, Authority)]>,
    /// Whether another entry lies below this one.
    divided: Box<[bool]>,
    /// Whether the upstream for an entry's names knows its zone.
    origins: Box<[bool]>,
    /// Open addressing, at most half full; zero is empty, else index + 1.
    slots: Box<[u32]>,
    /// Bit `d` is set when some apex has `d` labels.
    depths: u128,
}

impl Default for ZoneTable {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl ZoneTable {
    /// Builds the table; of entries with the same apex the first stands.
    pub fn new(entries: Vec<(Name, Authority)>) -> Self {
        let mut table = Self {
            slots: vec![0; (entries.len() * 2).next_power_of_two().max(2)].into(),
            divided: vec![false; entries.len()].into(),
            origins: vec![true; entries.len()].into(),
            entries: entries.into(),
            depths: 0,
        };
        for index in 0..table.entries.len() {
            let all = Suffixes::of(table.entries[index].0.as_ref());
            if let Err(free) = table.probe(&all, all.depth()) {
                table.depths |= 1 << all.depth();
                table.slots[free] = index as u32 + 1;
            }
        }
        table.note_divisions();
        table
    }

    /// The same, having noted which zones the upstreams for their names know: all, unless said otherwise.
    #[must_use]
    pub fn with_origins(mut self, knows: impl Fn(NameRef<'_>) -> bool) -> Self {
        self.origins = self.entries.iter().map(|(apex, _)| knows(apex.as_ref())).collect();
        self
    }

    fn note_divisions(&mut self) {
        for index in 0..self.entries.len() {
            let all = Suffixes::of(self.entries[index].0.as_ref());
            for depth in 0..all.depth() {
                if let Ok(above) = self.probe(&all, depth) {
                    self.divided[above] = true;
                }
            }
        }
    }

    /// Finds the zone whose apex is the closest ancestor of `qname`.
    ///
    /// The longest match wins: `eu.example.com.` is chosen over `example.com.` for
    /// `db.eu.example.com.`, and nothing falls back to the shorter one. `None` means that no zone
    /// covers the name. Cost: one probe for each depth that some apex has; no lock, no allocation.
    pub fn find(&self, qname: &Suffixes) -> Option<(NameRef<'_>, &Authority)> {
        self.find_part(qname).map(|part| (part.apex, part.authority))
    }

    /// [`ZoneTable::find`], with whether all names below the apex are the zone's.
    #[inline]
    pub fn find_part(&self, qname: &Suffixes) -> Option<Part<'_>> {
        // No name has more than 127 labels: the shift is at least zero.
        let mut depths = self.depths & (u128::MAX >> (127 - qname.depth().min(127)));
        while depths != 0 {
            let depth = 127 - depths.leading_zeros() as usize;
            if let Ok(index) = self.probe(qname, depth) {
                let (apex, authority) = &self.entries[index];
                let (is_divided, asks_origin) = (self.divided[index], self.origins[index]);
                return Some(Part { apex: apex.as_ref(), authority, is_divided, asks_origin });
            }
            depths &= !(1 << depth);
        }
        None
    }

    /// Whether some zone's apex is below `qname`. Cost: nothing where no apex has so many labels, else a
    /// look at each.
    pub fn has_below(&self, qname: &Suffixes) -> bool {
        let deeper = self.depths.checked_shr(qname.depth() as u32 + 1).unwrap_or(0);
        let is_below = |apex: &Name| {
            apex.as_bytes().len() > qname.name().as_bytes().len()
                && apex.as_ref().is_at_or_below(qname.name())
        };
        deeper != 0 && self.entries.iter().any(|(apex, _)| is_below(apex))
    }

    /// Every zone, in the order given to [`ZoneTable::new`].
    pub fn entries(&self) -> &[(Name, Authority)] {
        &self.entries
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
    use super::*;

    fn found(table: &ZoneTable, qname: &str) -> Option<String> {
        let qname: Name = qname.parse().unwrap();
        table.find(&Suffixes::of(qname.as_ref())).map(|(apex, _)| apex.to_string())
    }

    fn table(apexes: &[&str]) -> ZoneTable {
        ZoneTable::new(apexes.iter().map(|a| (a.parse().unwrap(), Authority::CarvedOut)).collect())
    }

    #[test]
    fn the_most_specific_zone_is_found() {
        let table = table(&["example.com", "a.example.com", "internal"]);
        assert_eq!(found(&table, "www.a.example.com").as_deref(), Some("a.example.com."));
        assert_eq!(found(&table, "a.example.com").as_deref(), Some("a.example.com."));
        assert_eq!(found(&table, "ba.example.com").as_deref(), Some("example.com."));
        assert_eq!(found(&table, "internal").as_deref(), Some("internal."));
        assert_eq!(found(&table, "com"), None);
        assert_eq!(found(&table, "."), None);
    }

    #[test]
    fn a_root_zone_covers_everything_and_an_empty_table_nothing() {
        assert_eq!(found(&table(&["."]), "a.b").as_deref(), Some("."));
        assert_eq!(found(&ZoneTable::default(), "a.b"), None);
    }

    #[test]
    fn a_zone_with_another_below_it_is_divided() {
        let table = table(&["example.com", "a.b.example.com", "c.a.b.example.com", "internal"]);
        let is_divided = |qname: &str| {
            let qname: Name = qname.parse().unwrap();
            table.find_part(&Suffixes::of(qname.as_ref())).map(|part| part.is_divided)
        };
        assert_eq!(is_divided("www.example.com"), Some(true));
        assert_eq!(is_divided("a.b.example.com"), Some(true));
        assert_eq!(is_divided("x.c.a.b.example.com"), Some(false));
        assert_eq!(is_divided("internal"), Some(false));
        assert_eq!(is_divided("com"), None);
    }

    #[test]
    fn zones_below_a_name_are_seen() {
        let table = table(&["a.b.example.com"]);
        let has_below = |name: &str| table.has_below(&Suffixes::of(name.parse::<Name>().unwrap().as_ref()));
        assert!(has_below("b.example.com") && has_below("com"));
        assert!(!has_below("a.b.example.com") && !has_below("x.a.b.example.com") && !has_below("org"));
    }

    #[test]
    fn the_first_of_two_entries_with_one_apex_stands() {
        let apex: Name = "a.test".parse().unwrap();
        let table = ZoneTable::new(vec![
            (apex.clone(), Authority::CarvedOut),
            (apex.clone(), Authority::Unloaded(WhenUnloaded::Fail, Asked::default())),
        ]);
        let all = Suffixes::of(apex.as_ref());
        assert!(matches!(table.find(&all), Some((_, Authority::CarvedOut))));
    }
}
