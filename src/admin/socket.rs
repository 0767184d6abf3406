//! `admin.socket`: listings and commands for the user zonelet runs as.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connections::{Limits, serve};
use super::protocol::{Listing, Request, Response};
use super::{BindError, TopReport};
use crate::answer::explain::{Explanation, Question};
use crate::metrics::AdminMetrics;
use crate::source::BoxFuture;
use crate::sys::{self, Estate, SocketName};
use crate::wire::{Name, Rtype};

const LIMITS: Limits = Limits { connections: 8, lifetime: Duration::from_secs(10) };
/// A request is one line of at most this many bytes, its end included.
const MAX_REQUEST: u64 = 4096;
/// The kernel's queue of connections that wait to be accepted.
const BACKLOG: i32 = 16;
/// What the socket is called when it is handed over.
const KIND: &str = "admin";

/// What the socket's commands do. None may take long: the connection ends after 10 seconds.
pub trait Commands: Send + Sync + 'static {
    /// Every source and zone; without the skipped records unless `skipped`.
    fn zones(&self, skipped: bool) -> Listing;

    /// Has `zone` imported now, `None` for all; the number of zones. Imports are not waited for.
    fn refresh(&self, zone: Option<Name>) -> BoxFuture<'_, Result<u64, String>>;

    /// Empties the cache; the number of responses that were in it.
    fn flush(&self) -> u64;

    /// Says why a name gets its answer.
    fn explain(&self, question: Question) -> BoxFuture<'_, Explanation>;

    /// Writes a loaded zone as a zone file.
    fn export(&self, zone: Name) -> BoxFuture<'_, Result<String, String>>;

    /// Says how everything does.
    fn top(&self) -> TopReport;
}

/// The bound socket. Its file goes when this is dropped.
pub struct SocketListener {
    listener: UnixListener,
    file: SocketFile,
}

impl SocketListener {
    /// Makes the socket at `path`, for its owner only (mode 0600). A socket that nobody answers on
    /// any more is replaced. Must be called within a runtime.
    ///
    /// # Errors
    /// [`BindError`] names the path. Whatever stands there is left alone.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        clear_stale(path)?;
        let error = |source| BindError::Socket { path: path.to_owned(), source };
        let (socket, file) = make(path).map_err(error)?;
        let listener = UnixListener::from_std(socket.into()).map_err(error)?;
        Ok(Self { listener, file })
    }

    /// [`SocketListener::bind`] with the socket of another process, if that had one at `path`.
    ///
    /// # Errors
    /// As there.
    pub fn succeed(path: &Path, estate: &mut Estate) -> Result<Self, BindError> {
        let Some(taken) = estate.take_path(KIND, path) else { return Self::bind(path) };
        // Whoever removed the file has cut it off.
        let Ok(file) = SocketFile::of(path) else { return Self::bind(path) };
        let error = |source| BindError::Socket { path: path.to_owned(), source };
        let listener =
            UnixListener::from_std(std::os::unix::net::UnixListener::from(taken)).map_err(error)?;
        Ok(Self { listener, file })
    }

    /// A second descriptor of the listener, with its name.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn duplicate(&self) -> io::Result<(SocketName, OwnedFd)> {
        Ok((SocketName::of_path(KIND, &self.file.path), sys::duplicate(&self.listener)?))
    }

    /// To be set once the file is another process' own: it is not removed then.
    pub fn file_is_anothers(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.file.is_anothers)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Serves `commands` until `shutdown`, then removes the file: at most 8 connections at a time,
    /// one request of at most 4 KiB and 10 seconds each.
    pub async fn run(self, commands: Arc<dyn Commands>, shutdown: CancellationToken) {
        let metrics = AdminMetrics::register("socket");
        let handle = move |stream| connection(stream, Arc::clone(&commands));
        serve(self.listener, LIMITS, metrics, shutdown, handle).await;
        drop(self.file);
    }
}

/// Mode first, then listening: before that every connection is refused, so nobody slips in.
fn make(path: &Path) -> io::Result<(Socket, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok((socket, file))
}

fn clear_stale(path: &Path) -> Result<(), BindError> {
    let error = |source| BindError::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(error(e)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    // Not blocking: one who listens and does not accept is there all the same.
    match connect(path) {
        Ok(()) => Err(BindError::InUse(path.to_owned())),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(BindError::InUse(path.to_owned())),
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(error),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(error(e)),
    }
}

fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// Removes the socket's file, unless another process has put its own there meanwhile.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    is_anothers: Arc<AtomicBool>,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)?, is_anothers: Arc::default() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_anothers.load(Ordering::Relaxed) {
            return;
        }
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(path = %self.path.display(), %error, "admin socket not removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

async fn connection(stream: UnixStream, commands: Arc<dyn Commands>) {
    if let Err(error) = exchange(stream, &*commands).await {
        debug!(%error, "admin socket connection failed");
    }
}

async fn exchange(mut stream: UnixStream, commands: &dyn Commands) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(MAX_REQUEST)).read_until(b'\n', &mut line).await?;
    let response = if line.len() as u64 == MAX_REQUEST && !line.ends_with(b"\n") {
        Response::Error(format!("a request has at most {MAX_REQUEST} bytes"))
    } else {
        answer(&line, commands).await
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    writing.shutdown().await
}

async fn answer(line: &[u8], commands: &dyn Commands) -> Response {
    let request = match serde_json::from_slice::<Request>(line) {
        Ok(request) => request,
        Err(error) => return Response::Error(format!("not a request: {error}")),
    };
    match request {
        Request::Zones { skipped } => Response::Zones(commands.zones(skipped)),
        Request::Flush {} => Response::Flushed(commands.flush()),
        Request::Top {} => Response::Top(Box::new(commands.top())),
        Request::Refresh { zone } => match zone.map(|text| text.parse::<Name>()).transpose() {
            Err(error) => Response::Error(format!("not a zone name: {error}")),
            Ok(zone) => commands.refresh(zone).await.map_or_else(Response::Error, Response::Refreshing),
        },
        Request::Explain { name, qtype, client } => match question(&name, qtype.as_deref(), client) {
            Err(why) => Response::Error(why),
            Ok(question) => Response::Explained(Box::new(commands.explain(question).await)),
        },
        Request::Export { zone } => match zone.parse::<Name>() {
            Err(error) => Response::Error(format!("not a zone name: {error}")),
            Ok(zone) => commands.export(zone).await.map_or_else(Response::Error, Response::Exported),
        },
    }
}

/// Reads what is to be explained.
///
/// # Errors
/// What is wrong with it.
pub fn question(name: &str, qtype: Option<&str>, client: Option<IpAddr>) -> Result<Question, String> {
    let qname = name.parse::<Name>().map_err(|error| format!("{name:?} is not a domain name: {error}"))?;
    let text = qtype.unwrap_or("A");
    let is_data = |qtype: &Rtype| *qtype == Rtype::ANY || (!qtype.is_meta() && qtype.0 != 0);
    let qtype =
        Rtype::from_text(text).filter(is_data).ok_or_else(|| format!("{text:?} is no type of data"))?;
    Ok(Question { qname, qtype, client: client.unwrap_or(Ipv4Addr::LOCALHOST.into()) })
}
