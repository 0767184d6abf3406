//! What `zonelet top` is told: counts since the start, of which the asker makes rates, and how things stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::upstream::UpstreamTold;
use crate::watch::TopTold;

/// How the whole program does. Bounded: of zones and upstreams at most so many are told, the worst first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopReport {
    /// What is running.
    pub version: String,
    /// Milliseconds since the start; counts of two reports are so far apart.
    pub uptime_milliseconds: u64,
    /// Queries received, by protocol.
    pub queries: BTreeMap<String, u64>,
    /// Responses sent, by source and code; what never happened is left out.
    pub responses: Vec<ResponseCount>,
    /// Queries that got no response, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Responses that were cut to the asker's size.
    pub truncated: u64,
    /// Client questions that wait for an upstream.
    pub waiting: u64,
    /// The cache.
    pub cache: CacheReport,
    /// The process as the kernel sees it: resident bytes and open descriptors.
    pub process: ProcessReport,
    /// By forwarded domain.
    pub upstreams: Vec<UpstreamReport>,
    /// Upstreams that are not told.
    pub upstreams_left_off: u64,
    /// Those with errors first, then by name.
    pub zones: Vec<ZoneBrief>,
    /// Zones that are not told.
    pub zones_left_off: u64,
    /// Who and what is asked most.
    pub top: TopTold,
}

/// Responses of one source and code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseCount {
    /// As in the metrics: `zone`, `cache`, `upstream`.
    pub source: String,
    /// `NOERROR`, `NXDOMAIN`.
    pub rcode: String,
    /// Since the start.
    pub count: u64,
}

/// The cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheReport {
    /// Responses.
    pub entries: u64,
    /// Memory they take.
    pub bytes: u64,
}

/// The process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Resident memory, `None` where the kernel does not say.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
}

/// An upstream of a forwarded domain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// The domain.
    pub domain: String,
    /// How it does.
    #[serde(flatten)]
    pub upstream: UpstreamTold,
    /// Answers taken up to each of `bounds`, but above the one before; the last has no bound.
    pub buckets: Vec<u64>,
    /// In seconds.
    pub bounds: Vec<f64>,
}

/// A zone in brief.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneBrief {
    /// Its name.
    pub zone: String,
    /// The kind of its source.
    pub kind: String,
    /// `loaded`, `stale`, `held`, `carved_out`, `unloaded`, `shadowed`.
    pub state: String,
    /// Records served.
    pub records: u64,
    /// The serial of its SOA.
    pub serial: Option<u32>,
    /// Seconds since its last successful import.
    pub age_seconds: Option<u64>,
    /// The last error.
    pub error: Option<String>,
}
