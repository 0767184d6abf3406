//! The accept loop of both listeners: so many connections at a time, each for so long.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::metrics::AdminMetrics;

/// After an accept failed for want of descriptors, the next try waits for this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections come from.
pub(super) trait Accept: Send + 'static {
    type Stream: Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// How many connections are served at a time, and for how long each.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub connections: usize,
    pub lifetime: Duration,
}

/// Serves connections by `handle` until `shutdown`, then cuts those that are left.
///
/// One over the limit waits in the kernel's queue: it is a probe or a scrape, which would take a
/// closed connection for a dead process.
pub(super) async fn serve<L, H, F>(
    listener: L,
    limits: Limits,
    metrics: AdminMetrics,
    shutdown: CancellationToken,
    handle: H,
) where
    L: Accept,
    H: Fn(L::Stream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let tasks = TaskTracker::new();
    loop {
        if places.available_permits() == 0 {
            metrics.limit_hits.increment(1);
        }
        let accepted = shutdown.run_until_cancelled(async {
            // The semaphore is never closed, so there is always a permit in the end.
            (Arc::clone(&places).acquire_owned().await, listener.next().await)
        });
        let (place, stream) = match accepted.await {
            None => break,
            Some((place, Ok(stream))) => (place, stream),
            Some((_, Err(error))) => {
                warn!(%error, "admin connection not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (work, timeouts) = (timeout(limits.lifetime, handle(stream)), metrics.timeouts.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move {
            if let Some(Err(_)) = stop.run_until_cancelled(work).await {
                timeouts.increment(1);
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}
