//! Floor 6: the one wiring place: start order, long-lived tasks, reload, drain.

mod banner;
mod claims;
mod end;
mod export;
mod handover;
mod health;
mod hosts;
mod imports;
pub mod lastgood;
mod listeners;
pub mod offline;
pub mod online;
mod overview;
mod reload;
mod snapshot;
mod status;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::answer::Answerer;
use crate::answer::miss::MissPath;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{Config, Environment, Log};
use crate::metrics::continuity::config_fallback;
use crate::metrics::{
    AnswerMetrics, Board, CacheMetrics, Exporter, HandoverMetrics, HeritageMetrics, ImportMetrics,
    ReloadMetrics,
};
use crate::server::{Running, Server};
use crate::sys;
use crate::upstream::{self, Forwarder};
use crate::watch::Watch;
use crate::zone::{SharedTable, ZoneTable};

use handover::{Begin, Giver, Meeting, Offer};
use health::State;
use hosts::HostsFiles;
use imports::{Around, Imports};
use listeners::{bind_admin, serve_admin};
use overview::Overview;
use snapshot::{Keeper, Shelf};
use status::{Scrape, Status};

/// After the drain, tasks that do not end by themselves get this long.
const TASKS_GRACE: Duration = Duration::from_secs(6);

/// While another process serves, this one waits so long for its zones before it takes over without them.
const FIRST_IMPORT: Duration = Duration::from_secs(60);

/// What `zonelet run` was given.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The file it was read from, watched for changes; `None` for the built-in defaults.
    pub path: Option<PathBuf>,
    /// The text of that file, kept for a start with a bad one.
    pub text: Option<String>,
    /// The file has problems, and the configuration is the last good one.
    pub is_fallback: bool,
    /// The overrides it was read with, applied again at each reload.
    pub environment: Environment,
    /// Takes over a changed `log.level`.
    pub set_level: Box<dyn Fn(&Log) + Send + Sync>,
}

/// Serves until SIGTERM or SIGINT, then drains, or until a successor does. Must run on a multi-thread runtime.
///
/// # Errors
/// What kept it from starting: an address that cannot be bound, named with a hint.
pub async fn run(setup: Setup) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Before anything that takes time: a reload asked for too early must not end the process.
    let hangup = signal(SignalKind::hangup())?;
    // Each upstream has hundreds of sockets, and service managers start with 1024 descriptors.
    if let Err(error) = sys::raise_descriptor_limit() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let mut app = App::start(setup).await?;
    let commit = tokio::select! {
        _ = terminate.recv() => {
            info!("SIGTERM: draining");
            None
        }
        _ = interrupt.recv() => {
            info!("SIGINT: draining");
            None
        }
        commit = app.follow_config(hangup) => Some(commit),
    };
    let signals = [terminate, interrupt];
    match commit {
        Some(commit) => app.leave(commit, signals).await,
        None => app.drain(signals).await,
    }
    Ok(())
}

/// Everything that lives as long as the process.
struct App {
    setup: Setup,
    forwarder: Arc<Forwarder>,
    answerer: Answerer,
    watch: Watch,
    cache: Arc<Cache>,
    imports: Imports,
    hosts: HostsFiles,
    server: Running,
    state: Arc<State>,
    reloads: ReloadMetrics,
    /// Whom a successor finds; `None` where nothing is handed over.
    giver: Option<Giver>,
    keeper: Option<Keeper>,
    watchdog: Option<watchdog::Guard>,
    /// Whom the cache's answers come from.
    origin: Arc<AtomicU64>,
    /// Ends the admin listeners alone.
    admin: CancellationToken,
    /// That the admin socket's file is a successor's.
    admin_file: Option<Arc<Flag>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl App {
    /// The order of design.md: settings are checked, last-good zones load, sockets are bound and
    /// served, sources start. Nothing waits for a source or an upstream, unless another process serves meanwhile.
    async fn start(setup: Setup) -> anyhow::Result<Self> {
        let exporter = Exporter::install()?;
        let config = &setup.config;
        let (clock, board) = (Clock::real(), Arc::new(Board::default()));
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let cache = Arc::new(Cache::new(&config.cache, CacheMetrics::register()));

        let heritage = HeritageMetrics::register();
        let origin = Arc::new(AtomicU64::new(snapshot::origin(&config.upstream, &config.answer.rebinding)));
        let meeting = config.handover.socket.as_deref();
        let fingerprint = origin.load(Ordering::Relaxed);
        let mut begin = Begin::at(meeting, (&cache, &clock), fingerprint, &heritage).await?;

        let bound = Server::succeed(config.server.clone(), &mut begin.estate)?;
        begin.check().await?;
        let (own, encrypted) = (bound.local_addrs(), bound.encrypted_addrs());
        let upstream_settings = upstream::Settings { own: own.clone(), ..config.upstream.clone() };
        let forwarder = Forwarder::new(upstream_settings, clock.clone(), Handle::current());
        let metrics = Arc::new(ImportMetrics::register());
        let around = Around {
            table: Arc::clone(&table),
            clock: clock.clone(),
            metrics,
            forwarder: Arc::clone(&forwarder),
            cache: Arc::clone(&cache),
        };
        let imports = Imports::start(config, around).await;

        let miss = MissPath::new(
            &config.answer,
            Arc::clone(&cache),
            Arc::clone(&forwarder),
            clock.clone(),
            Handle::current(),
        );
        let answerer = Answerer::new(
            Arc::clone(&table),
            Arc::clone(&cache),
            miss.clone(),
            config.answer.clone(),
            clock.clone(),
            &board,
        );
        let hosts = HostsFiles::start(config, answerer.clone()).await;
        let watch = Watch::new(config.watch.clone(), clock.clone());
        answerer.watched_by(watch.clone(), config.answer.clone());
        forwarder.watched_by(watch.clone());
        let server_metrics = bound.metrics();
        let pages = bind_admin(config, &mut begin.estate).await?;
        let shared = pages.shared()?;

        let state = Arc::new(State::new(imports.status(), Arc::clone(&forwarder)));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let admin = shutdown.child_token();
        tasks.spawn(exporter.clone().run(shutdown.clone()));
        tasks.spawn(Arc::clone(&forwarder).run(shutdown.clone()));
        if begin.is_followed() {
            state.until_ready(FIRST_IMPORT).await;
        }
        let is_loaded = begin.is_followed();
        let mut server =
            bound.start(Arc::new(answerer.clone()), &board).context("the server cannot start")?;
        let flushed = Arc::new(Notify::new());
        tasks.spawn(hosts.clone().run(shutdown.clone()));
        tasks.spawn(watch.clone().run(ways(&forwarder), shutdown.clone()));
        let overview = Overview {
            clock: clock.clone(),
            board: Arc::clone(&board),
            cache: Arc::clone(&cache),
            miss: miss.clone(),
            forwarder: Arc::clone(&forwarder),
            imports: imports.status(),
            watch: watch.clone(),
        };
        let scrape = Scrape {
            exporter,
            answers: AnswerMetrics::register(),
            board,
            server: server_metrics,
            cache: Arc::clone(&cache),
            forwarder: Arc::clone(&forwarder),
            miss,
            imports: imports.status(),
            state: Arc::clone(&state),
            import: imports.metrics(),
        };
        let status = Arc::new(Status {
            imports: imports.status(),
            cache: Arc::clone(&cache),
            answerer: answerer.clone(),
            table: Arc::clone(&table),
            flushed: Arc::clone(&flushed),
            overview,
        });
        serve_admin(pages, scrape, status, &state, &tasks, &admin);
        begin.serving(&heritage).await?;
        server.own();
        let shelf = config.import.state_dir.clone().map(|dir| Shelf {
            dir,
            cache: Arc::clone(&cache),
            clock: clock.clone(),
            origin: Arc::clone(&origin),
            max_bytes: config.cache.max_bytes,
        });
        let keeper = shelf.zip(config.keep.snapshot);
        let keeper = keeper.map(|(shelf, every)| Keeper::start(shelf, every, is_loaded, flushed, heritage));
        let offer = Offer {
            server: server.sockets(),
            admin: shared.sockets,
            cache: Arc::clone(&cache),
            clock,
            origin: Arc::clone(&origin),
            metrics: HandoverMetrics::register("given"),
        };
        let giver = meet(config, offer, &shutdown);
        let watchdog = guard(config, &server, state.verdict.clone(), &watch);
        tasks.spawn(banner::print(own, encrypted, imports.status(), table, shutdown.clone()));
        let reloads = ReloadMetrics::register();
        let fallback = f64::from(u8::from(setup.is_fallback));
        config_fallback().set(fallback);
        keep_config(config, setup.text.clone()).await;
        Ok(Self {
            setup,
            forwarder,
            answerer,
            watch,
            cache,
            imports,
            hosts,
            server,
            state,
            reloads,
            giver,
            keeper,
            watchdog,
            origin,
            admin,
            admin_file: shared.file,
            tasks,
            shutdown,
        })
    }
}

/// Where names go, for the query log: a domain and its upstreams.
fn ways(forwarder: &Arc<Forwarder>) -> crate::watch::Route {
    let forwarder = Arc::clone(forwarder);
    Arc::new(move |qname| {
        let route = forwarder.tell(qname)?;
        let upstreams: Vec<String> = route.upstreams.into_iter().map(|told| told.upstream).collect();
        Some(format!("{} of {}", upstreams.join(" "), route.domain))
    })
}

/// Keeps the text of a configuration that is at work, where that is wanted.
async fn keep_config(config: &Config, text: Option<String>) {
    let dir = config.import.state_dir.clone().filter(|_| config.keep.last_good_config);
    let (Some(dir), Some(text)) = (dir, text) else { return };
    let shown = dir.display().to_string();
    match tokio::task::spawn_blocking(move || lastgood::keep(&dir, &text)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(dir = shown, %error, "the configuration is not kept for later"),
        Err(error) => warn!(dir = shown, %error, "the configuration is not kept for later"),
    }
}

/// Has the workers watched, where the configuration says so.
fn guard(
    config: &Config,
    server: &Running,
    verdict: watchdog::Verdict,
    watch: &Watch,
) -> Option<watchdog::Guard> {
    let (settings, question) = (config.watchdog?, watchdog::question());
    let started =
        watchdog::start(settings, server.pulses(), question, verdict, server.metrics(), watch.own());
    started.inspect_err(|error| error!(%error, "the watchdog cannot start")).ok()
}

/// Lets a successor find this process, where the configuration says so.
fn meet(config: &Config, offer: Offer, shutdown: &CancellationToken) -> Option<Giver> {
    let path = config.handover.socket.as_deref()?;
    match Meeting::bind(path) {
        Ok(meeting) => Some(Giver::start(meeting, offer, shutdown.clone())),
        Err(error) => {
            error!(path = %path.display(), %error, "no successor will find this process: no socket for it");
            None
        }
    }
}

/// Set once and read by readiness.
type Flag = AtomicBool;
