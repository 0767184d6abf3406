//! What the importer knows of one zone of one source.

use std::cmp::Reverse;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::job::{Imported, Skips};
use super::pace::{backoff, jitter};
use crate::metrics::ZoneTally;
use crate::metrics::import::FailureKind;
use crate::source::{Access, Fetched, FoundZone, Origin, Progress, SourceError};
use crate::zone::{Asked, Health, Zone};

/// Pages older than this (or than the effective refresh, if that is longer) are not resumed from.
const MAX_PROGRESS_AGE: Duration = Duration::from_secs(300);
/// A zone must be missing this many times in a row before it is removed.
const MISSES: u32 = 3;
/// An error text is cut here.
const MAX_ERROR: usize = 500;

/// Order among the zones of one source that have the same apex: found later goes first, of those
/// found together the one listed first.
pub(super) type Rank = (Reverse<u64>, usize);

/// One zone of one source.
pub(super) struct Entry {
    pub found: FoundZone,
    /// How often its names were asked for in vain.
    pub asked: Asked,
    pub rank: Rank,
    /// Tells this entry from an earlier one of the same id whose import still runs.
    pub generation: u64,
    pub served: Option<Served>,
    pub denied: bool,
    /// Not among the zones discovered lately.
    pub missing: Option<Absence>,
    /// The source says that it does not exist.
    pub gone: Option<Absence>,
    /// The last import shrank sharply and waits for the next to confirm it.
    pub held: bool,
    /// Another zone of the same apex is served in its place.
    pub shadowed: bool,
    pub running: bool,
    /// Changed while an import was running: that import may have missed it.
    pub again: bool,
    /// That next import begins no sooner; `None` for at once.
    pub again_at: Option<Instant>,
    /// When the last import that a hint asked for began, or is to begin.
    pub hinted: Option<Instant>,
    pub pushed: Option<Fetched>,
    /// Since when somebody says that it has changed, while that has not been looked into.
    pub said_changed: Option<Instant>,
    /// What its imports came to.
    pub tally: ZoneTally,
    /// The source asked not to be called for this zone before.
    pub not_before: Option<Instant>,
    /// Calls that a full fetch takes.
    pub calls: u32,
    /// An import has ended, well or not.
    pub tried: bool,
    pub failures: u32,
    pub error: Option<String>,
    warned: u8,
    resume: Option<(Progress, Instant)>,
}

/// A zone's published content.
#[derive(Clone)]
pub(super) struct Served {
    pub zone: Arc<Zone>,
    pub age: Age,
    pub skips: Skips,
    /// What the data belongs to.
    pub origin: Option<Origin>,
    /// It is what a state file said, not yet confirmed by the source.
    pub from_state: bool,
    /// Imported by this importer, so of the right origin and compiled under the present options.
    pub confirmed: bool,
    /// The health that its choices are right for.
    pub planned: Arc<Health>,
    /// When its file was last written by this process.
    pub written: Option<Instant>,
}

/// A time span that began, in part, before this process did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub base: Duration,
    pub since: Instant,
}

impl Age {
    pub fn zero(now: Instant) -> Self {
        Self { base: Duration::ZERO, since: now }
    }

    pub fn at(self, now: Instant) -> Duration {
        self.base.saturating_add(now.saturating_duration_since(self.since))
    }
}

/// How often in a row, and since when, a zone has been missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    times: u32,
    since: Instant,
}

impl Absence {
    /// One more miss.
    pub fn note(slot: &mut Option<Self>, now: Instant) -> Self {
        let noted = slot.get_or_insert(Self { times: 0, since: now });
        noted.times = noted.times.saturating_add(1);
        *noted
    }

    /// Whether that is enough to believe it: three misses spread over at least one and a half
    /// intervals, so that a burst of pushed hints does not count as three looks.
    pub fn is_believed(self, now: Instant, interval: Duration) -> bool {
        self.times >= MISSES && now.saturating_duration_since(self.since) >= interval.mul_f64(1.5)
    }
}

/// What a zone is to the zone table.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Loaded(Arc<Zone>),
    CarvedOut,
    Unloaded,
    /// It does not exist.
    Nothing,
}

/// What became of an import that went well.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new to the table, or its content changed.
    Publish,
    /// What is published is still right.
    Unchanged,
    /// It waits for a confirming import.
    Hold,
}

impl Entry {
    pub fn new(found: FoundZone, rank: Rank, generation: u64) -> Self {
        Self {
            found,
            asked: Asked::default(),
            rank,
            generation,
            served: None,
            denied: false,
            missing: None,
            gone: None,
            held: false,
            shadowed: false,
            running: false,
            again: false,
            again_at: None,
            hinted: None,
            pushed: None,
            said_changed: None,
            tally: ZoneTally::default(),
            not_before: None,
            calls: 0,
            tried: false,
            failures: 0,
            error: None,
            warned: 0,
            resume: None,
        }
    }

    pub fn is_readable(&self) -> bool {
        self.found.access == Access::Readable
    }

    /// How much its import is waited for: nothing is, once it has been loaded.
    pub fn urgency(&self) -> u64 {
        if matches!(self.standing(), Standing::Unloaded) { self.asked.get() } else { 0 }
    }

    pub fn standing(&self) -> Standing {
        match &self.served {
            _ if !self.is_readable() => Standing::CarvedOut,
            Some(served) => Standing::Loaded(Arc::clone(&served.zone)),
            None if self.denied => Standing::CarvedOut,
            None if self.gone.is_some() => Standing::Nothing,
            None => Standing::Unloaded,
        }
    }

    /// Whether the source's word on this zone is final for now: nothing older may stand in its place.
    pub fn is_settled(&self) -> bool {
        self.missing.is_none() && matches!(self.standing(), Standing::Loaded(_) | Standing::CarvedOut)
    }

    /// Takes over the pages fetched so far; old ones are dropped, since pages of one listing must
    /// not lie too far apart. A change between two pages is set right by the next import.
    pub fn take_progress(&mut self, now: Instant, effective: Duration) -> (Progress, Instant) {
        let limit = effective.max(MAX_PROGRESS_AGE);
        match self.resume.take() {
            Some((progress, since)) if now.saturating_duration_since(since) <= limit => (progress, since),
            _ => (Progress::default(), now),
        }
    }

    /// Notes an import that went well.
    pub fn succeeded(&mut self, imported: &Imported, origin: Option<Origin>, now: Instant) -> Verdict {
        self.tried = true;
        self.failures = 0;
        self.error = None;
        self.warned = 0;
        (self.denied, self.gone, self.not_before, self.resume) = (false, None, None, None);
        self.calls = imported.calls.max(1);
        let shrunk = imported.diff.as_ref().is_some_and(|d| d.is_sharp_shrink());
        if shrunk && self.served.is_some() && !self.held {
            self.held = true;
            return Verdict::Hold;
        }
        self.held = false;
        let (written, unchanged) = match &self.served {
            Some(old) => {
                let same = imported.diff.as_ref().is_some_and(|d| d.is_empty());
                (
                    old.written,
                    (same && old.confirmed).then(|| (Arc::clone(&old.zone), Arc::clone(&old.planned))),
                )
            }
            None => (None, None),
        };
        let verdict = if unchanged.is_some() { Verdict::Unchanged } else { Verdict::Publish };
        let (zone, planned) =
            unchanged.unwrap_or_else(|| (Arc::clone(&imported.zone), Arc::clone(&imported.planned)));
        self.served = Some(Served {
            zone,
            age: Age::zero(now),
            skips: imported.skips.clone(),
            origin,
            from_state: false,
            confirmed: true,
            planned,
            written: if matches!(imported.file, Some(Ok(_))) { Some(now) } else { written },
        });
        verdict
    }

    /// Notes a failed import and says how long to wait. What is served stays.
    pub fn failed(&mut self, error: &SourceError, now: Instant, effective: Duration) -> Duration {
        self.tried = true;
        self.failures = self.failures.saturating_add(1);
        self.error = Some(chain(error));
        let wait = backoff(self.failures);
        match error {
            SourceError::Throttled { retry_after, .. } => {
                let wait = wait.max(*retry_after);
                self.not_before = Some(now + wait.min(Duration::from_secs(3600)));
                return wait.min(Duration::from_secs(3600));
            }
            SourceError::Denied { .. } => self.denied = true,
            SourceError::Gone { .. } => {
                Absence::note(&mut self.gone, now);
            }
            _ => return wait,
        }
        // Asking sooner gives the same answer and costs the same budget.
        wait.max(jitter(effective, 0.95, 1.05))
    }

    /// Keeps the pages fetched before `error` for the next try, where that error allows it.
    pub fn keep_progress(&mut self, progress: Progress, since: Instant, error: &SourceError) {
        let resumable = matches!(error, SourceError::Throttled { .. } | SourceError::Failed { .. });
        if resumable && progress.0.is_some() {
            self.resume = Some((progress, since));
        }
    }

    /// Whether `kind` has not been warned about since the last success.
    pub fn is_news(&mut self, kind: FailureKind) -> bool {
        let bit = 1 << kind as u8;
        let news = self.warned & bit == 0;
        self.warned |= bit;
        news
    }
}

/// The metric label of an error.
pub(super) fn kind_of(error: &SourceError) -> FailureKind {
    match error {
        SourceError::Throttled { .. } => FailureKind::Throttled,
        SourceError::Denied { .. } => FailureKind::Denied,
        SourceError::Gone { .. } => FailureKind::Gone,
        SourceError::Damaged { .. } => FailureKind::Damaged,
        SourceError::Failed { .. } => FailureKind::Failed,
        SourceError::Misconfigured(_) => FailureKind::Misconfigured,
    }
}

/// An error with its causes in one bounded line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if text.len() > MAX_ERROR {
            break;
        }
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.truncate(text.floor_char_boundary(MAX_ERROR));
    text
}
