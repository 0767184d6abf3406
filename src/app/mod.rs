//! Floor 6: the one wiring place: start order, long-lived tasks, reload, drain.

mod banner;
mod claims;
mod export;
mod health;
mod imports;
pub mod offline;
pub mod online;
mod reload;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{HttpListener, Pages, SocketListener};
use crate::answer::Answerer;
use crate::answer::miss::MissPath;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{Config, Drain, Environment, Log};
use crate::metrics::{AnswerMetrics, Board, CacheMetrics, Exporter, ImportMetrics, ReloadMetrics};
use crate::server::{Running, Server};
use crate::sys;
use crate::upstream::{self, Forwarder};
use crate::zone::{SharedTable, ZoneTable};

use health::State;
use imports::{Around, Imports};
use status::{Scrape, Status};

/// After the drain, tasks that do not end by themselves get this long.
const TASKS_GRACE: Duration = Duration::from_secs(6);

/// What `zonelet run` was given.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The file it was read from, watched for changes; `None` for the built-in defaults.
    pub path: Option<PathBuf>,
    /// The overrides it was read with, applied again at each reload.
    pub environment: Environment,
    /// Takes over a changed `log.level`.
    pub set_level: Box<dyn Fn(&Log) + Send + Sync>,
}

/// Serves until SIGTERM or SIGINT, then drains. Must run on a multi-thread runtime.
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
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: draining"),
        _ = interrupt.recv() => info!("SIGINT: draining"),
        never = app.follow_config(hangup) => match never {},
    }
    app.drain([terminate, interrupt]).await;
    Ok(())
}

/// Everything that lives as long as the process.
struct App {
    setup: Setup,
    forwarder: Arc<Forwarder>,
    answerer: Answerer,
    cache: Arc<Cache>,
    imports: Imports,
    server: Running,
    state: Arc<State>,
    reloads: ReloadMetrics,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl App {
    /// The order of design.md: settings are checked, last-good zones load, sockets are bound and
    /// served, sources start. Nothing waits for a source or an upstream.
    async fn start(setup: Setup) -> anyhow::Result<Self> {
        let exporter = Exporter::install()?;
        let config = &setup.config;
        let (clock, board) = (Clock::real(), Arc::new(Board::default()));
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let cache = Arc::new(Cache::new(&config.cache, CacheMetrics::register()));

        let bound = Server::bind(config.server.clone())?;
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
        let server_metrics = bound.metrics();
        let pages = bind_admin(config).await?;
        let server = bound.start(Arc::new(answerer.clone()), &board).context("the server cannot start")?;

        let state = Arc::new(State::new(imports.status(), Arc::clone(&forwarder)));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(exporter.clone().run(shutdown.clone()));
        tasks.spawn(Arc::clone(&forwarder).run(shutdown.clone()));
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
        });
        serve_admin(pages, scrape, status, &state, &tasks, &shutdown);
        tasks.spawn(banner::print(own, encrypted, imports.status(), table, shutdown.clone()));
        let reloads = ReloadMetrics::register();
        Ok(Self { setup, forwarder, answerer, cache, imports, server, state, reloads, tasks, shutdown })
    }

    /// Not ready → keep answering for the delay → read the queues dry and close → finish what is
    /// pending within the grace period → stop everything else. A second signal cuts the delay.
    async fn drain(self, signals: [Signal; 2]) {
        let Drain { delay, grace } = self.setup.config.drain;
        self.state.draining.store(true, Ordering::Relaxed);
        let [mut terminate, mut interrupt] = signals;
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = terminate.recv() => info!("second signal: the drain delay is cut short"),
            _ = interrupt.recv() => info!("second signal: the drain delay is cut short"),
        }
        let leftover = self.server.drain(grace).await;
        if leftover != crate::server::Leftover::default() {
            warn!(
                replies = leftover.replies,
                connections = leftover.connections,
                "not everything was finished in time"
            );
        }
        self.shutdown.cancel();
        self.tasks.close();
        let rest = async {
            self.imports.stop().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(TASKS_GRACE, rest).await.is_err() {
            warn!("some tasks did not end in time");
        }
        info!("stopped");
    }
}

/// The admin listeners, bound before anything is served.
struct Admin {
    http: Option<HttpListener>,
    socket: Option<SocketListener>,
}

async fn bind_admin(config: &Config) -> anyhow::Result<Admin> {
    let http = match config.admin.listen {
        Some(address) => Some(HttpListener::bind(address).await?),
        None => None,
    };
    let socket = config.admin.socket.as_deref().map(SocketListener::bind).transpose()?;
    Ok(Admin { http, socket })
}

fn serve_admin(
    admin: Admin,
    scrape: Scrape,
    status: Arc<Status>,
    state: &Arc<State>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    if let Some(http) = admin.http {
        info!(address = %http.local_addr(), "metrics and health");
        let render = Arc::new(move || scrape.render());
        let pages = Pages { health: Arc::clone(state) as Arc<_>, render };
        tasks.spawn(http.run(pages, shutdown.clone()));
    }
    if let Some(socket) = admin.socket {
        info!(path = %socket.path().display(), "admin socket");
        tasks.spawn(socket.run(status, shutdown.clone()));
    }
}

/// Set once and read by readiness.
type Flag = AtomicBool;
