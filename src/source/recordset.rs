//! Record sets as the Route 53 API lists them, gathered into the data of a zone.
//!
//! One shape for both ways they come in: calls of the API, and a file that holds its JSON. So
//! what is tested with the one is true of the other.

mod api;
mod listed;

use std::collections::HashSet;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::wire::{Escapes, Name, Rtype};
use crate::zone::{Alias, Body, Content, DeferredReason, Member};
use crate::zone::{RecordSet, SkipReason, Skipped, ZoneData};

use super::value;

pub use api::{ApiAlias, ApiCoordinates, ApiLocation, ApiProximity, ApiRecordSet, ApiValue};

/// The largest TTL (RFC 2181 §8).
pub(super) const MAX_TTL: u32 = i32::MAX as u32;

/// The id of a zone without the path that some calls put before it.
fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// Gathers record sets into the data of one zone.
#[derive(Debug)]
pub struct Collector {
    data: ZoneData,
    /// The bare id of the zone, where it is known.
    zone_id: Option<Box<str>>,
    seen: Seen,
    /// Deferred owners and types, which appear once however many sets they have.
    deferred: HashSet<(Name, Rtype)>,
    has_soa: bool,
    has_ns: bool,
}

impl Collector {
    /// Begins a zone.
    pub fn new(apex: Name) -> Self {
        Self {
            data: ZoneData { apex, sets: Vec::new(), skipped: Vec::new() },
            zone_id: None,
            seen: Seen::default(),
            deferred: HashSet::new(),
            has_soa: false,
            has_ns: false,
        }
    }

    /// Begins the zone of this id, by which aliases of its own names are known. Without one, those of
    /// names at or below the apex are taken for such.
    pub fn of_zone(apex: Name, id: &str) -> Self {
        Self { zone_id: Some(bare(id).into()), ..Self::new(apex) }
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.data.apex
    }

    /// How many different sets were added.
    pub fn len(&self) -> usize {
        self.seen.hashes.len()
    }

    /// Whether no set was added.
    pub fn is_empty(&self) -> bool {
        self.seen.hashes.is_empty()
    }

    /// Whether the apex has its SOA and its NS, as every whole listing of a hosted zone does.
    pub fn has_apex(&self) -> bool {
        self.has_soa && self.has_ns
    }

    /// Adds a set, unless the same one (name, type, set identifier) was added before: a change
    /// between two pages can make a listing repeat itself.
    pub fn add(&mut self, set: ApiRecordSet) {
        if !self.seen.insert(&set) {
            return;
        }
        let owner = match set.owner() {
            Ok(owner) => owner,
            Err(error) => return self.skip(&set, SkipReason::BadOwner, error.to_string()),
        };
        if !owner.as_ref().is_at_or_below(self.data.apex.as_ref()) {
            let detail = format!("not in zone {}", self.data.apex);
            return self.skip(&set, SkipReason::OutOfZone, detail);
        }
        let Some(rtype) = Rtype::from_text(&set.rtype).filter(|t| !t.is_meta()) else {
            let detail = format!("type {:?} cannot be served", set.rtype);
            self.skip(&set, SkipReason::UnsupportedType, detail);
            // Whatever it is, its name exists: only the origin can tell it from NODATA.
            return self.add_deferred(owner, Rtype::ANY, DeferredReason::Unknown);
        };
        if owner == self.data.apex {
            self.has_soa |= rtype == Rtype::SOA;
            self.has_ns |= rtype == Rtype::NS;
        }
        let is_member = set.is_chosen() || set.health_check_id.is_some();
        let alias = set.alias_target.as_ref().map(|target| self.alias(&set, target));
        let alias = match alias {
            // Without it nobody knows when the others of its group would be chosen.
            Some(None) if is_member => return self.add_deferred(owner, rtype, DeferredReason::Choice),
            Some(None) => return self.add_deferred(owner, rtype, DeferredReason::Flattened),
            readable => readable.flatten(),
        };
        if is_member {
            return self.add_member(&set, alias, owner, rtype);
        }
        match alias {
            Some(alias) => self.data.sets.push(RecordSet { owner, rtype, body: Body::Alias(alias) }),
            // Neither values nor a known kind of origin: whatever it is, its name exists.
            None if set.resource_records.is_empty() => {
                self.skip(
                    &set,
                    SkipReason::Forwarded,
                    format!("neither values nor an alias: {}", set.listed()),
                );
                self.add_deferred(owner, rtype, DeferredReason::Unknown);
            }
            None => self.add_records(&set, owner, rtype),
        }
    }

    fn alias(&mut self, set: &ApiRecordSet, alias: &ApiAlias) -> Option<Alias> {
        let target = match Name::from_text(&alias.dns_name, Escapes::Octal) {
            Ok(target) => target,
            Err(error) => {
                self.skip(set, SkipReason::BadValue, format!("alias of {:?}: {error}", alias.dns_name));
                return None;
            }
        };
        let is_own = self.zone_id.as_deref().is_none_or(|id| id == bare(&alias.hosted_zone_id));
        let is_inside = is_own && target.as_ref().is_at_or_below(self.data.apex.as_ref());
        Some(Alias { target, is_inside, evaluates_health: alias.evaluate_target_health })
    }

    /// One of the sets that a policy chooses among; one that cannot be read whole leaves the choice to
    /// the origin.
    fn add_member(&mut self, set: &ApiRecordSet, alias: Option<Alias>, owner: Name, rtype: Rtype) {
        let content = match alias {
            Some(alias) => Some(Content::Alias(alias)),
            None => self
                .records(set, rtype)
                .filter(|(_, rdata)| rdata.len() == set.resource_records.len())
                .map(|(ttl, rdata)| Content::Records { ttl, rdata }),
        };
        let (Some(policy), Some(content)) = (set.policy(), content) else {
            let is_followed = set.policy().is_some();
            let why =
                if is_followed { "not all of it can be read" } else { "a policy that is not followed here" };
            let detail = format!("{why}: {}", set.listed());
            self.skip(set, SkipReason::Forwarded, detail);
            return self.add_deferred(owner, rtype, DeferredReason::Choice);
        };
        let identifier = set.set_identifier.as_deref().unwrap_or_default().into();
        let health_check = set.health_check_id.as_deref().map(Into::into);
        let member = Box::new(Member { identifier, policy, health_check, content });
        self.data.sets.push(RecordSet { owner, rtype, body: Body::Member(member) });
    }

    fn add_deferred(&mut self, owner: Name, rtype: Rtype, reason: DeferredReason) {
        if self.deferred.insert((owner.clone(), rtype)) {
            self.data.sets.push(RecordSet { owner, rtype, body: Body::Deferred(reason) });
        }
    }

    fn add_records(&mut self, set: &ApiRecordSet, owner: Name, rtype: Rtype) {
        match self.records(set, rtype) {
            Some((ttl, rdata)) => {
                self.data.sets.push(RecordSet { owner, rtype, body: Body::Records { ttl, rdata } });
            }
            // Nothing of it can be said here, but neither may its owner or type be denied.
            None => self.add_deferred(owner, rtype, DeferredReason::Unknown),
        }
    }

    /// TTL and values of a set, without those that cannot be served; `None` if nothing is left.
    fn records(&mut self, set: &ApiRecordSet, rtype: Rtype) -> Option<(u32, Vec<Box<[u8]>>)> {
        let ttl = set.ttl.and_then(|ttl| u32::try_from(ttl).ok()).filter(|&ttl| ttl <= MAX_TTL);
        let Some(ttl) = ttl else {
            let detail = set.ttl.map_or("no TTL".into(), |ttl| format!("TTL {ttl} is out of range"));
            self.skip(set, SkipReason::BadTtl, detail);
            return None;
        };
        let mut rdata = Vec::with_capacity(set.resource_records.len());
        for ApiValue { value } in &set.resource_records {
            match value::rdata(rtype, value) {
                Ok(wire) => rdata.push(wire),
                Err(error) => self.skip(set, SkipReason::BadValue, error.to_string()),
            }
        }
        (!rdata.is_empty()).then_some((ttl, rdata))
    }

    fn skip(&mut self, set: &ApiRecordSet, reason: SkipReason, detail: String) {
        let detail = match &set.set_identifier {
            Some(identifier) if reason.is_fault() => format!("set {identifier:?}: {detail}"),
            _ => detail,
        };
        let (owner, rtype) = (set.name.clone(), set.rtype.clone());
        self.data.skipped.push(Skipped { owner, rtype, reason, detail });
    }

    /// The zone's data.
    pub fn finish(self) -> ZoneData {
        self.data
    }
}

/// The sets that were added, by name, type and set identifier: what the API tells them apart by.
///
/// Of each the hash, of 128 bits under a key that nobody knows, since the texts would take as much
/// room as all else that is kept of the zone.
#[derive(Debug)]
struct Seen {
    key: [u8; 16],
    hashes: HashSet<u128>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { key: rand::random(), hashes: HashSet::new() }
    }
}

impl Seen {
    /// Whether the set is new.
    fn insert(&mut self, set: &ApiRecordSet) -> bool {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        (&set.name, &set.rtype, &set.set_identifier).hash(&mut hasher);
        self.hashes.insert(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests;
