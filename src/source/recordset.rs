//! Record sets as the Route 53 API lists them, gathered into the data of a zone.
//!
//! One shape for both ways they come in: calls of the API, and a file that holds its JSON. So
//! what is tested with the one is true of the other.

use std::collections::HashSet;
use std::hash::Hash;

use serde::Deserialize;
use serde::de::IgnoredAny;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::wire::{Escapes, Name, Rtype};
use crate::zone::{Alias, Body, DeferredReason, RecordSet, SkipReason, Skipped, ZoneData};

use super::value;

/// The largest TTL (RFC 2181 §8).
pub(super) const MAX_TTL: u32 = i32::MAX as u32;

/// One `ResourceRecordSet`, as far as it matters here.
///
/// Of a field whose content is not used yet only its presence is kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiRecordSet {
    /// The owner, with octal escapes.
    pub name: String,
    /// The type's mnemonic.
    #[serde(rename = "Type")]
    pub rtype: String,
    /// What tells sets of one owner and type apart.
    pub set_identifier: Option<String>,
    /// Seconds; an alias has none.
    #[serde(rename = "TTL")]
    pub ttl: Option<i64>,
    /// The values; an alias has none.
    #[serde(default)]
    pub resource_records: Vec<ApiValue>,
    /// Set for an alias.
    pub alias_target: Option<ApiAlias>,
    /// Set for the weighted policy.
    pub weight: Option<IgnoredAny>,
    /// Set for the failover policy.
    pub failover: Option<IgnoredAny>,
    /// Set for the latency policy.
    pub region: Option<IgnoredAny>,
    /// Set for the geolocation policy.
    pub geo_location: Option<IgnoredAny>,
    /// Set for the geoproximity policy.
    pub geo_proximity_location: Option<IgnoredAny>,
    /// True for the multivalue policy.
    pub multi_value_answer: Option<bool>,
    /// Set for the CIDR policy.
    pub cidr_routing_config: Option<IgnoredAny>,
    /// Set for a set that a traffic policy made.
    pub traffic_policy_instance_id: Option<IgnoredAny>,
}

/// Whose records an alias stands for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiAlias {
    /// The zone of the target: the alias' own, or one that belongs to the service it is of.
    pub hosted_zone_id: String,
    /// The target, with octal escapes.
    #[serde(rename = "DNSName")]
    pub dns_name: String,
}

/// One value of a record set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiValue {
    /// The record's data as text.
    pub value: String,
}

impl ApiRecordSet {
    /// Whether it is one of several sets among which a routing policy chooses.
    fn is_chosen(&self) -> bool {
        self.set_identifier.is_some()
            || self.weight.is_some()
            || self.failover.is_some()
            || self.region.is_some()
            || self.geo_location.is_some()
            || self.geo_proximity_location.is_some()
            || self.multi_value_answer == Some(true)
            || self.cidr_routing_config.is_some()
            || self.traffic_policy_instance_id.is_some()
    }

    fn owner(&self) -> Result<Name, crate::wire::NameError> {
        Name::from_text(&self.name, Escapes::Octal)
    }
}

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
        match &set.alias_target {
            _ if set.is_chosen() => self.add_deferred(owner, rtype, DeferredReason::Choice),
            Some(target) => self.add_alias(&set, target, owner, rtype),
            // Neither values nor a known kind of origin: whatever it is, its name exists.
            None if set.resource_records.is_empty() => {
                self.add_deferred(owner, rtype, DeferredReason::Unknown)
            }
            None => self.add_records(&set, owner, rtype),
        }
    }

    fn add_alias(&mut self, set: &ApiRecordSet, alias: &ApiAlias, owner: Name, rtype: Rtype) {
        let target = match Name::from_text(&alias.dns_name, Escapes::Octal) {
            Ok(target) => target,
            Err(error) => {
                self.skip(set, SkipReason::BadValue, format!("alias of {:?}: {error}", alias.dns_name));
                return self.add_deferred(owner, rtype, DeferredReason::Flattened);
            }
        };
        let is_own = self.zone_id.as_deref().is_none_or(|id| id == bare(&alias.hosted_zone_id));
        let is_inside = is_own && target.as_ref().is_at_or_below(self.data.apex.as_ref());
        let body = Body::Alias(Alias { target, is_inside });
        self.data.sets.push(RecordSet { owner, rtype, body });
    }

    fn add_deferred(&mut self, owner: Name, rtype: Rtype, reason: DeferredReason) {
        if self.deferred.insert((owner.clone(), rtype)) {
            self.data.sets.push(RecordSet { owner, rtype, body: Body::Deferred(reason) });
        }
    }

    fn add_records(&mut self, set: &ApiRecordSet, owner: Name, rtype: Rtype) {
        let ttl = set.ttl.and_then(|ttl| u32::try_from(ttl).ok()).filter(|&ttl| ttl <= MAX_TTL);
        let Some(ttl) = ttl else {
            let detail = set.ttl.map_or("no TTL".into(), |ttl| format!("TTL {ttl} is out of range"));
            self.skip(set, SkipReason::BadTtl, detail);
            return self.add_deferred(owner, rtype, DeferredReason::Unknown);
        };
        let mut rdata = Vec::with_capacity(set.resource_records.len());
        for ApiValue { value } in &set.resource_records {
            match value::rdata(rtype, value) {
                Ok(wire) => rdata.push(wire),
                Err(error) => self.skip(set, SkipReason::BadValue, error.to_string()),
            }
        }
        if rdata.is_empty() {
            // Nothing of it can be said here, but neither may its owner or type be denied.
            return self.add_deferred(owner, rtype, DeferredReason::Unknown);
        }
        self.data.sets.push(RecordSet { owner, rtype, body: Body::Records { ttl, rdata } });
    }

    fn skip(&mut self, set: &ApiRecordSet, reason: SkipReason, detail: String) {
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
