//! TCP: who is let in. What happens on a connection is [`super::connection`]'s.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
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
use super::door::Kind;
use super::outbox::Budget;
use crate::answer::{Responder, client_network};
use crate::metrics::{CloseReason, ServerMetrics, Tally};
use crate::sys::{self, SocketName};

/// How long accepting rests when descriptors or memory have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time-outs longer than this end up here, where no deadline overflows.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Clients that ask are told to go when fewer than this part of all places is left.
const CROWDED: usize = 8;

/// How a server's TCP tasks are told to end, and waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifeline {
    /// Accept no more; answer what has arrived, then close.
    pub drain: CancellationToken,
    /// Close now.
    pub cut: CancellationToken,
    /// Every accept loop and connection.
    pub tasks: TaskTracker,
    /// Another process serves: clients had better come back to that one.
    pub is_left: Arc<AtomicBool>,
}

/// The bounds of connections; each keeps those that were in force when it was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open connections; one more is closed at once.
    pub connections: usize,
    /// See [`Settings::tcp_connections_per_client`].
    pub connections_per_client: usize,
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
            connections_per_client: settings.tcp_connections_per_client,
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
    /// Its place among those of its client, given back with it.
    _share: Option<Share>,
}

impl Place {
    /// Takes one if fewer than `most` are open.
    fn take(open: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let one_more = |now: usize| (now < most).then_some(now + 1);
        let before = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self { open: Arc::clone(open), is_in_upper_half: before >= most / 2, _share: None })
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

/// A listening socket.
type Listening = dyn AsFd + Send + Sync;

/// A listening socket in service, and how its accept loop is told to end before all others do.
pub(super) struct Door {
    pub name: SocketName,
    listener: Weak<Listening>,
    stop: CancellationToken,
    /// Another process accepts from now on: what is queued is left to it.
    is_handed_over: AtomicBool,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Door {
    /// The door that `listener` is; it ends with `lifeline`'s drain at the latest.
    pub fn new<L>(name: SocketName, listener: &Arc<L>, lifeline: &Lifeline) -> Arc<Self>
    where
        L: AsFd + Send + Sync + 'static,
    {
        let (stop, is_handed_over) = (lifeline.drain.child_token(), AtomicBool::new(false));
        let listener: Weak<L> = Arc::downgrade(listener);
        Arc::new(Self { name, listener, stop, is_handed_over })
    }

    /// A second descriptor of the socket; `None` once it is closed.
    pub fn duplicate(&self) -> Option<io::Result<OwnedFd>> {
        self.listener.upgrade().map(|listener| listener.as_fd().try_clone_to_owned())
    }

    /// Ends the accept loop; what waits to be accepted is left in the queue if another process takes it from there.
    pub fn close(&self, is_handed_over: bool) {
        self.is_handed_over.store(is_handed_over, Ordering::Release);
        self.stop.cancel();
    }

    /// Returns when it has been closed, or the drain has begun.
    #[cfg_attr(
        not(feature = "doq"),
        allow(dead_code, reason = "only QUIC's connections end with their door")
    )]
    pub async fn closed(&self) {
        self.stop.cancelled().await;
    }

    /// Whether another process accepts from now on.
    pub fn is_handed_over(&self) -> bool {
        self.is_handed_over.load(Ordering::Acquire)
    }
}

/// How many connections each client has open; who has none is not in it.
type Clients = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One open connection among those of its client.
struct Share {
    clients: Clients,
    client: IpAddr,
}

impl Share {
    /// Takes one if the client has fewer than `most`.
    fn take(clients: &Clients, client: IpAddr, most: usize) -> Option<Self> {
        let client = client_network(client);
        let mut open = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        // An entry made for this has none, and `most` is above zero.
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        Some(Self { clients: Arc::clone(clients), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
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
    clients: Clients,
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
            clients: Arc::default(),
        }
    }

    /// The bounds in force.
    pub fn limits(&self) -> Limits {
        **self.limits.load()
    }

    /// How long a client is told that its connection may be idle, in units of 100 ms. 0, that it had better close it,
    /// where another process serves, or this one ends, or few places are left (RFC 7828 §3.3.2); it is served on
    /// if it stays all the same.
    pub fn idle_to_tell(&self, limits: &Limits) -> u16 {
        let most = self.limits().connections;
        let is_crowded = self.open.load(Ordering::Relaxed) > most - most / CROWDED;
        let is_leaving = self.lifeline.is_left.load(Ordering::Relaxed) || self.lifeline.drain.is_cancelled();
        if is_crowded || is_leaving {
            return 0;
        }
        u16::try_from(limits.idle.as_millis() / 100).unwrap_or(u16::MAX)
    }

    /// Room for one more connection of this client, if there is any.
    pub fn take_place(&self, client: IpAddr) -> Option<Place> {
        let limits = self.limits();
        let mut place = Place::take(&self.open, limits.connections)?;
        place._share = Some(Share::take(&self.clients, client, limits.connections_per_client)?);
        Some(place)
    }

    /// Accepts until the drain, or until the door is closed, then what the kernel had completed by then.
    pub async fn accept(self: Arc<Self>, listener: Arc<TcpListener>, door: Arc<Door>, kind: Kind) {
        let drain = door.stop.clone();
        let mut is_failing = false;
        while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, client)) => {
                    is_failing = false;
                    self.admit(stream, client, &kind);
                }
                Err(error) => {
                    self.note_failure(&error, is_failing);
                    is_failing = true;
                    drain.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        if !door.is_handed_over() {
            self.accept_rest(&listener, &kind);
        }
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

    fn accept_rest(self: &Arc<Self>, listener: &TcpListener, kind: &Kind) {
        // Asks the kernel itself: the runtime may not have heard of the latest ones yet.
        let Ok(listener) = sys::duplicate(listener).map(std::net::TcpListener::from) else { return };
        for _ in 0..BACKLOG {
            let Ok((stream, client)) = listener.accept() else { return };
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.admit(stream, client, kind);
            }
        }
    }

    /// Starts a connection's task, or closes it at once when there are too many.
    fn admit(self: &Arc<Self>, stream: TcpStream, client: SocketAddr, kind: &Kind) {
        let limits = self.limits();
        let Some(place) = self.take_place(client.ip()) else {
            self.metrics.tcp_refused();
            return;
        };
        // Without it a connection works as well, only later.
        let _ = stream.set_nodelay(true);
        self.metrics.tcp_accepted();
        let shared = Arc::clone(self);
        // Each kind of task is as large as it must be: the many plain ones are small.
        match kind {
            Kind::Plain => self.spawn(client, place, Connection::new(stream, client, limits, shared).run()),
            #[cfg(feature = "tls")]
            Kind::Tls(acceptor) => {
                let acceptor = acceptor.clone();
                self.spawn(client, place, super::tls::serve(acceptor, stream, client, limits, shared));
            }
            #[cfg(feature = "tls")]
            Kind::Https(acceptor, path) => {
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
