//! What is told of one query.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::fetched::By;
use crate::metrics::{AnswerSource, Bound, Proto};
use crate::wire::Rcode;

/// What came of one query.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Who asked.
    pub client: SocketAddr,
    /// The address it was sent to, where the socket has none of its own.
    pub local: Option<IpAddr>,
    /// How it came.
    pub proto: Proto,
    /// The query.
    pub query: &'a [u8],
    /// The response; empty for a query that got none.
    pub response: &'a [u8],
    /// Where the response came from.
    pub source: AnswerSource,
    /// The response code; means nothing where there is no response.
    pub rcode: Rcode,
    /// What kept it from its answer, if anything did.
    pub stop: Option<Stop>,
    /// The upstream that has answered; of several the slowest.
    pub by: Option<&'a By>,
    /// When it was received, on the clock.
    pub asked: Duration,
}

/// What keeps a query from its answer before zones and cache are looked at, or upstreams are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its client asks too much.
    Bound(Bound),
    /// A rule of `[[access]]` has it dropped.
    Access,
}

impl Stop {
    /// For the log: the key that is behind it, and what became of the query.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bound(Bound::Dropped) => "limits.client_rate, dropped",
            Self::Bound(Bound::Slipped) => "limits.client_rate, sent to TCP",
            Self::Bound(Bound::Refused) => "limits.client_rate, refused",
            Self::Bound(Bound::InFlight) => "limits.client_in_flight, failed",
            Self::Access => "an access rule, dropped",
        }
    }
}
