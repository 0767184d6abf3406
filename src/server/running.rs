//! A server at work: reloaded, handed over, drained.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::Settings;
use super::door::Identity;
use super::tcp::{Door, Lifeline, Limits};
use super::udp::{self, Endpoint};
#[cfg(feature = "doq")]
use crate::metrics::Proto;
use crate::metrics::{ServerMetrics, Tally};
#[cfg(feature = "doq")]
use crate::sys;
use crate::sys::SocketName;

/// How often a worker is called away from a socket that is another process' when nobody waits for it.
const LAST_CALLS: usize = 100;

/// A UDP worker with its socket.
#[derive(Debug)]
pub(super) struct AtWork {
    pub name: SocketName,
    pub endpoint: Arc<Endpoint>,
    /// It says when its queue is dry; its thread may go on to end what it has begun.
    pub retires: Receiver<()>,
    pub pulse: Arc<Tally>,
}

/// A server at work. Dropping it stops it without waiting for anything.
#[derive(Debug)]
pub struct Running {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) workers: Vec<AtWork>,
    pub(super) doors: Vec<Arc<Door>>,
    /// Another process may still read some of the sockets.
    pub(super) is_shared: bool,
    /// UDP responses that are still to come.
    pub(super) replies: TaskTracker,
    pub(super) lifeline: Lifeline,
    pub(super) limits: Arc<ArcSwap<Limits>>,
    /// What encrypted listeners show.
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) metrics: Arc<ServerMetrics>,
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

    /// The process that some sockets came from has stopped: all are this one's from now on.
    pub fn own(&mut self) {
        self.is_shared = false;
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
        self.is_shared = false;
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
        self.is_shared = false;
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
        udp::leave(&left, usize::MAX);
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

    /// Has packets of the open connections over QUIC come here, whatever process binds the address later. `false`: one
    /// that was there before still has a socket at such an address. Until that is closed two processes are told apart,
    /// and a third would take the packets of this one's connections. Blocks for a moment.
    ///
    /// # Errors
    /// The kernel's: it does not tell what sockets there are, say.
    #[cfg(feature = "doq")]
    pub fn settle(&self) -> io::Result<bool> {
        let mut is_alone = true;
        for door in self.tcp.iter().filter(|door| door.name.kind == Proto::Quic.label()) {
            let (Some(socket), Ok(addr)) = (door.duplicate(), door.name.addr.parse()) else { continue };
            let (socket, tag) = (socket?, door.name.index.try_into().map_err(io::Error::other)?);
            if !sys::is_alone(addr)? {
                is_alone = false;
                continue;
            }
            match sys::steer_by_tag(&socket, tag) {
                // It asked for a port of its own, and has never had another beside it: a successor says it then.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                result => result?,
            }
        }
        Ok(is_alone)
    }

    /// There is no QUIC.
    ///
    /// # Errors
    /// None.
    #[cfg(not(feature = "doq"))]
    pub fn settle(&self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_shared {
            // Whom they came from goes on serving: nothing may be done to them, and what is queued is left to it.
            self.doors.iter().for_each(|door| door.close(true));
            let workers = self.workers.drain(..).map(|worker| (worker.endpoint, worker.retires));
            udp::leave(&workers.collect::<Vec<_>>(), LAST_CALLS);
        }
        self.lifeline.drain.cancel();
        self.lifeline.cut.cancel();
        self.workers.iter().for_each(|worker| worker.endpoint.stop());
    }
}
