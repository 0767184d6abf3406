//! Asks a running zonelet over its admin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Request, Response};

/// Longer than the server gives any connection.
const PATIENCE: Duration = Duration::from_secs(15);
/// A response is refused beyond this many bytes.
const MAX_RESPONSE: u64 = 256 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there, or not for this user.
    #[error("no zonelet answers on {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or took too long.
    #[error("connection to {path} failed")]
    Exchange {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// What came is no answer: a different version, or no zonelet.
    #[error("no answer that makes sense came from {path}")]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The running zonelet says why.
    #[error("{0}")]
    Refused(String),
}

/// Sends `request` to the socket at `path` and waits for the answer. Blocks, for up to 15 seconds
/// between two pieces of it.
///
/// # Errors
/// [`AskError`]; a [`Response::Error`] becomes one.
pub fn ask(path: &Path, request: &Request) -> Result<Response, AskError> {
    let broken = |source| AskError::Exchange { path: path.to_owned(), source };
    let garbled = |source| AskError::Answer { path: path.to_owned(), source };
    let stream =
        UnixStream::connect(path).map_err(|source| AskError::Connect { path: path.to_owned(), source })?;
    let mut line = serde_json::to_vec(request).map_err(garbled)?;
    line.push(b'\n');
    let answer = exchange(&stream, &line).map_err(broken)?;
    match serde_json::from_slice(&answer).map_err(garbled)? {
        Response::Error(why) => Err(AskError::Refused(why)),
        response => Ok(response),
    }
}

fn exchange(mut stream: &UnixStream, line: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_RESPONSE)).read_until(b'\n', &mut answer)?;
    Ok(answer)
}
