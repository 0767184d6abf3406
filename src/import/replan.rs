//! Choices worked out anew when health changes, the zones they are in staying as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::desk::{Desk, Effects};
use super::run::Importer;
use crate::metrics::health::Census;
use crate::source::ZoneId;
use crate::sys;
use crate::zone::{Health, Subject, Zone};

/// Zones whose choices are out of date.
pub(super) struct Replan {
    health: Arc<Health>,
    zones: Vec<(ZoneId, Arc<Zone>)>,
}

/// What came of it.
pub(super) struct Replanned {
    health: Arc<Health>,
    zones: Vec<Renewed>,
}

/// A zone with other choices, and how many they are.
struct Renewed {
    id: ZoneId,
    old: Arc<Zone>,
    new: Arc<Zone>,
    choices: usize,
}

impl Replan {
    /// Works the choices out, which may take milliseconds.
    pub fn work(self) -> Replanned {
        let Self { health, zones } = self;
        let all = || zones.iter().map(|(id, zone)| renew(id, zone, &health)).collect();
        // Where no thread is left for it, it is done on this one.
        let zones = sys::in_background(all).unwrap_or_else(|_| all());
        Replanned { health, zones }
    }
}

fn renew(id: &ZoneId, old: &Arc<Zone>, health: &Arc<Health>) -> Renewed {
    let (zone, choices) = old.replanned(health);
    Renewed { id: id.clone(), old: Arc::clone(old), new: Arc::new(zone), choices }
}

impl Desk {
    /// The zones whose choices are out of date, unless some are being worked out.
    pub fn next_replan(&mut self) -> Option<Replan> {
        if self.replanning {
            return None;
        }
        let health = self.vitals.health();
        let mut zones = Vec::new();
        for (id, entry) in &mut self.zones {
            let Some(served) = entry.served.as_mut() else { continue };
            if Arc::ptr_eq(&served.planned, &health) {
                continue;
            }
            if served.zone.is_planned_for(&health) {
                served.planned = Arc::clone(&health);
            } else {
                zones.push((id.clone(), Arc::clone(&served.zone)));
            }
        }
        self.replanning = !zones.is_empty();
        self.replanning.then_some(Replan { health, zones })
    }

    /// Takes choices worked out anew; `None` where that did not come to an end. Of a zone that was
    /// imported meanwhile they come to nothing.
    pub fn replanned(&mut self, replanned: Option<Replanned>) -> Effects {
        self.replanning = false;
        let mut effects = Effects::default();
        let Some(Replanned { health, zones }) = replanned else {
            // What cannot be worked out now could not be a moment later.
            let health = self.vitals.health();
            let served = self.zones.values_mut().filter_map(|entry| entry.served.as_mut());
            served.for_each(|served| served.planned = Arc::clone(&health));
            return effects;
        };
        for Renewed { id, old, new, choices } in zones {
            let served = self.zones.get_mut(&id).and_then(|entry| entry.served.as_mut());
            let Some(served) = served.filter(|served| Arc::ptr_eq(&served.zone, &old)) else { continue };
            debug!(zone = %new.apex(), choices, "choices worked out anew");
            self.metrics.health.replanned.increment(choices as u64);
            (served.zone, served.planned) = (new, Arc::clone(&health));
            effects.publish = true;
            effects.touched.insert(id);
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
