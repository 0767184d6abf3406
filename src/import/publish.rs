//! From what is known of every zone to the one table that is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::desk::Desk;
use super::entry::{Entry, Rank, Standing};
use super::{OnUnloaded, Upstreams};
use crate::metrics::import::ImportMetrics;
use crate::source::ZoneId;
use crate::wire::{Name, Rtype};
use crate::zone::{Asked, Authority, SharedTable, WhenUnloaded, ZoneTable};

/// How often a table that was swapped out is looked at until it can be freed. A batch is over
/// long before.
const LOOK: Duration = Duration::from_millis(50);

/// Owns the right to swap the table.
pub(super) struct Publisher {
    table: SharedTable,
    upstreams: Arc<dyn Upstreams>,
    metrics: Arc<ImportMetrics>,
    /// Tables that were swapped out. The last owner of one frees it, which takes milliseconds, so
    /// that must be nobody who answers: each stays here until it is in no other hands. Bounded by
    /// the number of readers, since each holds one table at a time.
    old: Vec<Arc<ZoneTable>>,
    /// When they are looked at next.
    look_at: Instant,
    /// Apexes whose rivalry has been warned about.
    warned: BTreeSet<Name>,
}

/// Why one zone goes before another of the same apex; the least wins. A zone that is not loaded
/// gives way to one that is, then the order of the sources decides.
type Claim = (bool, usize, Class, Rank);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Loaded,
    CarvedOut,
    /// Loaded or carved out, but not among the zones discovered lately.
    Leaving,
    Unloaded,
}

/// A zone's place among the desks.
type Place<'a> = (usize, &'a ZoneId);

/// The zones that are served.
type Winners = BTreeSet<(usize, ZoneId)>;

impl Publisher {
    pub fn new(table: SharedTable, upstreams: Arc<dyn Upstreams>, metrics: Arc<ImportMetrics>) -> Self {
        Self { table, upstreams, metrics, old: Vec::new(), look_at: Instant::now(), warned: BTreeSet::new() }
    }

    /// Swaps in the table that follows from `desks`. Returns the zones that became shadowed by
    /// another of their name, or ceased to be.
    pub fn publish(&mut self, desks: &mut [Desk], now: Instant) -> Vec<(usize, ZoneId)> {
        let (entries, winners) = self.choose(desks);
        let table = ZoneTable::new(entries).with_origins(|apex| self.upstreams.is_vpc_resolver(apex));
        let old = self.table.swap(Arc::new(table));
        self.old.push(old);
        self.look_at = now + LOOK;
        self.metrics.swaps.increment(1);
        mark_shadowed(desks, &winners)
    }

    fn choose(&mut self, desks: &[Desk]) -> (Vec<(Name, Authority)>, Winners) {
        let mut best: BTreeMap<&Name, (Claim, Place<'_>)> = BTreeMap::new();
        let mut rivals = BTreeSet::new();
        for (at, desk) in desks.iter().enumerate() {
            for (id, entry) in &desk.zones {
                let Some(claim) = claim(at, entry) else { continue };
                let apex = &entry.found.apex;
                let Some((standing, _)) = best.get(apex) else {
                    best.insert(apex, (claim, (at, id)));
                    continue;
                };
                if [standing.2, claim.2].iter().all(|c| *c < Class::Leaving) {
                    rivals.insert(apex.clone());
                }
                if claim < *standing {
                    best.insert(apex, (claim, (at, id)));
                }
            }
        }
        self.warn_rivals(rivals, &best, desks);
        let winners = best.values().map(|(_, (at, id))| (*at, (*id).clone())).collect();
        let mut authorities: BTreeMap<&Name, Authority> = BTreeMap::new();
        for (apex, (_, (at, id))) in best {
            if let Some(authority) = desks[at].zones.get(id).and_then(|z| self.authority(z, apex, &desks[at]))
            {
                authorities.insert(apex, authority);
            }
        }
        for desk in desks {
            for (apex, asked) in desk.expected() {
                authorities.entry(apex).or_insert_with(|| self.unloaded(apex, desk, asked));
            }
        }
        (authorities.into_iter().map(|(apex, authority)| (apex.clone(), authority)).collect(), winners)
    }

    fn authority(&self, entry: &Entry, apex: &Name, desk: &Desk) -> Option<Authority> {
        match entry.standing() {
            Standing::Loaded(zone) => Some(Authority::Loaded(zone)),
            Standing::CarvedOut => Some(Authority::CarvedOut),
            Standing::Unloaded => Some(self.unloaded(apex, desk, &entry.asked)),
            Standing::Nothing => None,
        }
    }

    fn unloaded(&self, apex: &Name, desk: &Desk, asked: &Asked) -> Authority {
        let forward = match desk.policy.on_unloaded {
            OnUnloaded::Forward => true,
            OnUnloaded::Fail => false,
            OnUnloaded::Auto => self.upstreams.is_vpc_resolver(apex.as_ref()),
        };
        let when = if forward { WhenUnloaded::Forward } else { WhenUnloaded::Fail };
        Authority::Unloaded(when, asked.clone())
    }

    /// One warning for each apex that several present zones claim, until they no longer do.
    fn warn_rivals(
        &mut self,
        rivals: BTreeSet<Name>,
        best: &BTreeMap<&Name, (Claim, Place<'_>)>,
        desks: &[Desk],
    ) {
        for apex in rivals.difference(&self.warned) {
            let Some((_, (at, id))) = best.get(apex) else { continue };
            let source = desks[*at].source.label();
            warn!(zone = %apex, source, %id, "several zones have this name, only this one is served");
        }
        self.warned = rivals;
    }

    /// Has what upstreams said of changed names forgotten, once the table has them.
    pub fn forget(&self, changed: &[(Name, Rtype)]) {
        if !changed.is_empty() {
            self.upstreams.forget(changed);
        }
    }

    /// When to look for tables that can be freed; `None` while there is none that is old.
    pub fn next_burial(&self) -> Option<Instant> {
        (!self.old.is_empty()).then_some(self.look_at)
    }

    /// Old tables that are in nobody else's hands, and can be in nobody's any more: a swap counts
    /// everybody in who was about to take the table. Freeing them may take milliseconds.
    pub fn take_unused(&mut self, now: Instant) -> Vec<Arc<ZoneTable>> {
        if self.look_at > now {
            return Vec::new();
        }
        self.look_at = now + LOOK;
        self.old.extract_if(.., |table| Arc::strong_count(table) == 1).collect()
    }
}

fn claim(at: usize, entry: &Entry) -> Option<Claim> {
    let class = match entry.standing() {
        Standing::Nothing => return None,
        Standing::Unloaded => Class::Unloaded,
        _ if entry.missing.is_some() => Class::Leaving,
        Standing::Loaded(_) => Class::Loaded,
        Standing::CarvedOut => Class::CarvedOut,
    };
    Some((class == Class::Unloaded, at, class, entry.rank))
}

fn mark_shadowed(desks: &mut [Desk], winners: &Winners) -> Vec<(usize, ZoneId)> {
    let mut turned = Vec::new();
    for (at, desk) in desks.iter_mut().enumerate() {
        for (id, entry) in &mut desk.zones {
            let place = (at, id.clone());
            let served = matches!(entry.standing(), Standing::Loaded(_) | Standing::CarvedOut);
            let shadowed = served && !winners.contains(&place);
            if std::mem::replace(&mut entry.shadowed, shadowed) != shadowed {
                turned.push(place);
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use arc_swap::ArcSwap;

    use super::*;
    use crate::wire::NameRef;
    use crate::zone::{Zone, ZoneData, ZoneOptions};

    struct NoUpstreams;

    impl Upstreams for NoUpstreams {
        fn is_vpc_resolver(&self, _: NameRef<'_>) -> bool {
            false
        }

        fn forget(&self, _: &[(Name, Rtype)]) {}
    }

    #[test]
    fn a_table_is_freed_by_the_importer_however_long_a_worker_uses_it() {
        let data = ZoneData { apex: "z.test".parse().unwrap(), sets: Vec::new(), skipped: Vec::new() };
        let zone = Arc::new(Zone::build(&data, &ZoneOptions::default()).zone);
        let fate = Arc::downgrade(&zone);
        let first = ZoneTable::new(vec![(data.apex, Authority::Loaded(zone))]);
        let shared: SharedTable = Arc::new(ArcSwap::from_pointee(first));
        let metrics = Arc::new(ImportMetrics::register());
        let mut publisher = Publisher::new(Arc::clone(&shared), Arc::new(NoUpstreams), metrics);

        let (in_batch, begun) = mpsc::channel();
        let (end_batch, ending) = mpsc::channel::<()>();
        let worker = thread::spawn(move || {
            let table = shared.load();
            in_batch.send(()).unwrap();
            ending.recv().unwrap();
            assert_eq!(table.entries().len(), 1);
        });
        begun.recv().unwrap();
        let mut now = Instant::now();
        publisher.publish(&mut [], now);
        for _ in 0..1000 {
            now += LOOK;
            assert!(publisher.take_unused(now).is_empty(), "the worker is in its batch");
        }
        end_batch.send(()).unwrap();
        worker.join().unwrap();
        assert!(fate.upgrade().is_some(), "the worker let go of the table and freed nothing");
        assert_eq!(publisher.next_burial(), Some(now + LOOK));
        let unused = publisher.take_unused(now + LOOK);
        assert_eq!((unused.len(), publisher.next_burial()), (1, None));
        drop(unused);
        assert!(fate.upgrade().is_none());
    }
}
