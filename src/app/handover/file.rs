//! The socket by which a successor finds the process before it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

const BACKLOG: i32 = 4;

/// The listening socket. Its file stays when this is dropped: by then a successor's may stand there, which cannot be told
/// and removed in one step. Who connects to one without a listener is refused, and the next process puts its own there.
#[derive(Debug)]
pub struct Meeting {
    pub listener: UnixListener,
    pub place: Place,
}

/// Where a process is found by its successor, as long as its file stands there.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    identity: (u64, u64),
}

impl Place {
    /// Whether the file is still that of this process.
    pub fn is_own(&self) -> bool {
        identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }
}

impl Meeting {
    /// Makes the socket, for its owner only, and puts it at `path` in place of what stands there: whoever has connected
    /// to that stays connected. Must be called within a runtime.
    ///
    /// # Errors
    /// The system's: the path is too long for a socket, say.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // Process ids of two containers may be equal.
        let unique: u32 = rand::random();
        let temporary = path.with_extension(format!("{unique:08x}"));
        Self::make(path, &temporary).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }

    fn make(path: &Path, temporary: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(temporary)?)?;
        fs::set_permissions(temporary, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        let place = Place { path: path.to_owned(), identity: identity(temporary)? };
        let listener = UnixListener::from_std(socket.into())?;
        fs::rename(temporary, path)?;
        Ok(Self { listener, place })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Connects to the process that listens at `path`; `None` if there is none.
///
/// # Errors
/// The system's: not permitted, say.
pub fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_successors_socket_takes_the_place_and_outlives_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/handover.sock");
        assert!(connect(&path).unwrap().is_none());
        let old = Meeting::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let waiting = connect(&path).unwrap().unwrap();
        assert!(old.place.is_own());
        let new = Meeting::bind(&path).unwrap();
        assert!(new.place.is_own() && !old.place.is_own());
        let _accepted = old.listener.accept().await.unwrap();
        drop((old, waiting));
        assert!(connect(&path).unwrap().is_some());
        drop(new);
        assert!(connect(&path).unwrap().is_none(), "nobody is there any more");
        assert_eq!(fs::read_dir(dir.path().join("state")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_socket_left_by_a_crash_is_nobody_and_a_path_that_is_too_long_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(connect(&path).unwrap().is_none());
        assert!(Meeting::bind(&dir.path().join("x".repeat(120))).is_err());
        let _meeting = Meeting::bind(&path).unwrap();
        assert!(connect(&path).unwrap().is_some());
    }
}
