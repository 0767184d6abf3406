//! What the importer shows of itself, and the door to ask it for a refresh.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::desk::Desk;
use super::entry::{Age, Entry, Standing};
use super::job::Skips;
use super::status::{RefreshRequest, RequestError, SkippedStatus, SourceStatus, ZoneState, ZoneStatus};
use crate::metrics::import::ImportMetrics;
use crate::metrics::{ZoneFigures, ZoneTally, zones};
use crate::source::{Access, ZoneId};
use crate::wire::Name;
use crate::zone::{Counts, SkipReason};

/// A loaded zone whose last success lies this many intervals back is called stale.
const STALE_INTERVALS: u32 = 3;
/// Requests that may wait for the importer.
const MAX_REQUESTS: usize = 16;

pub(super) type Request = (RefreshRequest, oneshot::Sender<usize>);

/// The importer's listing, shared with whoever shows it. Cloning shares it.
#[derive(Clone)]
pub struct StatusBoard(Arc<Shared>);

struct Shared {
    sources: Mutex<Vec<SourceLine>>,
    ready: watch::Sender<bool>,
    requests: mpsc::Sender<Request>,
}

struct SourceLine {
    kind: &'static str,
    label: String,
    refresh: Duration,
    expected: Vec<Name>,
    error: Option<String>,
    zones: BTreeMap<ZoneId, ZoneLine>,
}

struct ZoneLine {
    apex: Name,
    state: ZoneState,
    counts: Counts,
    serial: Option<u32>,
    age: Option<Age>,
    next: Option<Instant>,
    error: Option<String>,
    from_state: bool,
    skips: Skips,
    tally: ZoneTally,
}

impl StatusBoard {
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(MAX_REQUESTS);
        let ready = watch::Sender::new(false);
        (Self(Arc::new(Shared { sources: Mutex::default(), ready, requests })), receiver)
    }

    /// Every zone known, by source in the order of the configuration.
    pub fn snapshot(&self) -> Vec<ZoneStatus> {
        let now = Instant::now();
        let sources = self.lock();
        sources.iter().flat_map(|source| source.statuses(now)).collect()
    }

    /// The zones of the source at this place.
    pub(super) fn of_source(&self, at: usize) -> Vec<ZoneStatus> {
        self.lock().get(at).map(|source| source.statuses(Instant::now())).unwrap_or_default()
    }

    /// Every source, in the order of the configuration.
    pub fn sources(&self) -> Vec<SourceStatus> {
        let status = |line: &SourceLine| SourceStatus {
            kind: line.kind,
            source: line.label.clone(),
            zones: line.zones.len(),
            error: line.error.clone(),
        };
        self.lock().iter().map(status).collect()
    }

    /// Whether every source has finished its first round: each zone loaded, carved out or failed
    /// once. Serving does not wait for it.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Follows [`StatusBoard::is_ready`].
    pub fn watch_ready(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    /// Has zones imported now; the number of zones it was asked for. Their imports are not waited for.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was started.
    pub async fn request(&self, request: RefreshRequest) -> Result<usize, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.0.requests.try_send((request, reply)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => RequestError::Busy,
            mpsc::error::TrySendError::Closed(_) => RequestError::Stopped,
        })?;
        match answer.await {
            Ok(0) => Err(RequestError::UnknownZone),
            Ok(zones) => Ok(zones),
            Err(_) => Err(RequestError::Stopped),
        }
    }

    /// Brings the gauges up to date; called before each scrape.
    pub fn update_gauges(&self, metrics: &ImportMetrics) {
        let now = Instant::now();
        let mut states = BTreeMap::<ZoneState, usize>::new();
        let mut skipped = BTreeMap::<SkipReason, usize>::new();
        for source in self.lock().iter() {
            for line in source.zones.values() {
                *states.entry(line.state_at(now, source.refresh)).or_default() += 1;
                for (reason, count) in &line.skips.by_reason {
                    *skipped.entry(*reason).or_default() += count;
                }
            }
        }
        for state in ZoneState::ALL {
            metrics.show_state(state.label(), states.get(&state).copied().unwrap_or(0));
        }
        for reason in SkipReason::ALL.into_iter().filter(|reason| reason.is_fault()) {
            metrics.show_skipped(reason.label(), skipped.get(&reason).copied().unwrap_or(0));
        }
    }

    /// What is said of each zone, in the Prometheus text format.
    pub fn render_zones(&self) -> String {
        let (now, mut figures) = (Instant::now(), Vec::new());
        for source in self.lock().iter() {
            figures.extend(source.zones.iter().map(|(id, line)| line.figures(source, id, now)));
        }
        zones::render(&figures)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SourceLine>> {
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the listing over.
    pub(super) fn open(&self, desks: &[Desk]) {
        *self.lock() = desks.iter().map(SourceLine::of).collect();
    }

    /// Brings the lines of `touched` zones, and of their source, up to date.
    pub(super) fn note<'a>(&self, at: usize, desk: &Desk, touched: impl Iterator<Item = &'a ZoneId>) {
        let mut sources = self.lock();
        let Some(line) = sources.get_mut(at) else { return };
        line.refresh = desk.effective();
        line.expected = desk.expected().keys().cloned().collect();
        line.error.clone_from(&desk.discovery.error);
        for id in touched {
            match desk.zones.get(id) {
                Some(entry) => line.zones.insert(id.clone(), ZoneLine::of(desk, id, entry)),
                None => line.zones.remove(id),
            };
        }
    }

    pub(super) fn set_ready(&self) {
        self.0.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }
}

impl SourceLine {
    fn of(desk: &Desk) -> Self {
        Self {
            kind: desk.source.kind(),
            label: desk.source.label().to_owned(),
            refresh: desk.effective(),
            expected: desk.expected().keys().cloned().collect(),
            error: None,
            zones: desk.zones.iter().map(|(id, z)| (id.clone(), ZoneLine::of(desk, id, z))).collect(),
        }
    }

    fn statuses(&self, now: Instant) -> Vec<ZoneStatus> {
        let known = self.zones.iter().map(|(id, line)| line.status(self, &id.0, now));
        let only_expected =
            self.expected.iter().filter(|apex| self.zones.values().all(|line| line.apex != **apex));
        known.chain(only_expected.map(|apex| ZoneLine::expected(apex).status(self, "", now))).collect()
    }
}

impl ZoneLine {
    fn of(desk: &Desk, id: &ZoneId, entry: &Entry) -> Self {
        let served = entry.served.as_ref();
        let carved = match &entry.found.access {
            Access::CarvedOut(why) => Some(why.clone()),
            Access::Readable => None,
        };
        Self {
            apex: entry.found.apex.clone(),
            state: state_of(entry),
            counts: served.map(|s| s.zone.counts()).unwrap_or_default(),
            serial: served.map(|s| s.zone.serial()),
            age: served.map(|s| s.age),
            next: desk.schedule.due(id),
            error: carved.or_else(|| entry.error.clone()),
            from_state: served.is_some_and(|s| s.from_state),
            skips: served.map(|s| s.skips.clone()).unwrap_or_default(),
            tally: entry.tally,
        }
    }

    fn expected(apex: &Name) -> Self {
        Self {
            apex: apex.clone(),
            state: ZoneState::Unloaded,
            counts: Counts::default(),
            serial: None,
            age: None,
            next: None,
            error: None,
            from_state: false,
            skips: Skips::default(),
            tally: ZoneTally::default(),
        }
    }

    fn state_at(&self, now: Instant, refresh: Duration) -> ZoneState {
        let is_old = self.age.is_some_and(|age| age.at(now) > refresh * STALE_INTERVALS);
        if self.state == ZoneState::Loaded && is_old { ZoneState::Stale } else { self.state }
    }

    fn status(&self, source: &SourceLine, id: &str, now: Instant) -> ZoneStatus {
        let skipped = self.skips.first.iter().map(|s| SkippedStatus {
            owner: s.owner.clone(),
            rtype: s.rtype.clone(),
            reason: s.reason.label(),
            detail: s.detail.clone(),
        });
        ZoneStatus {
            zone: self.apex.to_string(),
            kind: source.kind,
            source: source.label.clone(),
            id: id.to_owned(),
            state: self.state_at(now, source.refresh),
            counts: self.counts,
            serial: self.serial,
            age_seconds: self.age.map(|age| age.at(now).as_secs()),
            refresh_seconds: source.refresh.as_secs(),
            next_attempt_seconds: self.next.map(|at| at.saturating_duration_since(now).as_secs()),
            error: self.error.clone(),
            from_state_file: self.from_state,
            skipped: skipped.collect(),
            skipped_by_reason: self.skips.by_reason.iter().map(|(r, n)| (r.label(), *n)).collect(),
        }
    }

    fn figures(&self, source: &SourceLine, id: &ZoneId, now: Instant) -> ZoneFigures {
        let Counts { names, rrsets, records, aliases, choices, deferred, dropped, cuts } = self.counts;
        ZoneFigures {
            source: source.label.clone(),
            zone: self.apex.to_string(),
            id: id.to_string(),
            age: self.age.map(|age| age.at(now)),
            refresh: source.refresh,
            counts: vec![
                ("names", names),
                ("records", records),
                ("rrsets", rrsets),
                ("aliases", aliases),
                ("choices", choices),
                ("deferred", deferred),
                ("dropped", dropped),
                ("cuts", cuts),
            ],
            skipped: self.skips.by_reason.iter().map(|(reason, count)| (reason.label(), *count)).collect(),
            imports: self.tally,
        }
    }
}

fn state_of(entry: &Entry) -> ZoneState {
    match entry.standing() {
        _ if entry.shadowed => ZoneState::Shadowed,
        Standing::CarvedOut => ZoneState::CarvedOut,
        Standing::Unloaded | Standing::Nothing => ZoneState::Unloaded,
        Standing::Loaded(_) if entry.held => ZoneState::Held,
        Standing::Loaded(_) if entry.denied || entry.gone.is_some() || entry.missing.is_some() => {
            ZoneState::Stale
        }
        Standing::Loaded(_) => ZoneState::Loaded,
    }
}
