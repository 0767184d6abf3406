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
#[cfg(feature = "tls")]
mod lingering;
mod outbox;
#[cfg(feature = "doq")]
mod quic;
mod running;
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

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::answer::Responder;
use crate::metrics::{Board, Losses, Proto, ServerMetrics};
use crate::sys::{Estate, SocketName};
use bind::Place;
use door::{Front, Identity, Kind};
use running::AtWork;
use tcp::{Door, Lifeline, Limits, Shared};
use udp::{Endpoint, Worker};

pub use bind::BindError;
pub use running::{Leftover, Pulse, Running, Sockets};
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
        Self::succeed(settings, &mut Estate::default())
    }

    /// [`Server::bind`] with the sockets of another process, as far as they are what the settings ask for.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn succeed(settings: Settings, estate: &mut Estate) -> Result<Bound, BindError> {
        let metrics = Arc::new(ServerMetrics::default());
        let identity = door::identity(&settings, &metrics)?;
        let places = bind::bind_all(&settings, estate)?;
        let fronts = bind::bind_fronts(&settings, estate)?;
        if let Some(given) = places.iter().map(|place| place.receive_buffer).min() {
            metrics.set_receive_buffer(given);
            if given < settings.receive_buffer {
                let asked = settings.receive_buffer;
                info!(asked, given, "receive buffer is capped by net.core.rmem_max, bursts may be lost");
            }
        }
        let is_shared = !estate.taken().is_empty();
        Ok(Bound { settings, places, fronts, is_shared, identity, metrics })
    }
}

/// Sockets that are bound and not yet served: queries queue up in them.
#[derive(Debug)]
pub struct Bound {
    settings: Settings,
    places: Vec<Place>,
    /// The listeners of encrypted transports, and the certificate they show.
    fronts: Vec<Front>,
    /// Some are another process' as well.
    is_shared: bool,
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
            workers: Vec::new(),
            doors: Vec::new(),
            is_shared: self.is_shared,
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
        let doors = door::open(self.fronts, running.identity.as_ref(), &self.settings.https_path, &shared)?;
        running.doors.extend(doors);
        for (number, mut place) in self.places.into_iter().enumerate() {
            if let Err(error) = place.complete(&self.settings) {
                warn!(addr = %place.addr, %error, workers = place.udp.len(), "fewer workers than configured");
            }
            let name = |kind, index| SocketName::new(kind, place.asked, place.addr, index);
            let listener = Arc::new(TcpListener::from_std(place.tcp)?);
            let door = Door::new(name(bind::TCP, 0), &listener, &running.lifeline);
            running.doors.push(Arc::clone(&door));
            running.lifeline.tasks.spawn(Arc::clone(&shared).accept(listener, door, Kind::Plain));
            for (worker, socket) in place.udp.into_iter().enumerate() {
                let endpoint = Arc::new(Endpoint::new(socket));
                let losses: Arc<dyn Losses> = Arc::clone(&endpoint) as _;
                running.metrics.watch(Arc::downgrade(&losses));
                let (thread, socket) = (format!("udp-{number}-{worker}"), name(bind::UDP, worker));
                let worker = Worker {
                    endpoint: Arc::clone(&endpoint),
                    responder: Arc::clone(&responder),
                    tally: board.register_own(),
                    late: Arc::clone(&late),
                    replies: running.replies.clone(),
                    metrics: Arc::clone(&running.metrics),
                };
                let pulse = worker.tally.reader();
                let retires = spawn(thread, worker, runtime.clone())?;
                running.workers.push(AtWork { name: socket, endpoint, retires, pulse });
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
