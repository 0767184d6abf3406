//! Every source once, with nothing served and nothing written: what an import would do.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::desk::Desk;
use super::diff::{Change, Diff};
use super::entry::Served;
use super::run::Importer;
use super::status::{SourceStatus, ZoneState, ZoneStatus};
use crate::source::ZoneId;
use crate::zone::Zone;

/// Changes that are named of one zone.
const MAX_NAMED: usize = 1000;

/// What came of asking every source once.
pub struct Rehearsal {
    /// Every source, in the order of the configuration.
    pub sources: Vec<SourceStatus>,
    /// Every zone, by source.
    pub zones: Vec<Rehearsed>,
    /// Last-good zones that their sources no longer have.
    pub vanished: Vec<Vanished>,
    /// Some were not finished when the time was up.
    pub is_cut: bool,
}

/// A last-good zone that its source, which could be asked, did not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// Its name.
    pub zone: String,
    /// The kind of its source.
    pub kind: &'static str,
    /// The label of its source.
    pub source: String,
    /// Its id within the source.
    pub id: String,
}

/// One zone, as it would be served.
pub struct Rehearsed {
    /// As in a listing; `unloaded` for one that could not be imported.
    pub status: ZoneStatus,
    /// What would be served; `None` where nothing could be imported.
    pub zone: Option<Arc<Zone>>,
    /// What is kept of an earlier import, and how old that is.
    pub last_good: Option<(Arc<Zone>, Duration)>,
    /// Against what is kept, where there is both.
    pub changes: Option<Changes>,
}

/// What an import would change of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// RRsets that would come.
    pub added: usize,
    /// RRsets that would go.
    pub removed: usize,
    /// RRsets that would be others.
    pub changed: usize,
    /// The first thousand of them.
    pub named: Vec<Change>,
    /// So much would go that a second import would have to confirm it.
    pub would_be_held: bool,
}

impl Importer {
    /// Asks every source once, for `limit` at most in all, and says what would be served and what that would change
    /// of the last-good zones. State files are read, none is written.
    pub async fn rehearse(mut self, limit: Duration) -> Rehearsal {
        self.load_last_good().await;
        // What was restored is compared with, and not mixed in: a zone that cannot be imported has nothing.
        let mut kept: BTreeMap<(usize, ZoneId), Served> = BTreeMap::new();
        for (at, desk) in self.desks.iter_mut().enumerate() {
            for (id, entry) in &mut desk.zones {
                kept.extend(entry.served.take().map(|served| ((at, id.clone()), served)));
            }
        }
        let is_cut = !self.settle(limit).await;
        let now = Instant::now();
        let mut zones = Vec::new();
        for (at, desk) in self.desks.iter().enumerate() {
            let statuses = self.board.of_source(at);
            for status in statuses {
                let id = ZoneId(status.id.as_str().into());
                let zone =
                    desk.zones.get(&id).and_then(|entry| entry.served.as_ref()).map(|s| Arc::clone(&s.zone));
                // Data of another account or VPC, or of a zone that had this id before, says nothing of this one.
                let is_its_own =
                    |s: &Served| is_of(desk, &status.id, s) && s.zone.apex().to_string() == status.zone;
                let kept = match kept.entry((at, id)) {
                    Entry::Occupied(entry) if is_its_own(entry.get()) => Some(entry.remove()),
                    _ => None,
                };
                let last_good = kept.map(|served| (served.zone, served.age.at(now)));
                let changes = zone.as_ref().zip(last_good.as_ref()).map(|(new, (old, _))| changes(old, new));
                zones.push(Rehearsed { status, zone, last_good, changes });
            }
        }
        let vanished = kept.into_iter().filter_map(|((at, id), served)| self.vanished(at, &id, &served));
        Rehearsal { sources: self.board.sources(), zones, vanished: vanished.collect(), is_cut }
    }

    fn vanished(&self, at: usize, id: &ZoneId, served: &Served) -> Option<Vanished> {
        let desk = self.desks.get(at).filter(|desk| desk.discovery.rounds > 0)?;
        let (kind, source) = (desk.source.kind(), desk.source.label().to_owned());
        // Of an account that could not be listed nothing is known.
        let owner = served.origin.as_ref().map(|origin| origin.account.as_str()).unwrap_or_default();
        let is_seen = !desk.source.unseen().iter().any(|account| account == owner);
        (is_seen && is_of(desk, &id.0, served)).then(|| Vanished {
            zone: served.zone.apex().to_string(),
            kind,
            source,
            id: id.to_string(),
        })
    }

    /// Imports until every source has been asked once; whether that was within `limit`. Nothing is written to
    /// disk, and nobody is asked for health.
    pub async fn settle(&mut self, limit: Duration) -> bool {
        self.load_last_good().await;
        (self.store, self.looks_at_health) = (None, false);
        let deadline = Instant::now() + limit;
        while !self.desks.iter().all(|desk| desk.is_settled()) {
            if timeout_at(deadline, self.turn()).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Whether data from disk belongs to the account and VPC that a zone of this source does.
fn is_of(desk: &Desk, id: &str, served: &Served) -> bool {
    let ours = desk.source.origin_of(&ZoneId(id.into())).or_else(|| desk.source.origin());
    match (&ours, &served.origin) {
        (Some(ours), Some(theirs)) => ours.agrees_with(theirs),
        (ours, theirs) => ours == theirs,
    }
}

fn changes(old: &Zone, new: &Zone) -> Changes {
    let diff = Diff::between(old, new);
    Changes {
        added: diff.added,
        removed: diff.removed,
        changed: diff.changed,
        named: Diff::changes(old, new).take(MAX_NAMED).collect(),
        would_be_held: diff.is_sharp_shrink(),
    }
}

impl Rehearsed {
    /// Whether it is neither served nor rightly left to others.
    pub fn has_failed(&self) -> bool {
        self.zone.is_none() && self.status.state != ZoneState::CarvedOut
    }
}
