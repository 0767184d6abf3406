//! The directory of last-good zones: whole files in, whole files out, one write at a time.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::state::{self, MAX_BYTES, StateError, StateFile};

/// No more files than this are looked at on start.
const MAX_FILES: usize = 20_000;

/// Why a state file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The file cannot be read.
    #[error("cannot read state file")]
    Io(#[from] io::Error),
    /// Its content is not what was written.
    #[error(transparent)]
    Content(#[from] StateError),
    /// It is not the file this zone belongs in: somebody copied or renamed it.
    #[error("state file does not carry the name of its zone")]
    Misnamed,
    /// It is a directory, a pipe, a link.
    #[error("not a plain file")]
    NotAFile,
}

/// What is to become of a file.
#[derive(Debug)]
pub(super) enum Op {
    Write(Vec<u8>),
    Delete,
}

/// The directory, and what is still to be written there.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// The latest wish for each file; bounded by the number of zones.
    pending: BTreeMap<String, Op>,
    busy: bool,
}

impl Store {
    /// Keeps zones in `<state_dir>/zones`.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("zones"), pending: BTreeMap::new(), busy: false }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Notes what is to become of `file`, in place of what was noted before.
    pub fn put(&mut self, file: String, op: Op) {
        self.pending.insert(file, op);
    }

    /// The next thing to do, once the last one is [`Store::done`]: so that two writes of one file
    /// never meet.
    pub fn take(&mut self) -> Option<(PathBuf, Op)> {
        if self.busy {
            return None;
        }
        let (file, op) = self.pending.pop_first()?;
        self.busy = true;
        Some((self.dir.join(file), op))
    }

    /// The thing taken last is done.
    pub fn done(&mut self) {
        self.busy = false;
    }
}

/// How the names of files that are being written end.
const TEMPORARY: &str = "tmp";
/// One that is older was left by a crash.
const LEFT_OVER: Duration = Duration::from_secs(600);

/// What tells this process' unfinished files from those of another one in the same directory, which a process is while it
/// takes over. Process ids of two containers may be equal.
fn own_mark() -> u32 {
    static MARK: OnceLock<u32> = OnceLock::new();
    *MARK.get_or_init(rand::random)
}

/// Where this process writes what becomes the file at `path`.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(format!("{:08x}.{TEMPORARY}", own_mark()))
}

/// Removes an unfinished file that nobody will finish.
fn clear_left_over(path: &Path) {
    let age = fs::metadata(path).and_then(|found| found.modified()).map(|at| at.elapsed());
    if path.extension().is_some_and(|e| e == TEMPORARY)
        && age.is_ok_and(|age| age.is_ok_and(|age| age > LEFT_OVER))
    {
        // It may be gone already.
        let _ = fs::remove_file(path);
    }
}

/// Carries out `op`. A reader, and a crash at any moment, sees the old file or the new one, whole.
///
/// # Errors
/// The failing system call's; the old file still stands.
pub(super) fn apply(path: &Path, op: &Op) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let temporary = unfinished(path);
    match op {
        Op::Write(bytes) => {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            remove(&temporary)?;
            write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
                let _ = fs::remove_file(&temporary);
            })?;
        }
        Op::Delete => {
            remove(&temporary)?;
            remove(path)?;
        }
    }
    match File::open(dir) {
        Ok(handle) => handle.sync_all(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The state files in `dir`, in order of their names; a directory that is not there holds none.
///
/// # Errors
/// When the directory cannot be listed.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files: Vec<PathBuf> = entries
        .take(MAX_FILES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .inspect(|path| clear_left_over(path))
        .filter(|path| path.extension().is_some_and(|e| e == "zone"))
        .collect();
    files.sort();
    Ok(files)
}

/// Reads one state file.
///
/// # Errors
/// [`LoadError`]: the file is not served and is left as it is.
pub(super) fn read(path: &Path) -> Result<StateFile, LoadError> {
    // Neither follows a link nor waits for a pipe's writer.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(LoadError::NotAFile);
    }
    if meta.len() > MAX_BYTES as u64 {
        return Err(StateError::TooLarge.into());
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let zone = state::parse_state(&bytes)?;
    if path.file_name().is_none_or(|name| name != zone.file_name().as_str()) {
        return Err(LoadError::Misnamed);
    }
    Ok(zone)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::source::ZoneId;
    use crate::zone::ZoneData;

    fn sample(id: &str) -> StateFile {
        StateFile {
            kind: "file".into(),
            label: "f".into(),
            origin: None,
            id: ZoneId(id.into()),
            fetched_at: 1,
            calls: 1,
            region: None,
            standing: state::Standing::default(),
            data: ZoneData { apex: "z.test".parse().unwrap(), sets: vec![], skipped: vec![] },
        }
    }

    fn write(store: &mut Store, state: &StateFile) -> PathBuf {
        store.put(state.file_name(), Op::Write(state::encode_state(state).unwrap()));
        let (path, op) = store.take().unwrap();
        apply(&path, &op).unwrap();
        store.done();
        path
    }

    #[test]
    fn a_file_is_written_whole_for_its_owner_only_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::new(home.path());
        assert!(list(store.dir()).unwrap().is_empty(), "a missing directory holds nothing");
        let path = write(&mut store, &sample("one"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(list(store.dir()).unwrap(), std::slice::from_ref(&path));
        assert_eq!(read(&path).unwrap(), sample("one"));
        apply(&path, &Op::Delete).unwrap();
        apply(&path, &Op::Delete).unwrap();
        assert!(list(store.dir()).unwrap().is_empty());
    }

    #[test]
    fn a_left_over_temporary_file_is_neither_read_nor_in_the_way() {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::new(home.path());
        let path = write(&mut store, &sample("one"));
        let [old, new] = ["tmp", "another.tmp"].map(|end| path.with_extension(end));
        fs::write(&old, "half a zone").unwrap();
        fs::write(&new, "a zone that another process is writing").unwrap();
        let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&old).unwrap().set_modified(an_hour_ago).unwrap();
        assert_eq!(list(store.dir()).unwrap(), std::slice::from_ref(&path));
        assert!(!old.exists() && new.exists());
        write(&mut store, &sample("one"));
        assert!(read(&path).is_ok() && new.exists());
        assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 2);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::new(home.path());
        let path = write(&mut store, &sample("one"));
        // A directory where the temporary file goes makes the write fail, even for root.
        fs::create_dir(unfinished(&path)).unwrap();
        assert!(apply(&path, &Op::Write(vec![1])).is_err());
        assert_eq!(read(&path).unwrap(), sample("one"));
    }

    #[test]
    fn the_latest_wish_for_a_file_wins_and_one_is_done_at_a_time() {
        let mut store = Store::new(Path::new("/nowhere"));
        store.put("a.zone".into(), Op::Write(vec![1]));
        store.put("a.zone".into(), Op::Delete);
        store.put("b.zone".into(), Op::Write(vec![2]));
        assert!(matches!(store.take(), Some((path, Op::Delete)) if path.ends_with("zones/a.zone")));
        assert!(store.take().is_none());
        store.done();
        assert!(matches!(store.take(), Some((_, Op::Write(_)))));
    }

    #[test]
    fn files_that_are_renamed_linked_or_too_large_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::new(home.path());
        let path = write(&mut store, &sample("one"));
        let other = path.with_file_name(sample("two").file_name());
        fs::copy(&path, &other).unwrap();
        assert!(matches!(read(&other), Err(LoadError::Misnamed)));
        fs::remove_file(&other).unwrap();
        symlink(&path, &other).unwrap();
        assert!(matches!(read(&other), Err(LoadError::Io(_))));
        fs::remove_file(&other).unwrap();
        fs::create_dir(&other).unwrap();
        assert!(matches!(read(&other), Err(LoadError::NotAFile)));
        fs::remove_dir(&other).unwrap();
        File::create(&other).unwrap().set_len(MAX_BYTES as u64 + 1).unwrap();
        assert!(matches!(read(&other), Err(LoadError::Content(StateError::TooLarge))));
    }
}
