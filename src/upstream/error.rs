//! Why a question got no answer from its upstreams.

use crate::cache::Failure;
use crate::wire::{EdeCode, Rcode};

/// Why a question got no answer from its upstreams.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing is configured for the name, or nothing of it can be used. An operator must act.
    #[error("no upstream is configured for {0}")]
    NoUpstream(String),
    /// The upstream sends the question back to us. Nothing helps until its configuration, or
    /// ours, is changed; it is tried again after a while.
    #[error("forwarding loop via {upstream}")]
    Looping {
        /// The upstream's name.
        upstream: Box<str>,
        /// It was known before, and nothing was sent.
        known: bool,
    },
    /// All upstreams failed; the text says how each did.
    #[error("{text}")]
    Failed {
        /// The extended error that fits, or the one that an upstream gave.
        ede: EdeCode,
        /// Names the upstreams.
        text: Box<str>,
        /// Whether an upstream answered with an error code, rather than not at all.
        refused: bool,
    },
    /// All upstreams have been silent so long that they are only tried now and then. Nothing was
    /// asked; the text names them.
    #[error("{text}")]
    Unreachable {
        /// Names the upstreams.
        text: Box<str>,
    },
    /// The packets that the upstream may be sent a second are used up. Nothing was asked.
    #[error("packet budget of {upstream} is used up")]
    OverBudget {
        /// The upstream's name.
        upstream: Box<str>,
    },
    /// The process ends.
    #[error("zonelet stops")]
    Stopped,
    /// Too many questions wait for the upstreams. The next one may well succeed.
    #[error("too many queries wait for {upstream}")]
    Busy {
        /// The upstream's name.
        upstream: Box<str>,
    },
}

impl ExchangeError {
    /// What a client is told.
    pub fn failure(&self) -> Failure {
        let ede = match self {
            Self::NoUpstream(_) | Self::Unreachable { .. } => EdeCode::NO_REACHABLE_AUTHORITY,
            Self::Looping { .. } | Self::Busy { .. } | Self::OverBudget { .. } | Self::Stopped => {
                EdeCode::OTHER
            }
            Self::Failed { ede, .. } => *ede,
        };
        Failure { rcode: Rcode::SERVFAIL, ede, text: self.to_string().into() }
    }

    /// How it is remembered for the question.
    pub fn memory(&self) -> Memory {
        match self {
            Self::NoUpstream(_) | Self::OverBudget { .. } | Self::Busy { .. } | Self::Stopped => Memory::None,
            Self::Looping { known: true, .. } => Memory::None,
            Self::Unreachable { .. } => Memory::BesideStale,
            Self::Looping { known: false, .. } | Self::Failed { .. } => Memory::Row,
        }
    }
}

/// How a failure is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Not at all. Nothing was asked: the next question costs as little, and may find things changed.
    None,
    /// Where an expired answer stands in, for a moment. Nothing was asked, and for that moment there would be
    /// no sense in it.
    BesideStale,
    /// As one in a row.
    Row,
}
