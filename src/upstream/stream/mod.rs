//! Queries to one upstream over connections: TCP, TLS, HTTPS and QUIC.
//!
//! Few connections, each with many queries under way and answered in any order (RFC 7766 §6.2).
//! One code for all of them: a driver moves messages ([`frames`] for TCP and TLS, [`hickory`] for
//! HTTP and QUIC), everything else does not know which.

mod connection;
mod dial;
mod fault;
mod frames;
#[cfg(feature = "tls")]
mod hickory;
mod hosts;
mod inbox;
mod pool;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Counter;
use tokio::sync::Notify;

use super::bootstrap::UpstreamNames;
use super::server::Transport;
use super::tap::Tap;
use crate::metrics::upstream::{stream_connections, stream_sends};
use crate::wire::{Name, Rtype};

use dial::Dialer;
use pool::{Pool, Ticket, Which};

pub(super) use fault::TlsFailure;
#[cfg(feature = "tls")]
pub(crate) use tls::check_ca;

/// Queries that wait for room on a connection; one more is refused at once.
const MAX_WAITING: usize = 1024;
/// Times that one query is put on a connection.
const MAX_ATTEMPTS: u32 = 3;

/// A name and a type, shared by all who ask for them.
pub(super) type Asked = Arc<(Name, Rtype)>;

/// The connections to one upstream.
#[derive(Debug)]
pub(super) struct Streams {
    pool: Arc<Pool>,
    room: Arc<Notify>,
    waiting: AtomicUsize,
    sends: Counter,
}

impl Streams {
    /// Nothing is opened before the first query. `names` finds the addresses of a host.
    pub(super) fn new(
        address: SocketAddr,
        transport: &Transport,
        label: &str,
        names: Arc<UpstreamNames>,
    ) -> Self {
        let protocol = transport.stream_label();
        let room = Arc::new(Notify::new());
        let dialer = Dialer::new(address, transport, names);
        Self {
            pool: Arc::new(Pool::new(dialer, Arc::clone(&room), stream_connections(label, protocol))),
            room,
            waiting: AtomicUsize::new(0),
            sends: stream_sends(label, protocol),
        }
    }

    /// Whether a query need not wait for a new connection.
    pub(super) fn are_open(&self) -> bool {
        self.pool.is_open()
    }

    /// [`Streams::ask_told`], of which nobody is told.
    pub(super) async fn ask(&self, message: &[u8], asked: &Asked) -> io::Result<Vec<u8>> {
        self.ask_told(message, asked, None).await
    }

    /// Puts `message` (its id is replaced) to the upstream and returns the response, id and
    /// question checked. Takes as long as the upstream does: the caller sets the limit.
    ///
    /// What a connection takes with it when it ends is asked again on a new one, if it had
    /// answered before: that a server closes one between two queries is nothing unusual. One that
    /// has fallen silent is asked beside it on a new one, and the first answer counts.
    ///
    /// # Errors
    /// What the network says; `InvalidData` for a response to something else, [`TlsFailure`]
    /// inside for one that cannot be trusted, `QuotaExceeded` when too many wait.
    pub(super) async fn ask_told(
        &self,
        message: &[u8],
        asked: &Asked,
        tap: Option<&Tap>,
    ) -> io::Result<Vec<u8>> {
        let mut which = Which::Any;
        let mut attempt = 1;
        loop {
            let mut ticket = self.ticket(message, asked, which, tap).await?;
            let outcome = tokio::select! {
                biased;
                outcome = &mut ticket.reply => outcome,
                Ok(()) = &mut ticket.stalled => return self.ask_beside(ticket, message, asked, tap).await,
            };
            which = Which::After(ticket.number());
            match outcome {
                Ok(Err(error)) if error.is_retried() && attempt < MAX_ATTEMPTS => attempt += 1,
                Ok(result) => return result.map_err(io::Error::from),
                Err(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    /// Asks again on a new connection while the one of `first` may still answer.
    async fn ask_beside(
        &self,
        mut first: Ticket,
        message: &[u8],
        asked: &Asked,
        tap: Option<&Tap>,
    ) -> io::Result<Vec<u8>> {
        let after = Which::After(first.number());
        let again = async {
            let mut second = self.ticket(message, asked, after, tap).await?;
            match (&mut second.reply).await {
                Ok(result) => result.map_err(io::Error::from),
                Err(_) => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        };
        tokio::pin!(again);
        let (mut is_lost, mut failed) = (false, None);
        loop {
            tokio::select! {
                biased;
                outcome = &mut first.reply, if !is_lost => match outcome {
                    Ok(Ok(response)) => return Ok(response),
                    _ => is_lost = true,
                },
                result = &mut again, if failed.is_none() => match result {
                    Ok(response) => return Ok(response),
                    Err(error) => failed = Some(error),
                },
                else => return Err(failed.unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())),
            }
        }
    }

    /// A place on a connection, on which `message` is then on its way.
    async fn ticket(
        &self,
        message: &[u8],
        asked: &Asked,
        which: Which,
        tap: Option<&Tap>,
    ) -> io::Result<Ticket> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if let Some(ticket) = self.pool.join(message, asked, which) {
                self.sends.increment(1);
                if let Some(tap) = tap {
                    tap.asked(message, Some(ticket.id));
                }
                return Ok(ticket);
            }
            let _waiter = Waiter::enter(&self.waiting).ok_or(io::ErrorKind::QuotaExceeded)?;
            room.await;
        }
    }
}

/// One that waits for room.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Self> {
        let waiter = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
