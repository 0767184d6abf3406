//! A compiled zone: what it holds and how it lies in memory.

use std::cmp::Ordering;
use std::fmt;

use super::choice::{Group, Plan};
use super::node::Node;
use super::slots::Slots;
use super::{AliasView, DeferredReason, OnMissing, Region, node, order};
use crate::wire::{Name, NameRef, Rtype};

/// One zone, immutable, laid out for lookups: every existing name (empty non-terminals included)
/// is a node, found by the hash of its whole name.
///
/// Memory: 8 bytes for each of the slots, five for three names; in the arena 4 and the name itself,
/// 8 an RRset, 12 and its RDATA a record, 4 a CNAME for the place of its target; 8 a wildcard. An
/// address at a name of 30 bytes takes 71. A hit reads the line of one slot and those that its node
/// lies across, two for such a name.
pub struct Zone {
    pub(super) apex: Name,
    pub(super) apex_depth: usize,
    /// Most labels of any name here: deeper suffixes of a query are not even probed.
    pub(super) max_depth: usize,
    pub(super) slots: Slots,
    /// The nodes in canonical order, the apex first.
    pub(super) arena: Box<[u8]>,
    /// Nodes that have a wildcard child, ascending, each with that child.
    pub(super) wildcards: Box<[(u32, u32)]>,
    /// What [`Zone::denial`] gives.
    pub(super) denial: Box<[u8]>,
    pub(super) negative_ttl: u32,
    pub(super) serial: u32,
    pub(super) counts: Counts,
    pub(super) on_missing: OnMissing,
    /// The sets that policies choose among, and what is chosen, each by its number.
    pub(super) groups: Box<[Group]>,
    pub(super) plans: Box<[Plan]>,
    /// Where those are who ask, as far as that is known.
    pub(super) region: Option<&'static Region>,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Zone");
        told.field("apex", &self.apex).field("serial", &self.serial).field("counts", &self.counts);
        told.finish_non_exhaustive()
    }
}

/// What a zone holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Existing names, empty non-terminals included.
    pub names: usize,
    /// RRsets, deferred ones included.
    pub rrsets: usize,
    /// Records.
    pub records: usize,
    /// RRsets that stand for another name's.
    pub aliases: usize,
    /// RRsets that a routing policy chooses.
    pub choices: usize,
    /// RRsets whose answer is decided at the origin.
    pub deferred: usize,
    /// Record sets that were left out on request.
    pub dropped: usize,
    /// Delegations below the apex.
    pub cuts: usize,
}

/// One RRset of a compiled zone.
#[derive(Clone, Copy, Debug)]
pub struct Rrset<'z> {
    /// Its type.
    pub rtype: Rtype,
    /// How many records it has of its own.
    pub count: u16,
    pub(super) kind: u8,
    /// Of an alias: whether its health is that of what it leads to.
    pub(super) evaluates: u8,
    /// What stands behind the heads, as its kind has it.
    pub(super) raw: &'z [u8],
    /// Of a CNAME: one more than where its target's node begins, zero where [`Zone::follow`] does
    /// not lead on.
    pub(super) link: u32,
}

impl<'z> Rrset<'z> {
    /// No records of no type.
    pub(super) const NONE: Self =
        Self { rtype: Rtype(0), count: 0, kind: 0, evaluates: 0, raw: &[], link: 0 };

    /// The records: owner as a pointer to offset 12, type, class, TTL, RDLENGTH and RDATA each.
    pub fn block(self) -> &'z [u8] {
        if node::has_records(self.kind) { self.raw } else { &[] }
    }

    /// Seconds.
    pub fn ttl(self) -> u32 {
        self.block().get(6..10).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
    }

    /// Why the origin decides, if it does.
    pub fn deferred(self) -> Option<DeferredReason> {
        node::reason(self.kind)
    }

    /// Whose records are answered, if those are another name's.
    pub fn alias(self) -> Option<AliasView<'z>> {
        node::alias(self)
    }

    /// Where a policy chooses, what is the same only for the same sets.
    pub fn fingerprint(self) -> Option<u64> {
        node::choice(self).map(|(_, fingerprint)| fingerprint)
    }

    /// The number of the group where a policy chooses.
    pub(super) fn group(self) -> Option<usize> {
        node::choice(self).map(|(number, _)| number)
    }

    /// Whether it has records of its own, and nothing else.
    pub fn is_plain(self) -> bool {
        node::has_records(self.kind)
    }

    /// The RDATA of each record.
    pub fn rdata(self) -> impl Iterator<Item = &'z [u8]> {
        let mut rest = self.block();
        std::iter::from_fn(move || {
            let (head, tail) = rest.split_at_checked(12)?;
            let (rdata, after) =
                tail.split_at_checked(usize::from(u16::from_be_bytes([head[10], head[11]])))?;
            rest = after;
            Some(rdata)
        })
    }
}

/// An RRset with its owner.
#[derive(Clone, Copy, Debug)]
pub struct RrsetView<'z> {
    /// The owner.
    pub owner: NameRef<'z>,
    /// The RRset.
    pub rrset: Rrset<'z>,
}

impl RrsetView<'_> {
    /// The order of [`Zone::rrsets`], over listings of several versions of a zone.
    pub fn canonical_cmp(&self, other: &RrsetView<'_>) -> Ordering {
        order::compare(self.owner, other.owner).then(self.rrset.rtype.cmp(&other.rrset.rtype))
    }
}

impl Zone {
    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The serial of its SOA.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// What it holds.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What becomes of queries it has no data for.
    pub fn on_missing(&self) -> OnMissing {
        self.on_missing
    }

    /// The SOA record as it stands at the apex.
    pub fn soa(&self) -> Rrset<'_> {
        // The apex is the first node, and the builder saw to it that it has a SOA.
        let mut at_apex = Node::read(&self.arena, 0).into_iter().flat_map(Node::rrsets);
        at_apex.find(|rrset| rrset.rtype == Rtype::SOA).unwrap_or(Rrset::NONE)
    }

    /// Bytes of memory that the zone takes.
    pub fn memory(&self) -> usize {
        let beside = self.slots.memory() + size_of_val(&*self.wildcards) + self.denial.len();
        let choices: usize = self.groups.iter().map(Group::memory).sum::<usize>()
            + self.plans.iter().map(Plan::memory).sum::<usize>();
        size_of::<Self>() + self.apex.as_bytes().len() + self.arena.len() + beside + choices
    }

    /// The SOA record as it stands in the authority section of negative answers (RFC 2308 §3), its
    /// TTL being [`Zone::negative_ttl`]: ready to be copied, but for the pointer to its owner.
    pub fn denial(&self) -> &[u8] {
        &self.denial
    }

    /// TTL of negative answers: min(SOA TTL, SOA MINIMUM, the configured cap) (RFC 2308 §5).
    pub fn negative_ttl(&self) -> u32 {
        self.negative_ttl
    }

    /// Every RRset with its owner, owners in canonical order (RFC 4034 §6.1), types ascending.
    pub fn rrsets(&self) -> impl Iterator<Item = RrsetView<'_>> {
        let mut at = 0;
        let nodes = std::iter::from_fn(move || {
            let node = Node::read(&self.arena, at)?;
            at += node.len();
            Some(node)
        });
        nodes.flat_map(|node| node.rrsets().map(move |rrset| RrsetView { owner: node.name(), rrset }))
    }
}
