//! Floor 3: one query in, one disposition out. Knows no sockets.

mod access;
mod answerer;
pub mod explain;
mod identity;
mod keeping;
mod lane;
mod limits;
mod local;
pub mod miss;
mod names;
mod pending;
mod rebinding;
mod relief;
mod rules;
pub mod settings;
pub mod special;
mod walk;

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::metrics::{Proto, Tally};
use crate::sys::Local;

pub use answerer::{Answerer, View};
pub use limits::client_network;
pub use pending::PendingQuery;
pub use settings::Settings;

/// How a query came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: answers are cut to the asker's size.
    Udp,
    /// A stream: answers of up to 65535 bytes.
    Tcp,
    /// TLS (RFC 7858), as TCP.
    Tls,
    /// HTTPS (RFC 8484): a message in each request, answers as over TCP.
    Https,
    /// QUIC (RFC 9250): a stream for each query, answers as over TCP.
    Quic,
}

impl Transport {
    /// What queries of it are counted as.
    pub const fn proto(self) -> Proto {
        match self {
            Self::Udp => Proto::Udp,
            Self::Tcp => Proto::Tcp,
            Self::Tls => Proto::Tls,
            Self::Https => Proto::Https,
            Self::Quic => Proto::Quic,
        }
    }

    /// Whether nobody on the way can read what is said, but for its length.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The client's address.
    pub client: SocketAddr,
    /// How the query came in.
    pub transport: Transport,
    /// The address of ours that it was sent to, where the socket has none of its own.
    pub local: Option<Local>,
}

impl Asker {
    /// Who asks by a socket that has an address of its own.
    pub const fn new(client: SocketAddr, transport: Transport) -> Self {
        Self { client, transport, local: None }
    }
}

/// What becomes of a query.
#[derive(Debug)]
pub enum Disposition {
    /// The first `usize` bytes of the output are the response.
    Respond(usize),
    /// The answer must be fetched: hand this to [`Responder::submit`].
    Forward(Box<PendingQuery>),
    /// Nothing is sent; it has been counted.
    Drop,
}

/// Where late responses go: the socket their queries came by, or the stream.
pub trait Reply: Send + Sync + 'static {
    /// Sends the response to a query of `asker`. Must not block.
    fn send(&self, asker: &Asker, response: &[u8]);
}

/// What a transport needs: the fast half, answered in place, and the slow half.
pub trait Responder: Send + Sync + 'static {
    /// What is read once for a whole batch: the time, the zone table, the live settings.
    type View;

    /// Takes a view; a transport takes one for each batch it received.
    fn view(&self) -> Self::View;

    /// Gets ready for a query that is about to be answered: what it needs from far memory is brought
    /// near while others are seen to. Pays where much is missing.
    fn expect(&self, _query: &[u8]) {}

    /// Answers `query` into `out`: at once, never waiting. `out` is at least 1232 bytes long for
    /// UDP and 65535 for all others.
    /// Counts into `tally`, the calling thread's cells.
    fn answer(
        &self,
        view: &Self::View,
        query: &[u8],
        asker: Asker,
        out: &mut [u8],
        tally: &Tally,
    ) -> Disposition;

    /// Fetches what is missing and sends the response through `reply`, exactly once, now or later.
    /// Bounded: past the cap the reply is an immediate SERVFAIL.
    fn submit(&self, pending: Box<PendingQuery>, reply: Arc<dyn Reply>);

    /// What the calling thread needs to fetch by itself, which spares the way to another thread
    /// and back. `None`: it leaves that to [`Responder::submit`].
    ///
    /// # Errors
    /// No descriptor is left.
    fn lane(&self) -> io::Result<Option<Box<dyn Lane>>> {
        Ok(None)
    }
}

/// One thread's own way to fetch what is missing. For as long as something is under way the thread
/// waits here, also for the socket that its queries come by; responses go out meanwhile.
pub trait Lane {
    /// Has [`Lane::wait`] wait for `socket`, too.
    ///
    /// # Errors
    /// The kernel's.
    fn watch(&mut self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Takes that back.
    ///
    /// # Errors
    /// The kernel's: it was not watched.
    fn unwatch(&mut self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Whether nothing is under way.
    fn is_idle(&self) -> bool;

    /// Looks at the time. Comes before the first [`Lane::submit`] of a batch.
    fn begin(&mut self);

    /// As [`Responder::submit`]; what the answerer wants asked is asked by this thread, or by
    /// another if it is unusual.
    fn submit(&mut self, pending: Box<PendingQuery>, reply: Arc<dyn Reply>);

    /// Waits until the watched socket has something, or until something has come of what is under
    /// way. Returns whether the socket is to be read.
    ///
    /// # Errors
    /// The kernel's, for no known reason.
    fn wait(&mut self) -> io::Result<bool>;
}
