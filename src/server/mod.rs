//! Floor 4: transports. Bytes in, bytes out; no zones and no cache.
//!
//! [`Server::bind`] takes every socket before anything starts, [`Bound::start`] starts the workers
//! and accept loops over one [`Responder`], and [`Running::drain`] ends them without losing a
//! query that had arrived.

mod bind;
#[cfg(feature = "tls")]
pub mod certificate;
mod connection;
mod door;
pub mod framing;
#[cfg(feature = "tls")]
mod https;
mod outbox;
#[cfg(feature = "doq")]
mod quic;
pub mod settings;
#[cfg(feature = "tls")]
mod single;
mod step;
mod stream;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::answer::Responder;
use crate::metrics::{Board, Losses, Proto, ServerMetrics};
use bind::Place;
use door::{Door, Front, Identity};
use tcp::{Lifeline, Limits, Shared};
use udp::{Endpoint, Worker};

pub use bind::BindError;
pub use settings::Settings;

/// Where a server begins.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds UDP and TCP sockets on every listen address, and starts nothing.
    ///
    /// Port 0 takes a port that is free on both. An address of a family that the host lacks is
    /// passed over with a warning. A wildcard address serves its own family only, and answers from
    /// the address that was asked. A second server of the same user may bind the same port, which
    /// is how one process takes over from another.
    ///
    /// # Errors
    /// Names the address, the protocol and a way out; nothing stays bound.
    pub fn bind(settings: Settings) -> Result<Bound, BindError> {
        let metrics = Arc::new(ServerMetrics::default());
        let identity = door::identity(&settings, &metrics)?;
        let places = bind::bind_all(&settings)?;
        let fronts = bind::bind_fronts(&settings)?;
        if let Some(given) = places.iter().map(|place| place.receive_buffer).min() {
            metrics.set_receive_buffer(given);
            if given < settings.receive_buffer {
                let asked = settings.receive_buffer;
                info!(asked, given, "receive buffer is capped by net.core.rmem_max, bursts may be lost");
            }
        }
        Ok(Bound { settings, places, fronts, identity, metrics })
    }
}

/// Sockets that are bound and not yet served: queries queue up in them.
#[derive(Debug)]
pub struct Bound {
    settings: Settings,
    places: Vec<Place>,
    /// The listeners of encrypted transports, and the certificate they show.
    fronts: Vec<Front>,
    identity: Option<Arc<Identity>>,
    metrics: Arc<ServerMetrics>,
}

impl Bound {
    /// The addresses bound, with their real ports, each for UDP and TCP.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.places.iter().map(|place| place.addr).collect()
    }

    /// The encrypted listeners bound, with their real ports.
    pub fn encrypted_addrs(&self) -> Vec<(Proto, SocketAddr)> {
        self.fronts.iter().map(|front| (front.proto, front.addr)).collect()
    }

    /// The cells this server counts in beside `board`.
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Starts serving: the UDP threads, which run inside the current tokio runtime's context, and
    /// the accept loops, on that runtime.
    ///
    /// # Errors
    /// There is no runtime, or the system has no thread or descriptor left; what had started ends.
    pub fn start<R: Responder>(self, responder: Arc<R>, board: &Board) -> io::Result<Running> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let addrs = self.local_addrs();
        let mut running = Running {
            addrs,
            endpoints: Vec::new(),
            retired: Vec::new(),
            replies: TaskTracker::new(),
            lifeline: Lifeline::default(),
            limits: Arc::new(ArcSwap::from_pointee(Limits::of(&self.settings))),
            identity: self.identity,
            metrics: self.metrics,
        };
        let (late, lifeline) = (board.register(), running.lifeline.clone());
        let metrics = Arc::clone(&running.metrics);
        let limits = Arc::clone(&running.limits);
        let shared =
            Arc::new(Shared::new(limits, Arc::clone(&responder), Arc::clone(&late), metrics, lifeline));
        door::open(self.fronts, running.identity.as_ref(), &self.settings.https_path, &shared)?;
        for (number, place) in self.places.into_iter().enumerate() {
            let listener = TcpListener::from_std(place.tcp)?;
            running.lifeline.tasks.spawn(Arc::clone(&shared).accept(listener, Door::Plain));
            for (worker, socket) in place.udp.into_iter().enumerate() {
                let endpoint = Arc::new(Endpoint::new(socket));
                let losses: Arc<dyn Losses> = Arc::clone(&endpoint) as _;
                running.metrics.watch(Arc::downgrade(&losses));
                let worker_name = format!("udp-{number}-{worker}");
                let worker = Worker {
                    endpoint: Arc::clone(&endpoint),
                    responder: Arc::clone(&responder),
                    tally: board.register_own(),
                    late: Arc::clone(&late),
                    replies: running.replies.clone(),
                    metrics: Arc::clone(&running.metrics),
                };
                running.endpoints.push(endpoint);
                running.retired.push(spawn(worker_name, worker, runtime.clone())?);
            }
        }
        Ok(running)
    }
}

fn spawn<R: Responder>(name: String, worker: Worker<R>, runtime: Handle) -> io::Result<Receiver<()>> {
    let (retired, retires) = channel();
    thread::Builder::new().name(name).spawn(move || {
        let _context = runtime.enter();
        worker.run(retired);
    })?;
    Ok(retires)
}

/// A server at work. Dropping it stops it without waiting for anything.
#[derive(Debug)]
pub struct Running {
    addrs: Vec<SocketAddr>,
    endpoints: Vec<Arc<Endpoint>>,
    /// Each worker says when its queue is dry; its thread may go on to end what it has begun.
    retired: Vec<Receiver<()>>,
    /// UDP responses that are still to come.
    replies: TaskTracker,
    lifeline: Lifeline,
    limits: Arc<ArcSwap<Limits>>,
    /// What encrypted listeners show.
    identity: Option<Arc<Identity>>,
    metrics: Arc<ServerMetrics>,
}

/// What a drain left undone when its grace period was over; zeros are a clean end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// UDP sockets by which queries had come whose response had not. Should it still, it is sent: until
    /// then they stay open.
    pub replies: usize,
    /// Connections that were cut.
    pub connections: usize,
}

impl Running {
    /// The addresses served, each over UDP and TCP.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The cells this server counts in.
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Puts the TCP limits of other settings in force: the cap on connections for all, where those
    /// above it stay open, the rest for connections accepted from now on. The certificate is read again,
    /// from other files if they are named; one that is bad leaves the old one in force. What else has
    /// changed takes a new server.
    pub fn reload(&self, settings: &Settings) {
        self.limits.store(Arc::new(Limits::of(settings)));
        #[cfg(feature = "tls")]
        if let (Some(identity), Some(files)) = (&self.identity, &settings.certificate) {
            identity.reload(files);
        }
    }

    /// Ends serving. Every datagram that reached a socket before its close is answered, and every
    /// query that a TCP connection had received whole; what waits for an upstream may take up to
    /// `grace`. Datagrams that come later go to another server on the port, if there is one.
    ///
    /// Returns when all is done, at the latest shortly after `grace`.
    pub async fn drain(mut self, grace: Duration) -> Leftover {
        let began = Instant::now();
        self.lifeline.drain.cancel();
        let (endpoints, retired) = (std::mem::take(&mut self.endpoints), std::mem::take(&mut self.retired));
        let metrics = Arc::clone(&self.metrics);
        let retired = tokio::task::spawn_blocking(move || {
            udp::retire(&endpoints, &metrics);
            retired.iter().map(Receiver::recv).filter(Result::is_err).count()
        });
        if !matches!(retired.await, Ok(0)) {
            warn!("a UDP worker had ended before the drain");
        }
        self.replies.close();
        self.lifeline.tasks.close();
        let all = async {
            self.replies.wait().await;
            self.lifeline.tasks.wait().await;
        };
        if timeout(grace.saturating_sub(began.elapsed()), all).await.is_ok() {
            return Leftover::default();
        }
        let left = Leftover { replies: self.replies.len(), connections: self.lifeline.tasks.len() };
        self.lifeline.cut.cancel();
        self.lifeline.tasks.wait().await;
        left
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifeline.drain.cancel();
        self.lifeline.cut.cancel();
        self.endpoints.iter().for_each(|endpoint| endpoint.stop());
    }
}
