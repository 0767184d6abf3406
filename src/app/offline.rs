//! What can be said of a configuration without serving it: explanations, rehearsals of imports, exports.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;

use super::claims;
use super::export;
use super::hosts;
use super::imports::{Hooks, open};
use crate::answer::Answerer;
use crate::answer::explain::{Explanation, Question, Reach};
use crate::answer::miss::MissPath;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{Config, SourceKind};
use crate::import::{Importer, Rehearsal, SourcePolicy, StatusBoard, only_zone, unasked};
use crate::metrics::{Board, CacheMetrics, ImportMetrics};
use crate::source::ZoneSource;
use crate::upstream::Forwarder;
use crate::wire::Name;
use crate::zone::{SharedTable, ZoneTable};

/// Files are read for no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The zones of a configuration, as they can be had without asking anybody: files, and last-good zones of the other
/// sources.
struct Offline {
    clock: Clock,
    forwarder: Arc<Forwarder>,
    table: SharedTable,
    board: StatusBoard,
}

impl Offline {
    async fn load(config: &Config) -> Self {
        let (clock, forwarder) = surroundings(config);
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let mut importer = importer(config, &clock, &forwarder, &table, |source, kind| match kind {
            SourceKind::File(_) => source,
            _ => unasked(source),
        });
        importer.settle(PATIENCE).await;
        Self { clock, forwarder, table, board: importer.board() }
    }
}

fn surroundings(config: &Config) -> (Clock, Arc<Forwarder>) {
    let clock = Clock::real();
    let forwarder = Forwarder::new(config.upstream.clone(), clock.clone(), Handle::current());
    (clock, forwarder)
}

fn importer(
    config: &Config,
    clock: &Clock,
    forwarder: &Arc<Forwarder>,
    table: &SharedTable,
    limit: impl Fn(Arc<dyn ZoneSource>, &SourceKind) -> Arc<dyn ZoneSource>,
) -> Importer {
    let opened = config
        .sources
        .iter()
        .filter_map(|source| Some((limit(open(source, forwarder)?, &source.kind), source.policy.clone())));
    let sources: Vec<(Arc<dyn ZoneSource>, SourcePolicy)> = opened.collect();
    let hooks = Arc::new(Hooks { forwarder: Arc::clone(forwarder), learned: None });
    let metrics = Arc::new(ImportMetrics::register());
    Importer::new(config.import.clone(), sources, Arc::clone(table), clock.clone(), metrics, hooks)
}

/// Asks every source of `config` once, or for the zones of one name, for `limit` in all. Nothing is served or written.
/// Must run on a multi-thread runtime.
pub async fn rehearse(config: &Config, zone: Option<Name>, limit: Duration) -> Rehearsal {
    let (clock, forwarder) = surroundings(config);
    let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
    let importer = importer(config, &clock, &forwarder, &table, |source, _| match &zone {
        Some(apex) => only_zone(source, apex.clone()),
        None => source,
    });
    let mut rehearsal = importer.rehearse(limit).await;
    if let Some(apex) = zone.map(|apex| apex.to_string()) {
        rehearsal.zones.retain(|rehearsed| rehearsed.status.zone == apex);
        rehearsal.vanished.retain(|vanished| vanished.zone == apex);
    }
    rehearsal
}

/// Explains what a zonelet with this configuration would say, asking nobody. Must run on a multi-thread runtime.
pub async fn explain(config: &Config, question: &Question) -> Explanation {
    let offline = Offline::load(config).await;
    let cache = Arc::new(Cache::new(&config.cache, CacheMetrics::register()));
    let (forwarder, clock) = (Arc::clone(&offline.forwarder), offline.clock.clone());
    let miss = MissPath::new(&config.answer, Arc::clone(&cache), forwarder, clock.clone(), Handle::current());
    let (table, board) = (Arc::clone(&offline.table), Board::default());
    let answerer = Answerer::new(table, cache, miss, config.answer.clone(), clock, &board);
    answerer.set_hosts(hosts::read_once(config));
    let mut explanation = answerer.explain(question, Reach::Here).await;
    claims::add(&mut explanation, offline.board.snapshot());
    explanation
}

/// Writes a zone of this configuration as a zone file, asking nobody. Must run on a multi-thread runtime.
///
/// # Errors
/// Why there is no such zone.
pub async fn export(config: &Config, zone: &Name) -> Result<String, String> {
    let offline = Offline::load(config).await;
    export::zone_file(&offline.table.load(), &offline.board, zone)
}
