//! What was known before: last-good zones on disk, and what the previous importer served.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;
use tracing::{info, warn};

use super::desk::Desk;
use super::entry::{Age, Served, chain};
use super::job::Skips;
use super::state::{Standing, StateFile};
use super::store::{self, LoadError};
use super::vitals::Vitals;
use crate::metrics::ZoneTally;
use crate::metrics::import::{ImportMetrics, StateProblem};
use crate::source::{Access, FoundZone, Origin, ZoneId};
use crate::wire::Name;
use crate::zone::{Region, Zone, ZoneData, ZoneOptions};

/// What an importer served when it stopped, for the one that takes over with other settings.
#[derive(Default)]
pub struct Kept {
    zones: Vec<KeptZone>,
    health: Vec<(&'static str, String, Vitals)>,
}

struct KeptZone {
    kind: &'static str,
    label: String,
    found: FoundZone,
    served: Served,
    calls: u32,
    tally: ZoneTally,
}

impl Kept {
    pub(super) fn of(desks: Vec<Desk>) -> Self {
        let mut kept = Self::default();
        for desk in desks {
            let (kind, label) = (desk.source.kind(), desk.source.label().to_owned());
            for entry in desk.zones.into_values() {
                if let Some(served) = entry.served {
                    let (found, calls, tally) = (entry.found, entry.calls, entry.tally);
                    kept.zones.push(KeptZone { kind, label: label.clone(), found, served, calls, tally });
                }
            }
            kept.health.push((kind, label, desk.vitals));
        }
        kept
    }

    /// Hands each zone, and what is known of health, to the desk of its source; what is of sources that
    /// are no more is dropped.
    pub(super) fn hand_over(self, desks: &mut [Desk]) {
        for (kind, label, vitals) in self.health {
            if let Some(desk) = desk_of(desks, kind, &label) {
                desk.vitals.inherit(vitals);
            }
        }
        for zone in self.zones {
            if let Some(desk) = desk_of(desks, zone.kind, &zone.label) {
                let served = Served { confirmed: false, written: None, ..zone.served };
                let id = zone.found.id.clone();
                desk.restore(zone.found, Some(served), false, zone.calls);
                if let Some(entry) = desk.zones.get_mut(&id) {
                    entry.tally = zone.tally;
                }
            }
        }
    }
}

fn desk_of<'d>(desks: &'d mut [Desk], kind: &str, label: &str) -> Option<&'d mut Desk> {
    desks.iter_mut().find(|desk| desk.source.kind() == kind && desk.source.label() == label)
}

/// A source that state files may belong to.
pub(super) struct Claimant {
    kind: &'static str,
    label: String,
    origin: Option<Origin>,
    known: BTreeSet<ZoneId>,
    options: Box<dyn Fn(&Name) -> ZoneOptions + Send>,
}

impl Claimant {
    pub fn of(desk: &Desk) -> Self {
        Self {
            kind: desk.source.kind(),
            label: desk.source.label().to_owned(),
            origin: desk.source.origin(),
            known: desk.zones.keys().cloned().collect(),
            options: Box::new(desk.options_finder()),
        }
    }
}

/// A zone read from its file and compiled.
pub(super) struct Restored {
    pub desk: usize,
    pub found: FoundZone,
    /// `None` for a zone that could not be read.
    pub served: Option<Served>,
    /// That was for want of a permission.
    pub denied: bool,
    pub calls: u32,
}

/// Why a file is not served.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("no source is configured that this zone comes from")]
    OtherSource,
    #[error("the zone belongs to account {:?} and VPC {:?}", .0.account, .0.vpc)]
    OtherOrigin(Origin),
}

impl Refusal {
    fn problem(&self) -> StateProblem {
        match self {
            Self::Load(LoadError::Io(_)) => StateProblem::Unreadable,
            Self::Load(_) => StateProblem::Damaged,
            Self::OtherSource | Self::OtherOrigin(_) => StateProblem::Foreign,
        }
    }
}

/// Reads and compiles every state file that one of `claimants` owns, one file in memory at a time.
/// Files that are not served are named in the log, counted, and left as they are. With the zones
/// comes what the last of them was compiled from: freeing it can wait until they are published.
pub(super) fn load(
    dir: &Path,
    claimants: &[Claimant],
    metrics: &ImportMetrics,
    (now, wall): (Instant, SystemTime),
) -> (Vec<Restored>, Option<ZoneData>) {
    let files = store::list(dir).unwrap_or_else(|error| {
        warn!(dir = %dir.display(), %error, "directory of last good zones cannot be read");
        metrics.state_error(StateProblem::Unreadable);
        Vec::new()
    });
    let (mut restored, mut spent) = (Vec::new(), None);
    for path in files {
        match restore(&path, claimants, now, wall) {
            Ok(None) => {}
            Ok(Some((zone, data))) => {
                restored.push(zone);
                spent = Some(data);
            }
            Err(refusal) => refuse(&path, &refusal, metrics),
        }
    }
    if !restored.is_empty() {
        info!(zones = restored.len(), "last good zones loaded");
    }
    (restored, spent)
}

fn refuse(path: &Path, refusal: &Refusal, metrics: &ImportMetrics) {
    metrics.state_error(refusal.problem());
    warn!(file = %path.display(), error = %chain(refusal), "last good zone is not served");
}

/// `None` for a zone that is known from a fresher place.
fn restore(
    path: &Path,
    claimants: &[Claimant],
    now: Instant,
    wall: SystemTime,
) -> Result<Option<(Restored, ZoneData)>, Refusal> {
    let file = store::read(path)?;
    let owner = claimants.iter().position(|c| c.kind == file.kind && c.label == file.label);
    let Some((desk, claimant)) = owner.and_then(|at| Some((at, claimants.get(at)?))) else {
        return Err(Refusal::OtherSource);
    };
    if claimant.known.contains(&file.id) {
        return Ok(None);
    }
    // An origin that is not known yet is compared as soon as it is.
    let agrees = |ours: &Origin| file.origin.as_ref().is_some_and(|theirs| theirs.agrees_with(ours));
    if claimant.origin.as_ref().is_some_and(|ours| !agrees(ours)) {
        return Err(Refusal::OtherOrigin(file.origin.unwrap_or_default()));
    }
    let options = (claimant.options)(&file.data.apex);
    // The source may know where it is only when it has been asked.
    let region = options.region.or_else(|| file.region.as_deref().and_then(Region::find));
    let options = ZoneOptions { region, ..options };
    let (access, denied) = match &file.standing {
        Standing::Records => (Access::Readable, false),
        Standing::Denied(_) => (Access::Readable, true),
        Standing::CarvedOut(why) => (Access::CarvedOut(why.clone()), false),
    };
    let has_records = file.standing == Standing::Records;
    let age = Age { base: file.age(wall), since: now };
    let StateFile { origin, id, calls, data, .. } = file;
    let built = Zone::build(&data, &options);
    let served = Served {
        zone: Arc::new(built.zone),
        age,
        skips: Skips::new(built.skipped),
        origin,
        from_state: true,
        confirmed: false,
        planned: Arc::default(),
        written: None,
    };
    let found = FoundZone { id, apex: data.apex.clone(), access, records: None };
    let served = has_records.then_some(served);
    Ok(Some((Restored { desk, found, served, denied, calls }, data)))
}
