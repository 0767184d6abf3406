//! Floor 4: HTTP for metrics and health, a Unix socket for the rest.
//!
//! Both listeners are bound before anything starts, take a fixed number of connections at a time,
//! and end each after one request or after a few seconds.

pub mod client;
mod connections;
pub mod http;
pub mod protocol;
pub mod socket;
pub mod top;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use http::{Health, HttpListener, Pages};
pub use protocol::{Listing, Request, Response};
pub use socket::{Commands, SocketListener};
pub use top::TopReport;

/// `[admin]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// GET /metrics, /livez and /readyz; `None` serves none.
    pub listen: Option<SocketAddr>,
    /// Unix socket (mode 0600) for listings and commands; `None` serves none.
    pub socket: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9253))), socket: None }
    }
}

/// Why a listener is not there.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system refuses the address: taken, not ours, or not permitted.
    #[error("admin.listen: cannot listen on {address}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The system refuses the path.
    #[error("admin.socket: cannot listen on {path}")]
    Socket {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another process answers there: stop it, or choose another path.
    #[error("admin.socket: another process listens on {0}")]
    InUse(PathBuf),
    /// Something that is no socket stands there, and is left alone.
    #[error("admin.socket: {0} exists and is no socket")]
    NotASocket(PathBuf),
}
