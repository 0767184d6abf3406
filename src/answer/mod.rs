//! Floor 3: one query in, one disposition out. Knows no sockets.

mod access;
mod answerer;
pub mod miss;
pub mod settings;
pub mod special;
mod walk;

use std::net::SocketAddr;

use crate::metrics::Tally;

pub use answerer::{Answerer, View};
pub use settings::Settings;
use walk::{Missing, Resolved};

/// How a query came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: answers are cut to the asker's size.
    Udp,
    /// A stream: answers of up to 65535 bytes.
    Tcp,
}

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The client's address.
    pub client: SocketAddr,
    /// How the query came in.
    pub transport: Transport,
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

/// A query that waits for an upstream. Holds its own copy of the query and the asker.
#[derive(Debug)]
pub struct PendingQuery {
    query: Box<[u8]>,
    asker: Asker,
    missing: Option<Missing>,
    resolved: Vec<Resolved>,
}

impl PendingQuery {
    /// A query of `asker` that nothing has been fetched for yet.
    pub fn new(query: &[u8], asker: Asker) -> Self {
        Self { query: query.into(), asker, missing: None, resolved: Vec::new() }
    }

    fn waiting(query: &[u8], asker: Asker, missing: Missing) -> Self {
        Self { missing: Some(missing), ..Self::new(query, asker) }
    }

    /// The query as it came.
    pub fn query(&self) -> &[u8] {
        &self.query
    }

    /// Who asked.
    pub fn asker(&self) -> Asker {
        self.asker
    }
}

/// Where a late response goes: the socket, local address and client it came from, or its stream.
pub trait Reply: Send + 'static {
    /// Sends `response`, once. Must not block.
    fn send(self: Box<Self>, response: &[u8]);
}

/// What a transport needs: the fast half, answered in place, and the slow half.
pub trait Responder: Send + Sync + 'static {
    /// What is read once for a whole batch: the time, the zone table, the live settings.
    type View;

    /// Takes a view; a transport takes one for each batch it received.
    fn view(&self) -> Self::View;

    /// Answers `query` into `out`: at once, never waiting. `out` is at least 1232 bytes long for
    /// UDP and 65535 for TCP.
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
    fn submit(&self, pending: Box<PendingQuery>, reply: Box<dyn Reply>);
}
