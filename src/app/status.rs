//! What the admin listeners show: zones with their state, and all metrics.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::Notify;

use super::health::State;
use super::imports::SharedBoard;
use super::overview::Overview;
use super::{claims, export};
use crate::admin::protocol::{Listing, SkippedReport, SourceReport, ZoneReport};
use crate::admin::{Commands, Health as _, TopReport};
use crate::answer::Answerer;
use crate::answer::explain::{Explanation, Question, Reach};
use crate::answer::miss::MissPath;
use crate::cache::Cache;
use crate::import::{RefreshRequest, SkippedStatus, ZoneStatus};
use crate::metrics::{AnswerMetrics, Board, Exporter, ImportMetrics, READY, ServerMetrics, node};
use crate::source::BoxFuture;
use crate::sys;
use crate::upstream::Forwarder;
use crate::wire::Name;
use crate::zone::SharedTable;

/// Upstreams are asked for no longer than this: the connection ends after ten seconds.
const EXPLAIN_PATIENCE: Duration = Duration::from_secs(8);

/// The commands of the admin socket.
pub struct Status {
    /// The importer at work.
    pub imports: SharedBoard,
    /// What `flush` empties.
    pub cache: Arc<Cache>,
    /// Who answers, and can say why.
    pub answerer: Answerer,
    /// What is served.
    pub table: SharedTable,
    /// To be told when the cache was emptied: its file must not bring it back.
    pub flushed: Arc<Notify>,
    /// How everything does.
    pub overview: Overview,
}

impl Commands for Status {
    fn zones(&self, skipped: bool) -> Listing {
        let board = self.imports.load();
        let sources = board.sources().into_iter().map(|source| SourceReport {
            kind: source.kind.to_owned(),
            source: source.source,
            zones: source.zones as u64,
            error: source.error,
        });
        let zones = board.snapshot().into_iter().map(|zone| report(zone, skipped));
        Listing { sources: sources.collect(), zones: zones.collect() }
    }

    fn refresh(&self, zone: Option<Name>) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move {
            let board = self.imports.load_full();
            let asked = board.request(RefreshRequest { zone }).await;
            asked.map(|zones| zones as u64).map_err(|error| error.to_string())
        })
    }

    fn flush(&self) -> u64 {
        let (entries, _) = self.cache.size();
        self.cache.flush();
        self.flushed.notify_one();
        entries as u64
    }

    fn explain(&self, question: Question) -> BoxFuture<'_, Explanation> {
        Box::pin(async move {
            let mut explanation = self.answerer.explain(&question, Reach::Upstreams(EXPLAIN_PATIENCE)).await;
            claims::add(&mut explanation, self.imports.load().snapshot());
            explanation
        })
    }

    fn export(&self, zone: Name) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            // Its own count, so that no worker is left to free a table that is replaced meanwhile.
            let (table, board) = (self.table.load_full(), self.imports.load_full());
            let work = move || export::zone_file(&table, &board, &zone);
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
        })
    }

    fn top(&self) -> TopReport {
        self.overview.report()
    }
}

fn report(zone: ZoneStatus, with_skipped: bool) -> ZoneReport {
    let skipped = if with_skipped { zone.skipped } else { Vec::new() };
    ZoneReport {
        zone: zone.zone,
        kind: zone.kind.to_owned(),
        source: zone.source,
        id: zone.id,
        state: zone.state.label().to_owned(),
        records: zone.counts.records as u64,
        rrsets: zone.counts.rrsets as u64,
        aliases: zone.counts.aliases as u64,
        choices: zone.counts.choices as u64,
        deferred: zone.counts.deferred as u64,
        serial: zone.serial,
        age_seconds: zone.age_seconds,
        refresh_seconds: zone.refresh_seconds,
        next_attempt_seconds: zone.next_attempt_seconds,
        error: zone.error,
        from_state_file: zone.from_state_file,
        skipped_by_reason: zone
            .skipped_by_reason
            .into_iter()
            .map(|(reason, count)| (reason.to_owned(), count as u64))
            .collect(),
        skipped: skipped.into_iter().map(skipped_report).collect(),
    }
}

fn skipped_report(skipped: SkippedStatus) -> SkippedReport {
    SkippedReport {
        owner: skipped.owner,
        rtype: skipped.rtype,
        reason: skipped.reason.to_owned(),
        detail: skipped.detail,
    }
}

/// All that a scrape sums up.
pub struct Scrape {
    /// The text format.
    pub exporter: Exporter,
    /// The threads' cells as counters.
    pub answers: AnswerMetrics,
    /// The cells.
    pub board: Arc<Board>,
    /// The transports' cells.
    pub server: Arc<ServerMetrics>,
    /// For its size.
    pub cache: Arc<Cache>,
    /// For what is isolated.
    pub forwarder: Arc<Forwarder>,
    /// For what waits.
    pub miss: MissPath,
    /// For ages.
    pub imports: SharedBoard,
    /// For readiness.
    pub state: Arc<State>,
    /// The gauges of zones.
    pub import: Arc<ImportMetrics>,
}

impl Scrape {
    /// Brings everything that is only summed at scrape up to date, and renders it.
    pub fn render(&self) -> String {
        self.answers.publish(&self.board);
        self.server.publish();
        self.cache.observe();
        self.forwarder.observe();
        self.miss.observe();
        self.imports.load().update_gauges(&self.import);
        gauge!(READY).set(f64::from(u8::from(self.state.ready().is_ok())));
        self.exporter.render() + &self.imports.load().render_zones() + &node::render(&allowances())
    }
}

/// What the node's network drivers count of packets that AWS held back.
fn allowances() -> Vec<(String, String, u64)> {
    let counters = |interface: String| {
        // One that has gone meanwhile has nothing to say.
        let found = sys::driver_counters(&interface, node::is_allowance).unwrap_or_default();
        found.into_iter().map(move |(counter, value)| (interface.clone(), counter, value))
    };
    sys::devices().into_iter().flat_map(counters).collect()
}
