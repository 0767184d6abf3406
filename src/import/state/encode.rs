//! The writer of state files.

use super::{MAGIC, MAX_BYTES, MAX_SKIPPED, Standing, StateError, StateFile, VERSION, count, seal};
use crate::wire::Name;
use crate::zone::{Alias, Body, Content, DeferredReason, Location, Member, Place, Policy};
use crate::zone::{RecordSet, SkipReason, Skipped};

/// Longest text of a skipped entry; the rest is cut off.
pub(super) const MAX_TEXT: usize = 1024;

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
        self.0.push(u8::from(state.region.is_some()));
        if let Some(region) = &state.region {
            self.bytes(region.as_bytes())?;
        }
        match &state.standing {
            Standing::Records => self.0.push(0),
            Standing::CarvedOut(why) => {
                self.0.push(1);
                self.bytes(clipped(why).as_bytes())?;
            }
            Standing::Denied(why) => {
                self.0.push(2);
                self.bytes(clipped(why).as_bytes())?;
            }
        }
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
                self.records(*ttl, rdata)
            }
            Body::Alias(alias) => {
                self.0.push(2);
                self.alias(alias);
                Ok(())
            }
            Body::Member(member) => {
                self.0.push(3);
                self.member(member)
            }
            Body::Deferred(reason) => {
                self.0.extend_from_slice(&[1, deferred_code(*reason)]);
                Ok(())
            }
        }
    }

    fn records(&mut self, ttl: u32, rdata: &[Box<[u8]>]) -> Result<(), StateError> {
        self.u32(ttl);
        self.count(rdata.len())?;
        rdata.iter().try_for_each(|value| self.bytes(value))
    }

    fn alias(&mut self, alias: &Alias) {
        self.0.push(u8::from(alias.is_inside) | u8::from(alias.evaluates_health) << 1);
        self.name(&alias.target);
    }

    fn member(&mut self, member: &Member) -> Result<(), StateError> {
        self.bytes(member.identifier.as_bytes())?;
        self.policy(&member.policy)?;
        self.0.push(u8::from(member.health_check.is_some()));
        if let Some(check) = &member.health_check {
            self.bytes(check.as_bytes())?;
        }
        match &member.content {
            Content::Records { ttl, rdata } => {
                self.0.push(0);
                self.records(*ttl, rdata)
            }
            Content::Alias(alias) => {
                self.0.push(1);
                self.alias(alias);
                Ok(())
            }
        }
    }

    fn policy(&mut self, policy: &Policy) -> Result<(), StateError> {
        let (code, texts): (u8, &[&str]) = match policy {
            Policy::Simple => (0, &[]),
            Policy::Weighted(weight) => {
                self.0.push(1);
                self.u16(*weight);
                return Ok(());
            }
            Policy::Geoproximity { place, bias } => {
                self.0.extend([10, bias.to_be_bytes()[0]]);
                return self.place(place);
            }
            Policy::Failover { is_primary: true } => (2, &[]),
            Policy::Failover { is_primary: false } => (3, &[]),
            Policy::Multivalue => (4, &[]),
            Policy::Latency(region) => (5, &[region]),
            Policy::Geolocation(Location::Default) => (6, &[]),
            Policy::Geolocation(Location::Continent(code)) => (7, &[code]),
            Policy::Geolocation(Location::Country(code)) => (8, &[code]),
            Policy::Geolocation(Location::Subdivision(country, part)) => (9, &[country, part]),
        };
        self.0.push(code);
        texts.iter().try_for_each(|text| self.bytes(text.as_bytes()))
    }

    fn place(&mut self, place: &Place) -> Result<(), StateError> {
        match place {
            Place::Region(code) => {
                self.0.push(0);
                self.bytes(code.as_bytes())
            }
            Place::Point { latitude, longitude } => {
                self.0.push(1);
                self.0.extend([latitude, longitude].map(|number| number.to_be_bytes()).as_flattened());
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
