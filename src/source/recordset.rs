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
use crate::zone::{Body, DeferredReason, RecordSet, SkipReason, Skipped, ZoneData};

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
    pub alias_target: Option<IgnoredAny>,
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

/// One value of a record set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiValue {
    /// The record's data as text.
    pub value: String,
}

impl ApiRecordSet {
    /// Why the answer is decided at the origin, if it is.
    fn deferred(&self) -> Option<DeferredReason> {
        let is_chosen = self.set_identifier.is_some()
            || self.weight.is_some()
            || self.failover.is_some()
            || self.region.is_some()
            || self.geo_location.is_some()
            || self.geo_proximity_location.is_some()
            || self.multi_value_answer == Some(true)
            || self.cidr_routing_config.is_some()
            || self.traffic_policy_instance_id.is_some();
        if is_chosen {
            Some(DeferredReason::Choice)
        } else if self.alias_target.is_some() {
            Some(DeferredReason::Flattened)
        } else if self.resource_records.is_empty() {
            // Neither values nor a known kind of origin: whatever it is, its name exists.
            Some(DeferredReason::Unknown)
        } else {
            None
        }
    }

    fn owner(&self) -> Result<Name, crate::wire::NameError> {
        Name::from_text(&self.name, Escapes::Octal)
    }
}

/// Gathers record sets into the data of one zone.
#[derive(Debug)]
pub struct Collector {
    data: ZoneData,
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
            seen: Seen::default(),
            deferred: HashSet::new(),
            has_soa: false,
            has_ns: false,
        }
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
        match set.deferred() {
            Some(reason) => self.add_deferred(owner, rtype, reason),
            None => self.add_records(&set, owner, rtype),
        }
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
mod tests {
    use super::*;

    fn set(json: &str) -> ApiRecordSet {
        serde_json::from_str(json).unwrap()
    }

    fn simple(name: &str, rtype: &str, values: &[&str]) -> ApiRecordSet {
        ApiRecordSet {
            name: name.into(),
            rtype: rtype.into(),
            ttl: Some(300),
            resource_records: values.iter().map(|v| ApiValue { value: (*v).into() }).collect(),
            ..ApiRecordSet::default()
        }
    }

    fn collect(sets: Vec<ApiRecordSet>) -> ZoneData {
        let mut collector = Collector::new("corp.internal".parse().unwrap());
        sets.into_iter().for_each(|set| collector.add(set));
        collector.finish()
    }

    fn body(data: &ZoneData) -> Vec<(String, &Body)> {
        data.sets.iter().map(|s| (s.owner.to_string(), &s.body)).collect()
    }

    #[test]
    fn a_star_is_a_wildcard_only_as_the_whole_leftmost_label() {
        let data = collect(vec![
            simple(r"\052.apps.corp.internal.", "A", &["10.0.0.1"]),
            simple(r"a-\052.apps.corp.internal.", "TXT", &[r#""heritage=x""#]),
            simple(r"prod.\052.corp.internal", "A", &["10.0.0.2"]),
        ]);
        let wild: Vec<bool> = data.sets.iter().map(|s| s.owner.as_ref().is_wildcard()).collect();
        assert_eq!(wild, [true, false, false]);
        assert_eq!(data.sets[1].owner.to_string(), "a-*.apps.corp.internal.");
        assert!(data.skipped.is_empty());
    }

    #[test]
    fn aliases_and_policies_are_deferred_once_for_each_owner_and_type() {
        let policy = |id: &str, extra: &str| {
            set(&format!(
                r#"{{"Name":"p.corp.internal.","Type":"A","SetIdentifier":"{id}","TTL":60,
                "ResourceRecords":[{{"Value":"10.0.0.1"}}]{extra}}}"#
            ))
        };
        let data = collect(vec![
            set(r#"{"Name":"a.corp.internal.","Type":"A","AliasTarget":{"HostedZoneId":"Z1",
                "DNSName":"x.","EvaluateTargetHealth":false}}"#),
            policy("one", r#","Weight":1"#),
            policy("two", r#","Weight":0"#),
            set(r#"{"Name":"u.corp.internal.","Type":"A"}"#),
            set(r#"{"Name":"m.corp.internal.","Type":"A","TTL":60,"MultiValueAnswer":true,
                "ResourceRecords":[{"Value":"10.0.0.1"}]}"#),
        ]);
        let expected = [
            ("a.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Flattened)),
            ("p.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Choice)),
            ("u.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Unknown)),
            ("m.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Choice)),
        ];
        assert_eq!(body(&data), expected);
    }

    #[test]
    fn a_set_that_is_listed_twice_counts_once() {
        let again = simple("db.corp.internal.", "A", &["10.0.0.1"]);
        assert_eq!(collect(vec![again.clone(), again]).sets.len(), 1);
    }

    #[test]
    fn what_cannot_be_expressed_is_skipped_by_itself() {
        let mut late = simple("late.corp.internal.", "A", &["10.0.0.1"]);
        late.ttl = Some(i64::from(MAX_TTL) + 1);
        let mut bare = simple("bare.corp.internal.", "A", &["10.0.0.1"]);
        bare.ttl = None;
        let data = collect(vec![
            simple("half.corp.internal.", "A", &["10.0.0.1", "10.0.0"]),
            simple(r"\999.corp.internal.", "A", &["10.0.0.1"]),
            simple("db.example.com.", "A", &["10.0.0.1"]),
            simple("x.corp.internal.", "ANY", &["1"]),
            simple("x.corp.internal.", "NEWTYPE", &["1"]),
            late,
            bare,
        ]);
        let reasons: Vec<SkipReason> = data.skipped.iter().map(|s| s.reason).collect();
        assert_eq!(
            reasons,
            [
                SkipReason::BadValue,
                SkipReason::BadOwner,
                SkipReason::OutOfZone,
                SkipReason::UnsupportedType,
                SkipReason::UnsupportedType,
                SkipReason::BadTtl,
                SkipReason::BadTtl
            ]
        );
        let deferred: Vec<(String, Rtype)> =
            data.sets[1..].iter().map(|set| (set.owner.to_string(), set.rtype)).collect();
        assert_eq!(
            deferred,
            [
                ("x.corp.internal.".to_owned(), Rtype::ANY),
                ("late.corp.internal.".to_owned(), Rtype::A),
                ("bare.corp.internal.".to_owned(), Rtype::A)
            ],
            "names of skipped sets still exist"
        );
        assert_eq!(
            data.sets[0].body,
            Body::Records { ttl: 300, rdata: vec![[10, 0, 0, 1].into()] },
            "the good value of the half-bad set stays"
        );
        assert!(data.skipped[0].detail.contains("10.0.0"));
    }

    #[test]
    fn the_apex_is_whole_with_soa_and_ns_of_its_own_name() {
        let mut collector = Collector::new("corp.internal".parse().unwrap());
        collector.add(simple("corp.internal.", "SOA", &["not an soa"]));
        collector.add(simple("sub.corp.internal.", "NS", &["ns.test"]));
        assert!(!collector.has_apex());
        collector.add(simple("Corp.Internal", "NS", &["ns.test"]));
        assert!(collector.has_apex());
    }
}
