//! What a source's listings of its zones, and their failures, mean for its desk.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::desk::{Desk, Effects};
use super::entry::{Absence, Entry, Standing, chain, kind_of};
use super::pace::{backoff, jitter};
use crate::metrics::import::FailureKind;
use crate::source::{Access, FoundZone, SourceError, ZoneId, ZoneSource};
use crate::wire::Name;

/// No source has more zones than this; the rest are not imported.
const MAX_ZONES: usize = 10_000;

/// Where the listing of zones stands.
#[derive(Debug)]
pub(super) struct Discovery {
    pub due: Instant,
    pub running: bool,
    /// Asked for again while running.
    pub again: bool,
    /// That next one begins no sooner; `None` for at once.
    again_at: Option<Instant>,
    /// When the last one that a hint asked for began, or is to begin.
    pub hinted: Option<Instant>,
    /// How many have gone well.
    pub rounds: u64,
    pub failures: u32,
    pub error: Option<String>,
    /// Not before this, at the source's own wish.
    not_before: Option<Instant>,
    warned: Option<FailureKind>,
    full: bool,
}

impl Discovery {
    /// None yet, the first at `due`.
    pub fn due(due: Instant) -> Self {
        Self {
            due,
            running: false,
            again: false,
            again_at: None,
            hinted: None,
            rounds: 0,
            failures: 0,
            error: None,
            not_before: None,
            warned: None,
            full: false,
        }
    }
}

impl Desk {
    /// Takes a listing of the source's zones.
    pub fn discovered(&mut self, found: Vec<FoundZone>, now: Instant) -> Effects {
        let mut effects = Effects { publish: self.discovery.rounds == 0, ..Effects::default() };
        let unseen = self.source.unseen();
        self.discovery.rounds += 1;
        (self.discovery.failures, self.discovery.error, self.discovery.not_before) = (0, None, None);
        if self.discovery.warned.take().is_some() {
            info!(source = self.source.label(), "discovery works again");
        }
        let mut listed = BTreeSet::new();
        for (position, zone) in found.into_iter().enumerate() {
            if listed.insert(zone.id.clone()) {
                self.list(zone, position, now, &mut effects);
            }
        }
        effects.publish |= self.strike_expected(&listed, unseen.is_empty());
        self.miss(&listed, &unseen, now, &mut effects);
        self.drop_replaced(&mut effects);
        self.recount();
        self.pace.went_well(now, self.calls());
        self.next_discovery(now, jitter(self.effective(), 0.95, 1.05));
        effects
    }

    /// Takes one listed zone: a new one is imported at once.
    pub fn list(&mut self, found: FoundZone, position: usize, now: Instant, effects: &mut Effects) {
        let id = found.id.clone();
        if self.zones.get(&id).is_some_and(|known| known.found.apex != found.apex) {
            self.remove(&id, "now has another name", effects);
        }
        if !self.zones.contains_key(&id) {
            if self.zones.len() >= MAX_ZONES {
                return self.refuse_more();
            }
            let rank = (Reverse(self.discovery.rounds), position);
            let mut entry = Entry::new(found.clone(), rank, self.next_generation());
            if let Some(asked) = self.expected().get(&found.apex) {
                entry.asked = asked.clone();
            }
            info!(source = self.source.label(), zone = %found.apex, %id, "zone found");
            warn_if_carved(&entry.found);
            if !entry.is_readable() {
                effects.unread.push(id.clone());
            }
            self.zones.insert(id.clone(), entry);
            effects.publish = true;
            effects.touched.insert(id.clone());
        }
        let first_round = self.discovery.rounds == 1;
        let Some(entry) = self.zones.get_mut(&id) else { return };
        if first_round && entry.rank.0 == Reverse(0) {
            // Restored zones take the place they are listed at.
            entry.rank = (Reverse(1), position);
        }
        if entry.missing.take().is_some() {
            info!(zone = %entry.found.apex, %id, "zone is listed again");
            effects.publish = true;
            effects.touched.insert(id.clone());
        }
        // Another number of record sets is a change; the same number says nothing.
        let (before, count) = (entry.found.records, found.records);
        let is_recounted = before.is_some() && count.is_some() && before != count;
        entry.found.records = count.or(before);
        if entry.found.access != found.access {
            let readable = (entry.is_readable(), found.access == Access::Readable);
            entry.found = found;
            if readable == (true, false) {
                warn_if_carved(&entry.found);
                (entry.served, entry.held, entry.denied) = (None, false, false);
                effects.unread.push(id.clone());
                self.schedule.remove(&id);
            }
            effects.publish = true;
            effects.touched.insert(id.clone());
        }
        let Some(entry) = self.zones.get(&id) else { return };
        if entry.is_readable() && !entry.running && self.schedule.due(&id).is_none() {
            self.schedule.set(&id, now);
        } else if is_recounted {
            debug!(zone = %entry.found.apex, %id, ?before, ?count, "its number of record sets has changed");
            self.hurry(&id, now);
        }
    }

    fn refuse_more(&mut self) {
        if !std::mem::replace(&mut self.discovery.full, true) {
            error!(
                source = self.source.label(),
                limit = MAX_ZONES,
                "too many zones, the rest is not imported"
            );
        }
    }

    /// Zones that were not listed: those that never loaded go at once, the others after a grace. Those
    /// of accounts that could not be seen stay as they are.
    fn miss(&mut self, listed: &BTreeSet<ZoneId>, unseen: &[String], now: Instant, effects: &mut Effects) {
        let interval = self.effective();
        let mut over = Vec::new();
        for (id, entry) in self.zones.iter_mut().filter(|(id, _)| !listed.contains(*id)) {
            if !unseen.is_empty() && unseen.contains(&account_of(id, entry, &*self.source)) {
                // Nobody is to wait for it.
                entry.tried = true;
                continue;
            }
            let is_first = entry.missing.is_none();
            let absence = Absence::note(&mut entry.missing, now);
            let worthless = matches!(entry.standing(), Standing::Unloaded | Standing::Nothing);
            if worthless || absence.is_believed(now, interval) {
                over.push(id.clone());
            } else if is_first {
                info!(zone = %entry.found.apex, %id, "zone is no longer listed, kept for now");
                effects.publish = true;
            }
            effects.touched.insert(id.clone());
        }
        for id in over {
            self.remove(&id, "no longer listed", effects);
        }
    }

    /// Zones no longer listed go at once where another of the same name has come in their place.
    pub fn drop_replaced(&mut self, effects: &mut Effects) {
        if self.zones.values().all(|z| z.missing.is_none()) {
            return;
        }
        let settled: BTreeSet<&Name> =
            self.zones.values().filter(|z| z.is_settled()).map(|z| &z.found.apex).collect();
        let replaced: Vec<ZoneId> = self
            .zones
            .iter()
            .filter(|(_, z)| z.missing.is_some() && settled.contains(&z.found.apex))
            .map(|(id, _)| id.clone())
            .collect();
        for id in replaced {
            self.remove(&id, "replaced by another of the same name", effects);
        }
    }

    /// Takes a failed discovery: everything stays.
    pub fn discovery_failed(&mut self, failure: &SourceError, now: Instant) {
        let kind = kind_of(failure);
        let discovery = &mut self.discovery;
        discovery.failures = discovery.failures.saturating_add(1);
        let text = chain(failure);
        let source = self.source.label();
        if discovery.warned != Some(kind) {
            match kind {
                FailureKind::Misconfigured | FailureKind::Denied => {
                    error!(source, error = %text, "zones cannot be listed, those known stay")
                }
                _ => warn!(source, error = %text, "zones were not listed, those known stay"),
            }
        } else {
            debug!(source, error = %text, "zones were not listed again");
        }
        discovery.warned = Some(kind);
        discovery.error = Some(text);
        let mut wait = backoff(discovery.failures);
        if let SourceError::Throttled { retry_after, .. } = failure {
            wait = wait.max(*retry_after).min(Duration::from_secs(3600));
            discovery.not_before = Some(now + wait);
            self.pace.throttled(now, self.calls());
        }
        self.next_discovery(now, wait);
    }

    fn next_discovery(&mut self, now: Instant, wait: Duration) {
        let again_at = self.discovery.again_at.take().map_or(Duration::ZERO, |at| at - now);
        let wait = if std::mem::take(&mut self.discovery.again) { again_at.min(wait) } else { wait };
        self.discovery.due = (now + wait).max(self.discovery.not_before.unwrap_or(now));
    }

    /// Discovers as soon as the source allows.
    pub fn rediscover(&mut self, now: Instant) {
        self.rediscover_at(now, now);
    }

    /// Discovers as soon after `at` as the source allows.
    pub fn rediscover_at(&mut self, at: Instant, now: Instant) {
        if self.discovery.running {
            if at <= now {
                (self.discovery.again, self.discovery.again_at) = (true, None);
            } else if !self.discovery.again {
                (self.discovery.again, self.discovery.again_at) = (true, Some(at));
            }
        } else {
            let earliest = self.discovery.not_before.map_or(at, |bound| bound.max(at));
            self.discovery.due = self.discovery.due.min(earliest);
        }
    }
}

/// The account that a zone belongs to: what its data says, else its source.
fn account_of(id: &ZoneId, entry: &Entry, source: &dyn ZoneSource) -> String {
    let of_data = entry.served.as_ref().and_then(|served| served.origin.clone());
    of_data.or_else(|| source.origin_of(id)).map(|origin| origin.account).unwrap_or_default()
}

fn warn_if_carved(found: &FoundZone) {
    if let Access::CarvedOut(why) = &found.access {
        warn!(zone = %found.apex, id = %found.id, why, "names of this zone are not answered here but forwarded");
    }
}
