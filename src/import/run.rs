//! The importer: the one task that owns every source's desk and the zone table.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::board::{Request, StatusBoard};
use super::crew::{Crew, Report};
use super::desk::Desk;
use super::fetch::MAX_FETCHES;
use super::job::LARGE;
use super::publish::Publisher;
use super::restore::{self, Claimant, Kept};
use super::store::Store;
use super::{Settings, SourcePolicy};
use crate::clock::Clock;
use crate::metrics::import::ImportMetrics;
use crate::source::{Push, ZoneSource};
use crate::wire::{Name, NameRef, Rtype};
use crate::zone::{Authority, SharedTable, ZoneData, ZoneTable};

/// Reports that are taken before the table is swapped.
const MAX_BATCH: usize = 64;
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

    /// Lets go of what upstreams have said of names whose RRsets of these types have just changed.
    fn forget(&self, changed: &[(Name, Rtype)]);
}

/// Keeps the zone table equal to its sources.
pub struct Importer {
    pub(super) desks: Vec<Desk>,
    publisher: Publisher,
    pub(super) store: Option<Store>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<ImportMetrics>,
    pub(super) board: StatusBoard,
    requests: mpsc::Receiver<Request>,
    pub(super) crew: Crew,
    /// What published zones were compiled from, to be freed.
    pub(super) spent: Vec<ZoneData>,
    restored: bool,
    /// The last state file could not be written; said once.
    pub(super) cannot_write: bool,
    pub(super) dirty: bool,
    /// Checks are looked at and addresses probed.
    pub(super) looks_at_health: bool,
    /// Owners and types of RRsets that have changed and are not published yet.
    pub(super) changed: Vec<(Name, Rtype)>,
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
            crew: Crew::default(),
            spent: Vec::new(),
            restored: false,
            cannot_write: false,
            dirty: true,
            looks_at_health: true,
            changed: Vec::new(),
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
            let (zones, spent) = tokio::task::spawn_blocking(work).await.unwrap_or_default();
            self.spent.extend(spent);
            for zone in zones {
                if let Some(desk) = self.desks.get_mut(zone.desk) {
                    desk.restore(zone.found, zone.served, zone.denied, zone.calls);
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
        self.note_settled();
        self.desks.iter_mut().for_each(|desk| desk.pushes = desk.source.pushes());
        while shutdown.run_until_cancelled(self.turn()).await.is_some() {}
        if timeout(FLUSH, self.flush()).await.is_err() {
            warn!("last good zones were not written in time");
        }
        Kept::of(self.desks)
    }

    pub(super) async fn turn(&mut self) {
        self.start_due();
        let event = self.next_event().await;
        self.handle(event);
        // Reports that came in together cost one swap of the table.
        for _ in 0..MAX_BATCH {
            let Some(report) = self.crew.try_next() else { break };
            self.take(report);
        }
        if self.dirty {
            self.publish();
        }
        self.note_settled();
    }

    fn free_spent(&mut self) {
        if !self.spent.is_empty() {
            let is_large = self.spent.iter().any(|data| data.sets.len() >= LARGE);
            self.crew.free(std::mem::take(&mut self.spent), is_large);
        }
    }

    /// Without a source there is nothing to wait for, so this is asked before the first event, too.
    fn note_settled(&self) {
        if !self.board.is_ready() && self.desks.iter().all(Desk::is_settled) {
            self.board.set_ready();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
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
    }

    async fn next_event(&mut self) -> Event {
        let wake = self.wake();
        let Self { desks, crew, requests, .. } = self;
        tokio::select! {
            Some(report) = crew.next() => Event::Report(report),
            (at, push) = next_push(desks) => Event::Push(at, push),
            Some(request) = requests.recv() => Event::Request(request),
            () = sleep_until(wake) => Event::Timer,
        }
    }

    fn wake(&self) -> Instant {
        let discoveries = self.desks.iter().filter(|d| !d.discovery.running).map(|d| d.discovery.due);
        let imports =
            self.desks.iter().filter(|d| d.fetching < MAX_FETCHES).filter_map(|d| d.schedule.next());
        let health = self.desks.iter().filter(|_| self.looks_at_health).filter_map(|d| d.vitals.next());
        let idle = Instant::now() + IDLE;
        discoveries
            .chain(imports)
            .chain(health)
            .chain(self.publisher.next_burial())
            .min()
            .unwrap_or(idle)
            .min(idle)
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let keeps_state = self.store.is_some();
        for (at, desk) in self.desks.iter_mut().enumerate() {
            if !desk.discovery.running && desk.discovery.due <= now {
                desk.discovery.running = true;
                let limit = DISCOVERY_LIMIT.max(desk.effective() * 2);
                self.crew.discover(at, Arc::clone(&desk.source), limit);
            }
            while let Some((ticket, job)) = desk.next_job(now, keeps_state, &self.clock) {
                self.board.note(at, desk, std::iter::once(&ticket.id));
                self.crew.import(at, ticket, job);
            }
        }
        self.start_health(now);
        self.bury(now);
        self.free_spent();
        self.start_write();
    }

    fn bury(&mut self, now: Instant) {
        let unused = self.publisher.take_unused(now);
        if !unused.is_empty() {
            let is_large = unused.iter().any(|table| has_large_zone(table));
            self.crew.free(unused, is_large);
        }
    }

    fn start_write(&mut self) {
        if let Some((path, op)) = self.store.as_mut().and_then(Store::take) {
            self.crew.write(path, op);
        }
    }

    fn publish(&mut self) {
        self.dirty = false;
        let now = Instant::now();
        self.desks.iter_mut().for_each(|desk| desk.follow_health(now));
        let turned = self.publisher.publish(&mut self.desks, now);
        self.publisher.forget(&std::mem::take(&mut self.changed));
        for hinted in self.desks.iter_mut().flat_map(|desk| desk.hints.drain(..)) {
            self.metrics.hint_served(now.saturating_duration_since(hinted));
        }
        for (at, id) in turned {
            if let Some(desk) = self.desks.get(at) {
                self.board.note(at, desk, std::iter::once(&id));
            }
        }
    }

    /// Ends running imports where they are (an unfinished one has published nothing) and writes
    /// the files that are still to be written. Old tables are waited for: left to their last
    /// reader, they would be freed by it.
    async fn flush(&mut self) {
        self.crew.abort_imports();
        self.start_write();
        while let Some(report) = self.crew.next().await {
            if let Report::Stored(path, result) = report {
                self.stored(&path, result);
                self.start_write();
            }
        }
        while let Some(look_at) = self.publisher.next_burial() {
            sleep_until(look_at).await;
            self.bury(Instant::now());
        }
        while self.crew.next().await.is_some() {}
    }
}

fn has_large_zone(table: &ZoneTable) -> bool {
    let is_large = |authority: &Authority| match authority {
        Authority::Loaded(zone) => zone.counts().rrsets >= LARGE,
        _ => false,
    };
    table.entries().iter().any(|(_, authority)| is_large(authority))
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
