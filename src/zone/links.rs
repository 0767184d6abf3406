//! Where the CNAMEs of a zone lead to within it, found out once when it is compiled.

use super::compiled::{Place, Zone};
use super::node::{LINK, Node};
use crate::wire::{Name, Rtype, Suffixes};

/// Chains of more CNAMEs than this are left to be walked name by name, as are loops.
const MAX_CHAIN: usize = 16;

/// Links each CNAME, `aliases` being their nodes, to the node that its target's data stands at, if
/// that is one of this zone's and the chain ends. Cost: a look-up each, and the chains' lengths.
pub(super) fn link(zone: &mut Zone, aliases: &[u32]) {
    for &at in aliases {
        let to = target(zone, at).and_then(|to| u32::try_from(to + 1).ok());
        set(zone, at, to.unwrap_or(0));
    }
    let endless: Vec<u32> = aliases.iter().copied().filter(|&at| !ends(zone, at)).collect();
    endless.into_iter().for_each(|at| set(zone, at, 0));
}

/// The node that answers for the target of the CNAME at `at`.
fn target(zone: &Zone, at: u32) -> Option<usize> {
    let alias = Node::read(&zone.arena, at as usize)?.rrsets().find(|r| r.rtype == Rtype::CNAME)?;
    let target = Name::from_wire(alias.rdata().next()?).ok()?;
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
    let from = (at as usize + len).saturating_sub(LINK);
    if let Some(room) = zone.arena.get_mut(from..from + LINK) {
        room.copy_from_slice(&link.to_ne_bytes());
    }
}
