//! Where the CNAMEs and the aliases of a zone lead to within it, found out once when it is compiled.

use std::sync::Arc;

use super::AliasAt;
use super::compiled::Zone;
use super::lookup::{Place, Stands};
use super::node::{LINK, Node};
use crate::wire::{Name, Rtype, Suffixes};

/// Chains of more CNAMEs than this are left to be walked name by name, as are loops.
const MAX_CHAIN: usize = 16;

/// Links each CNAME, `cnames` being their nodes, to the node that its target's data stands at, if
/// that is one of this zone's and the chain ends. Cost: a look-up each, and the chains' lengths.
pub(super) fn link(zone: &mut Zone, cnames: &[u32]) {
    for &at in cnames {
        let to = target(zone, at).and_then(|to| u32::try_from(to + 1).ok());
        set(zone, at, to.unwrap_or(0));
    }
    let endless: Vec<u32> = cnames.iter().copied().filter(|&at| !ends(zone, at)).collect();
    endless.into_iter().for_each(|at| set(zone, at, 0));
}

/// The node that answers for the target of the CNAME at `at`.
fn target(zone: &Zone, at: u32) -> Option<usize> {
    let cname = Node::read(&zone.arena, at as usize)?.rrsets().find(|r| r.rtype == Rtype::CNAME)?;
    let target = Name::from_wire(cname.rdata().next()?).ok()?;
    if !target.as_ref().is_at_or_below(zone.apex.as_ref()) {
        return None;
    }
    match zone.place(&Suffixes::of(target.as_ref())) {
        Place::Node(to) => Some(to),
        Place::Nowhere | Place::Delegated => None,
    }
}

/// Whether following links from `at` comes to an end.
fn ends(zone: &Zone, mut at: u32) -> bool {
    for _ in 0..=MAX_CHAIN {
        let link =
            Node::read(&zone.arena, at as usize).and_then(|node| node.rrsets().next()).map_or(0, |r| r.link);
        match link.checked_sub(1) {
            Some(next) => at = next,
            None => return true,
        }
    }
    false
}

/// A link is the last thing of its node.
fn set(zone: &mut Zone, at: u32, link: u32) {
    let len = Node::read(&zone.arena, at as usize).map_or(0, Node::len);
    write(zone, (at as usize + len).saturating_sub(LINK), link);
}

/// Writes into the arena of a zone that nobody else has yet.
fn write(zone: &mut Zone, from: usize, link: u32) {
    if let Some(room) = Arc::get_mut(&mut zone.arena).and_then(|arena| arena.get_mut(from..from + LINK)) {
        room.copy_from_slice(&link.to_ne_bytes());
    }
}

/// Links each alias of a name in the zone to the node whose records it is answered with. Cost: a
/// look-up for each alias in its chain.
pub(super) fn link_aliases(zone: &mut Zone, aliases: &[(u32, Rtype)]) {
    // Nothing is written before all is found: every look-up reads the names, not the links.
    let ends: Vec<AliasAt> = aliases.iter().map(|&(at, rtype)| end(zone, at as usize, rtype)).collect();
    for (&(at, rtype), end) in aliases.iter().zip(ends) {
        let node = Node::read(&zone.arena, at as usize);
        let Some(link_at) = node.and_then(|node| node.alias_link(at as usize, rtype)) else { continue };
        write(zone, link_at, end.link());
    }
}

/// Aliases of aliases that are followed; whose chain is longer counts as a loop.
const MAX_ALIASES: usize = 128;

/// Where the alias of this type at a node leads to in the end.
fn end(zone: &Zone, start: usize, rtype: Rtype) -> AliasAt {
    let mut passed = vec![start];
    loop {
        let at = passed.last().copied().unwrap_or(start);
        let node = Node::read(&zone.arena, at);
        let alias = node.and_then(|node| node.rrsets().find(|r| r.rtype == rtype)).and_then(|r| r.alias());
        // Only the first is an alias for certain; one that leads outside is an end, too.
        let Some(alias) = alias.filter(|alias| alias.at != AliasAt::Outside) else {
            return AliasAt::Node(at);
        };
        match zone.stands_at(alias.target, rtype) {
            Stands::Nowhere => return AliasAt::Nothing,
            Stands::Elsewhere => return leads_out(&passed),
            Stands::At(next, _) if passed.len() > MAX_ALIASES || passed.contains(&next) => {
                return AliasAt::Loop;
            }
            Stands::At(next, _) => passed.push(next),
        }
    }
}

/// The end of a chain of aliases whose last one leads to what only the origin knows.
fn leads_out(passed: &[usize]) -> AliasAt {
    match passed {
        [_, .., last] => AliasAt::Node(*last),
        _ => AliasAt::Elsewhere,
    }
}
