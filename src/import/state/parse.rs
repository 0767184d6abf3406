//! The parser of state files.

use super::{MAGIC, MAX_BYTES, MAX_SKIPPED, PREFIX, SEAL, Standing, StateError, StateFile};
use super::{VERSION, count, seal};
use crate::source::{Origin, ZoneId};
use crate::wire::{Name, Rtype};
use crate::zone::{Alias, Body, Content, DeferredReason, Location, Member, Place, Policy};
use crate::zone::{RecordSet, SkipReason, Skipped, ZoneData};

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
    let version = match rest.first_chunk().map(|b| u16::from_be_bytes(*b)) {
        Some(version @ 1..=VERSION) => version,
        Some(other) => return Err(StateError::Version(other)),
        None => return Err(StateError::Checksum),
    };
    let (sealed, expected) = bytes.split_last_chunk::<SEAL>().ok_or(StateError::Checksum)?;
    if seal(sealed) != *expected {
        return Err(StateError::Checksum);
    }
    parse_body(sealed.get(PREFIX..).ok_or(StateError::Checksum)?, version)
}

/// Reads what stands between version and checksum: where fuzzing gets past the checksum.
///
/// # Errors
/// [`StateError::Bad`] names the part that does not parse.
pub fn parse_unsealed(body: &[u8]) -> Result<StateFile, StateError> {
    parse_body(body, VERSION)
}

fn parse_body(body: &[u8], version: u16) -> Result<StateFile, StateError> {
    let mut reader = Reader { rest: body, section: "head" };
    let (mut state, counts) = reader.head(version)?;
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

/// TTL and RDATA.
type Records = (u32, Vec<Box<[u8]>>);

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

    fn head(&mut self, version: u16) -> Result<(StateFile, Counts), StateError> {
        let (kind, label) = (self.text()?, self.text()?);
        let origin = match self.u8()? {
            0 => None,
            1 => Some(Origin { account: self.text()?, vpc: self.text()? }),
            _ => return self.bad(),
        };
        let id = ZoneId(self.text()?.into());
        let apex = self.name()?;
        let (fetched_at, calls) = (u64::from_be_bytes(self.chunk()?), self.u32()?);
        let (region, standing) = match version {
            0..=2 => (None, Standing::Records),
            _ => (self.region()?, self.standing()?),
        };
        let counts =
            Counts { sets: self.u32()?, records: self.u32()?, deferred: self.u32()?, skipped: self.u32()? };
        self.require(counts.skipped as usize <= MAX_SKIPPED)?;
        let data = ZoneData { apex, sets: Vec::new(), skipped: Vec::new() };
        Ok((StateFile { kind, label, origin, id, fetched_at, calls, region, standing, data }, counts))
    }

    fn region(&mut self) -> Result<Option<String>, StateError> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => self.bad(),
        }
    }

    fn standing(&mut self) -> Result<Standing, StateError> {
        Ok(match self.u8()? {
            0 => Standing::Records,
            1 => Standing::CarvedOut(self.text()?),
            2 => Standing::Denied(self.text()?),
            _ => return self.bad(),
        })
    }

    fn set(&mut self) -> Result<RecordSet, StateError> {
        let (owner, rtype) = (self.name()?, Rtype(self.u16()?));
        let body = match self.u8()? {
            0 => {
                let (ttl, rdata) = self.records()?;
                Body::Records { ttl, rdata }
            }
            1 => Body::Deferred(match self.u8()? {
                0 => DeferredReason::Flattened,
                1 => DeferredReason::Choice,
                2 => DeferredReason::Unknown,
                _ => return self.bad(),
            }),
            2 => Body::Alias(self.alias()?),
            3 => Body::Member(Box::new(self.member()?)),
            _ => return self.bad(),
        };
        Ok(RecordSet { owner, rtype, body })
    }

    fn records(&mut self) -> Result<Records, StateError> {
        let ttl = self.u32()?;
        let mut rdata = Vec::new();
        for _ in 0..self.u32()? {
            rdata.push(self.bytes()?.into());
        }
        Ok((ttl, rdata))
    }

    fn alias(&mut self) -> Result<Alias, StateError> {
        let flags = self.u8()?;
        self.require(flags < 4)?;
        Ok(Alias { target: self.name()?, is_inside: flags & 1 != 0, evaluates_health: flags & 2 != 0 })
    }

    fn member(&mut self) -> Result<Member, StateError> {
        let (identifier, policy) = (self.text()?.into(), self.policy()?);
        let health_check = match self.u8()? {
            0 => None,
            1 => Some(self.text()?.into()),
            _ => return self.bad(),
        };
        let content = match self.u8()? {
            0 => {
                let (ttl, rdata) = self.records()?;
                Content::Records { ttl, rdata }
            }
            1 => Content::Alias(self.alias()?),
            _ => return self.bad(),
        };
        Ok(Member { identifier, policy, health_check, content })
    }

    fn policy(&mut self) -> Result<Policy, StateError> {
        Ok(match self.u8()? {
            0 => Policy::Simple,
            1 => Policy::Weighted(self.u16()?),
            2 => Policy::Failover { is_primary: true },
            3 => Policy::Failover { is_primary: false },
            4 => Policy::Multivalue,
            5 => Policy::Latency(self.text()?.into()),
            6 => Policy::Geolocation(Location::Default),
            7 => Policy::Geolocation(Location::Continent(self.text()?.into())),
            8 => Policy::Geolocation(Location::Country(self.text()?.into())),
            9 => {
                let country = self.text()?.into();
                Policy::Geolocation(Location::Subdivision(country, self.text()?.into()))
            }
            10 => Policy::Geoproximity { bias: i8::from_be_bytes([self.u8()?]), place: self.place()? },
            _ => return self.bad(),
        })
    }

    fn place(&mut self) -> Result<Place, StateError> {
        let signed = |number: u32| i32::from_be_bytes(number.to_be_bytes());
        Ok(match self.u8()? {
            0 => Place::Region(self.text()?.into()),
            1 => Place::Point { latitude: signed(self.u32()?), longitude: signed(self.u32()?) },
            _ => return self.bad(),
        })
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
