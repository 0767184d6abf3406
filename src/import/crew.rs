//! The work that runs beside the importer: each job ends in exactly one report.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::fetch::Ticket;
use super::job::{self, Job, JobDone};
use super::replan::{Replan, Replanned};
use super::store::{self, Op};
use super::vitals::{ProbeRound, Probed};
use crate::source::{BoxError, FoundZone, Progress, Sighting, SourceError, ZoneSource, probe};
use crate::sys;

/// The longest that a look at health checks may take; a source has limits of its own.
const LOOK_LIMIT: Duration = Duration::from_secs(3600);
/// Probes of one round that are made at a time.
const PROBES: usize = 64;

/// Running jobs. Bounded by their kinds: for each source one discovery, a few imports, one look at
/// health checks, one round of each kind of probe and one plan; one file write, and the freeing of
/// what is old.
#[derive(Default)]
pub(super) struct Crew {
    jobs: JoinSet<Report>,
    /// What to report for a job that panics.
    owed: HashMap<Id, (Owed, AbortHandle)>,
}

/// How a job ended; the number is the source's.
pub(super) enum Report {
    Discovered(usize, Result<Vec<FoundZone>, SourceError>),
    Imported(usize, Ticket, Box<JobDone>),
    Stored(PathBuf, io::Result<()>),
    Looked(usize, Option<Result<Vec<Sighting>, SourceError>>),
    /// The second number is the round's.
    Probed(usize, usize, Option<Probed>),
    Replanned(usize, Option<Replanned>),
    Freed,
}

enum Owed {
    Discovery(usize),
    Import(usize, Ticket),
    Write(PathBuf),
    Look(usize),
    Probes(usize, usize),
    Replan(usize),
    Nothing,
}

impl Crew {
    /// Lists the zones of `source`, for `limit` at most.
    pub fn discover(&mut self, at: usize, source: Arc<dyn ZoneSource>, limit: Duration) {
        let handle = self.jobs.spawn(async move {
            let found = timeout(limit, source.discover()).await;
            Report::Discovered(at, found.unwrap_or_else(|e| Err(failed("the listing of zones", e.into()))))
        });
        self.owe(handle, Owed::Discovery(at));
    }

    /// Imports one zone.
    pub fn import(&mut self, at: usize, ticket: Ticket, job: Job) {
        let owed = Owed::Import(at, ticket.clone());
        let handle =
            self.jobs.spawn(async move { Report::Imported(at, ticket, Box::new(job::run(job).await)) });
        self.owe(handle, owed);
    }

    /// Looks at health checks; reports `None` where the source knows nothing of them.
    pub fn look(&mut self, at: usize, source: Arc<dyn ZoneSource>, checks: Vec<Box<str>>) {
        let handle = self.jobs.spawn(async move {
            let Some(look) = source.health(&checks) else { return Report::Looked(at, None) };
            let found = timeout(LOOK_LIMIT, look).await;
            Report::Looked(
                at,
                Some(found.unwrap_or_else(|e| Err(failed("a look at health checks", e.into())))),
            )
        });
        self.owe(handle, Owed::Look(at));
    }

    /// Makes a round of probes.
    pub fn probe(&mut self, at: usize, round: ProbeRound) {
        let ProbeRound { number, targets, timeout } = round;
        let handle = self.jobs.spawn(async move {
            let mut results = Vec::with_capacity(targets.len());
            let (mut probes, mut targets) = (JoinSet::new(), targets.into_iter());
            loop {
                while probes.len() < PROBES
                    && let Some(target) = targets.next()
                {
                    probes.spawn(async move {
                        let is_well = probe::probe(&target, timeout).await;
                        (target, is_well)
                    });
                }
                match probes.join_next().await {
                    Some(done) => results.extend(done.ok()),
                    None => break,
                }
            }
            Report::Probed(at, number, Some(results))
        });
        self.owe(handle, Owed::Probes(at, number));
    }

    /// Works choices out anew.
    pub fn replan(&mut self, at: usize, replan: Replan) {
        let handle = self.jobs.spawn_blocking(move || Report::Replanned(at, Some(replan.work())));
        self.owe(handle, Owed::Replan(at));
    }

    /// Carries out `op` on the file at `path`.
    pub fn write(&mut self, path: PathBuf, op: Op) {
        let owed = Owed::Write(path.clone());
        let handle = self.jobs.spawn_blocking(move || {
            let result = store::apply(&path, &op);
            Report::Stored(path, result)
        });
        self.owe(handle, owed);
    }

    /// Frees what nobody uses any more, and gives its memory back where that is worth the time.
    pub fn free<T: Send + 'static>(&mut self, unused: Vec<T>, is_large: bool) {
        let free = move || {
            drop(unused);
            if is_large {
                sys::release_freed_memory();
            }
        };
        let handle = self.jobs.spawn_blocking(move || {
            // Without a thread for it, what is unused goes with the closure.
            let _ = sys::in_background(free);
            Report::Freed
        });
        self.owe(handle, Owed::Nothing);
    }

    fn owe(&mut self, handle: AbortHandle, owed: Owed) {
        self.owed.insert(handle.id(), (owed, handle));
    }

    /// The next report, made up where a job panicked; `None` while nothing runs. Dropping the
    /// future loses no report.
    pub async fn next(&mut self) -> Option<Report> {
        let joined = self.jobs.join_next_with_id().await?;
        Some(self.settle(joined))
    }

    /// [`Crew::next`], as long as there is one without waiting.
    pub fn try_next(&mut self) -> Option<Report> {
        let joined = self.jobs.try_join_next_with_id()?;
        Some(self.settle(joined))
    }

    /// Ends everything that asks somebody where it is.
    pub fn abort_imports(&mut self) {
        for (owed, handle) in self.owed.values() {
            if matches!(owed, Owed::Discovery(_) | Owed::Import(..) | Owed::Look(_) | Owed::Probes(..)) {
                handle.abort();
            }
        }
    }

    fn settle(&mut self, joined: Result<(Id, Report), JoinError>) -> Report {
        let (id, report) = match joined {
            Ok((id, report)) => (id, Ok(report)),
            Err(error) => (error.id(), Err(error)),
        };
        let owed = self.owed.remove(&id).map_or(Owed::Nothing, |(owed, _)| owed);
        report.unwrap_or_else(|error| owed.after(error))
    }
}

impl Owed {
    fn after(self, error: JoinError) -> Report {
        match self {
            Self::Discovery(at) => Report::Discovered(at, Err(failed("the listing of zones", error.into()))),
            Self::Import(at, ticket) => {
                let result = Err(failed("an import", error.into()));
                let done = JobDone { progress: Progress::default(), took: Duration::ZERO, result };
                Report::Imported(at, ticket, Box::new(done))
            }
            Self::Write(path) => Report::Stored(path, Err(io::Error::other(error))),
            Self::Look(at) => Report::Looked(at, Some(Err(failed("a look at health checks", error.into())))),
            Self::Probes(at, number) => Report::Probed(at, number, None),
            Self::Replan(at) => Report::Replanned(at, None),
            Self::Nothing => Report::Freed,
        }
    }
}

fn failed(what: &str, cause: BoxError) -> SourceError {
    SourceError::Failed { what: what.to_owned(), source: cause }
}
