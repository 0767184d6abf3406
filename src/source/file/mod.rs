//! Zones from files: the JSON of `aws route53 list-resource-record-sets`, or RFC 1035 zone files.

pub mod entries;
pub mod json;
mod memory;
mod watch;
pub mod zonefile;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::sys;
use crate::wire::Name;
use crate::zone::{Body, SkipReason, Skipped, ZoneData};

use memory::SharedMemory;

use super::settings::FileSettings;
use super::{Access, BoxFuture, Fetched, FoundZone, Origin, Progress, Push, SourceError, ZoneId, ZoneSource};

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// How often a file is looked at for changes.
pub const POLL: Duration = Duration::from_secs(3);

/// Why a file's content is not a zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FileError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl FileError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

/// One file as a source of one zone.
///
/// It is read anew for each listing and each fetch, so there is nothing to invalidate, and parsed
/// anew where its content changed; content that is not what was loaded last is pushed within
/// [`POLL`].
#[derive(Debug)]
pub struct FileSource {
    settings: FileSettings,
    label: String,
    poll: Duration,
    is_watched: AtomicBool,
    memory: SharedMemory,
}

impl FileSource {
    /// A source that reads `settings.path`; nothing is read yet.
    pub fn new(settings: FileSettings) -> Self {
        Self::with_poll(settings, POLL)
    }

    /// The same with another interval between looks for changes.
    pub fn with_poll(settings: FileSettings, poll: Duration) -> Self {
        let label = settings.path.display().to_string();
        Self { settings, label, poll, is_watched: AtomicBool::new(false), memory: SharedMemory::default() }
    }

    fn id(&self) -> ZoneId {
        ZoneId(Arc::from(self.label.as_str()))
    }

    /// Reads the file away from the runtime's threads, and parses it if that is not known already.
    async fn load<T: Send + 'static>(&self, load: memory::Load<T>) -> Result<T, SourceError> {
        let FileSettings { path, zone, .. } = self.settings.clone();
        let what = format!("zone file {}", self.label);
        let memory = Arc::clone(&self.memory);
        let loaded = tokio::task::spawn_blocking(move || {
            sys::in_background(|| {
                let content = read(&path)?;
                load(&memory, &content, zone)
            })?
        });
        match loaded.await {
            Ok(Ok(data)) => Ok(data),
            Ok(Err(LoadError::Io(source))) => Err(SourceError::Failed { what, source: source.into() }),
            Ok(Err(LoadError::NotAZone(problem))) => Err(SourceError::Damaged { what, problem }),
            Ok(Err(LoadError::At(error))) => {
                Err(SourceError::Damaged { what: format!("{what}:{}", error.line), problem: error.problem })
            }
            Err(stopped) => Err(SourceError::Failed { what, source: stopped.into() }),
        }
    }
}

impl ZoneSource for FileSource {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin::default())
    }

    fn region(&self) -> Option<String> {
        self.settings.region.clone()
    }

    fn discover(&self) -> BoxFuture<'_, Result<Vec<FoundZone>, SourceError>> {
        Box::pin(async {
            let apex = self.load(memory::apex_of).await?;
            Ok(vec![FoundZone { id: self.id(), apex, access: Access::Readable, records: None }])
        })
    }

    fn fetch<'a>(
        &'a self,
        zone: &'a FoundZone,
        _progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        Box::pin(async {
            let data = self.load(memory::data_of).await?;
            if data.apex != zone.apex {
                // The file holds another zone by now; the next discovery names it.
                return Err(SourceError::Gone { what: format!("zone {} in {}", zone.apex, self.label) });
            }
            Ok(Fetched { data, calls: 0 })
        })
    }

    /// Each change of the content (one through a swapped symlink, a file that appears or vanishes)
    /// is pushed as a rediscovery, for a new apex, and a changed zone. Must be called within a
    /// runtime; the watch ends when the receiver is dropped.
    fn pushes(&self) -> Option<mpsc::Receiver<Push>> {
        if self.is_watched.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(2);
        let watch = watch::Watch {
            path: self.settings.path.clone(),
            id: self.id(),
            poll: self.poll,
            memory: Arc::clone(&self.memory),
        };
        tokio::spawn(watch.run(sender));
        Some(receiver)
    }
}

/// Why a file gave no zone.
#[derive(Debug)]
enum LoadError {
    Io(std::io::Error),
    NotAZone(String),
    At(FileError),
}

impl From<std::io::Error> for LoadError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FileError> for LoadError {
    fn from(error: FileError) -> Self {
        Self::At(error)
    }
}

/// Opens a regular file; a pipe in its place would be waited for without end.
fn open(path: &Path) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    File::open(path)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut content = Vec::new();
    open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::NotAZone(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(content)
}

/// The content of a file of another kind, under the same bounds.
pub(super) fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    read(path).map_err(|error| match error {
        LoadError::Io(error) => error,
        LoadError::NotAZone(what) => std::io::Error::other(what),
        LoadError::At(error) => std::io::Error::other(error),
    })
}

/// Reads either format; which one, its first byte says.
fn parse(content: &[u8], zone: Option<Name>) -> Result<ZoneData, LoadError> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    if content.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        return json::parse(content, zone)?.ok_or_else(|| LoadError::NotAZone(NO_APEX.into()));
    }
    let file = zonefile::parse(content, zone.clone())?;
    if !file.records.iter().any(|(_, set)| matches!(set.body, Body::Records { .. })) {
        // Cut off by a writer that failed, or no zone file at all: names it had must not vanish.
        let first = file.skipped.first().map_or("it is empty", |skipped| &skipped.detail);
        return Err(LoadError::NotAZone(format!("no record in it can be read: {first}")));
    }
    if let (Some(zone), Some(soa)) = (&zone, &file.soa)
        && zone != soa
    {
        let problem = format!("the key `zone` says {zone}, its SOA stands at {soa}");
        return Err(LoadError::NotAZone(problem));
    }
    let apex = file.soa.or(zone).or(file.first_origin);
    let apex = apex.ok_or_else(|| LoadError::NotAZone(NO_APEX.into()))?;
    let mut skipped = file.skipped;
    // Done in place: the lines' numbers go, no second list comes.
    let within = file.records.into_iter().filter_map(|(line, set)| {
        if set.owner.as_ref().is_at_or_below(apex.as_ref()) {
            return Some(set);
        }
        skipped.push(Skipped {
            owner: set.owner.to_string(),
            rtype: set.rtype.to_string(),
            reason: SkipReason::OutOfZone,
            detail: format!("line {line}: not in zone {apex}"),
        });
        None
    });
    let sets = within.collect();
    Ok(ZoneData { apex, sets, skipped })
}

const NO_APEX: &str = "it has no SOA; name its zone in the source's key `zone`";

#[cfg(test)]
mod tests;
