//! How a name is looked up in a compiled zone (RFC 1034 §4.3.2, RFC 4592).

use super::node::{BELOW_CUT, CUT, DNAME, Node, WILDCARD};
use super::{AliasAt, AliasView, DeferredReason, Rrset, Zone};
use crate::wire::{NameRef, Rtype, Suffixes};

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
    /// The records of the type at this name, which upstreams have, are answered under the owner.
    Outside(NameRef<'z>),
    /// The name is an alias that leads back to itself.
    Loop,
}

impl Zone {
    /// Looks up `qtype` at `qname`, which must be at or below the apex.
    ///
    /// The closest encloser is the deepest existing ancestor, so an empty non-terminal or a name
    /// with other types only blocks a wildcard above it (RFC 4592 §2.2.2, §4.1). Cost: one probe
    /// for a name that exists, at most one per label below the apex otherwise; no allocation.
    pub fn lookup(&self, qname: &Suffixes, qtype: Rtype) -> Lookup<'_> {
        match self.place(qname) {
            Place::Node(at) => {
                Node::read(&self.arena, at).map_or(Lookup::Delegated, |node| self.at_node(node, qtype))
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
        Some(self.at_node(Node::read(&self.arena, at as usize)?, qtype))
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

    fn at_node<'z>(&'z self, node: Node<'z>, qtype: Rtype) -> Lookup<'z> {
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
            if rrset.rtype != qtype && rrset.rtype != Rtype::CNAME {
                continue;
            }
            return match rrset.alias {
                Some(alias) => self.behind(alias, rrset.rtype, qtype),
                None => held(rrset, qtype),
            };
        }
        otherwise
    }

    /// What an alias of a type leads to.
    fn behind<'z>(&'z self, alias: AliasView<'z>, rtype: Rtype, qtype: Rtype) -> Lookup<'z> {
        match alias.at {
            AliasAt::Outside => Lookup::Outside(alias.target),
            AliasAt::Nothing => Lookup::NoData,
            AliasAt::Loop => Lookup::Loop,
            AliasAt::Elsewhere => Lookup::Deferred(DeferredReason::Flattened),
            AliasAt::Node(at) => {
                let mut rrsets = Node::read(&self.arena, at).into_iter().flat_map(Node::rrsets);
                match rrsets.find(|rrset| rrset.rtype == rtype) {
                    None => Lookup::NoData,
                    // An alias inside the zone was followed to its end when the zone was compiled.
                    Some(Rrset { alias: Some(next), .. }) => Lookup::Outside(next.target),
                    Some(rrset) => held(rrset, qtype),
                }
            }
        }
    }
}

/// What an RRset, the one that counts for `qtype` and no alias, says.
fn held(rrset: Rrset<'_>, qtype: Rtype) -> Lookup<'_> {
    match rrset.deferred {
        Some(reason) => Lookup::Deferred(reason),
        None if rrset.rtype == qtype => Lookup::Answer(rrset),
        None => Lookup::Cname(rrset),
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
