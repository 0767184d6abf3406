//! The admin listeners: bound or taken over, shared with a successor, served.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::Flag;
use super::health::State;
use super::status::{Scrape, Status};
use crate::admin::{HttpListener, Pages, SocketListener};
use crate::config::Config;
use crate::sys::{Estate, SocketName};

/// The admin listeners, bound before anything is served.
pub(super) struct Admin {
    http: Option<HttpListener>,
    socket: Option<SocketListener>,
}

/// What of them a successor takes.
pub(super) struct Shared {
    pub sockets: Vec<(SocketName, OwnedFd)>,
    /// To be set once the Unix socket's file is a successor's.
    pub file: Option<Arc<Flag>>,
}

impl Admin {
    /// What of it a successor takes, and how the socket's file is left to it.
    pub(super) fn shared(&self) -> anyhow::Result<Shared> {
        let http = self.http.as_ref().map(HttpListener::duplicate).transpose()?;
        let socket = self.socket.as_ref().map(SocketListener::duplicate).transpose()?;
        let file = self.socket.as_ref().map(SocketListener::file_is_anothers);
        Ok(Shared { sockets: http.into_iter().chain(socket).collect(), file })
    }
}

pub(super) async fn bind_admin(config: &Config, estate: &mut Estate) -> anyhow::Result<Admin> {
    let http = match config.admin.listen {
        Some(address) => Some(HttpListener::succeed(address, estate).await?),
        None => None,
    };
    let socket = config.admin.socket.as_deref();
    let socket = socket.map(|path| SocketListener::succeed(path, estate)).transpose()?;
    Ok(Admin { http, socket })
}

pub(super) fn serve_admin(
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
