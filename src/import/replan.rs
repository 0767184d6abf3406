//! Choices worked out anew when health changes, the zones they are in staying as they are.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::desk::{Desk, Effects};
use super::run::Importer;
use crate::metrics::health::Census;
use crate::source::ZoneId;
use crate::sys;
use crate::zone::{Health, Subject, Zone};

/// No version of health: what was worked out for it is worked out again.
pub(super) const UNPLANNED: u64 = u64::MAX;

/// Zones whose choices are out of date.
pub(super) struct Replan {
    health: Arc<Health>,
    version: u64,
    zones: Vec<Outdated>,
}

struct Outdated {
    id: ZoneId,
    zone: Arc<Zone>,
    /// What has changed since; `None` for anything.
    changed: Option<Arc<HashSet<Subject>>>,
}

/// What came of it.
pub(super) struct Replanned {
    version: u64,
    zones: Vec<(Outdated, Option<Renewed>)>,
}

/// A zone with other choices, and how many they are.
struct Renewed {
    zone: Arc<Zone>,
    choices: usize,
}

impl Replan {
    /// Works the choices out, which may take milliseconds.
    pub fn work(self) -> Replanned {
        let Self { health, version, zones } = self;
        let replan = |outdated: Outdated| {
            let everything = || outdated.zone.subjects().iter().cloned().collect();
            let changed = outdated.changed.clone().unwrap_or_else(|| Arc::new(everything()));
            let replanned = outdated.zone.replanned(&health, &changed);
            (outdated, replanned.map(|(zone, choices)| Renewed { zone: Arc::new(zone), choices }))
        };
        // Without a thread of its own it is done on this one.
        let all = |zones: Vec<Outdated>| zones.into_iter().map(replan).collect();
        Replanned { version, zones: sys::in_background(|| all(zones)).unwrap_or_default() }
    }
}

impl Desk {
    /// The zones whose choices are out of date, unless some are being worked out.
    pub fn next_replan(&mut self) -> Option<Replan> {
        if self.replanning {
            return None;
        }
        let (health, version) = self.vitals.health();
        let mut zones = Vec::new();
        for (id, entry) in &mut self.zones {
            let Some(served) = entry.served.as_mut().filter(|served| served.planned != version) else {
                continue;
            };
            if served.zone.subjects().is_empty() {
                served.planned = version;
                continue;
            }
            let changed = self.vitals.changed_since(served.planned);
            zones.push(Outdated { id: id.clone(), zone: Arc::clone(&served.zone), changed });
        }
        self.replanning = !zones.is_empty();
        self.replanning.then_some(Replan { health, version, zones })
    }

    /// Takes choices worked out anew; `None` where that did not come to an end. Of a zone that was
    /// imported meanwhile they come to nothing.
    pub fn replanned(&mut self, replanned: Option<Replanned>) -> Effects {
        self.replanning = false;
        let mut effects = Effects::default();
        let Some(Replanned { version, zones }) = replanned else {
            // What cannot be worked out now could not be a moment later.
            let (_, version) = self.vitals.health();
            let served = self.zones.values_mut().filter_map(|entry| entry.served.as_mut());
            served.for_each(|served| served.planned = version);
            return effects;
        };
        for (outdated, new) in zones {
            let served = self.zones.get_mut(&outdated.id).and_then(|entry| entry.served.as_mut());
            let Some(served) = served.filter(|served| Arc::ptr_eq(&served.zone, &outdated.zone)) else {
                continue;
            };
            served.planned = version;
            if let Some(Renewed { zone, choices }) = new {
                debug!(zone = %zone.apex(), choices, "choices worked out anew");
                self.metrics.health.replanned.increment(choices as u64);
                served.zone = zone;
                effects.publish = true;
                effects.touched.insert(outdated.id);
            }
        }
        effects
    }

    /// Follows the health that the zones' choices hang on, and no other.
    pub fn follow_health(&mut self, now: Instant) {
        let served = self.zones.values().filter_map(|entry| entry.served.as_ref());
        let used: BTreeSet<Subject> = served.flat_map(|served| served.zone.subjects()).cloned().collect();
        self.vitals.follow(used, now);
    }
}

impl Importer {
    /// Starts what is due of looks, probes and plans.
    pub(super) fn start_health(&mut self, now: Instant) {
        if !self.looks_at_health {
            return;
        }
        let mut census = Census::default();
        for (at, desk) in self.desks.iter_mut().enumerate() {
            desk.vitals.settle(&self.metrics.health, now);
            if let Some(checks) = desk.vitals.next_look(now) {
                self.crew.look(at, Arc::clone(&desk.source), checks);
            }
            while let Some(round) = desk.vitals.next_probes(now) {
                self.crew.probe(at, round);
            }
            if let Some(replan) = desk.next_replan() {
                self.crew.replan(at, replan);
            }
            desk.vitals.count(&mut census);
        }
        self.metrics.health.show(&census);
    }
}
