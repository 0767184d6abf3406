//! What a listing says of zones and sources, and what can be asked of the importer.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::wire::Name;
use crate::zone::Counts;

/// What a zone is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneState {
    /// Served, and the source confirms it regularly.
    Loaded,
    /// Served, but the source has not confirmed it for a while or no longer lets us.
    Stale,
    /// Served as it was: its last import had shrunk sharply and waits to be confirmed.
    Held,
    /// Not readable: its names are forwarded.
    CarvedOut,
    /// Never loaded so far.
    Unloaded,
    /// Another zone of the same name is served in its place.
    Shadowed,
}

impl ZoneState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Loaded, Self::Stale, Self::Held, Self::CarvedOut, Self::Unloaded, Self::Shadowed];

    /// The metric label and the word in listings.
    pub fn label(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Stale => "stale",
            Self::Held => "held",
            Self::CarvedOut => "carved_out",
            Self::Unloaded => "unloaded",
            Self::Shadowed => "shadowed",
        }
    }
}

/// One zone in a listing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneStatus {
    /// Its name.
    pub zone: String,
    /// The kind of its source.
    pub kind: &'static str,
    /// The label of its source.
    pub source: String,
    /// Its id within the source; empty for a name that is only expected so far.
    pub id: String,
    /// What it is at the moment.
    pub state: ZoneState,
    /// What is served of it; zeros while nothing is.
    pub counts: Counts,
    /// The serial of its SOA.
    pub serial: Option<u32>,
    /// Seconds since its last success, over restarts.
    pub age_seconds: Option<u64>,
    /// Seconds between imports, after budget and throttling.
    pub refresh_seconds: u64,
    /// Seconds until the next attempt; `None` while one runs, or none is planned.
    pub next_attempt_seconds: Option<u64>,
    /// The last error, or why the zone is carved out.
    pub error: Option<String>,
    /// What is served comes from a state file that the source has not confirmed yet.
    pub from_state_file: bool,
    /// What is not served, the first 1000.
    pub skipped: Vec<SkippedStatus>,
    /// How much is not served, by reason.
    pub skipped_by_reason: BTreeMap<&'static str, usize>,
}

/// A record that is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedStatus {
    /// The owner as the source wrote it.
    pub owner: String,
    /// The type as the source wrote it.
    pub rtype: String,
    /// The class of reason.
    pub reason: &'static str,
    /// What exactly is wrong.
    pub detail: String,
}

/// One source in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// The kind.
    pub kind: &'static str,
    /// The label.
    pub source: String,
    /// How many zones it has.
    pub zones: usize,
    /// Why its zones could not be listed last time.
    pub error: Option<String>,
}

/// Asks for zones to be imported now, as far as the source allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRequest {
    /// Which; `None` for every zone and the listings too.
    pub zone: Option<Name>,
}

/// Why a refresh was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many requests wait: ask again later.
    #[error("too many refresh requests are waiting")]
    Busy,
    /// The importer has stopped.
    #[error("the importer has stopped")]
    Stopped,
    /// No source has such a zone, or only one that cannot be read.
    #[error("no source has this zone")]
    UnknownZone,
}
