//! Connected UDP sockets to one upstream, each on a random port, renewed over time.
//!
//! A forger must guess the id and which of the ports a query left from; a connected socket lets
//! the kernel drop what comes from elsewhere, and hear at once that nobody listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::pending::Pending;

/// Datagrams read from one socket before other tasks get their turn.
const READ_BURST: usize = 16;
/// Longer datagrams are cut, and then refused as damaged; we announce 1232 bytes.
const MAX_DATAGRAM: usize = 4096;

/// The sockets of one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    remote: SocketAddr,
    lifetime: Duration,
    slots: Box<[Mutex<Option<Slot>>]>,
}

#[derive(Debug)]
struct Slot {
    link: Arc<Link>,
    until: Instant,
}

/// One connected socket. Closed, and its reader ended, once neither the pool nor a query holds it.
#[derive(Debug)]
pub(super) struct Link {
    inner: Arc<Inner>,
    _reader: DropGuard,
}

#[derive(Debug)]
struct Inner {
    socket: UdpSocket,
    pending: Pending,
}

impl Pool {
    /// A pool of up to `sockets` sockets; none is opened before it is drawn.
    pub(super) fn new(remote: SocketAddr, sockets: usize, lifetime: Duration) -> Self {
        let slots = (0..sockets.max(1)).map(|_| Mutex::new(None)).collect();
        Self { remote, lifetime, slots }
    }

    /// A socket drawn at random, opened if it is not open or has served its time.
    ///
    /// Must be called within a runtime: a reader is started for each socket opened.
    ///
    /// # Errors
    /// When none can be opened and none is open.
    pub(super) fn draw(&self, mismatched: &metrics::Counter) -> io::Result<Arc<Link>> {
        let index = rand::random_range(0..self.slots.len());
        let Some(slot) = self.slots.get(index) else { return Err(io::ErrorKind::NotFound.into()) };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(open) = slot.as_ref().filter(|s| now < s.until) {
            return Ok(Arc::clone(&open.link));
        }
        match Link::open(self.remote, mismatched.clone()) {
            Ok(link) => {
                let until = now + some_of(self.lifetime);
                *slot = Some(Slot { link: Arc::clone(&link), until });
                Ok(link)
            }
            Err(error) => {
                // Out of descriptors: an old port is better than none.
                let old = slot.as_ref().map(|s| Arc::clone(&s.link));
                drop(slot);
                old.or_else(|| self.any_open()).ok_or(error)
            }
        }
    }

    /// A socket beside the pool's, closed after its query; one of the pool where none can be opened.
    ///
    /// # Errors
    /// As [`Pool::draw`].
    pub(super) fn fresh(&self, mismatched: &metrics::Counter) -> io::Result<Arc<Link>> {
        Link::open(self.remote, mismatched.clone()).or_else(|error| self.any_open().ok_or(error))
    }

    fn any_open(&self) -> Option<Arc<Link>> {
        self.slots.iter().find_map(|slot| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|s| Arc::clone(&s.link))
        })
    }
}

/// How long one socket lasts, half to one lifetime: those opened together are not replaced together.
pub(super) fn some_of(lifetime: Duration) -> Duration {
    lifetime.mul_f64(rand::random_range(0.5..=1.0))
}

/// A socket on a random port, connected to `remote`, that never blocks.
pub(super) fn connected(remote: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(remote)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Link {
    fn open(remote: SocketAddr, mismatched: metrics::Counter) -> io::Result<Arc<Self>> {
        let socket = UdpSocket::from_std(connected(remote)?)?;
        let inner = Arc::new(Inner { socket, pending: Pending::new(mismatched) });
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&inner).read(stop.clone()));
        Ok(Arc::new(Self { inner, _reader: stop.drop_guard() }))
    }

    /// The queries that wait for a reply on this socket.
    pub(super) fn pending(&self) -> &Pending {
        &self.inner.pending
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// What the kernel says of this datagram. The error of an earlier one, which the kernel
    /// reports on the next send, is swallowed once.
    pub(super) async fn send(&self, message: &[u8]) -> io::Result<()> {
        if self.inner.socket.send(message).await.is_err() {
            self.inner.socket.send(message).await?;
        }
        Ok(())
    }
}

impl Inner {
    async fn read(self: Arc<Self>, stop: CancellationToken) {
        let news = Interest::READABLE | Interest::ERROR;
        while let Some(Ok(ready)) = stop.run_until_cancelled(self.socket.ready(news)).await {
            if ready.is_error() {
                self.take_error();
            }
            self.drain();
        }
    }

    /// Fetches the error that the network has reported. Reading does not: an error alone does not
    /// make a socket readable.
    fn take_error(&self) {
        let take = || self.socket.take_error()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
        while let Ok(error) = self.socket.try_io(Interest::ERROR, take) {
            self.pending.fail(error.kind());
        }
    }

    /// Not async, so that the buffer lies on the thread's stack and not in every socket's task.
    fn drain(&self) {
        let mut buffer = [0; MAX_DATAGRAM];
        for _ in 0..READ_BURST {
            match self.socket.try_recv(&mut buffer) {
                Ok(len) => self.pending.deliver(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.pending.fail(error.kind()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn pool(sockets: usize, lifetime: u64) -> (Pool, metrics::Counter) {
        let remote = "127.0.0.1:9".parse().unwrap();
        (Pool::new(remote, sockets, Duration::from_secs(lifetime)), metrics::Counter::noop())
    }

    #[tokio::test(start_paused = true)]
    async fn sockets_are_opened_as_they_are_drawn_and_each_has_its_port() {
        let (pool, counter) = pool(16, 60);
        let links: Vec<_> = (0..400).map(|_| pool.draw(&counter).unwrap()).collect();
        let ports: HashSet<_> = links.iter().map(|l| l.inner.socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_is_replaced_after_its_lifetime_and_closed_once_unused() {
        let (pool, counter) = pool(1, 60);
        let first = pool.draw(&counter).unwrap();
        let port = |link: &Arc<Link>| link.inner.socket.local_addr().unwrap().port();
        assert_eq!(port(&pool.draw(&counter).unwrap()), port(&first));
        tokio::time::advance(Duration::from_secs(61)).await;
        let second = pool.draw(&counter).unwrap();
        assert_ne!(port(&second), port(&first), "the old one is still open here");
        let weak = Arc::downgrade(&first.inner);
        drop(first);
        while weak.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
