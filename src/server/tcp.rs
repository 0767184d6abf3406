//! TCP: who is let in. What happens on a connection is [`super::connection`]'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Settings;
use super::bind::BACKLOG;
use super::connection::Connection;
use super::door::Door;
use super::outbox::Budget;
use crate::answer::Responder;
use crate::metrics::{CloseReason, ServerMetrics, Tally};

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

/// The bounds of connections; each keeps those that were in force when it was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open connections; one more is closed at once.
    pub connections: usize,
    /// See [`Settings::tcp_idle`].
    pub idle: Duration,
    /// See [`Settings::tcp_stall`].
    pub stall: Duration,
    /// See [`Settings::tcp_in_flight`].
    pub in_flight: usize,
}

impl Limits {
    /// Those of `settings`.
    pub fn of(settings: &Settings) -> Self {
        Self {
            connections: settings.tcp_connections,
            idle: settings.tcp_idle.min(WAIT_MAX),
            stall: settings.tcp_stall.min(WAIT_MAX),
            in_flight: settings.tcp_in_flight.clamp(1, Semaphore::MAX_PERMITS),
        }
    }
}

/// One open connection among all.
pub(super) struct Place {
    open: Arc<AtomicUsize>,
    /// Whether more than half of all were taken.
    is_in_upper_half: bool,
}

impl Place {
    /// Takes one if fewer than `most` are open.
    fn take(open: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let one_more = |now: usize| (now < most).then_some(now + 1);
        let before = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self { open: Arc::clone(open), is_in_upper_half: before >= most / 2 })
    }

    /// Whether half of all places had been taken before this one.
    #[cfg_attr(not(feature = "doq"), allow(dead_code, reason = "only QUIC can put clients off"))]
    pub fn is_in_upper_half(&self) -> bool {
        self.is_in_upper_half
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all connections share.
pub(super) struct Shared<R> {
    pub responder: Arc<R>,
    pub tally: Arc<Tally>,
    pub metrics: Arc<ServerMetrics>,
    pub budget: Budget,
    pub lifeline: Lifeline,
    limits: Arc<ArcSwap<Limits>>,
    open: Arc<AtomicUsize>,
}

impl<R: Responder> Shared<R> {
    /// No connections yet; `limits` is read for each that comes.
    pub fn new(
        limits: Arc<ArcSwap<Limits>>,
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
            lifeline,
            limits,
            open: Arc::default(),
        }
    }

    /// The bounds in force.
    pub fn limits(&self) -> Limits {
        **self.limits.load()
    }

    /// Room for one more connection, if there is any.
    pub fn take_place(&self) -> Option<Place> {
        Place::take(&self.open, self.limits().connections)
    }

    /// Accepts until the drain, then what the kernel had completed by then.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, door: Door) {
        let drain = self.lifeline.drain.clone();
        let mut is_failing = false;
        while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, client)) => {
                    is_failing = false;
                    self.admit(stream, client, &door);
                }
                Err(error) => {
                    self.note_failure(&error, is_failing);
                    is_failing = true;
                    drain.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        self.accept_rest(listener, &door);
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

    fn accept_rest(self: &Arc<Self>, listener: TcpListener, door: &Door) {
        // Asks the kernel itself: the runtime may not have heard of the latest ones yet.
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG {
            let Ok((stream, client)) = listener.accept() else { return };
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.admit(stream, client, door);
            }
        }
    }

    /// Starts a connection's task, or closes it at once when there are too many.
    fn admit(self: &Arc<Self>, stream: TcpStream, client: SocketAddr, door: &Door) {
        let limits = self.limits();
        let Some(place) = self.take_place() else {
            self.metrics.tcp_refused();
            return;
        };
        // Without it a connection works as well, only later.
        let _ = stream.set_nodelay(true);
        self.metrics.tcp_accepted();
        let shared = Arc::clone(self);
        // Each kind of task is as large as it must be: the many plain ones are small.
        match door {
            Door::Plain => self.spawn(client, place, Connection::new(stream, client, limits, shared).run()),
            #[cfg(feature = "tls")]
            Door::Tls(acceptor) => {
                let acceptor = acceptor.clone();
                self.spawn(client, place, super::tls::serve(acceptor, stream, client, limits, shared));
            }
            #[cfg(feature = "tls")]
            Door::Https(acceptor, path) => {
                let (acceptor, path) = (acceptor.clone(), Arc::clone(path));
                self.spawn(
                    client,
                    place,
                    super::https::serve(acceptor, path, stream, client, limits, shared),
                );
            }
        }
    }

    fn spawn(
        &self,
        client: SocketAddr,
        place: Place,
        work: impl Future<Output = CloseReason> + Send + 'static,
    ) {
        let metrics = Arc::clone(&self.metrics);
        self.lifeline.tasks.spawn(async move {
            let reason = work.await;
            metrics.tcp_closed(reason);
            debug!(%client, reason = reason.label(), "connection closed");
            drop(place);
        });
    }
}
