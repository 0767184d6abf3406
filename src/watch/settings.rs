//! What is observed of queries, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[dnstap]`, `[query_log]` and `[top]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `[dnstap]`.
    pub dnstap: Dnstap,
    /// `[query_log]`.
    pub query_log: QueryLog,
    /// `[top]`.
    pub top: Top,
}

/// `[dnstap]`: every query and its response to a collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Dnstap {
    /// Who takes the frames; `None` has nothing observed for them.
    pub to: Option<Collector>,
    /// Whose messages are sent.
    pub messages: Vec<Messages>,
    /// What the frames say of who sent them; empty for the host's name.
    pub identity: String,
    /// One query in so many, by an even draw.
    pub sample: u32,
    /// Bytes that wait at most between the answering threads and the collector.
    pub buffer: usize,
}

impl Dnstap {
    /// Whether somebody is sent what clients ask.
    pub fn takes_client(&self) -> bool {
        self.takes(Messages::Client)
    }

    /// Whether somebody is sent what is asked of upstreams.
    pub fn takes_forwarder(&self) -> bool {
        self.takes(Messages::Forwarder)
    }

    fn takes(&self, messages: Messages) -> bool {
        self.to.is_some() && self.messages.contains(&messages)
    }
}

/// Whose messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// Queries of clients, and responses to them.
    Client,
    /// Queries to upstreams, and their replies.
    Forwarder,
}

impl Messages {
    /// Each by its word in the configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("client", Self::Client), ("forwarder", Self::Forwarder)];
}

/// Where a collector listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

impl Default for Dnstap {
    fn default() -> Self {
        let messages = vec![Messages::Client];
        Self { to: None, messages, identity: String::new(), sample: 1, buffer: 4 << 20 }
    }
}

/// `[query_log]`: single queries as log lines.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryLog {
    /// What is logged; empty for nothing.
    pub classes: Vec<Class>,
    /// Of [`Class::All`] one query in so many.
    pub sample: u32,
    /// What takes longer is [`Class::Slow`].
    pub slow: Duration,
    /// Lines per second at most, and as many again of what is turned away.
    pub lines: f64,
}

impl Default for QueryLog {
    fn default() -> Self {
        Self { classes: Vec::new(), sample: 1000, slow: Duration::from_millis(500), lines: 100.0 }
    }
}

/// A reason to log a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// None but the sample.
    All,
    /// The name or its type does not exist: NXDOMAIN and NODATA.
    Denials,
    /// It was let in and got any other code than NOERROR and NXDOMAIN.
    Errors,
    /// It was refused here, or limits or access rules have kept it from its answer.
    TurnedAway,
    /// It took long.
    Slow,
}

impl Class {
    /// Each by its word in the configuration.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("all", Self::All),
        ("denials", Self::Denials),
        ("errors", Self::Errors),
        ("slow", Self::Slow),
        ("turned_away", Self::TurnedAway),
    ];

    /// The word.
    pub fn label(self) -> &'static str {
        Self::WORDS.iter().find(|(_, class)| *class == self).map_or("", |(word, _)| word)
    }
}

/// `[top]`: which clients and names are asked most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// One query in so many is looked at, a power of two; 0 for none.
    pub sample: u32,
    /// What lies back longer than twice this no longer counts.
    pub window: Duration,
}

impl Default for Top {
    fn default() -> Self {
        Self { sample: 32, window: Duration::from_secs(30) }
    }
}
