//! The file format of a last-good zone.
//!
//! ```text
//! "zonelet" 0x1a | version u16 | head | sets | skipped | SipHash-128 of everything before it
//! head    = kind, label, origin?, zone id, apex, fetched-at (ms since 1970) u64, calls u32, region?,
//!           standing u8 (0 its records, 1 carved out, 2 denied) and, where it has none, why,
//!           number of sets, records, deferred sets and skipped entries, u32 each
//! set     = owner, type u16, then 0, TTL u32, count u32, RDATA… or 1, reason u8 or 2, alias or 3, member
//! alias   = flags u8 (1 inside, 2 evaluates health), target
//! member  = identifier, policy u8 and what belongs to it, health check?, then 0, TTL u32, count u32, RDATA… or 1, alias
//! skipped = owner, type, detail, reason u8
//! ```
//! Integers are big-endian; texts and RDATA carry a u16 length, names a u8 length.

mod encode;
mod parse;

use std::time::{Duration, SystemTime};

use siphasher::sip128::SipHasher24;

use crate::source::{Origin, ZoneId};
use crate::zone::{Body, RecordSet, ZoneData};

pub use encode::encode_state;
pub use parse::{parse_state, parse_unsealed};

/// The version that is written. Older ones are read: version 1 had neither aliases nor members,
/// version 2 no geoproximity, neither said a Region or a standing, and they were otherwise the same.
pub const VERSION: u16 = 3;
/// No state file is larger, on writing and on reading.
pub const MAX_BYTES: usize = 64 << 20;
/// How many skipped entries are kept of a zone, in memory and in its file.
pub const MAX_SKIPPED: usize = 1000;

const MAGIC: &[u8; 8] = b"zonelet\x1a";
const PREFIX: usize = MAGIC.len() + 2;
const SEAL: usize = 16;

/// Why a zone cannot be written to, or read from, a state file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not a state file at all.
    #[error("not a state file")]
    Foreign,
    /// Written by another version of the format; the number it carries.
    #[error("state file of version {0}, this program reads versions up to {VERSION}")]
    Version(u16),
    /// Cut or altered since it was written.
    #[error("state file does not match its checksum")]
    Checksum,
    /// Whole, and yet not in the format.
    #[error("bad {section} in state file")]
    Bad {
        /// The part that does not parse.
        section: &'static str,
    },
    /// More than [`MAX_BYTES`], or a part over its own limit.
    #[error("zone too large for a state file")]
    TooLarge,
}

/// A zone as a state file keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// The source's kind.
    pub kind: String,
    /// The source's label.
    pub label: String,
    /// What the data belongs to, where the source knew.
    pub origin: Option<Origin>,
    /// The zone's id within its source.
    pub id: ZoneId,
    /// When it was fetched, milliseconds since 1970 on the wall clock.
    pub fetched_at: u64,
    /// Calls that a full fetch took.
    pub calls: u32,
    /// The Region of the VPC, where the source knew.
    pub region: Option<String>,
    /// Whether it has records to be served.
    pub standing: Standing,
    /// Its content.
    pub data: ZoneData,
}

/// Whether there are records of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// They are in the file.
    #[default]
    Records,
    /// It cannot be read, for this reason: its names are forwarded.
    CarvedOut(String),
    /// The source refused to give them, for this reason: its names are forwarded.
    Denied(String),
}

impl StateFile {
    /// How long ago the zone was fetched, by the wall clock; zero when that clock stepped back.
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_sub(Duration::from_millis(self.fetched_at))
    }

    /// The name of the file that this zone belongs in.
    pub fn file_name(&self) -> String {
        file_name(&self.kind, &self.label, &self.id)
    }
}

/// The file name of a zone: a hash, since labels and ids are not safe in paths.
pub(super) fn file_name(kind: &str, label: &str, id: &ZoneId) -> String {
    let mut key = Vec::new();
    for text in [kind, label, &id.0] {
        key.extend_from_slice(&(text.len() as u64).to_be_bytes());
        key.extend_from_slice(text.as_bytes());
    }
    format!("{:032x}.zone", SipHasher24::new().hash(&key).as_u128())
}

fn seal(bytes: &[u8]) -> [u8; SEAL] {
    SipHasher24::new().hash(bytes).as_bytes()
}

/// Records, and deferred sets.
fn count(sets: &[RecordSet]) -> (usize, usize) {
    sets.iter().fold((0, 0), |(records, deferred), set| match &set.body {
        Body::Records { rdata, .. } => (records + rdata.len(), deferred),
        Body::Alias(_) | Body::Member(_) => (records, deferred),
        Body::Deferred(_) => (records, deferred + 1),
    })
}

/// As a state file has it.
pub(super) fn millis_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
