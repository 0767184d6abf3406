//! What is known of the health of that which records lead to.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::wire::{NamePattern, NameRef};

/// The state of a health check or a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
    /// Nobody has said.
    #[default]
    Unknown,
}

impl State {
    /// The word in listings.
    pub fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

/// What the health of a set hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A health check of the origin's, by its id.
    Check(Box<str>),
    /// A probe of ours.
    Probe(ProbeTarget),
}

/// What is probed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeTarget {
    /// An address that a record leads to.
    pub address: IpAddr,
    /// How.
    pub probe: Probe,
}

/// How an address is probed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Probe {
    /// The TCP port that must accept a connection.
    pub port: u16,
    /// The path that must answer an HTTP GET well, if that is asked for.
    pub path: Option<Box<str>>,
}

/// Whose addresses are probed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRule {
    /// The owners of the sets.
    pub names: Vec<NamePattern>,
    /// How.
    pub probe: Probe,
}

impl ProbeRule {
    /// Whether the addresses of sets of `owner` are probed so.
    pub fn covers(&self, owner: NameRef<'_>) -> bool {
        self.names.iter().any(|pattern| pattern.matches(owner))
    }
}

/// `tcp:5432` or `http:8080/healthz`, as in the configuration.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "http:{}{path}", self.port),
            None => write!(f, "tcp:{}", self.port),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(id) => write!(f, "check {id}"),
            Self::Probe(target) => write!(f, "probe {} of {}", target.probe, target.address),
        }
    }
}

/// The states of what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health(HashMap<Subject, State>);

impl Health {
    /// The state of a health check or a probe.
    pub fn state(&self, subject: &Subject) -> State {
        self.0.get(subject).copied().unwrap_or_default()
    }
}

impl FromIterator<(Subject, State)> for Health {
    fn from_iter<I: IntoIterator<Item = (Subject, State)>>(states: I) -> Self {
        Self(states.into_iter().collect())
    }
}
