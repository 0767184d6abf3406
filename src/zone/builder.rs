//! From a source's record sets to a compiled zone: checks, merges, lays out.

use std::collections::BTreeMap;

use super::compiled::{Counts, NONE, Node, Stored, Zone, tag};
use super::data::{Body, DeferredReason, RecordSet, SkipReason, Skipped, ZoneData};
use super::{OnMissing, rdata};
use crate::wire::{CLASS_IN, Name, NameRef, Rtype, Suffixes};

/// The largest RRset that fits beside the longest question and an OPT record in a message.
const MAX_BLOCK: usize = 65_535 - 12 - 255 - 4 - 64;

/// How a zone behaves, decided by configuration and not by its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneOptions {
    /// What becomes of names and types the zone does not have.
    pub on_missing: OnMissing,
    /// Cap on the TTL of negative answers, seconds.
    pub negative_ttl_max: u32,
}

impl Default for ZoneOptions {
    fn default() -> Self {
        Self { on_missing: OnMissing::default(), negative_ttl_max: 30 }
    }
}

/// A compiled zone and what is not in it.
#[derive(Debug)]
pub struct Built {
    /// The zone.
    pub zone: Zone,
    /// What the source skipped, then what the builder skipped.
    pub skipped: Vec<Skipped>,
}

#[derive(Debug)]
enum Pending {
    Records { ttl: u32, rdata: Vec<Box<[u8]>> },
    Deferred(DeferredReason),
}

/// Owners in canonical order, so that a listing reads well and equal data compiles equally.
type Owners = BTreeMap<CanonicalName, BTreeMap<Rtype, Pending>>;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CanonicalName(Vec<Box<[u8]>>, Name);

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl CanonicalName {
    fn of(name: NameRef<'_>) -> Self {
        let mut labels: Vec<Box<[u8]>> = name.labels().map(Into::into).collect();
        labels.reverse();
        Self(labels, name.to_owned())
    }
}

impl Zone {
    /// Compiles `data`. Never fails: what cannot stand is skipped by itself, and a zone without a
    /// usable SOA gets one made up (serial 1), since every negative answer needs it.
    ///
    /// Cost: linear but for sorting; about a microsecond a record.
    pub fn build(data: &ZoneData, options: &ZoneOptions) -> Built {
        let mut skipped = data.skipped.clone();
        let mut owners = Owners::new();
        owners.entry(CanonicalName::of(data.apex.as_ref())).or_default();
        for set in &data.sets {
            admit(&mut owners, data, set, &mut skipped);
        }
        settle_conflicts(&mut owners, &data.apex, &mut skipped);
        let apex_types = owners.entry(CanonicalName::of(data.apex.as_ref())).or_default();
        if !matches!(apex_types.get(&Rtype::SOA), Some(Pending::Records { .. })) {
            apex_types.insert(Rtype::SOA, synthesised_soa(&data.apex));
        }
        add_empty_non_terminals(&mut owners, &data.apex);
        Built { zone: lay_out(&data.apex, &owners, options), skipped }
    }
}

fn skip(skipped: &mut Vec<Skipped>, owner: &Name, rtype: Rtype, reason: SkipReason, detail: String) {
    skipped.push(Skipped { owner: owner.to_string(), rtype: rtype.to_string(), reason, detail });
}

fn admit(owners: &mut Owners, data: &ZoneData, set: &RecordSet, skipped: &mut Vec<Skipped>) {
    let RecordSet { owner, rtype, .. } = set;
    if !owner.as_ref().is_at_or_below(data.apex.as_ref()) {
        let detail = format!("not at or below {}", data.apex);
        return skip(skipped, owner, *rtype, SkipReason::OutOfZone, detail);
    }
    let stands_for_others = *rtype == Rtype::ANY && matches!(set.body, Body::Deferred(_));
    if (rtype.is_meta() && !stands_for_others) || rtype.0 == 0 {
        let detail = "no zone holds records of this type".to_owned();
        return skip(skipped, owner, *rtype, SkipReason::UnsupportedType, detail);
    }
    if *rtype == Rtype::SOA && *owner != data.apex {
        let detail = "a SOA stands at the apex only".to_owned();
        return skip(skipped, owner, *rtype, SkipReason::Conflict, detail);
    }
    let incoming = match &set.body {
        Body::Deferred(reason) => Pending::Deferred(*reason),
        Body::Records { ttl, rdata } => usable_records(owner, *rtype, *ttl, rdata, skipped),
    };
    let slot = owners.entry(CanonicalName::of(owner.as_ref())).or_default();
    match (slot.get_mut(rtype), incoming) {
        (Some(Pending::Records { ttl, rdata }), Pending::Records { ttl: more_ttl, rdata: more }) => {
            // One RRset has one TTL; the lowest is the safe one (RFC 2181 §5.2).
            *ttl = (*ttl).min(more_ttl);
            rdata.extend(more);
        }
        // What could not be read yields to records beside it; a choice at the origin does not.
        (Some(Pending::Records { .. }), Pending::Deferred(DeferredReason::Unknown)) => {}
        (Some(Pending::Deferred(DeferredReason::Flattened | DeferredReason::Choice)), _) => {}
        (_, incoming) => {
            slot.insert(*rtype, incoming);
        }
    }
}

/// The records that can be served; none left makes the RRset one that only the origin can answer,
/// since its owner exists and must not turn into NXDOMAIN or NODATA.
fn usable_records(
    owner: &Name,
    rtype: Rtype,
    ttl: u32,
    rdata: &[Box<[u8]>],
    skipped: &mut Vec<Skipped>,
) -> Pending {
    let mut good = Vec::with_capacity(rdata.len());
    for value in rdata {
        match rdata::check(rtype, value) {
            Ok(()) => good.push(value.clone()),
            Err(problem) => skip(skipped, owner, rtype, SkipReason::BadValue, problem.to_owned()),
        }
    }
    if good.is_empty() {
        return Pending::Deferred(DeferredReason::Unknown);
    }
    // The top bit of a TTL is not data (RFC 2181 §8).
    Pending::Records { ttl: if ttl > i32::MAX as u32 { 0 } else { ttl }, rdata: good }
}

fn settle_conflicts(owners: &mut Owners, apex: &Name, skipped: &mut Vec<Skipped>) {
    for (CanonicalName(_, owner), types) in owners.iter_mut() {
        for pending in types.values_mut() {
            if let Pending::Records { rdata, .. } = pending {
                rdata.sort();
                rdata.dedup();
            }
        }
        settle_cname(owner, apex, types, skipped);
        keep_one(owner, Rtype::CNAME, types, skipped);
        keep_one(owner, Rtype::SOA, types, skipped);
        for (rtype, pending) in types.iter_mut() {
            let Pending::Records { rdata, .. } = &*pending else { continue };
            let size: usize = rdata.iter().map(|r| 12 + r.len()).sum();
            if size > MAX_BLOCK || rdata.len() > usize::from(u16::MAX) {
                let detail = format!("{size} bytes do not fit in one message");
                skip(skipped, owner, *rtype, SkipReason::TooLarge, detail);
                *pending = Pending::Deferred(DeferredReason::Unknown);
            }
        }
    }
}

/// No other data beside a CNAME (RFC 1034 §3.6.2): at the apex the CNAME goes, elsewhere the rest.
fn settle_cname(owner: &Name, apex: &Name, types: &mut BTreeMap<Rtype, Pending>, skipped: &mut Vec<Skipped>) {
    if !types.contains_key(&Rtype::CNAME) {
        return;
    }
    if owner == apex {
        types.remove(&Rtype::CNAME);
        let detail = "a CNAME cannot stand at the apex".to_owned();
        return skip(skipped, owner, Rtype::CNAME, SkipReason::Conflict, detail);
    }
    types.retain(|rtype, _| {
        let keep = *rtype == Rtype::CNAME;
        if !keep {
            skip(skipped, owner, *rtype, SkipReason::Conflict, "stands beside a CNAME".to_owned());
        }
        keep
    });
}

fn keep_one(owner: &Name, rtype: Rtype, types: &mut BTreeMap<Rtype, Pending>, skipped: &mut Vec<Skipped>) {
    if let Some(Pending::Records { rdata, .. }) = types.get_mut(&rtype) {
        for _ in 1..rdata.len() {
            let detail = format!("only one {rtype} record can stand here");
            skip(skipped, owner, rtype, SkipReason::Conflict, detail);
        }
        rdata.truncate(1);
    }
}

/// Route 53's own values, under the zone's own name.
fn synthesised_soa(apex: &Name) -> Pending {
    let mut rdata = apex.as_bytes().to_vec();
    match Name::child(b"hostmaster", apex.as_ref()) {
        Ok(mailbox) => rdata.extend_from_slice(mailbox.as_bytes()),
        Err(_) => rdata.push(0),
    }
    for number in [1u32, 7200, 900, 1_209_600, 86_400] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    Pending::Records { ttl: 900, rdata: vec![rdata.into()] }
}

fn add_empty_non_terminals(owners: &mut Owners, apex: &Name) {
    let existing: Vec<Name> = owners.keys().map(|k| k.1.clone()).collect();
    for owner in existing {
        for ancestor in owner.as_ref().suffixes().skip(1) {
            if !ancestor.is_at_or_below(apex.as_ref()) {
                break;
            }
            owners.entry(CanonicalName::of(ancestor)).or_default();
        }
    }
}

fn lay_out(apex: &Name, owners: &Owners, options: &ZoneOptions) -> Zone {
    let mut plan = Layout::default();
    for (CanonicalName(labels, owner), types) in owners {
        plan.node(owner, labels.len(), types, owner == apex);
    }
    let apex_depth = apex.as_ref().label_count();
    let mut zone = Zone {
        apex: apex.clone(),
        apex_depth,
        max_depth: plan.max_depth,
        slots: vec![0; (plan.nodes.len() * 2).next_power_of_two().max(2)].into(),
        nodes: plan.nodes.into(),
        rrsets: plan.rrsets.into(),
        arena: plan.arena.into(),
        soa: plan.soa,
        negative_ttl: 0,
        serial: 0,
        counts: plan.counts,
        on_missing: options.on_missing,
    };
    fill_slots(&mut zone);
    link_wildcards(&mut zone);
    let soa = zone.soa();
    let (serial, minimum) = soa.rdata().next().map_or((0, 0), rdata::soa_serial_and_minimum);
    zone.negative_ttl = soa.ttl.min(minimum).min(options.negative_ttl_max);
    zone.serial = serial;
    zone
}

#[derive(Default)]
struct Layout {
    nodes: Vec<Node>,
    rrsets: Vec<Stored>,
    arena: Vec<u8>,
    soa: u32,
    max_depth: usize,
    counts: Counts,
    /// Depths of the cuts above the owner at hand; owners come parents first.
    cuts: Vec<Name>,
}

impl Layout {
    fn node(&mut self, owner: &Name, depth: usize, types: &BTreeMap<Rtype, Pending>, is_apex: bool) {
        let (name_at, first) = (self.arena.len() as u32, self.rrsets.len() as u32);
        self.arena.extend_from_slice(owner.as_bytes());
        for (rtype, pending) in types {
            if *rtype == Rtype::SOA {
                self.soa = self.rrsets.len() as u32;
            }
            self.rrset(*rtype, pending);
        }
        while self.cuts.last().is_some_and(|cut| !owner.as_ref().is_at_or_below(cut.as_ref())) {
            self.cuts.pop();
        }
        let below_cut = !self.cuts.is_empty();
        // NS at a wildcard is no delegation of anything (RFC 4592 §4.2).
        let delegates = types.contains_key(&Rtype::NS) && !is_apex && !owner.as_ref().is_wildcard();
        let is_cut = delegates || types.contains_key(&Rtype::DNAME);
        if is_cut && !below_cut {
            self.cuts.push(owner.clone());
            self.counts.cuts += usize::from(delegates);
        }
        self.max_depth = self.max_depth.max(depth);
        self.counts.names += 1;
        self.nodes.push(Node {
            name_at,
            name_len: owner.as_bytes().len() as u8,
            below_cut,
            is_cut,
            first,
            count: self.rrsets.len() as u32 - first,
            wildcard: NONE,
        });
    }

    fn rrset(&mut self, rtype: Rtype, pending: &Pending) {
        let at = self.arena.len() as u32;
        self.counts.rrsets += 1;
        let (ttl, count, deferred) = match pending {
            Pending::Deferred(reason) => {
                self.counts.deferred += 1;
                (0, 0, Some(*reason))
            }
            Pending::Records { ttl, rdata } => {
                for value in rdata {
                    self.arena.extend_from_slice(&[0xc0, 12]);
                    self.arena.extend_from_slice(&rtype.0.to_be_bytes());
                    self.arena.extend_from_slice(&CLASS_IN.to_be_bytes());
                    self.arena.extend_from_slice(&ttl.to_be_bytes());
                    self.arena.extend_from_slice(&(value.len() as u16).to_be_bytes());
                    self.arena.extend_from_slice(value);
                }
                self.counts.records += rdata.len();
                (*ttl, rdata.len() as u16, None)
            }
        };
        let len = self.arena.len() as u32 - at;
        self.rrsets.push(Stored { rtype, count, ttl, at, len, deferred });
    }
}

fn fill_slots(zone: &mut Zone) {
    let mask = zone.slots.len() - 1;
    for index in 0..zone.nodes.len() {
        let name = zone.name_of(&zone.nodes[index]);
        let all = Suffixes::of(name);
        let hash = all.hash(all.depth());
        let mut at = hash as usize & mask;
        while zone.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        zone.slots[at] = tag(hash) << 32 | (index as u64 + 1);
    }
}

fn link_wildcards(zone: &mut Zone) {
    let parents: Vec<(usize, u32)> = (0..zone.nodes.len())
        .filter_map(|index| {
            let name = zone.name_of(&zone.nodes[index]);
            let parent = name.is_wildcard().then(|| name.parent()).flatten()?;
            let parent = zone.index_of(parent)?;
            Some((parent, index as u32))
        })
        .collect();
    for (parent, wildcard) in parents {
        zone.nodes[parent].wildcard = wildcard;
    }
}
