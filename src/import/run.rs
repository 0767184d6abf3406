//! The importer: the one task that owns every source's desk and the zone table.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::board::{RefreshRequest, Request, StatusBoard};
use super::desk::{Desk, Effects};
use super::fetch::{MAX_FETCHES, Ticket};
use super::job::{self, JobDone};
use super::publish::Publisher;
use super::restore::{self, Claimant, Kept};
use super::store::{self, Op, Store};
use super::{Settings, SourcePolicy, state};
use crate::clock::Clock;
use crate::metrics::import::{ImportMetrics, StateProblem};
use crate::source::{BoxError, FoundZone, Progress, Push, SourceError, ZoneId, ZoneSource};
use crate::wire::NameRef;
use crate::zone::SharedTable;

/// With nothing planned the importer still looks up once in a while.
const IDLE: Duration = Duration::from_secs(3600);
/// On shutdown, files that are still to be written get this long.
const FLUSH: Duration = Duration::from_secs(5);
/// The least time a listing of zones may take.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(120);

/// What the importer must know of the upstreams, for `on_unloaded = "auto"`.
pub trait Upstreams: Send + Sync + 'static {
    /// Whether queries below `apex` are forwarded to the VPC's own resolver, which knows the zone.
    fn is_vpc_resolver(&self, apex: NameRef<'_>) -> bool;
}

/// Keeps the zone table equal to its sources.
pub struct Importer {
    desks: Vec<Desk>,
    publisher: Publisher,
    store: Option<Store>,
    clock: Clock,
    metrics: Arc<ImportMetrics>,
    board: StatusBoard,
    requests: mpsc::Receiver<Request>,
    jobs: JoinSet<Report>,
    /// Whose report each running job owes, should it panic.
    owed: HashMap<Id, (Owed, AbortHandle)>,
    restored: bool,
    dirty: bool,
}

enum Report {
    Discovered(usize, Result<Vec<FoundZone>, SourceError>),
    Imported(usize, Ticket, JobDone),
    Stored(PathBuf, std::io::Result<()>),
    Freed,
}

enum Owed {
    Discovery(usize),
    Import(usize, Ticket),
    Write(PathBuf),
    Nothing,
}

enum Event {
    Report(Report),
    Push(usize, Push),
    Request(Request),
    Timer,
}

impl Importer {
    /// An importer over `sources`, in the order of the configuration. Nothing happens before
    /// [`Importer::load_last_good`] or [`Importer::run`].
    pub fn new(
        settings: Settings,
        sources: Vec<(Arc<dyn ZoneSource>, SourcePolicy)>,
        table: SharedTable,
        clock: Clock,
        metrics: Arc<ImportMetrics>,
        hooks: Arc<dyn Upstreams>,
    ) -> Self {
        let desks: Vec<Desk> = sources
            .into_iter()
            .map(|(source, policy)| Desk::new(source, policy, Arc::clone(&metrics)))
            .collect();
        let (board, requests) = StatusBoard::new();
        board.open(&desks);
        Self {
            publisher: Publisher::new(table, hooks, Arc::clone(&metrics)),
            store: settings.state_dir.as_deref().map(Store::new),
            desks,
            clock,
            metrics,
            board,
            requests,
            jobs: JoinSet::new(),
            owed: HashMap::new(),
            restored: false,
            dirty: true,
        }
    }

    /// The listing of what this importer does.
    pub fn board(&self) -> StatusBoard {
        self.board.clone()
    }

    /// Takes over what an earlier importer served, so that a change of settings unloads nothing.
    /// Every zone is still imported anew at once.
    pub fn inherit(&mut self, kept: Kept) {
        kept.hand_over(&mut self.desks);
    }

    /// Loads the last-good zones from disk and publishes them, together with all that is known
    /// from configuration. Reads files only, waits for no source; [`Importer::run`] does it first
    /// where it was not done before.
    pub async fn load_last_good(&mut self) {
        if std::mem::replace(&mut self.restored, true) {
            return;
        }
        if let Some(store) = &self.store {
            let dir = store.dir().to_owned();
            let claimants: Vec<Claimant> = self.desks.iter().map(Claimant::of).collect();
            let (metrics, times) = (Arc::clone(&self.metrics), (Instant::now(), self.clock.wall()));
            let work = move || restore::load(&dir, &claimants, &metrics, times);
            for zone in tokio::task::spawn_blocking(work).await.unwrap_or_default() {
                if let Some(desk) = self.desks.get_mut(zone.desk) {
                    desk.restore(zone.found, zone.served, zone.calls);
                }
            }
        }
        self.desks.iter_mut().for_each(Desk::recount);
        self.board.open(&self.desks);
        self.publish();
    }

    /// Imports until `shutdown`. What is published then stays; it is also returned, for
    /// [`Importer::inherit`].
    pub async fn run(mut self, shutdown: CancellationToken) -> Kept {
        self.load_last_good().await;
        while shutdown.run_until_cancelled(self.turn()).await.is_some() {}
        if timeout(FLUSH, self.flush()).await.is_err() {
            warn!("last good zones were not written in time");
        }
        Kept::of(self.desks)
    }

    async fn turn(&mut self) {
        self.start_due();
        match self.next_event().await {
            Event::Report(report) => self.take(report),
            Event::Push(at, push) => {
                if let Some(desk) = self.desks.get_mut(at) {
                    let effects = desk.pushed(push, Instant::now());
                    self.apply(at, effects);
                }
            }
            Event::Request((request, reply)) => {
                // Whoever asked may have gone; the refresh is done all the same.
                let _ = reply.send(self.refresh(&request));
            }
            Event::Timer => {}
        }
        if self.dirty {
            self.publish();
        }
        if self.desks.iter().all(Desk::is_settled) {
            self.board.set_ready();
        }
    }

    async fn next_event(&mut self) -> Event {
        let wake = self.wake();
        let Self { desks, jobs, owed, requests, .. } = self;
        tokio::select! {
            Some(joined) = jobs.join_next_with_id() => Event::Report(settle(joined, owed)),
            (at, push) = next_push(desks) => Event::Push(at, push),
            Some(request) = requests.recv() => Event::Request(request),
            () = sleep_until(wake) => Event::Timer,
        }
    }

    fn wake(&self) -> Instant {
        let discoveries = self.desks.iter().filter(|d| !d.discovery.running).map(|d| d.discovery.due);
        let imports =
            self.desks.iter().filter(|d| d.fetching < MAX_FETCHES).filter_map(|d| d.schedule.next());
        let idle = Instant::now() + IDLE;
        discoveries.chain(imports).chain(self.publisher.next_burial()).min().unwrap_or(idle).min(idle)
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for at in 0..self.desks.len() {
            self.start_discovery(at, now);
            while let Some((ticket, job)) = self.desks[at].next_job(now, self.store.is_some(), &self.clock) {
                let owed = Owed::Import(at, ticket.clone());
                self.board.note(at, &self.desks[at], std::iter::once(&ticket.id));
                self.spawn(async move { Report::Imported(at, ticket, job::run(job).await) }, owed);
            }
        }
        let expired = self.publisher.take_expired(now);
        if !expired.is_empty() {
            let handle = self.jobs.spawn_blocking(move || {
                drop(expired);
                Report::Freed
            });
            self.owed.insert(handle.id(), (Owed::Nothing, handle));
        }
        self.start_write();
    }

    fn start_discovery(&mut self, at: usize, now: Instant) {
        let desk = &mut self.desks[at];
        if desk.discovery.running || desk.discovery.due > now {
            return;
        }
        desk.discovery.running = true;
        let (source, limit) = (Arc::clone(&desk.source), DISCOVERY_LIMIT.max(desk.effective() * 2));
        let work = async move {
            let found = timeout(limit, source.discover()).await.unwrap_or_else(|e| {
                Err(SourceError::Failed { what: "the listing of zones".to_owned(), source: Box::new(e) })
            });
            Report::Discovered(at, found)
        };
        self.spawn(work, Owed::Discovery(at));
    }

    fn start_write(&mut self) {
        let Some((path, op)) = self.store.as_mut().and_then(Store::take) else { return };
        let owed = Owed::Write(path.clone());
        let handle = self.jobs.spawn_blocking(move || {
            let result = store::apply(&path, &op);
            Report::Stored(path, result)
        });
        self.owed.insert(handle.id(), (owed, handle));
    }

    fn spawn(&mut self, work: impl Future<Output = Report> + Send + 'static, owed: Owed) {
        let handle = self.jobs.spawn(work);
        self.owed.insert(handle.id(), (owed, handle));
    }

    fn take(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Discovered(at, result) => self.discovered(at, result, now),
            Report::Imported(at, ticket, done) => self.imported(at, ticket, done, now),
            Report::Stored(path, result) => self.stored(path, result),
            Report::Freed => {}
        }
    }

    fn discovered(&mut self, at: usize, result: Result<Vec<FoundZone>, SourceError>, now: Instant) {
        self.check_origin(at);
        let Some(desk) = self.desks.get_mut(at) else { return };
        desk.discovery.running = false;
        let effects = match result {
            Ok(found) => desk.discovered(found, now),
            Err(error) => {
                desk.discovery_failed(&error, now);
                Effects::default()
            }
        };
        self.apply(at, effects);
    }

    fn imported(&mut self, at: usize, ticket: Ticket, done: JobDone, now: Instant) {
        let withdrawn = self.check_origin(at);
        let id = ticket.id.clone();
        let Some(desk) = self.desks.get_mut(at) else { return };
        if withdrawn > 0 {
            desk.rediscover(now);
        }
        let (effects, file) = desk.imported(ticket, done, now);
        self.apply(at, effects);
        if let Some(bytes) = file {
            self.put_file(at, &id, Op::Write(bytes));
        }
    }

    fn check_origin(&mut self, at: usize) -> usize {
        let mut effects = Effects::default();
        let withdrawn = self.desks.get_mut(at).map_or(0, |desk| desk.check_origin(&mut effects));
        for _ in 0..withdrawn {
            self.metrics.state_error(StateProblem::Foreign);
        }
        self.apply(at, effects);
        withdrawn
    }

    fn stored(&mut self, path: PathBuf, result: std::io::Result<()>) {
        if let Some(store) = &mut self.store {
            store.done();
        }
        match result {
            Ok(()) => debug!(file = %path.display(), "state file is up to date"),
            Err(error) => {
                self.metrics.state_error(StateProblem::Unwritten);
                warn!(file = %path.display(), %error, "last good zone was not written");
            }
        }
    }

    /// Lets everybody know of a change at desk `at`.
    fn apply(&mut self, at: usize, effects: Effects) {
        self.dirty |= effects.publish;
        for id in &effects.removed {
            self.put_file(at, id, Op::Delete);
        }
        if let Some(desk) = self.desks.get(at) {
            self.board.note(at, desk, effects.touched.iter());
        }
    }

    fn put_file(&mut self, at: usize, id: &ZoneId, op: Op) {
        if let (Some(store), Some(desk)) = (&mut self.store, self.desks.get(at)) {
            store.put(state::file_name(desk.source.kind(), desk.source.label(), id), op);
        }
    }

    fn publish(&mut self) {
        self.dirty = false;
        for (at, id) in self.publisher.publish(&mut self.desks, Instant::now()) {
            if let Some(desk) = self.desks.get(at) {
                self.board.note(at, desk, std::iter::once(&id));
            }
        }
    }

    fn refresh(&mut self, request: &RefreshRequest) -> usize {
        let now = Instant::now();
        let mut hurried = 0;
        for (at, desk) in self.desks.iter_mut().enumerate() {
            if request.zone.is_none() {
                desk.rediscover(now);
            }
            let wanted = |apex| request.zone.as_ref().is_none_or(|zone| zone == apex);
            let ids: Vec<ZoneId> =
                desk.zones.iter().filter(|(_, z)| wanted(&z.found.apex)).map(|(id, _)| id.clone()).collect();
            hurried += ids.iter().filter(|id| desk.hurry(id, now)).count();
            self.board.note(at, desk, ids.iter());
        }
        hurried
    }

    /// Ends running imports where they are (an unfinished one has published nothing) and writes
    /// the files that are still to be written.
    async fn flush(&mut self) {
        for (owed, handle) in self.owed.values() {
            if matches!(owed, Owed::Discovery(_) | Owed::Import(..)) {
                handle.abort();
            }
        }
        self.start_write();
        while let Some(joined) = self.jobs.join_next_with_id().await {
            if let report @ Report::Stored(..) = settle(joined, &mut self.owed) {
                self.take(report);
                self.start_write();
            }
        }
    }
}

/// The report of a job, made up where it panicked.
fn settle(joined: Result<(Id, Report), JoinError>, owed: &mut HashMap<Id, (Owed, AbortHandle)>) -> Report {
    let (id, report) = match joined {
        Ok((id, report)) => (id, Ok(report)),
        Err(error) => (error.id(), Err(error)),
    };
    let debt = owed.remove(&id).map_or(Owed::Nothing, |(debt, _)| debt);
    report.unwrap_or_else(|error| {
        let failed =
            |what: &str, cause: BoxError| SourceError::Failed { what: what.to_owned(), source: cause };
        match debt {
            Owed::Discovery(at) => Report::Discovered(at, Err(failed("the listing of zones", error.into()))),
            Owed::Import(at, ticket) => {
                let result = Err(failed("an import", error.into()));
                let done = JobDone { progress: Progress::default(), took: Duration::ZERO, result };
                Report::Imported(at, ticket, done)
            }
            Owed::Write(path) => Report::Stored(path, Err(std::io::Error::other(error))),
            Owed::Nothing => Report::Freed,
        }
    })
}

/// The next update that any source pushes; pends for ever when none does.
async fn next_push(desks: &mut [Desk]) -> (usize, Push) {
    poll_fn(|cx| {
        for (at, desk) in desks.iter_mut().enumerate() {
            let Some(pushes) = &mut desk.pushes else { continue };
            match pushes.poll_recv(cx) {
                Poll::Ready(Some(push)) => return Poll::Ready((at, push)),
                Poll::Ready(None) => desk.pushes = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}
