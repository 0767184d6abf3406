//! What a zone says of a name, for people: where it stands, and by which aliases and policies it is answered.
//!
//! Found by the functions that answer queries, so that it cannot differ from what they find.

use serde::{Deserialize, Serialize};

use super::choice::GroupTold;
use super::lookup::{Place, Stands};
use super::node::{CUT, Node};
use super::{AliasAt, Rrset, Zone};
use crate::wire::{NameRef, Rtype, Suffixes, present};

/// Aliases of aliases that are told.
const MAX_ALIASES: usize = 128;

/// What a zone says of a name and type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneTold {
    /// Where the name's data stands.
    pub place: PlaceTold,
    /// What stands there.
    pub rrsets: Vec<RrsetTold>,
    /// The aliases that lead to the answer, one after the other.
    pub aliases: Vec<AliasStep>,
    /// The sets that a policy chooses the answer from.
    pub group: Option<GroupTold>,
}

/// Where a name's data stands in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlaceTold {
    /// The name exists.
    #[default]
    Exact,
    /// It does because something below it does, and has no data of its own (RFC 4592 §2.2.2).
    EmptyNonTerminal,
    /// A wildcard answers for it (RFC 4592 §3.3).
    Wildcard {
        /// The name whose records are given.
        source_of_synthesis: String,
        /// The deepest ancestor that exists.
        closest_encloser: String,
    },
    /// It does not exist, and no wildcard answers for it.
    Missing {
        /// The deepest ancestor that exists.
        closest_encloser: String,
    },
    /// It is at or below a delegation or a DNAME.
    BelowCut {
        /// Where that stands.
        cut: String,
    },
}

/// One RRset at a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RrsetTold {
    /// Its type.
    pub rtype: String,
    /// `records`, `alias`, `policy`, or why it is deferred: `flattened`, `choice`, `unknown`.
    pub kind: String,
    /// Seconds; none without records of its own.
    pub ttl: Option<u32>,
    /// The data of its records.
    pub values: Vec<String>,
}

/// One alias, and what is at its target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasStep {
    /// Whose alias it is.
    pub owner: String,
    /// Whose records are given.
    pub target: String,
    /// Whether it is as healthy as what it leads to.
    pub evaluates_health: bool,
    /// `outside` (upstreams are asked), `elsewhere` (in the zone, but at or below a cut: they are asked, too),
    /// `nothing`, `loop`, or what stands there: `records`, `alias`, `policy`, or why it is deferred.
    pub leads_to: String,
}

impl Zone {
    /// Tells of `qtype` at `qname`, which must be at or below the apex.
    ///
    /// Cost: allocates for all it says; not for who answers queries.
    pub fn tell(&self, qname: &Suffixes, qtype: Rtype) -> ZoneTold {
        let Some((at, node)) = self.node(qname) else {
            return ZoneTold { place: self.gap(qname), ..ZoneTold::default() };
        };
        let told = ZoneTold {
            place: self.place_of(node, qname, qtype),
            rrsets: node.rrsets().map(rrset_told).collect(),
            ..ZoneTold::default()
        };
        let counts = |rrset: &Rrset<'_>| rrset.rtype == qtype || rrset.rtype == Rtype::CNAME;
        let Some(rrset) = node.rrsets().find(counts).filter(|_| !node.delegates(qtype)) else { return told };
        let (aliases, (end, rrset)) = self.follow_aliases(at, rrset);
        let owner = Node::read(&self.arena, end).map_or_else(String::new, |node| node.name().to_string());
        let group = rrset.group().and_then(|number| self.tell_group(number, &owner));
        ZoneTold { aliases, group, ..told }
    }

    /// Tells of an RRset of this zone that a policy chooses.
    pub fn tell_choice(&self, owner: NameRef<'_>, rrset: Rrset<'_>) -> Option<GroupTold> {
        self.tell_group(rrset.group()?, &owner.to_string())
    }

    fn node(&self, qname: &Suffixes) -> Option<(usize, Node<'_>)> {
        let Place::Node(at) = self.place(qname) else { return None };
        Some((at, Node::read(&self.arena, at)?))
    }

    fn place_of(&self, node: Node<'_>, qname: &Suffixes, qtype: Rtype) -> PlaceTold {
        if node.delegates(qtype) {
            return PlaceTold::BelowCut { cut: node.name().to_string() };
        }
        if node.name() != qname.name() {
            let closest = node.name().parent().map_or_else(String::new, |parent| parent.to_string());
            let source_of_synthesis = node.name().to_string();
            return PlaceTold::Wildcard { source_of_synthesis, closest_encloser: closest };
        }
        if node.rrsets().next().is_none() { PlaceTold::EmptyNonTerminal } else { PlaceTold::Exact }
    }

    /// Why there is no node for a name.
    fn gap(&self, qname: &Suffixes) -> PlaceTold {
        let existing = |suffix: &NameRef<'_>| {
            self.node(&Suffixes::of(*suffix)).filter(|(_, node)| node.name() == *suffix)
        };
        let ancestors = qname.name().suffixes().skip(1);
        let Some((_, closest)) = ancestors.into_iter().find_map(|suffix| existing(&suffix)) else {
            return PlaceTold::Missing { closest_encloser: self.apex.to_string() };
        };
        let name = closest.name().to_string();
        match self.place(qname) {
            Place::Delegated if closest.has(CUT) => PlaceTold::BelowCut { cut: name },
            _ => PlaceTold::Missing { closest_encloser: name },
        }
    }

    /// All aliases from an RRset on, and the RRset that the last of them leads to in the zone.
    fn follow_aliases<'z>(&'z self, start: usize, first: Rrset<'z>) -> (Vec<AliasStep>, (usize, Rrset<'z>)) {
        let (mut steps, mut passed, mut rrset) = (Vec::new(), vec![start], first);
        loop {
            let at = passed.last().copied().unwrap_or(start);
            let Some(alias) = rrset.alias() else { return (steps, (at, rrset)) };
            let owner = Node::read(&self.arena, at).map_or_else(String::new, |node| node.name().to_string());
            let (leads_to, next) = match self.stands_at(alias.target, rrset.rtype) {
                _ if alias.at == AliasAt::Outside => ("outside", None),
                Stands::Nowhere => ("nothing", None),
                Stands::Elsewhere => ("elsewhere", None),
                Stands::At(next, _) if passed.contains(&next) || passed.len() > MAX_ALIASES => ("loop", None),
                Stands::At(next, rrset) => (kind(rrset), Some((next, rrset))),
            };
            steps.push(AliasStep {
                owner,
                target: alias.target.to_string(),
                evaluates_health: alias.evaluates_health,
                leads_to: leads_to.to_owned(),
            });
            let Some((next, found)) = next else { return (steps, (at, rrset)) };
            passed.push(next);
            rrset = found;
        }
    }
}

impl Rrset<'_> {
    /// The data of each record as text.
    pub fn told_values(self) -> Vec<String> {
        self.rdata().map(|data| present::rdata(self.rtype, data)).collect()
    }
}

fn rrset_told(rrset: Rrset<'_>) -> RrsetTold {
    let values = rrset.told_values();
    let ttl = rrset.is_plain().then(|| rrset.ttl());
    RrsetTold { rtype: rrset.rtype.to_string(), kind: kind(rrset).to_owned(), ttl, values }
}

/// What an RRset is.
fn kind(rrset: Rrset<'_>) -> &'static str {
    match rrset.deferred() {
        Some(reason) => reason.label(),
        None if rrset.alias().is_some() => "alias",
        None if rrset.group().is_some() => "policy",
        None => "records",
    }
}
