//! One import of one zone: fetch, compile, compare, encode. Runs beside the importer and touches
//! nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::diff::Diff;
use super::state::{self, MAX_SKIPPED, StateError, StateFile};
use crate::clock::Clock;
use crate::source::{Fetched, FoundZone, Progress, SourceError, ZoneSource};
use crate::sys;
use crate::zone::{Health, SkipReason, Skipped, Zone, ZoneData, ZoneOptions};

/// The memory that came and went with a zone of as many RRsets is given back to the kernel.
pub(super) const LARGE: usize = 10_000;

/// Everything an import needs.
pub(super) struct Job {
    pub source: Arc<dyn ZoneSource>,
    pub found: FoundZone,
    pub progress: Progress,
    /// Content that was pushed and need not be fetched.
    pub pushed: Option<Fetched>,
    /// After this long the fetch counts as failed; its progress is kept.
    pub limit: Duration,
    pub way: Way,
}

/// How a fetched zone is compiled.
pub(super) struct Way {
    pub options: ZoneOptions,
    /// What is served now.
    pub previous: Option<Arc<Zone>>,
    pub file: FileWish,
    /// The health that its choices are worked out for.
    pub health: Arc<Health>,
    pub clock: Clock,
}

/// Whether the zone's state file is to be written after this import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileWish {
    /// No state is kept.
    Never,
    /// Its age on disk is still about right.
    IfChanged,
    /// Its age on disk is too far off.
    Always,
}

/// How an import went.
pub(super) struct JobDone {
    pub progress: Progress,
    pub took: Duration,
    pub result: Result<Imported, SourceError>,
}

/// A zone ready to be published.
pub(super) struct Imported {
    pub zone: Arc<Zone>,
    /// Against what was served when the import began; `None` when nothing was.
    pub diff: Option<Diff>,
    pub skips: Skips,
    pub calls: u32,
    /// The health that its choices were worked out for.
    pub planned: Arc<Health>,
    /// The content of its state file, where one is to be written.
    pub file: Option<Result<Vec<u8>, StateError>>,
    /// What the zone was compiled from: it takes milliseconds to free, after the zone is published.
    pub spent: Option<ZoneData>,
}

/// What is not served of a zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Skips {
    /// The first [`MAX_SKIPPED`], those that are forwarded included.
    pub first: Arc<[Skipped]>,
    /// How many are faults of the source.
    pub total: usize,
    pub by_reason: BTreeMap<SkipReason, usize>,
}

impl Skips {
    pub fn new(mut all: Vec<Skipped>) -> Self {
        let mut by_reason = BTreeMap::new();
        for skipped in all.iter().filter(|skipped| skipped.reason.is_fault()) {
            *by_reason.entry(skipped.reason).or_default() += 1;
        }
        let total = by_reason.values().sum();
        all.truncate(MAX_SKIPPED);
        Self { first: all.into(), total, by_reason }
    }
}

/// Runs `job` to its end. Compiling happens in the background: a large zone takes milliseconds.
pub(super) async fn run(job: Job) -> JobDone {
    let Job { source, found, mut progress, pushed, limit, way } = job;
    let started = Instant::now();
    let fetched = match pushed {
        Some(fetched) => Ok(fetched),
        None => match timeout(limit, source.fetch(&found, &mut progress)).await {
            Ok(result) => result,
            Err(elapsed) => Err(failed(&found, Box::new(elapsed))),
        },
    };
    let took = started.elapsed();
    let result = match fetched {
        Ok(fetched) if fetched.data.apex != found.apex => Err(SourceError::Damaged {
            what: what(&found),
            problem: format!("the data is of zone {}", fetched.data.apex),
        }),
        Ok(fetched) => {
            let name = what(&found);
            let work = move || way.compile(&*source, found, fetched);
            match tokio::task::spawn_blocking(|| sys::in_background(work)).await {
                Ok(Ok(imported)) => Ok(imported),
                Ok(Err(e)) => Err(SourceError::Failed { what: name, source: Box::new(e) }),
                Err(e) => Err(SourceError::Failed { what: name, source: Box::new(e) }),
            }
        }
        Err(error) => Err(error),
    };
    JobDone { progress, took, result }
}

fn what(found: &FoundZone) -> String {
    format!("import of zone {} ({})", found.apex, found.id)
}

fn failed(found: &FoundZone, source: crate::source::BoxError) -> SourceError {
    SourceError::Failed { what: what(found), source }
}

impl Way {
    fn compile(self, source: &dyn ZoneSource, found: FoundZone, fetched: Fetched) -> Imported {
        let Fetched { data, calls } = fetched;
        let planned = self.health;
        let built = Zone::build_for(&data, &self.options, &planned);
        let diff = self.previous.map(|old| Diff::between(&old, &built.zone));
        let changed = diff.as_ref().is_none_or(|d| !d.is_empty());
        let state = StateFile {
            kind: source.kind().to_owned(),
            label: source.label().to_owned(),
            origin: source.origin_of(&found.id),
            id: found.id,
            fetched_at: state::millis_since_1970(self.clock.wall()),
            calls,
            region: source.region(),
            standing: state::Standing::Records,
            data,
        };
        let is_written = self.file == FileWish::Always || (self.file == FileWish::IfChanged && changed);
        let file = is_written.then(|| state::encode_state(&state));
        Imported {
            zone: Arc::new(built.zone),
            diff,
            skips: Skips::new(built.skipped),
            calls,
            planned,
            file,
            spent: Some(state.data),
        }
    }
}
