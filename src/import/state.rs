//! The file format of a last-good zone: one writer, one parser.
//!
//! ```text
//! "zonelet" 0x1a | version u16 | head | sets | skipped | SipHash-128 of everything before it
//! head    = kind, label, origin?, zone id, apex, fetched-at (ms since 1970) u64, calls u32,
//!           number of sets, records, deferred sets and skipped entries, u32 each
//! set     = owner, type u16, then 0, TTL u32, count u32, RDATA… or 1, reason u8
//! skipped = owner, type, detail, reason u8
//! ```
//! Integers are big-endian; texts and RDATA carry a u16 length, names a u8 length.

use std::time::{Duration, SystemTime};

use siphasher::sip128::SipHasher24;

use crate::source::{Origin, ZoneId};
use crate::wire::{Name, Rtype};
use crate::zone::{Body, DeferredReason, RecordSet, SkipReason, Skipped, ZoneData};

/// The version that is written and the only one that is read.
pub const VERSION: u16 = 1;
/// No state file is larger, on writing and on reading.
pub const MAX_BYTES: usize = 64 << 20;
/// How many skipped entries are kept of a zone, in memory and in its file.
pub const MAX_SKIPPED: usize = 1000;

const MAGIC: &[u8; 8] = b"zonelet\x1a";
const PREFIX: usize = MAGIC.len() + 2;
const SEAL: usize = 16;
/// Longest text of a skipped entry; the rest is cut off.
const MAX_TEXT: usize = 1024;

/// Why a zone cannot be written to, or read from, a state file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not a state file at all.
    #[error("not a state file")]
    Foreign,
    /// Written by another version of the format; the number it carries.
    #[error("state file of version {0}, this program reads version {VERSION}")]
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
    /// Its content.
    pub data: ZoneData,
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

/// Writes `state` in the file format.
///
/// # Errors
/// [`StateError::TooLarge`], when a part does not fit; the zone is then served without a file.
pub fn encode_state(state: &StateFile) -> Result<Vec<u8>, StateError> {
    let mut out = Writer(Vec::with_capacity(1024 + 48 * state.data.sets.len()));
    out.0.extend_from_slice(MAGIC);
    out.u16(VERSION);
    out.head(state)?;
    for set in &state.data.sets {
        out.set(set)?;
        if out.0.len() > MAX_BYTES {
            return Err(StateError::TooLarge);
        }
    }
    for skipped in state.data.skipped.iter().take(MAX_SKIPPED) {
        out.skipped(skipped)?;
    }
    let seal = seal(&out.0);
    out.0.extend_from_slice(&seal);
    if out.0.len() > MAX_BYTES { Err(StateError::TooLarge) } else { Ok(out.0) }
}

fn seal(bytes: &[u8]) -> [u8; SEAL] {
    SipHasher24::new().hash(bytes).as_bytes()
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn count(&mut self, number: usize) -> Result<(), StateError> {
        self.u32(u32::try_from(number).map_err(|_| StateError::TooLarge)?);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        self.u16(u16::try_from(bytes.len()).map_err(|_| StateError::TooLarge)?);
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn name(&mut self, name: &Name) {
        // A name is at most 255 bytes long.
        self.0.push(name.as_bytes().len() as u8);
        self.0.extend_from_slice(name.as_bytes());
    }

    fn head(&mut self, state: &StateFile) -> Result<(), StateError> {
        self.bytes(state.kind.as_bytes())?;
        self.bytes(state.label.as_bytes())?;
        self.0.push(u8::from(state.origin.is_some()));
        if let Some(origin) = &state.origin {
            self.bytes(origin.account.as_bytes())?;
            self.bytes(origin.vpc.as_bytes())?;
        }
        self.bytes(state.id.0.as_bytes())?;
        self.name(&state.data.apex);
        self.0.extend_from_slice(&state.fetched_at.to_be_bytes());
        self.u32(state.calls);
        let (records, deferred) = count(&state.data.sets);
        self.count(state.data.sets.len())?;
        self.count(records)?;
        self.count(deferred)?;
        self.count(state.data.skipped.len().min(MAX_SKIPPED))
    }

    fn set(&mut self, set: &RecordSet) -> Result<(), StateError> {
        self.name(&set.owner);
        self.u16(set.rtype.0);
        match &set.body {
            Body::Records { ttl, rdata } => {
                self.0.push(0);
                self.u32(*ttl);
                self.count(rdata.len())?;
                rdata.iter().try_for_each(|value| self.bytes(value))
            }
            Body::Deferred(reason) => {
                self.0.extend_from_slice(&[1, deferred_code(*reason)]);
                Ok(())
            }
        }
    }

    fn skipped(&mut self, skipped: &Skipped) -> Result<(), StateError> {
        for text in [&skipped.owner, &skipped.rtype, &skipped.detail] {
            self.bytes(clipped(text).as_bytes())?;
        }
        self.0.push(skip_code(skipped.reason));
        Ok(())
    }
}

fn count(sets: &[RecordSet]) -> (usize, usize) {
    sets.iter().fold((0, 0), |(records, deferred), set| match &set.body {
        Body::Records { rdata, .. } => (records + rdata.len(), deferred),
        Body::Deferred(_) => (records, deferred + 1),
    })
}

fn clipped(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()
}

fn deferred_code(reason: DeferredReason) -> u8 {
    match reason {
        DeferredReason::Flattened => 0,
        DeferredReason::Choice => 1,
        DeferredReason::Unknown => 2,
    }
}

fn skip_code(reason: SkipReason) -> u8 {
    SkipReason::ALL.iter().position(|&r| r == reason).unwrap_or_default() as u8
}

/// Reads a state file.
///
/// Any bytes are safe to pass: nothing is read past the end, and no count in the file decides how
/// much memory is taken.
///
/// # Errors
/// [`StateError`]: the file is not served; nobody can repair it, it is fetched anew.
pub fn parse_state(bytes: &[u8]) -> Result<StateFile, StateError> {
    if bytes.len() > MAX_BYTES {
        return Err(StateError::TooLarge);
    }
    let rest = bytes.strip_prefix(MAGIC).ok_or(StateError::Foreign)?;
    match rest.first_chunk().map(|b| u16::from_be_bytes(*b)) {
        Some(VERSION) => {}
        Some(other) => return Err(StateError::Version(other)),
        None => return Err(StateError::Checksum),
    }
    let (sealed, expected) = bytes.split_last_chunk::<SEAL>().ok_or(StateError::Checksum)?;
    if seal(sealed) != *expected {
        return Err(StateError::Checksum);
    }
    parse_unsealed(sealed.get(PREFIX..).ok_or(StateError::Checksum)?)
}

/// Reads what stands between version and checksum: where fuzzing gets past the checksum.
///
/// # Errors
/// [`StateError::Bad`] names the part that does not parse.
pub fn parse_unsealed(body: &[u8]) -> Result<StateFile, StateError> {
    let mut reader = Reader { rest: body, section: "head" };
    let (mut state, counts) = reader.head()?;
    reader.section = "records";
    for _ in 0..counts.sets {
        state.data.sets.push(reader.set()?);
    }
    let (records, deferred) = count(&state.data.sets);
    reader.require(records == counts.records as usize && deferred == counts.deferred as usize)?;
    reader.section = "skipped";
    for _ in 0..counts.skipped {
        state.data.skipped.push(reader.skipped()?);
    }
    reader.require(reader.rest.is_empty())?;
    Ok(state)
}

struct Counts {
    sets: u32,
    records: u32,
    deferred: u32,
    skipped: u32,
}

struct Reader<'a> {
    rest: &'a [u8],
    section: &'static str,
}

impl<'a> Reader<'a> {
    fn bad<T>(&self) -> Result<T, StateError> {
        Err(StateError::Bad { section: self.section })
    }

    fn require(&self, holds: bool) -> Result<(), StateError> {
        if holds { Ok(()) } else { self.bad() }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], StateError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return self.bad();
        };
        self.rest = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return self.bad();
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, StateError> {
        self.chunk().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, StateError> {
        self.chunk().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, StateError> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], StateError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    fn text(&mut self) -> Result<String, StateError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map(str::to_owned).or_else(|_| self.bad())
    }

    fn name(&mut self) -> Result<Name, StateError> {
        let len = self.u8()?;
        Name::from_wire(self.take(usize::from(len))?).or_else(|_| self.bad())
    }

    fn head(&mut self) -> Result<(StateFile, Counts), StateError> {
        let (kind, label) = (self.text()?, self.text()?);
        let origin = match self.u8()? {
            0 => None,
            1 => Some(Origin { account: self.text()?, vpc: self.text()? }),
            _ => return self.bad(),
        };
        let id = ZoneId(self.text()?.into());
        let apex = self.name()?;
        let (fetched_at, calls) = (u64::from_be_bytes(self.chunk()?), self.u32()?);
        let counts =
            Counts { sets: self.u32()?, records: self.u32()?, deferred: self.u32()?, skipped: self.u32()? };
        self.require(counts.skipped as usize <= MAX_SKIPPED)?;
        let data = ZoneData { apex, sets: Vec::new(), skipped: Vec::new() };
        Ok((StateFile { kind, label, origin, id, fetched_at, calls, data }, counts))
    }

    fn set(&mut self) -> Result<RecordSet, StateError> {
        let (owner, rtype) = (self.name()?, Rtype(self.u16()?));
        let body = match self.u8()? {
            0 => {
                let ttl = self.u32()?;
                let mut rdata = Vec::new();
                for _ in 0..self.u32()? {
                    rdata.push(self.bytes()?.into());
                }
                Body::Records { ttl, rdata }
            }
            1 => Body::Deferred(match self.u8()? {
                0 => DeferredReason::Flattened,
                1 => DeferredReason::Choice,
                2 => DeferredReason::Unknown,
                _ => return self.bad(),
            }),
            _ => return self.bad(),
        };
        Ok(RecordSet { owner, rtype, body })
    }

    fn skipped(&mut self) -> Result<Skipped, StateError> {
        let (owner, rtype, detail) = (self.text()?, self.text()?, self.text()?);
        let code = usize::from(self.u8()?);
        let Some(&reason) = SkipReason::ALL.get(code) else {
            return self.bad();
        };
        Ok(Skipped { owner, rtype, reason, detail })
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
