//! A compiled zone and how a name is looked up in it (RFC 1034 §4.3.2, RFC 4592).

use super::{DeferredReason, OnMissing};
use crate::wire::{Name, NameRef, Rtype, Suffixes};

/// Index of no node.
pub(super) const NONE: u32 = u32::MAX;

/// One zone, immutable, laid out for lookups: every existing name (empty non-terminals included)
/// is a node, found by the hash of its whole name.
#[derive(Debug)]
pub struct Zone {
    pub(super) apex: Name,
    pub(super) apex_depth: usize,
    /// Most labels of any name here: deeper suffixes of a query are not even probed.
    pub(super) max_depth: usize,
    /// Open addressing, at most half full: high half tag, low half node index.
    pub(super) slots: Box<[u64]>,
    pub(super) nodes: Box<[Node]>,
    pub(super) rrsets: Box<[Stored]>,
    /// Names, then record blocks.
    pub(super) arena: Box<[u8]>,
    pub(super) soa: u32,
    pub(super) negative_ttl: u32,
    pub(super) serial: u32,
    pub(super) counts: Counts,
    pub(super) on_missing: OnMissing,
}

#[derive(Debug)]
pub(super) struct Node {
    pub name_at: u32,
    pub name_len: u8,
    /// At or below a zone cut or a DNAME: not ours to answer.
    pub below_cut: bool,
    pub is_cut: bool,
    pub first: u32,
    pub count: u32,
    /// The node `*.<this name>`.
    pub wildcard: u32,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub rtype: Rtype,
    pub count: u16,
    pub ttl: u32,
    pub at: u32,
    pub len: u32,
    pub deferred: Option<DeferredReason>,
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
}

impl<'z> Rrset<'z> {
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

    /// The SOA record, for negative answers; its TTL there is [`Zone::negative_ttl`].
    pub fn soa(&self) -> Rrset<'_> {
        self.rrset(self.soa)
    }

    /// TTL of negative answers: min(SOA TTL, SOA MINIMUM, the configured cap) (RFC 2308 §5).
    pub fn negative_ttl(&self) -> u32 {
        self.negative_ttl
    }

    /// Every RRset with its owner, owners in canonical order (RFC 4034 §6.1).
    pub fn rrsets(&self) -> impl Iterator<Item = RrsetView<'_>> {
        self.nodes.iter().flat_map(move |node| {
            let owner = self.name_of(node);
            (node.first..node.first + node.count).map(move |i| RrsetView { owner, rrset: self.rrset(i) })
        })
    }

    /// Looks up `qtype` at `qname`, which must be at or below the apex.
    ///
    /// The closest encloser is the deepest existing ancestor, so an empty non-terminal or a name
    /// with other types only blocks a wildcard above it (RFC 4592 §2.2.2, §4.1). Cost: one probe
    /// for a name that exists, at most one per label below the apex otherwise; no allocation.
    pub fn lookup(&self, qname: &Suffixes, qtype: Rtype) -> Lookup<'_> {
        let depth = qname.depth();
        let mut at = depth.min(self.max_depth);
        while at >= self.apex_depth {
            if let Some(node) = self.node(qname, at) {
                return self.decide(node, at == depth, qtype);
            }
            if at == 0 {
                break;
            }
            at -= 1;
        }
        // Unreachable for names below the apex, which is a node; a stranger's name is not ours.
        Lookup::Delegated
    }

    fn decide(&self, node: &Node, exact: bool, qtype: Rtype) -> Lookup<'_> {
        if node.below_cut || (node.is_cut && !exact) {
            return Lookup::Delegated;
        }
        if exact {
            return self.at_node(node, qtype);
        }
        match self.nodes.get(node.wildcard as usize) {
            Some(source_of_synthesis) => self.at_node(source_of_synthesis, qtype),
            None => Lookup::NxDomain,
        }
    }

    fn at_node(&self, node: &Node, qtype: Rtype) -> Lookup<'_> {
        // The parent side of a cut owns DS alone (RFC 4035 §3.1.4.1).
        if node.is_cut && qtype != Rtype::DS && !self.is_dname_owner(node) {
            return Lookup::Delegated;
        }
        if qtype == Rtype::ANY {
            return Lookup::Any;
        }
        let mut otherwise = Lookup::NoData;
        for i in node.first..node.first + node.count {
            let rrset = self.rrset(i);
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

    fn is_dname_owner(&self, node: &Node) -> bool {
        (node.first..node.first + node.count).any(|i| self.rrset(i).rtype == Rtype::DNAME)
    }

    fn node(&self, qname: &Suffixes, depth: usize) -> Option<&Node> {
        self.nodes.get(self.probe(qname, depth)?)
    }

    pub(super) fn index_of(&self, name: NameRef<'_>) -> Option<usize> {
        let all = Suffixes::of(name);
        self.probe(&all, all.depth())
    }

    fn probe(&self, qname: &Suffixes, depth: usize) -> Option<usize> {
        let hash = qname.hash(depth);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if slot >> 32 == tag(hash) {
                let index = (slot as u32 - 1) as usize;
                if self.name_of(self.nodes.get(index)?) == qname.suffix(depth) {
                    return Some(index);
                }
            }
            at = (at + 1) & mask;
        }
    }

    pub(super) fn name_of(&self, node: &Node) -> NameRef<'_> {
        let at = node.name_at as usize;
        NameRef::from_checked(&self.arena[at..at + usize::from(node.name_len)])
    }

    fn rrset(&self, index: u32) -> Rrset<'_> {
        let stored = &self.rrsets[index as usize];
        let at = stored.at as usize;
        Rrset {
            rtype: stored.rtype,
            ttl: stored.ttl,
            count: stored.count,
            block: &self.arena[at..at + stored.len as usize],
            deferred: stored.deferred,
        }
    }
}

/// The part of a hash that a slot keeps, never the part that chose the slot.
pub(super) fn tag(hash: u64) -> u64 {
    hash >> 32
}
