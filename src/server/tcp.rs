//! TCP: who is let in. What happens on a connection is [`super::connection`]'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Settings;
use super::bind::BACKLOG;
use super::connection::Connection;
use super::outbox::Budget;
use crate::answer::Responder;
use crate::metrics::{ServerMetrics, Tally};

/// How long accepting rests when descriptors or memory have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time-outs longer than this end up here, where no deadline overflows.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How a server's TCP tasks are told to end, and waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifeline {
    /// Accept no more; answer what has arrived, then close.
    pub drain: CancellationToken,
    /// Close now.
    pub cut: CancellationToken,
    /// Every accept loop and connection.
    pub tasks: TaskTracker,
}

/// What all connections share.
pub(super) struct Shared<R> {
    pub responder: Arc<R>,
    pub tally: Arc<Tally>,
    pub metrics: Arc<ServerMetrics>,
    pub budget: Budget,
    pub idle: Duration,
    pub stall: Duration,
    pub in_flight_max: usize,
    pub lifeline: Lifeline,
    places: Arc<Semaphore>,
}

impl<R: Responder> Shared<R> {
    /// `settings`' limits over `responder`.
    pub fn new(
        settings: &Settings,
        responder: Arc<R>,
        tally: Arc<Tally>,
        metrics: Arc<ServerMetrics>,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            responder,
            tally,
            budget: Budget::new(Arc::clone(&metrics)),
            metrics,
            idle: settings.tcp_idle.min(WAIT_MAX),
            stall: settings.tcp_stall.min(WAIT_MAX),
            in_flight_max: settings.tcp_in_flight.max(1),
            lifeline,
            places: Arc::new(Semaphore::new(settings.tcp_connections.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Accepts until the drain, then what the kernel had completed by then.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let drain = self.lifeline.drain.clone();
        let mut is_failing = false;
        while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, client)) => {
                    is_failing = false;
                    self.admit(stream, client);
                }
                Err(error) => {
                    self.note_failure(&error, is_failing);
                    is_failing = true;
                    drain.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        self.accept_rest(listener);
    }

    /// Says it once, and not again until an accept has succeeded.
    fn note_failure(&self, error: &io::Error, is_repeated: bool) {
        self.metrics.tcp_accept_error();
        if is_repeated || error.kind() == io::ErrorKind::ConnectionAborted {
            debug!(%error, "accepting a TCP connection failed");
        } else {
            warn!(%error, "accepting TCP connections fails");
        }
    }

    fn accept_rest(self: &Arc<Self>, listener: TcpListener) {
        // Asks the kernel itself: the runtime may not have heard of the latest ones yet.
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG {
            let Ok((stream, client)) = listener.accept() else { return };
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.admit(stream, client);
            }
        }
    }

    /// Starts a connection's task, or closes it at once when there are too many.
    fn admit(self: &Arc<Self>, stream: TcpStream, client: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.tcp_refused();
            return;
        };
        // Without it a connection works as well, only later.
        let _ = stream.set_nodelay(true);
        self.metrics.tcp_accepted();
        let shared = Arc::clone(self);
        self.lifeline.tasks.spawn(async move {
            let metrics = Arc::clone(&shared.metrics);
            let reason = Connection::new(stream, client, shared).run().await;
            metrics.tcp_closed(reason);
            debug!(%client, reason = reason.label(), "TCP connection closed");
            drop(place);
        });
    }
}
