//! The cache on disk: loaded beside the first queries, written on a schedule and at the end.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::answer::settings::Rebinding;
use crate::cache::Cache;
use crate::cache::snapshot::{self, SnapshotError, Stamp};
use crate::clock::Clock;
use crate::metrics::{HeritageMetrics, SnapshotMetrics};
use crate::sys;

/// Its name in the state directory.
const FILE: &str = "cache.snapshot";

/// What is written, and where.
#[derive(Clone)]
pub struct Shelf {
    /// The state directory.
    pub dir: PathBuf,
    /// What is kept.
    pub cache: Arc<Cache>,
    /// Its time.
    pub clock: Clock,
    /// Whom the answers come from, see [`origin`].
    pub origin: Arc<AtomicU64>,
    /// A file is not much longer.
    pub max_bytes: u64,
}

/// A fingerprint of the forwarded domains and their upstreams, and of what their answers are screened for: what others
/// answered is not taken for theirs, nor what would not have been let in.
pub fn origin(settings: &crate::upstream::Settings, rebinding: &Rebinding) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher13::new();
    for forward in &settings.domains {
        hasher.write(format!("{} {:?}\n", forward.domain, forward.upstreams).as_bytes());
    }
    if !rebinding.domains.is_empty() {
        hasher.write(format!("{rebinding:?}").as_bytes());
    }
    hasher.finish()
}

impl Shelf {
    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Writes the cache to its file, which is the old one or the new one, whole, at any moment. How many entries.
    fn write(&self) -> io::Result<u64> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let (path, temporary) = (self.path(), self.path().with_extension("tmp"));
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let written = self.write_new(&temporary).and_then(|entries| {
            fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()?;
            Ok(entries)
        });
        written.inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    fn write_new(&self, path: &Path) -> io::Result<u64> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut out = BufWriter::with_capacity(256 << 10, file);
        let at = (Stamp::now(), self.clock.now());
        let origin = self.origin.load(Ordering::Relaxed);
        let entries = snapshot::write(&self.cache, at, origin, self.max_bytes, &mut out)?;
        out.into_inner()?.sync_all()?;
        Ok(entries)
    }

    /// Loads the file, if there is one that is whole. How many entries came back.
    ///
    /// # Errors
    /// [`SnapshotError`]: nothing of it is used.
    fn load(&self) -> Result<Option<u64>, SnapshotError> {
        let mut file = match File::open(self.path()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let origin = self.origin.load(Ordering::Relaxed);
        snapshot::check(&mut BufReader::with_capacity(256 << 10, &file), origin, &Stamp::now())?;
        file.rewind()?;
        let (today, now) = (Stamp::now(), self.clock.now());
        let mut input = BufReader::with_capacity(256 << 10, file);
        snapshot::restore(&self.cache, (&today, now), origin, &mut input).map(Some)
    }
}

/// The task that keeps the file.
pub struct Keeper {
    task: JoinHandle<()>,
    stop: CancellationToken,
    is_last_wanted: Arc<AtomicBool>,
}

impl Keeper {
    /// Loads the file, unless what it holds has come another way, and writes it from then on: every `every`, and when
    /// `flushed` says that what it holds must not come back.
    pub fn start(
        shelf: Shelf,
        every: Duration,
        is_loaded: bool,
        flushed: Arc<Notify>,
        heritage: HeritageMetrics,
    ) -> Self {
        let (stop, is_last_wanted) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let work = Work { shelf, metrics: SnapshotMetrics::register(), written: None };
        let task = work.run(every, is_loaded, flushed, heritage, stop.clone(), Arc::clone(&is_last_wanted));
        Self { task: tokio::spawn(task), stop, is_last_wanted }
    }

    /// Ends the task, after one more file where the process ends and nobody else writes it.
    pub async fn end(self, is_last_wanted: bool) {
        self.is_last_wanted.store(is_last_wanted, Ordering::Release);
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the task that writes the cache ended badly");
        }
    }
}

struct Work {
    shelf: Shelf,
    metrics: SnapshotMetrics,
    /// How much had been learned when the file was written.
    written: Option<u64>,
}

impl Work {
    async fn run(
        mut self,
        every: Duration,
        is_loaded: bool,
        flushed: Arc<Notify>,
        heritage: HeritageMetrics,
        stop: CancellationToken,
        is_last_wanted: Arc<AtomicBool>,
    ) {
        if !is_loaded {
            self.load(&heritage).await;
        }
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                () = flushed.notified() => self.written = None,
            }
            self.write().await;
        }
        if is_last_wanted.load(Ordering::Acquire) {
            self.write().await;
        }
    }

    async fn load(&self, heritage: &HeritageMetrics) {
        let (shelf, path) = (self.shelf.clone(), self.shelf.path());
        match aside(move || shelf.load()).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(entries))) => {
                heritage.restored.set(entries as f64);
                info!(entries, path = %path.display(), "the cache of the last run is back");
            }
            Ok(Err(error @ SnapshotError::Useless(_))) => {
                info!(%error, "the cache of the last run is not used")
            }
            Ok(Err(error)) => {
                warn!(path = %path.display(), %error, "the cache of the last run is refused, all of it");
            }
            Err(error) => warn!(%error, "the cache of the last run cannot be loaded"),
        }
    }

    /// Writes the file, unless it would be the one that is there.
    async fn write(&mut self) {
        let learned = self.shelf.cache.inserted();
        if self.written == Some(learned) {
            return;
        }
        let shelf = self.shelf.clone();
        match aside(move || shelf.write()).await.and_then(|written| written) {
            Ok(entries) => {
                self.written = Some(learned);
                self.metrics.written.increment(1);
                self.metrics.entries.set(entries as f64);
            }
            Err(error) => {
                self.metrics.failed.increment(1);
                warn!(path = %self.shelf.path().display(), %error, "the cache is not written");
            }
        }
    }
}

/// Runs `work` on a thread that gives way to all others.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(move || sys::in_background(work)).await.map_err(io::Error::other)?
}
