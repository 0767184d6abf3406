//! How a name is looked up in a compiled zone (RFC 1034 §4.3.2, RFC 4592).

use super::node::{BELOW_CUT, CUT, Node, WILDCARD};
use super::{AliasAt, AliasView, Choice, DeferredReason, Rrset, Zone};
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
    /// One of several sets, as a routing policy chooses.
    Choice(Choice<'z>),
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

    /// Where the records of a type at a name stand, for an alias of that name.
    pub(super) fn stands_at(&self, name: NameRef<'_>, rtype: Rtype) -> Stands<'_> {
        if !name.is_at_or_below(self.apex.as_ref()) {
            return Stands::Elsewhere;
        }
        let at = match self.place(&Suffixes::of(name)) {
            Place::Node(at) => at,
            Place::Nowhere => return Stands::Nowhere,
            Place::Delegated => return Stands::Elsewhere,
        };
        let Some(node) = Node::read(&self.arena, at) else { return Stands::Nowhere };
        if node.delegates(rtype) {
            return Stands::Elsewhere;
        }
        match node.rrsets().find(|rrset| rrset.rtype == rtype) {
            Some(rrset) => Stands::At(at, rrset),
            // Something is there whose type cannot be told.
            None if node.rrsets().any(|rrset| rrset.rtype == Rtype::ANY) => Stands::Elsewhere,
            None => Stands::Nowhere,
        }
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
        if node.delegates(qtype) {
            return Lookup::Delegated;
        }
        if qtype == Rtype::ANY {
            return Lookup::Any;
        }
        let mut otherwise = Lookup::NoData;
        for rrset in node.rrsets() {
            if rrset.rtype == qtype || rrset.rtype == Rtype::CNAME {
                return self.held(rrset, qtype);
            }
            if let (Rtype::ANY, Some(reason)) = (rrset.rtype, rrset.deferred()) {
                otherwise = Lookup::Deferred(reason);
            }
        }
        otherwise
    }

    /// What an RRset, the one that counts for `qtype`, says.
    #[inline]
    fn held<'z>(&'z self, rrset: Rrset<'z>, qtype: Rtype) -> Lookup<'z> {
        match rrset.is_plain() {
            true if rrset.rtype == qtype => Lookup::Answer(rrset),
            true => Lookup::Cname(rrset),
            false => self.decided(rrset, qtype),
        }
    }

    /// What an RRset without records of its own says.
    fn decided<'z>(&'z self, rrset: Rrset<'z>, qtype: Rtype) -> Lookup<'z> {
        match (rrset.alias(), rrset.group()) {
            (Some(alias), _) => self.behind(alias, rrset.rtype, qtype),
            (None, Some(number)) => self.choice(rrset.rtype, number),
            (None, None) => Lookup::Deferred(rrset.deferred().unwrap_or(DeferredReason::Unknown)),
        }
    }

    fn choice(&self, rtype: Rtype, number: usize) -> Lookup<'_> {
        match self.plans.get(number) {
            Some(plan) if !plan.is_unknown() => Lookup::Choice(Choice { zone: self, rtype, plan }),
            _ => Lookup::Deferred(DeferredReason::Choice),
        }
    }

    /// What an alias of a type leads to.
    fn behind<'z>(&'z self, alias: AliasView<'z>, rtype: Rtype, qtype: Rtype) -> Lookup<'z> {
        match alias.at {
            AliasAt::Outside | AliasAt::Elsewhere => Lookup::Outside(alias.target),
            AliasAt::Nothing => Lookup::NoData,
            AliasAt::Loop => Lookup::Loop,
            AliasAt::Node(at) => {
                let mut rrsets = Node::read(&self.arena, at).into_iter().flat_map(Node::rrsets);
                match rrsets.find(|rrset| rrset.rtype == rtype).map(|rrset| (rrset, rrset.alias())) {
                    None => Lookup::NoData,
                    // The last alias of a chain was found when the zone was compiled: it leads out of it.
                    Some((_, Some(next))) => Lookup::Outside(next.target),
                    Some((rrset, None)) => self.held(rrset, qtype),
                }
            }
        }
    }
}

/// Where the records of a type stand.
pub(super) enum Stands<'z> {
    /// At the node that begins there.
    At(usize, Rrset<'z>),
    /// There are none.
    Nowhere,
    /// Only the origin can tell.
    Elsewhere,
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
