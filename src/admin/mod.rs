//! Floor 4: HTTP for metrics and health, a Unix socket for the rest.

use std::net::SocketAddr;
use std::path::PathBuf;

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
