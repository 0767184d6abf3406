//! Imports of single zones at a desk: which is next, and what its end means.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::desk::{Desk, Effects};
use super::entry::{Entry, Verdict, chain, kind_of};
use super::job::{FileWish, Imported, Job, JobDone, Way};
use super::pace::jitter;
use super::state::{self, StateFile};
use crate::clock::Clock;
use crate::metrics::import::StateProblem;
use crate::source::{Access, SourceError, ZoneId};
use crate::zone::ZoneData;

/// Imports of one source that run at a time.
pub(super) const MAX_FETCHES: usize = 4;
/// A fetch gets at least this long; one that takes longer goes on where it stopped.
const SHORTEST_LIMIT: Duration = Duration::from_secs(120);
/// A held zone is looked at again after about this long.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);
/// A state file is rewritten this often for its age alone.
const FILE_AGE: Duration = Duration::from_secs(15 * 60);

/// What an import must bring back to be believed.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub id: ZoneId,
    generation: u64,
    /// When the first page of this listing was asked for.
    since: Instant,
    pushed: bool,
}

impl Desk {
    /// The next import that is due, unless enough of them run.
    pub fn next_job(&mut self, now: Instant, keeps_state: bool, clock: &Clock) -> Option<(Ticket, Job)> {
        if self.fetching >= MAX_FETCHES {
            return None;
        }
        let zones = &self.zones;
        let id = self.schedule.pop_due(now, |id| zones.get(id).map_or(0, Entry::urgency))?;
        let effective = self.effective();
        let options = self.options(&self.zones.get(&id)?.found.apex);
        let entry = self.zones.get_mut(&id)?;
        entry.running = true;
        (entry.again, entry.again_at) = (false, None);
        let pushed = entry.pushed.take();
        let (progress, since) = entry.take_progress(now, effective);
        let ticket = Ticket { id, generation: entry.generation, since, pushed: pushed.is_some() };
        let job = Job {
            source: Arc::clone(&self.source),
            found: entry.found.clone(),
            progress,
            pushed,
            limit: SHORTEST_LIMIT.max(effective * 2),
            way: Way {
                options,
                previous: entry.served.as_ref().map(|s| Arc::clone(&s.zone)),
                file: if keeps_state { entry.file_wish(now) } else { FileWish::Never },
                health: self.vitals.health(),
                clock: clock.clone(),
            },
        };
        self.fetching += 1;
        Some((ticket, job))
    }

    /// Takes the end of an import; `Some` is the zone's new state file.
    pub fn imported(&mut self, ticket: Ticket, done: JobDone, now: Instant) -> (Effects, Option<Vec<u8>>) {
        let mut effects = Effects::default();
        self.fetching = self.fetching.saturating_sub(1);
        if !ticket.pushed {
            self.metrics.fetched(done.took, done.result.is_ok());
        }
        let Some(entry) = self.zones.get_mut(&ticket.id).filter(|z| z.generation == ticket.generation) else {
            return (effects, None);
        };
        entry.running = false;
        if !entry.is_readable() {
            return (effects, None);
        }
        if !ticket.pushed {
            entry.tally.last_fetch = Some(done.took);
        }
        let before = discriminant(&entry.standing());
        let (wait, file) = match done.result {
            Ok(imported) => self.import_succeeded(&ticket, imported, now, &mut effects),
            Err(error) => {
                if let Some(entry) = self.zones.get_mut(&ticket.id) {
                    entry.keep_progress(done.progress, ticket.since, &error);
                }
                (self.import_failed(&ticket, &error, now, &mut effects), None)
            }
        };
        if let Some(entry) = self.zones.get(&ticket.id) {
            effects.publish |= discriminant(&entry.standing()) != before;
            let due = match entry.again_at {
                _ if entry.pushed.is_some() => now,
                Some(at) if entry.again => at.clamp(now, now + wait),
                None if entry.again => now,
                _ => now + wait,
            };
            self.schedule.set(&ticket.id, entry.not_before.map_or(due, |at| at.max(due)));
        }
        effects.touched.insert(ticket.id);
        self.drop_replaced(&mut effects);
        (effects, file)
    }

    fn import_succeeded(
        &mut self,
        ticket: &Ticket,
        imported: Imported,
        now: Instant,
        effects: &mut Effects,
    ) -> (Duration, Option<Vec<u8>>) {
        let origin = self.source.origin_of(&ticket.id);
        let Some(entry) = self.zones.get_mut(&ticket.id) else { return (Duration::ZERO, None) };
        if entry.failures > 0 || entry.denied || entry.gone.is_some() {
            info!(zone = %entry.found.apex, id = %ticket.id, "import works again");
        }
        let is_first = !entry.served.as_ref().is_some_and(|s| s.confirmed);
        let verdict = entry.succeeded(&imported, origin, now);
        log_verdict(self.source.label(), entry, &verdict, &imported);
        if verdict == Verdict::Hold {
            self.metrics.held.increment(1);
            return (jitter(CONFIRM_AFTER, 0.8, 1.2), None);
        }
        if let Some(diff) = &imported.diff {
            self.metrics.changes(diff.added, diff.removed, diff.changed);
            effects.changed.extend(diff.owners.iter().cloned());
            entry.tally.changes(diff.added, diff.removed, diff.changed);
        }
        entry.tally.last_calls = imported.calls;
        effects.publish |= verdict == Verdict::Publish;
        // A hint that came meanwhile is looked into by the import that follows.
        let hinted = entry.said_changed.take_if(|_| !entry.again);
        self.hints.extend(hinted.filter(|_| verdict == Verdict::Publish));
        let file = imported.file.and_then(|encoded| {
            encoded
                .inspect_err(|error| {
                    warn!(zone = %entry.found.apex, id = %ticket.id, %error, "zone is not kept on disk");
                    self.metrics.state_error(StateProblem::Unwritten);
                })
                .ok()
        });
        self.recount();
        self.pace.went_well(now, self.calls());
        // First imports come in a burst; the ones after it are spread over the interval.
        let (low, high) = if is_first { (0.25, 1.0) } else { (0.95, 1.05) };
        (jitter(self.effective(), low, high), file)
    }

    /// What is kept of a zone that cannot be read; `None` for one that can.
    pub fn unread_file(&self, id: &ZoneId, entry: &Entry, clock: &Clock) -> Option<StateFile> {
        let standing = match &entry.found.access {
            Access::CarvedOut(why) => state::Standing::CarvedOut(why.clone()),
            Access::Readable if entry.denied && entry.served.is_none() => {
                state::Standing::Denied(entry.error.clone().unwrap_or_default())
            }
            Access::Readable => return None,
        };
        Some(StateFile {
            kind: self.source.kind().to_owned(),
            label: self.source.label().to_owned(),
            origin: self.source.origin_of(id).or_else(|| self.source.origin()),
            id: id.clone(),
            fetched_at: state::millis_since_1970(clock.wall()),
            calls: 0,
            region: self.source.region(),
            standing,
            data: ZoneData { apex: entry.found.apex.clone(), sets: Vec::new(), skipped: Vec::new() },
        })
    }

    fn import_failed(
        &mut self,
        ticket: &Ticket,
        error: &SourceError,
        now: Instant,
        effects: &mut Effects,
    ) -> Duration {
        let kind = kind_of(error);
        self.metrics.fetch_failed(kind);
        if matches!(error, SourceError::Throttled { .. }) {
            self.pace.throttled(now, self.calls());
        }
        let effective = self.effective();
        let Some(entry) = self.zones.get_mut(&ticket.id) else { return Duration::ZERO };
        entry.tally.throttles += u64::from(matches!(error, SourceError::Throttled { .. }));
        let was_denied = entry.denied;
        let wait = entry.failed(error, now, effective);
        if entry.denied && !was_denied && entry.served.is_none() {
            effects.unread.push(ticket.id.clone());
        }
        log_failure(self.source.label(), entry, error, wait);
        if entry.gone.is_some_and(|absence| absence.is_believed(now, effective)) && entry.served.is_some() {
            info!(zone = %entry.found.apex, id = %ticket.id, "zone removed, it does not exist any more");
            (entry.served, entry.held) = (None, false);
            effects.removed.push(ticket.id.clone());
        }
        wait
    }
}

impl Entry {
    fn file_wish(&self, now: Instant) -> FileWish {
        let written = self.served.as_ref().and_then(|s| s.written);
        match written {
            Some(at) if now.saturating_duration_since(at) < FILE_AGE => FileWish::IfChanged,
            _ => FileWish::Always,
        }
    }
}

fn log_verdict(source: &str, entry: &Entry, verdict: &Verdict, imported: &Imported) {
    let (zone, id, counts) = (&entry.found.apex, &entry.found.id, imported.zone.counts());
    let (records, skipped) = (counts.records, imported.skips.total);
    match (verdict, &imported.diff) {
        (Verdict::Hold, Some(diff)) => warn!(
            source, %zone, %id, removed = diff.removed, records, names = %diff,
            "zone has shrunk sharply, held until a second import confirms it"
        ),
        (Verdict::Publish, None) => {
            info!(source, %zone, %id, records, rrsets = counts.rrsets, aliases = counts.aliases, choices = counts.choices, deferred = counts.deferred, skipped,
                serial = imported.zone.serial(), "zone loaded");
        }
        (Verdict::Publish, Some(diff)) if !diff.is_empty() => info!(
            source, %zone, %id, added = diff.added, removed = diff.removed, changed = diff.changed, records,
            skipped, names = %diff, "zone changed"
        ),
        _ => debug!(source, %zone, %id, records, "zone is unchanged"),
    }
}

fn log_failure(source: &str, entry: &mut Entry, error: &SourceError, wait: Duration) {
    let (text, again_in) = (chain(error), Duration::from_millis(wait.as_millis() as u64));
    let served = match (&entry.served, entry.denied) {
        (Some(_), _) => "the last good zone stays",
        (None, true) => "its names are forwarded",
        (None, false) => "not loaded yet",
    };
    let is_news = entry.is_news(kind_of(error));
    let (zone, id) = (&entry.found.apex, &entry.found.id);
    if is_news {
        warn!(source, %zone, %id, error = %text, ?again_in, served, "import failed");
    } else {
        debug!(source, %zone, %id, error = %text, ?again_in, served, "import failed again");
    }
}
