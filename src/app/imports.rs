//! The importer at work, and its replacement when the sources change.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{Config, Source, SourceKind};
use crate::import::{Importer, Kept, SourcePolicy, StatusBoard, Upstreams};
use crate::metrics::ImportMetrics;
use crate::source::ZoneSource;
use crate::source::file::FileSource;
use crate::upstream::Forwarder;
use crate::wire::{Name, NameRef, Rtype};
use crate::zone::SharedTable;

/// The listing of whichever importer is at work.
pub type SharedBoard = Arc<ArcSwap<StatusBoard>>;

/// What every importer works with.
#[derive(Clone)]
pub struct Around {
    /// What it publishes in.
    pub table: SharedTable,
    /// Ages outlive the importer.
    pub clock: Clock,
    /// What it counts with.
    pub metrics: Arc<ImportMetrics>,
    /// Whom the hosts of sources are asked of.
    pub forwarder: Arc<Forwarder>,
    /// Where answers go stale when a zone changes.
    pub cache: Arc<Cache>,
}

/// The running importer with what a successor needs.
pub struct Imports {
    around: Around,
    board: SharedBoard,
    stop: CancellationToken,
    task: JoinHandle<Kept>,
}

/// What the importer must know of the upstreams, and whom it tells.
pub(super) struct Hooks {
    pub forwarder: Arc<Forwarder>,
    /// Where what upstreams said is wrong once a zone has changed; nowhere while nothing is served.
    pub learned: Option<(Arc<Cache>, Clock)>,
}

impl Upstreams for Hooks {
    fn is_vpc_resolver(&self, apex: NameRef<'_>) -> bool {
        self.forwarder.is_vpc_resolver(apex)
    }

    fn forget(&self, changed: &[(Name, Rtype)]) {
        if let Some((cache, clock)) = &self.learned {
            let now = clock.now();
            changed.iter().for_each(|(owner, rtype)| cache.forget(owner.as_ref(), *rtype, now));
        }
    }
}

impl Imports {
    /// Publishes the last-good zones, then starts importing.
    pub async fn start(config: &Config, around: Around) -> Self {
        let mut importer = importer(config, &around);
        importer.load_last_good().await;
        let board = Arc::new(ArcSwap::from_pointee(importer.board()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(importer.run(stop.clone()));
        Self { around, board, stop, task }
    }

    /// The listing, which follows a replacement.
    pub fn status(&self) -> SharedBoard {
        Arc::clone(&self.board)
    }

    /// The gauges of zones.
    pub fn metrics(&self) -> Arc<ImportMetrics> {
        Arc::clone(&self.around.metrics)
    }

    /// Goes on with other sources or policies. What is served stays until it has been imported
    /// anew, or until its source is gone from the configuration.
    pub async fn replace(&mut self, config: &Config) {
        self.stop.cancel();
        let mut next = importer(config, &self.around);
        match (&mut self.task).await {
            Ok(kept) => next.inherit(kept),
            Err(error) => error!(%error, "the importer ended badly; zones are imported anew"),
        }
        self.board.store(Arc::new(next.board()));
        self.stop = CancellationToken::new();
        self.task = tokio::spawn(next.run(self.stop.clone()));
    }

    /// Begins to stop importing: nothing is imported any more.
    pub fn halt(&self) {
        self.stop.cancel();
    }

    /// Stops importing; what is to be written to disk is written.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the importer ended badly");
        }
    }
}

fn importer(config: &Config, around: &Around) -> Importer {
    let forwarder = &around.forwarder;
    let learned = Some((Arc::clone(&around.cache), around.clock.clone()));
    let hooks = Hooks { forwarder: Arc::clone(forwarder), learned };
    let sources: Vec<(Arc<dyn ZoneSource>, SourcePolicy)> =
        config.sources.iter().filter_map(|s| Some((open(s, forwarder)?, s.policy.clone()))).collect();
    Importer::new(
        config.import.clone(),
        sources,
        Arc::clone(&around.table),
        around.clock.clone(),
        Arc::clone(&around.metrics),
        Arc::new(hooks),
    )
}

/// One source of the configuration, if this build has its kind. Nothing is asked of it yet.
#[cfg_attr(not(feature = "route53"), allow(unused_variables))]
pub(super) fn open(source: &Source, forwarder: &Arc<Forwarder>) -> Option<Arc<dyn ZoneSource>> {
    match &source.kind {
        SourceKind::File(settings) => Some(Arc::new(FileSource::new(settings.clone()))),
        #[cfg(feature = "route53")]
        SourceKind::Route53(settings) => Some(Arc::new(route53(settings, forwarder))),
        // It has no zones: see `hosts`.
        SourceKind::Hosts(_) => None,
        // The configuration has been refused for it.
        #[cfg(not(feature = "route53"))]
        SourceKind::Route53(_) => None,
    }
}

/// A source of Route 53 that finds hosts through the upstreams.
#[cfg(feature = "route53")]
pub(super) fn route53(
    settings: &crate::source::settings::Route53Settings,
    forwarder: &Arc<Forwarder>,
) -> crate::source::route53::Route53Source {
    use crate::metrics::SourceMetrics;
    use crate::source::route53::Route53Source;
    use crate::upstream::BootstrapResolver;
    let metrics = SourceMetrics::register(&Route53Source::label_of(settings));
    let resolver = Arc::new(names::Names(BootstrapResolver::new(Arc::clone(forwarder))));
    Route53Source::new(settings.clone(), resolver, metrics)
}

/// The trait that sources know, over the resolver that upstreams have.
#[cfg(feature = "route53")]
mod names {
    use std::io;
    use std::net::IpAddr;

    use crate::source::{BoxFuture, HostResolver};
    use crate::upstream::BootstrapResolver;

    #[derive(Debug)]
    pub struct Names(pub BootstrapResolver);

    impl HostResolver for Names {
        fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(self.0.lookup(host))
        }
    }
}
