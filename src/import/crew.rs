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
use super::store::{self, Op};
use crate::source::{BoxError, FoundZone, Progress, SourceError, ZoneSource};
use crate::sys;

/// Running jobs. Bounded by their kinds: for each source one discovery and a few imports, one file
/// write, and the freeing of what is old.
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
    Freed,
}

enum Owed {
    Discovery(usize),
    Import(usize, Ticket),
    Write(PathBuf),
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

    /// Ends discoveries and imports where they are.
    pub fn abort_imports(&mut self) {
        for (owed, handle) in self.owed.values() {
            if matches!(owed, Owed::Discovery(_) | Owed::Import(..)) {
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
            Self::Nothing => Report::Freed,
        }
    }
}

fn failed(what: &str, cause: BoxError) -> SourceError {
    SourceError::Failed { what: what.to_owned(), source: cause }
}
