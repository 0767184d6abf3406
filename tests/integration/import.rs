//! The importer over scripted sources, with time paused: what is in the zone table, and when.

mod accounts;
#[cfg(feature = "route53")]
mod aws;
mod choice;
mod failures;
mod health;
mod hints;
mod schedule;
mod standing;
mod state;
mod updates;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use zonelet::clock::Clock;
use zonelet::import::{
    Importer, Kept, OnUnloaded, RefreshRequest, RequestError, Settings, SourcePolicy, StatusBoard, Upstreams,
    ZoneState, ZoneStatus,
};
use zonelet::metrics::import::ImportMetrics;
use zonelet::source::{Access, Fetched, Push, ZoneId, ZoneSource};
use zonelet::wire::{Name, NameRef, Rtype, Suffixes};
use zonelet::zone::{Authority, Chosen, Lookup, OnMissing, SharedTable, WhenUnloaded};

use crate::harness::source::{Fault, Scripted, data, found};

const REFRESH: Duration = Duration::from_secs(60);

/// Whether the upstream is the VPC resolver, and what it was said to have been wrong about; clones share it.
#[derive(Clone, Default)]
struct Vpc(Arc<AtomicBool>, Arc<Mutex<Vec<String>>>);

impl Upstreams for Vpc {
    fn is_vpc_resolver(&self, _apex: NameRef<'_>) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn forget(&self, changed: &[(Name, Rtype)]) {
        self.1.lock().unwrap().extend(changed.iter().map(|(owner, rtype)| format!("{owner} {rtype}")));
    }
}

impl From<bool> for Vpc {
    fn from(is_it: bool) -> Self {
        Self(Arc::new(AtomicBool::new(is_it)), Arc::default())
    }
}

/// A running importer.
struct World {
    table: SharedTable,
    board: StatusBoard,
    metrics: Arc<ImportMetrics>,
    shutdown: CancellationToken,
    task: JoinHandle<Kept>,
}

#[derive(Default)]
struct Setup {
    policy: SourcePolicy,
    state: Option<std::path::PathBuf>,
    kept: Kept,
    vpc: Vpc,
    table: SharedTable,
}

impl Setup {
    fn expecting(apex: &str) -> Self {
        let policy = SourcePolicy { expected: vec![apex.parse().unwrap()], ..SourcePolicy::default() };
        Self { policy, ..Self::default() }
    }

    fn state(dir: &Path) -> Self {
        Self { state: Some(dir.to_owned()), ..Self::default() }
    }

    fn start(self, sources: &[&Scripted]) -> World {
        self.over(sources.iter().map(|s| Arc::new((*s).clone()) as Arc<dyn ZoneSource>))
    }

    fn over(self, sources: impl IntoIterator<Item = Arc<dyn ZoneSource>>) -> World {
        let metrics = Arc::new(ImportMetrics::register());
        let sources = sources.into_iter().map(|source| (source, self.policy.clone())).collect();
        let mut importer = Importer::new(
            Settings { state_dir: self.state },
            sources,
            Arc::clone(&self.table),
            Clock::real(),
            Arc::clone(&metrics),
            Arc::new(self.vpc),
        );
        importer.inherit(self.kept);
        let (board, shutdown) = (importer.board(), CancellationToken::new());
        let task = tokio::spawn(importer.run(shutdown.clone()));
        World { table: self.table, board, metrics, shutdown, task }
    }
}

fn start(sources: &[&Scripted]) -> World {
    Setup::default().start(sources)
}

impl World {
    /// What the table says of an A query: an address's last byte, or the outcome in words.
    fn ask(&self, qname: &str) -> String {
        let qname: Name = qname.parse().unwrap();
        let (table, all) = (self.table.load(), Suffixes::of(qname.as_ref()));
        match table.find(&all) {
            None => "forward".into(),
            Some((_, Authority::CarvedOut)) => "carved out".into(),
            Some((_, Authority::Unloaded(WhenUnloaded::Forward, _))) => "unloaded, forward".into(),
            Some((_, Authority::Unloaded(WhenUnloaded::Fail, _))) => "unloaded, fail".into(),
            Some((apex, Authority::Loaded(zone))) => match zone.lookup(&all, Rtype::A) {
                Lookup::Answer(rrset) => rrset.rdata().map(|r| r[3].to_string()).collect(),
                Lookup::Choice(choice) => match choice.pick(0) {
                    Chosen::Records(rrset) => rrset.rdata().map(|r| r[3].to_string()).collect(),
                    other => format!("{other:?}"),
                },
                Lookup::NxDomain => format!("nxdomain of {apex}"),
                other => format!("{other:?}"),
            },
        }
    }

    /// Lets virtual time pass until `qname` is answered with `expected`.
    async fn until(&self, qname: &str, expected: &str) {
        self.until_true(&format!("{qname} is {expected}"), |w| w.ask(qname) == expected).await;
    }

    async fn until_true(&self, what: &str, claim: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(24 * 3600);
        while !claim(self) {
            assert!(Instant::now() < deadline, "never came true: {what}; {:#?}", self.board.snapshot());
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn status(&self, id: &str) -> ZoneStatus {
        self.board.snapshot().into_iter().find(|z| z.id == id).expect("no such zone in the listing")
    }

    fn state(&self, id: &str) -> ZoneState {
        self.status(id).state
    }

    async fn refresh(&self, zone: Option<&str>) -> Result<usize, RequestError> {
        self.board.request(RefreshRequest { zone: zone.map(|z| z.parse().unwrap()) }).await
    }

    async fn stop(self) -> Kept {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }
}

/// The warnings logged on this thread.
struct Warnings(Arc<Mutex<Vec<u8>>>, #[allow(dead_code)] tracing::subscriber::DefaultGuard);

impl Warnings {
    fn capture() -> Self {
        // While only one subscriber is alive, a log line first met by a thread without one is
        // switched off for good: a second one that keeps nothing prevents that.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| {
            let quiet = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
            tracing::Dispatch::new(quiet.with_writer(std::io::sink).finish())
        });
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self(text, tracing::subscriber::set_default(subscriber))
    }

    fn about(&self, what: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|l| l.contains(what)).count()
    }
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn hosts(count: u8) -> Vec<(String, u8)> {
    (0..count).map(|n| (format!("h{n}"), n)).collect()
}

fn borrowed(hosts: &[(String, u8)]) -> Vec<(&str, u8)> {
    hosts.iter().map(|(h, n)| (h.as_str(), *n)).collect()
}
