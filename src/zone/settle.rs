//! The record sets of one owner settled into the RRsets that are served: checks, merges, conflicts.

use super::data::{Alias, Body, Content, DeferredReason, Member, Policy, RecordSet, SkipReason, Skipped};
use super::rows::skip;
use super::{node, rdata};
use crate::wire::{Name, Rtype};

/// The largest RRset that fits beside the longest question and an OPT record in a message.
const MAX_BLOCK: usize = 65_535 - 12 - 255 - 4 - 64;

/// One RRset, its records among those of its owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled<'d> {
    pub rtype: Rtype,
    pub ttl: u32,
    pub alias: Option<&'d Alias>,
    pub deferred: Option<DeferredReason>,
    /// Whether a policy chooses among members.
    pub is_chosen: bool,
    /// Its values, or its members.
    from: usize,
    to: usize,
}

impl Settled<'_> {
    fn empty(rtype: Rtype, from: usize) -> Self {
        Self { rtype, ttl: 0, alias: None, deferred: None, is_chosen: false, from, to: from }
    }

    /// Whether it has records of its own.
    pub fn is_plain(&self) -> bool {
        self.alias.is_none() && self.deferred.is_none() && !self.is_chosen
    }

    /// Whether it stands against records of the same owner and type.
    fn is_decided(&self) -> bool {
        let at_origin = [Some(DeferredReason::Flattened), Some(DeferredReason::Choice)];
        self.alias.is_some() || self.is_chosen || at_origin.contains(&self.deferred)
    }
}

/// The RRsets of one owner by ascending type; used for one owner after another.
#[derive(Debug, Default)]
pub(super) struct RrsetsOf<'d> {
    rrsets: Vec<Settled<'d>>,
    values: Vec<&'d [u8]>,
    members: Vec<&'d Member>,
}

impl<'d> RrsetsOf<'d> {
    /// Settles what `sets`, all of `owner` and sorted by type, come to.
    pub fn settle(
        &mut self,
        owner: &Name,
        is_apex: bool,
        sets: impl Iterator<Item = &'d RecordSet>,
        skipped: &mut Vec<Skipped>,
    ) {
        self.rrsets.clear();
        self.values.clear();
        self.members.clear();
        sets.for_each(|set| self.merge(set, skipped));
        self.sort();
        self.settle_choices(owner, skipped);
        self.settle_cname(owner, is_apex, skipped);
        self.keep_one(owner, Rtype::CNAME, skipped);
        self.keep_one(owner, Rtype::SOA, skipped);
        self.defer_the_large(owner, skipped);
    }

    /// The RRsets by ascending type.
    pub fn iter(&self) -> impl Iterator<Item = &Settled<'d>> {
        self.rrsets.iter()
    }

    /// Whether there is an RRset of this type, deferred or not.
    pub fn has(&self, rtype: Rtype) -> bool {
        self.rrsets.iter().any(|rrset| rrset.rtype == rtype)
    }

    /// The RDATA of one of them, sorted and distinct.
    pub fn values(&self, rrset: &Settled<'_>) -> &[&'d [u8]] {
        if rrset.is_chosen { &[] } else { self.values.get(rrset.from..rrset.to).unwrap_or_default() }
    }

    /// The sets that one of them is chosen among.
    pub fn members(&self, rrset: &Settled<'_>) -> &[&'d Member] {
        if rrset.is_chosen { self.members.get(rrset.from..rrset.to).unwrap_or_default() } else { &[] }
    }

    /// Gives the owner this SOA, unless it has a usable one.
    pub fn ensure_soa(&mut self, ttl: u32, rdata: &'d [u8]) {
        if self.rrsets.iter().any(|r| r.rtype == Rtype::SOA && r.is_plain()) {
            return;
        }
        self.rrsets.retain(|r| r.rtype != Rtype::SOA);
        let from = self.values.len();
        self.values.push(rdata);
        let soa = Settled { ttl, to: from + 1, ..Settled::empty(Rtype::SOA, from) };
        let place = self.rrsets.partition_point(|r| r.rtype < Rtype::SOA);
        self.rrsets.insert(place, soa);
    }

    fn merge(&mut self, set: &'d RecordSet, skipped: &mut Vec<Skipped>) {
        let incoming = self.take_values(set, skipped);
        let Some(standing) = self.rrsets.last_mut().filter(|standing| standing.rtype == set.rtype) else {
            return self.rrsets.push(incoming);
        };
        match (standing.is_chosen, incoming.is_chosen, incoming.deferred) {
            (true, true, _) => return standing.to = incoming.to,
            // One set of the group cannot be told: nobody knows when it would be chosen.
            (true, _, Some(DeferredReason::Choice)) => return *standing = incoming,
            (true, ..) => return,
            _ if standing.is_decided() => {
                if !incoming.is_chosen {
                    self.values.truncate(standing.to);
                }
                return;
            }
            _ => {}
        }
        match (standing.deferred, incoming.deferred) {
            (None, None) if incoming.is_plain() => {
                // One RRset has one TTL; the lowest is the safe one (RFC 2181 §5.2).
                standing.ttl = standing.ttl.min(incoming.ttl);
                standing.to = incoming.to;
            }
            // What could not be read yields to records beside it; a choice at the origin does not.
            (None, Some(DeferredReason::Unknown)) => {}
            _ => *standing = incoming,
        }
    }

    /// The records of one set that can be served, put behind those that are here; none left makes
    /// the RRset one that only the origin can answer, since its owner exists and must not turn into
    /// NXDOMAIN or NODATA.
    fn take_values(&mut self, set: &'d RecordSet, skipped: &mut Vec<Skipped>) -> Settled<'d> {
        let from = self.values.len();
        let mut settled = Settled::empty(set.rtype, from);
        match &set.body {
            Body::Member(member) => {
                let from = self.members.len();
                self.members.push(member);
                return Settled { is_chosen: true, from, to: from + 1, ..settled };
            }
            Body::Deferred(reason) => settled.deferred = Some(*reason),
            Body::Alias(alias) => settled.alias = Some(alias),
            Body::Records { ttl, rdata } => {
                for value in rdata {
                    match rdata::check(set.rtype, value) {
                        Ok(()) => self.values.push(value),
                        Err(problem) => {
                            skip(skipped, &set.owner, set.rtype, SkipReason::BadValue, problem.to_owned());
                        }
                    }
                }
                settled.to = self.values.len();
                settled.deferred = (settled.to == from).then_some(DeferredReason::Unknown);
                // The top bit of a TTL is not data (RFC 2181 §8).
                settled.ttl = if *ttl > i32::MAX as u32 { 0 } else { *ttl };
            }
        }
        settled
    }

    /// Records have no order within an RRset and stand in it once (RFC 2181 §5).
    fn sort(&mut self) {
        for rrset in self.rrsets.iter_mut().filter(|rrset| !rrset.is_chosen) {
            let Some(values) = self.values.get_mut(rrset.from..rrset.to) else { continue };
            if values.len() < 2 {
                continue;
            }
            values.sort_unstable();
            let mut kept = 1;
            for at in 1..values.len() {
                if values[at] != values[kept - 1] {
                    values[kept] = values[at];
                    kept += 1;
                }
            }
            rrset.to = rrset.from + kept;
        }
    }

    /// A choice that cannot be made here is the origin's: sets of different policies, or too many bytes,
    /// or one of which no value can be served.
    fn settle_choices(&mut self, owner: &Name, skipped: &mut Vec<Skipped>) {
        for rrset in self.rrsets.iter_mut().filter(|rrset| rrset.is_chosen) {
            let members = self.members.get(rrset.from..rrset.to).unwrap_or_default();
            let problem = problem_of(members, rrset.rtype);
            if let Some((reason, detail)) = problem {
                skip(skipped, owner, rrset.rtype, reason, detail);
                *rrset = Settled {
                    deferred: Some(DeferredReason::Choice),
                    is_chosen: false,
                    to: rrset.from,
                    ..*rrset
                };
            }
        }
    }

    /// No other data beside a CNAME (RFC 1034 §3.6.2): at the apex the CNAME goes, elsewhere the rest.
    fn settle_cname(&mut self, owner: &Name, is_apex: bool, skipped: &mut Vec<Skipped>) {
        if !self.has(Rtype::CNAME) {
            return;
        }
        if is_apex {
            self.rrsets.retain(|rrset| rrset.rtype != Rtype::CNAME);
            let detail = "a CNAME cannot stand at the apex".to_owned();
            return skip(skipped, owner, Rtype::CNAME, SkipReason::Conflict, detail);
        }
        self.rrsets.retain(|rrset| {
            let keep = rrset.rtype == Rtype::CNAME;
            if !keep {
                let detail = "stands beside a CNAME".to_owned();
                skip(skipped, owner, rrset.rtype, SkipReason::Conflict, detail);
            }
            keep
        });
    }

    fn keep_one(&mut self, owner: &Name, rtype: Rtype, skipped: &mut Vec<Skipped>) {
        for rrset in self.rrsets.iter_mut().filter(|rrset| rrset.rtype == rtype && rrset.is_plain()) {
            for _ in rrset.from + 1..rrset.to {
                let detail = format!("only one {rtype} record can stand here");
                skip(skipped, owner, rtype, SkipReason::Conflict, detail);
            }
            rrset.to = rrset.to.min(rrset.from + 1);
        }
    }

    fn defer_the_large(&mut self, owner: &Name, skipped: &mut Vec<Skipped>) {
        for rrset in self.rrsets.iter_mut().filter(|rrset| !rrset.is_chosen) {
            let values = self.values.get(rrset.from..rrset.to).unwrap_or_default();
            let size = node::size_of_block(values.iter().copied());
            if size > MAX_BLOCK {
                let detail = format!("{size} bytes do not fit in one message");
                skip(skipped, owner, rrset.rtype, SkipReason::TooLarge, detail);
                *rrset = Settled { deferred: Some(DeferredReason::Unknown), to: rrset.from, ..*rrset };
            }
        }
    }
}

/// Why one of these sets cannot be chosen here.
fn problem_of(members: &[&Member], rtype: Rtype) -> Option<(SkipReason, String)> {
    let kind = |member: &Member| std::mem::discriminant(&member.policy);
    let first = members.first()?;
    let is_mixed = members.iter().any(|member| kind(member) != kind(first));
    if is_mixed || (members.len() > 1 && first.policy == Policy::Simple) {
        return Some((SkipReason::Conflict, "sets of one name have different policies".to_owned()));
    }
    let mut size = 0;
    for member in members {
        let Content::Records { rdata, .. } = &member.content else { continue };
        if let Some(problem) = rdata.iter().find_map(|value| rdata::check(rtype, value).err()) {
            return Some((SkipReason::BadValue, format!("set {:?}: {problem}", member.identifier)));
        }
        if rdata.is_empty() || (rtype == Rtype::CNAME && rdata.len() > 1) {
            let detail = format!("set {:?} has {} values", member.identifier, rdata.len());
            return Some((SkipReason::Conflict, detail));
        }
        size += member.content.size_of_block();
    }
    let is_large = size + node::CHOICE > MAX_BLOCK;
    is_large.then(|| (SkipReason::TooLarge, format!("{size} bytes do not fit in one message")))
}
