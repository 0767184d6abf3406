//! A compiled zone and how a name is looked up in it (RFC 1034 §4.3.2, RFC 4592).

use std::cmp::Ordering;
use std::fmt;

use super::node::{BELOW_CUT, CUT, DNAME, Node, WILDCARD};
use super::slots::Slots;
use super::{DeferredReason, OnMissing, order};
use crate::wire::{Name, NameRef, Rtype, Suffixes};

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
    /// RRsets whose answer is decided at the origin.
    pub deferred: usize,
    /// Delegations below the apex.
    pub cuts: usize,
}

/// One RRset of a compiled zone.
#[derive(Clone, Copy, Debug)]
pub struct Rrset<'z> {
    /// Its type.
    pub rtype: Rtype,
    /// Seconds.
    pub ttl: u32,
    /// How many records there are, zero for a deferred one.
    pub count: u16,
    /// The records: owner as a pointer to offset 12, type, class, TTL, RDLENGTH and RDATA each.
    pub block: &'z [u8],
    /// Set where the origin decides.
    pub deferred: Option<DeferredReason>,
    /// Of a CNAME: one more than where its target's node begins, zero where [`Zone::follow`] does
    /// not lead on.
    pub(super) link: u32,
}

impl<'z> Rrset<'z> {
    /// No records of no type.
    const NONE: Self = Self { rtype: Rtype(0), ttl: 0, count: 0, block: &[], deferred: None, link: 0 };

    /// The RDATA of each record.
    pub fn rdata(self) -> impl Iterator<Item = &'z [u8]> {
        let mut rest = self.block;
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

/// What a zone says of a name and type.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'z> {
    /// The records asked for.
    Answer(Rrset<'z>),
    /// The name is an alias for another (RFC 1034 §3.6.2).
    Cname(Rrset<'z>),
    /// The name exists and ANY was asked (RFC 8482).
    Any,
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// The name is at or below a zone cut: its answer is elsewhere.
    Delegated,
    /// The name exists and the origin decides the answer.
    Deferred(DeferredReason),
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
        size_of::<Self>() + self.apex.as_bytes().len() + self.arena.len() + beside
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

    /// Looks up `qtype` at `qname`, which must be at or below the apex.
    ///
    /// The closest encloser is the deepest existing ancestor, so an empty non-terminal or a name
    /// with other types only blocks a wildcard above it (RFC 4592 §2.2.2, §4.1). Cost: one probe
    /// for a name that exists, at most one per label below the apex otherwise; no allocation.
    pub fn lookup(&self, qname: &Suffixes, qtype: Rtype) -> Lookup<'_> {
        match self.place(qname) {
            Place::Node(at) => {
                Node::read(&self.arena, at).map_or(Lookup::Delegated, |node| at_node(node, qtype))
            }
            Place::Nowhere => Lookup::NxDomain,
            Place::Delegated => Lookup::Delegated,
        }
    }

    /// What stands at the target of `alias`, a CNAME of this zone: what [`Zone::lookup`] says of
    /// the target, without looking for it.
    ///
    /// `None` where that was not settled when the zone was compiled: the target is in no node of
    /// this zone (out of it, below a cut, not existing), or the chain comes back to itself. Whether
    /// another zone owns the target all the same, only the table of zones knows.
    pub fn follow(&self, alias: Rrset<'_>, qtype: Rtype) -> Option<Lookup<'_>> {
        let at = alias.link.checked_sub(1)?;
        Some(at_node(Node::read(&self.arena, at as usize)?, qtype))
    }

    /// Where the data for `qname` stands: its own node, or the source of synthesis.
    pub(super) fn place(&self, qname: &Suffixes) -> Place {
        let depth = qname.depth();
        let mut level = depth.min(self.max_depth);
        while level >= self.apex_depth {
            if let Some((at, node)) = self.slots.find(&self.arena, qname, level) {
                return self.decide(at, node, level == depth);
            }
            if level == 0 {
                break;
            }
            level -= 1;
        }
        // Unreachable for names below the apex, which is a node; a stranger's name is not ours.
        Place::Delegated
    }

    fn decide(&self, at: usize, node: Node<'_>, exact: bool) -> Place {
        if node.has(BELOW_CUT) || (node.has(CUT) && !exact) {
            return Place::Delegated;
        }
        if exact {
            return Place::Node(at);
        }
        if !node.has(WILDCARD) {
            return Place::Nowhere;
        }
        let index = self.wildcards.binary_search_by_key(&at, |&(parent, _)| parent as usize);
        let wildcard = index.ok().and_then(|index| self.wildcards.get(index));
        wildcard.map_or(Place::Nowhere, |&(_, child)| Place::Node(child as usize))
    }
}

/// Where a name leads to in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The node that begins there.
    Node(usize),
    /// The name does not exist.
    Nowhere,
    /// It is below a cut.
    Delegated,
}

fn at_node(node: Node<'_>, qtype: Rtype) -> Lookup<'_> {
    // The parent side of a cut owns DS alone (RFC 4035 §3.1.4.1).
    if node.has(CUT) && !node.has(DNAME) && qtype != Rtype::DS {
        return Lookup::Delegated;
    }
    if qtype == Rtype::ANY {
        return Lookup::Any;
    }
    let mut otherwise = Lookup::NoData;
    for rrset in node.rrsets() {
        if let (Rtype::ANY, Some(reason)) = (rrset.rtype, rrset.deferred) {
            otherwise = Lookup::Deferred(reason);
        }
        let alias = rrset.rtype == Rtype::CNAME && qtype != Rtype::CNAME;
        if !alias && rrset.rtype != qtype {
            continue;
        }
        return match rrset.deferred {
            Some(reason) => Lookup::Deferred(reason),
            None if alias => Lookup::Cname(rrset),
            None => Lookup::Answer(rrset),
        };
    }
    otherwise
}
