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
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::answer::Responder;
use crate::metrics::{Board, Losses, Proto, ServerMetrics, Tally};
use crate::sys::{Estate, SocketName};
use bind::Place;
use door::{Front, Identity, Kind};
use tcp::{Door, Lifeline, Limits, Shared};
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
            workers: Vec::new(),
            doors: Vec::new(),
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

/// A UDP worker with its socket.
#[derive(Debug)]
struct AtWork {
    name: SocketName,
    endpoint: Arc<Endpoint>,
    /// It says when its queue is dry; its thread may go on to end what it has begun.
    retires: Receiver<()>,
    pulse: Arc<Tally>,
}

/// A server at work. Dropping it stops it without waiting for anything.
#[derive(Debug)]
pub struct Running {
    addrs: Vec<SocketAddr>,
    workers: Vec<AtWork>,
    doors: Vec<Arc<Door>>,
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

    /// The listening sockets, to be handed over by whoever keeps this.
    pub fn sockets(&self) -> Sockets {
        let udp = self.workers.iter().map(|worker| (worker.name.clone(), Arc::downgrade(&worker.endpoint)));
        Sockets { udp: udp.collect(), tcp: self.doors.clone() }
    }

    /// The UDP workers, to be watched.
    pub fn pulses(&self) -> Vec<Pulse> {
        let pulse = |worker: &AtWork| Pulse { name: worker.name.clone(), tally: Arc::clone(&worker.pulse) };
        self.workers.iter().map(pulse).collect()
    }

    /// Stops reading the sockets that another process has `taken`, which reads them already: what is queued is left to
    /// it. All others are taken out of service as by a drain. Connections stay open and are served; responses under way
    /// still leave by the sockets. Returns when nothing more is read.
    pub async fn hand_over(&mut self, taken: &[SocketName]) {
        self.lifeline.is_left.store(true, Ordering::Relaxed);
        self.doors.drain(..).for_each(|door| door.close(taken.contains(&door.name)));
        let workers = std::mem::take(&mut self.workers);
        let (theirs, ours): (Vec<_>, Vec<_>) =
            workers.into_iter().partition(|worker| taken.contains(&worker.name));
        retire(Arc::clone(&self.metrics), ours, theirs).await;
    }

    /// Returns once all connections have ended by themselves.
    pub fn connections_ended(&self) -> impl Future<Output = ()> + use<> {
        let tasks = self.lifeline.tasks.clone();
        async move {
            tasks.close();
            tasks.wait().await;
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
        let workers = std::mem::take(&mut self.workers);
        retire(Arc::clone(&self.metrics), workers, Vec::new()).await;
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

/// Ends the reading of UDP sockets: those that are closed with it, and those that another process goes on reading.
async fn retire(metrics: Arc<ServerMetrics>, closed: Vec<AtWork>, left: Vec<AtWork>) {
    let retired = tokio::task::spawn_blocking(move || {
        let left: Vec<_> = left.into_iter().map(|worker| (worker.endpoint, worker.retires)).collect();
        udp::leave(&left);
        let endpoints: Vec<_> = closed.iter().map(|worker| Arc::clone(&worker.endpoint)).collect();
        if !endpoints.is_empty() {
            udp::retire(&endpoints, &metrics);
        }
        closed.iter().map(|worker| worker.retires.recv()).filter(Result::is_err).count()
    });
    if !matches!(retired.await, Ok(0)) {
        warn!("a UDP worker had ended before the drain");
    }
}

/// A UDP worker as a watchdog sees it.
#[derive(Debug)]
pub struct Pulse {
    /// Its socket.
    pub name: SocketName,
    /// What it counts: a query more means that it is alive.
    pub tally: Arc<Tally>,
}

/// The listening sockets of a server, for as long as it has them.
#[derive(Clone, Debug)]
pub struct Sockets {
    udp: Vec<(SocketName, Weak<Endpoint>)>,
    tcp: Vec<Arc<Door>>,
}

impl Sockets {
    /// A second descriptor of each that is open.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn duplicate(&self) -> io::Result<Vec<(SocketName, OwnedFd)>> {
        let udp =
            self.udp.iter().filter_map(|(name, endpoint)| Some((name, endpoint.upgrade()?.duplicate())));
        let tcp = self.tcp.iter().filter_map(|door| Some((&door.name, door.duplicate()?)));
        udp.chain(tcp).map(|(name, socket)| Ok((name.clone(), socket?))).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifeline.drain.cancel();
        self.lifeline.cut.cancel();
        self.workers.iter().for_each(|worker| worker.endpoint.stop());
    }
}
