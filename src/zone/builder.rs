//! From a source's record sets to a compiled zone: checks, merges, lays out.

use super::compiled::Zone;
use super::data::{SkipReason, Skipped, ZoneData};
use super::layout::Layout;
use super::links;
use super::node::Node;
use super::rows::{Rows, skip};
use super::settle::RrsetsOf;
use super::slots::Slots;
use super::{Health, OnMissing, Region, rdata};
use crate::wire::{Name, Rtype, Suffixes};

/// How a zone behaves, decided by configuration and not by its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneOptions {
    /// What becomes of names and types the zone does not have.
    pub on_missing: OnMissing,
    /// Cap on the TTL of negative answers, seconds.
    pub negative_ttl_max: u32,
    /// Whether the TXT records by which ExternalDNS knows its own are left out.
    pub drops_registry: bool,
    /// Where the VPC is, for latency and geolocation; those are the origin's where it is not known.
    pub region: Option<&'static Region>,
}

impl Default for ZoneOptions {
    fn default() -> Self {
        Self { on_missing: OnMissing::default(), negative_ttl_max: 30, drops_registry: false, region: None }
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

impl Zone {
    /// Compiles `data`. Never fails: what cannot stand is skipped by itself, and a zone without a
    /// usable SOA gets one made up (serial 1), since every negative answer needs it.
    ///
    /// Owners are laid out in canonical order, so that equal data compiles equally. Cost: linear
    /// but for sorting, about a third of a microsecond a record; beside the zone itself some 60
    /// bytes a record set for the time of the call.
    pub fn build(data: &ZoneData, options: &ZoneOptions) -> Built {
        let mut skipped = data.skipped.clone();
        let layout = lay_out(data, options, &mut skipped);
        Built { zone: compile(&data.apex, layout, options), skipped }
    }
}

fn lay_out(data: &ZoneData, options: &ZoneOptions, skipped: &mut Vec<Skipped>) -> Layout {
    let soa = synthesised_soa(&data.apex);
    let rows = Rows::admit(data, options.drops_registry, skipped);
    let mut layout = Layout::with_room(rows.len(), rows.size());
    layout.counts.dropped = rows.dropped();
    let mut rrsets = RrsetsOf::default();
    let mut owners = rows.owners().peekable();
    // The key of the apex is empty and sorts first; its node must be there whatever is at it.
    let at_apex = owners.next_if(|(key, _)| key.is_empty());
    rrsets.settle(&data.apex, true, at_apex.into_iter().flat_map(|(_, sets)| sets), skipped);
    rrsets.ensure_soa(900, &soa);
    let mut is_full = !layout.owner(&[], data.apex.as_ref(), &rrsets);
    for (key, sets) in owners {
        let mut sets = sets.peekable();
        let Some(owner) = sets.peek().map(|set| &set.owner) else { continue };
        rrsets.settle(owner, false, sets, skipped);
        is_full = is_full || !layout.owner(key, owner.as_ref(), &rrsets);
        if is_full {
            let detail = "the zone has more than 4 GiB".to_owned();
            skip(skipped, owner, Rtype::ANY, SkipReason::TooLarge, detail);
        }
    }
    layout
}

fn compile(apex: &Name, mut layout: Layout, options: &ZoneOptions) -> Zone {
    layout.wildcards.sort_unstable();
    let apex_depth = apex.as_ref().label_count();
    let mut zone = Zone {
        apex: apex.clone(),
        apex_depth,
        max_depth: apex_depth + layout.depth,
        slots: fill_slots(&layout.arena, layout.counts.names),
        arena: layout.arena.into(),
        wildcards: layout.wildcards.into(),
        denial: Box::default(),
        negative_ttl: 0,
        serial: 0,
        counts: layout.counts,
        on_missing: options.on_missing,
        groups: layout.groups.into(),
        plans: Box::default(),
        region: options.region,
    };
    links::link(&mut zone, &layout.cnames);
    links::link_aliases(&mut zone, &layout.aliases);
    zone.plan(options.region, &Health::default());
    let soa = zone.soa();
    let (serial, minimum) = soa.rdata().next().map_or((0, 0), rdata::soa_serial_and_minimum);
    let negative_ttl = soa.ttl().min(minimum).min(options.negative_ttl_max);
    let mut denial = soa.block().to_vec();
    if let Some(ttl) = denial.get_mut(6..10) {
        ttl.copy_from_slice(&negative_ttl.to_be_bytes());
    }
    (zone.denial, zone.negative_ttl, zone.serial) = (denial.into(), negative_ttl, serial);
    zone
}

/// Route 53's own values, under the zone's own name.
fn synthesised_soa(apex: &Name) -> Vec<u8> {
    let mut rdata = apex.as_bytes().to_vec();
    match Name::child(b"hostmaster", apex.as_ref()) {
        Ok(mailbox) => rdata.extend_from_slice(mailbox.as_bytes()),
        Err(_) => rdata.push(0),
    }
    for number in [1u32, 7200, 900, 1_209_600, 86_400] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    rdata
}

fn fill_slots(arena: &[u8], names: usize) -> Slots {
    let mut slots = Slots::for_names(names);
    let mut at = 0;
    while let Some(node) = Node::read(arena, at) {
        let all = Suffixes::of(node.name());
        slots.insert(all.hash(all.depth()), at as u32);
        at += node.len();
    }
    slots
}
