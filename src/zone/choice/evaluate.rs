//! Working out what a choice comes to, by the rules of Route 53's policies for private zones.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Compiled, Group, Health, Held, Leaf, Plan};
use crate::wire::{NameRef, Rtype};
use crate::zone::data::{Alias, Policy};
use crate::zone::lookup::Stands;
use crate::zone::{AliasAt, Zone};

/// Names and sets looked at for one choice; what needs more is left to the origin.
const MAX_STEPS: usize = 5000;
/// Ends that one choice may come to; what comes to more is left to the origin.
const MAX_ENDS: usize = 1024;
/// Names that are followed one after the other; a thread's stack is not without end.
const MAX_DEPTH: usize = 128;
/// Views of what is unknown that are tried before a choice counts as uncertain.
const MAX_VIEWS: usize = 64;

/// An end, and how likely it is.
type Way = (f64, Leaf);

/// What group `number` of a zone comes to.
pub(super) fn plan(zone: &Zone, number: usize, health: &Health) -> Plan {
    let mut asked = BTreeSet::new();
    let mut first = View::new(zone, health, BTreeMap::new());
    let whole = first.whole(number);
    asked.append(&mut first.asked);
    let Some(ways) = whole else { return Plan { hangs_on: asked.into_iter().collect(), ..Plan::default() } };
    let view = |assumed| View::new(zone, health, assumed);
    let is_uncertain = first.unasked.is_some() && differs(number, &ways, view, &mut asked);
    let (mut odds, mut last) = (0.0, Vec::with_capacity(ways.len()));
    for (share, leaf) in ways {
        odds += share;
        last.push(((odds * f64::from(u32::MAX)) as u32, leaf));
    }
    if let Some((greatest, _)) = last.last_mut() {
        *greatest = u32::MAX;
    }
    let (ways, hangs_on) = (last.into(), asked.into_iter().collect());
    Plan { ways, is_uncertain, is_approximate: first.is_approximate, hangs_on }
}

/// Whether a choice comes out otherwise under any view of what is unknown.
fn differs<'z>(
    number: usize,
    expected: &[Way],
    view: impl Fn(BTreeMap<String, bool>) -> View<'z>,
    asked: &mut BTreeSet<u32>,
) -> bool {
    let (mut open, mut tried) = (vec![BTreeMap::new()], 0);
    while let Some(assumed) = open.pop() {
        tried += 1;
        let mut view = view(assumed);
        let ways = view.whole(number);
        asked.append(&mut view.asked);
        if let Some(subject) = view.unasked {
            for state in [true, false] {
                let mut assumed = view.assumed.clone();
                assumed.insert(subject.clone(), state);
                open.push(assumed);
            }
        } else if ways.is_none_or(|ways| !same(&ways, expected)) {
            return true;
        }
        if tried + open.len() > MAX_VIEWS {
            return true;
        }
    }
    false
}

fn same(a: &[Way], b: &[Way]) -> bool {
    let is_in_b = |(odds, leaf): &Way| b.iter().any(|(other, l)| l == leaf && (other - odds).abs() < 1e-9);
    a.len() == b.len() && a.iter().all(is_in_b)
}

/// One evaluation.
pub(super) struct View<'z> {
    pub(super) zone: &'z Zone,
    pub(super) health: &'z Health,
    /// Whose state was asked for, by their numbers.
    pub(super) asked: BTreeSet<u32>,
    /// The health that is taken for granted of what is unknown; otherwise it is good.
    pub(super) assumed: BTreeMap<String, bool>,
    /// Something unknown of which nothing is assumed.
    pub(super) unasked: Option<String>,
    pub(super) steps: usize,
    /// Distances were compared whose bias may count otherwise at Route 53.
    pub(super) is_approximate: bool,
    /// It takes too long, or the Region would have to be known.
    pub(super) is_lost: bool,
}

impl<'z> View<'z> {
    pub(super) fn new(zone: &'z Zone, health: &'z Health, assumed: BTreeMap<String, bool>) -> Self {
        let asked = BTreeSet::new();
        let (steps, is_approximate, is_lost) = (0, false, false);
        Self { zone, health, asked, assumed, unasked: None, steps, is_approximate, is_lost }
    }

    /// All ends, each once. `None`: they cannot be told here.
    fn whole(&mut self, number: usize) -> Option<Vec<Way>> {
        let at = self.zone.groups.get(number)?.at as usize;
        let mut merged: Vec<Way> = Vec::new();
        for (odds, leaf) in self.group(number, &mut vec![at]) {
            match merged.iter_mut().find(|(_, known)| *known == leaf) {
                Some((sum, _)) => *sum += odds,
                None => merged.push((odds, leaf)),
            }
        }
        merged.retain(|(odds, _)| *odds > 0.0);
        (!self.is_lost && !merged.is_empty()).then_some(merged)
    }

    /// Counts steps; whether the choice is to be given up.
    pub(super) fn goes_on_too_long(&mut self, steps: usize, path: &[usize]) -> bool {
        self.steps += steps;
        self.is_lost |= self.steps > MAX_STEPS || path.len() > MAX_DEPTH;
        self.is_lost
    }

    /// The ends of a group, whose node stands last in `path`.
    fn group(&mut self, number: usize, path: &mut Vec<usize>) -> Vec<Way> {
        let zone = self.zone;
        let Some(group) = zone.groups.get(number) else { return vec![(1.0, Leaf::Nothing)] };
        if self.goes_on_too_long(group.members.len(), path) {
            return Vec::new();
        }
        let chosen = self.choose(group, path);
        if chosen.is_empty() {
            return vec![(1.0, Leaf::Nothing)];
        }
        let mut ways = Vec::new();
        for (odds, together) in chosen {
            let ends = self.ends(&together, group.rtype, path);
            ways.extend(ends.into_iter().map(|(share, leaf)| (odds * share, leaf)));
            if ways.len() > MAX_ENDS {
                self.is_lost = true;
                return Vec::new();
            }
        }
        ways
    }

    /// What sets that are answered together come to.
    fn ends(&mut self, together: &[&Compiled], rtype: Rtype, path: &mut Vec<usize>) -> Vec<Way> {
        // A record stands in an answer once (RFC 2181 §5), whoever of them has it.
        let (mut blocks, mut seen) = (Vec::new(), HashSet::new());
        for member in together {
            if let Held::Block(block) = member.content
                && seen.insert(self.zone.arena.get(block.from as usize..block.to as usize))
            {
                blocks.push(block);
            }
        }
        match (together, &blocks[..]) {
            ([Compiled { content: Held::Alias(alias), .. }, ..], _) => self.alias(alias, rtype, path),
            (_, [one]) => vec![(1.0, Leaf::Block(*one))],
            _ => vec![(1.0, Leaf::Several(blocks.into()))],
        }
    }

    fn alias(&mut self, alias: &Alias, rtype: Rtype, path: &mut Vec<usize>) -> Vec<Way> {
        if alias.is_inside {
            self.target(alias.target.as_ref(), rtype, path)
        } else {
            vec![(1.0, Leaf::Outside(alias.target.clone()))]
        }
    }

    /// What a name of the zone comes to for an alias.
    fn target(&mut self, name: NameRef<'_>, rtype: Rtype, path: &mut Vec<usize>) -> Vec<Way> {
        let end = |leaf| vec![(1.0, leaf)];
        let (at, rrset) = match self.zone.stands_at(name, rtype) {
            Stands::Nowhere => return end(Leaf::Nothing),
            Stands::Elsewhere => return end(Leaf::Outside(name.to_owned())),
            Stands::At(at, _) if path.contains(&at) => return end(Leaf::Loop),
            Stands::At(at, rrset) => (at, rrset),
        };
        if self.goes_on_too_long(1, path) {
            return Vec::new();
        }
        path.push(at);
        let ways = match (rrset.alias(), rrset.group()) {
            (Some(alias), _) if alias.at == AliasAt::Outside => end(Leaf::Outside(alias.target.to_owned())),
            (Some(alias), _) => self.target(alias.target, rtype, path),
            (None, Some(number)) => self.group(number, path),
            (None, None) if rrset.deferred().is_some() => end(Leaf::Outside(name.to_owned())),
            (None, None) => end(Leaf::Node(at)),
        };
        path.pop();
        ways
    }

    /// The sets that may be given, with the odds of each lot of them. None: nobody is given any.
    pub(super) fn choose<'g>(
        &mut self,
        group: &'g Group,
        path: &mut Vec<usize>,
    ) -> Vec<(f64, Vec<&'g Compiled>)> {
        let members = self.candidates(group);
        let Some(first) = members.first() else { return Vec::new() };
        if first.policy == Policy::Simple {
            return vec![(1.0, vec![first])];
        }
        let mut healthy = members.clone();
        healthy.retain(|member| self.is_healthy(member, group.rtype, path));
        // Where nothing is healthy all counts as if it were.
        let eligible = if healthy.is_empty() { members } else { healthy };
        match eligible.first().map(|member| &member.policy) {
            Some(Policy::Weighted(_)) => weighted(&eligible),
            Some(Policy::Multivalue) if group.rtype != Rtype::CNAME => vec![(1.0, eligible)],
            Some(Policy::Multivalue) => evenly(&eligible),
            _ => eligible.first().map(|&member| (1.0, vec![member])).into_iter().collect(),
        }
    }
}

/// By weight; what has none is given only where nothing else is left.
fn weighted<'g>(eligible: &[&'g Compiled]) -> Vec<(f64, Vec<&'g Compiled>)> {
    let weight = |member: &Compiled| if let Policy::Weighted(weight) = member.policy { weight } else { 0 };
    let total: f64 = eligible.iter().map(|member| f64::from(weight(member))).sum();
    if total == 0.0 {
        return evenly(eligible);
    }
    let heavy = eligible.iter().filter(|member| weight(member) > 0);
    heavy.map(|&member| (f64::from(weight(member)) / total, vec![member])).collect()
}

fn evenly<'g>(eligible: &[&'g Compiled]) -> Vec<(f64, Vec<&'g Compiled>)> {
    eligible.iter().map(|&member| (1.0 / eligible.len() as f64, vec![member])).collect()
}
