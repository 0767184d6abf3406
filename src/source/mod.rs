//! Floor 2: where zone data comes from. Knows neither the zone table nor the schedule.

pub mod file;
pub mod hosts;
pub mod probe;
pub mod recordset;
#[cfg(feature = "route53")]
pub mod route53;
pub mod settings;
pub mod text;
pub mod trial;
pub mod value;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::wire::Name;
use crate::zone::{State, ZoneData};

/// A boxed future, so that sources can stand behind `dyn ZoneSource`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error, kept as the cause of one of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What identifies a zone within its source (a hosted zone id, a path).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneId(pub Arc<str>);

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somewhere zones come from: polled, pushing, or both.
pub trait ZoneSource: Send + Sync + 'static {
    /// The kind, a metric label: `route53`, `file`.
    fn kind(&self) -> &'static str;

    /// What tells this source from others of its kind in logs, listings and state files. Stable
    /// over restarts with the same configuration.
    fn label(&self) -> &str;

    /// What the data belongs to (account, VPC), written into state files: data of another origin
    /// is not served. `None` while it is not known yet.
    fn origin(&self) -> Option<Origin>;

    /// What one zone's data belongs to, where zones of several accounts come from one source.
    fn origin_of(&self, zone: &ZoneId) -> Option<Origin> {
        let _ = zone;
        self.origin()
    }

    /// The accounts whose zones the last discovery could not list, by id; empty for the source's own
    /// where its id is not known. That a zone of theirs is not listed says nothing.
    fn unseen(&self) -> Vec<String> {
        Vec::new()
    }

    /// The Region of the VPC that the zones are for, as far as it is known.
    fn region(&self) -> Option<String> {
        None
    }

    /// Lists the zones there are now, the unreadable ones included.
    ///
    /// # Errors
    /// [`SourceError`]: the zones known before stay.
    fn discover(&self) -> BoxFuture<'_, Result<Vec<FoundZone>, SourceError>>;

    /// Fetches one zone whole. After an error, a call with the same `progress` resumes where that
    /// one stopped; an emptied `progress` starts over.
    ///
    /// # Errors
    /// [`SourceError`]: nothing of the zone may be published.
    fn fetch<'a>(
        &'a self,
        zone: &'a FoundZone,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<Fetched, SourceError>>;

    /// Looks once at the health checks of these ids. `None` for a source that knows nothing of health.
    ///
    /// # Errors
    /// [`SourceError`]: what was known before stays, as long as it is not too old.
    fn health<'a>(
        &'a self,
        checks: &'a [Box<str>],
    ) -> Option<BoxFuture<'a, Result<Vec<Sighting>, SourceError>>> {
        let _ = checks;
        None
    }

    /// The source's own updates, for one that is told of changes; handed out once. `None` for a
    /// source that is only polled.
    fn pushes(&self) -> Option<mpsc::Receiver<Push>> {
        None
    }
}

/// What was seen of one health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The check's id.
    pub check: Box<str>,
    /// Its state, everything that its settings say about it taken into account.
    pub state: State,
    /// How old the news is.
    pub age: Duration,
}

/// Account and network that a source's data belongs to; empty strings where it does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The account id.
    pub account: String,
    /// The VPC id.
    pub vpc: String,
}

impl Origin {
    /// Whether both may be the same: what is empty agrees with everything.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let agree = |ours: &str, theirs: &str| ours == theirs || ours.is_empty() || theirs.is_empty();
        agree(&self.account, &other.account) && agree(&self.vpc, &other.vpc)
    }
}

/// A zone that a source has, readable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundZone {
    /// Its id within the source.
    pub id: ZoneId,
    /// Its name.
    pub apex: Name,
    /// Whether its records can be had here.
    pub access: Access,
    /// How many record sets it has, where listing the zones tells: another number is a change, the same
    /// number says nothing.
    pub records: Option<u64>,
}

/// Whether a found zone's records can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// They are fetched.
    Readable,
    /// They cannot be; the zone's subtree is carved out and forwarded. The text says why.
    CarvedOut(String),
}

/// A zone fetched whole.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The zone's records.
    pub data: ZoneData,
    /// How many calls of the source's budget a full fetch of this zone takes.
    pub calls: u32,
}

/// Where an interrupted fetch stands; opaque to everyone but the source that filled it.
#[derive(Default)]
pub struct Progress(pub Option<Box<dyn Any + Send>>);

/// An update that a source pushes.
#[derive(Debug)]
pub enum Push {
    /// The set of zones may have changed: discover now.
    Rediscover,
    /// This zone changed: fetch it now.
    Changed(ZoneId),
    /// This zone's new content.
    Zone(FoundZone, Fetched),
    /// This zone is gone.
    Removed(ZoneId),
}

/// Why a source gave nothing. What is published stays in every case.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source asks for less: wait at least `retry_after` (zero: own backoff decides) and resume.
    #[error("{what} was throttled")]
    Throttled {
        /// The call, zone included.
        what: String,
        /// The least time to wait.
        retry_after: Duration,
    },
    /// Needs an operator: a permission is missing. The zone is carved out if it never loaded.
    #[error("no permission for {what}")]
    Denied {
        /// The call, zone included.
        what: String,
        /// The source's own words.
        #[source]
        source: BoxError,
    },
    /// The zone is gone at the source.
    #[error("{what}: the zone does not exist")]
    Gone {
        /// The call, zone included.
        what: String,
    },
    /// A reply that may not be believed (cut, without apex SOA or NS, a cursor that stands still).
    #[error("{what}: {problem}")]
    Damaged {
        /// The call, zone included.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Anything else: network, time-outs, server errors, unreadable files.
    #[error("{what} failed")]
    Failed {
        /// The call, zone included.
        what: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// Needs an operator: the settings cannot work here; the text names the key.
    #[error("{0}")]
    Misconfigured(String),
}

/// An error with its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Resolves host names for sources through zonelet's own upstreams, never through the system's
/// resolver file, which may point back at us.
pub trait HostResolver: Send + Sync + fmt::Debug + 'static {
    /// The addresses of `host`.
    ///
    /// # Errors
    /// When no upstream gives one.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, std::io::Result<Vec<IpAddr>>>;
}
