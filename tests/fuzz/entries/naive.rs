//! A zone looked up without any index, as RFC 1034 §4.3.2 and RFC 4592 tell it.

use std::collections::{BTreeMap, BTreeSet};

use zonelet::wire::{Name, NameRef, Rtype};
use zonelet::zone::{
    Alias, Body, Content, DeferredReason, Lookup, Member, Policy, RecordSet, ZoneData, rdata,
};

/// Most bytes of records in one RRset: 64 KiB less header, longest question and OPT.
const MAX_BLOCK: usize = 65_535 - 12 - 255 - 4 - 64;

/// What a zone has at one owner and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// These records, in order.
    Records(u32, BTreeSet<Vec<u8>>),
    /// Another name's.
    Alias(Alias),
    /// One of several sets.
    Choice,
    /// Only the origin knows.
    Deferred(DeferredReason),
}

/// What a lookup says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Answer(u32, BTreeSet<Vec<u8>>),
    Cname(u32, BTreeSet<Vec<u8>>),
    Any,
    NoData,
    NxDomain,
    Delegated,
    Deferred(DeferredReason),
    Outside(Name),
    Loop,
    Choice,
}

impl From<Lookup<'_>> for Said {
    fn from(lookup: Lookup<'_>) -> Self {
        match lookup {
            Lookup::Answer(set) => Self::Answer(set.ttl(), set.rdata().map(<[u8]>::to_vec).collect()),
            Lookup::Cname(set) => Self::Cname(set.ttl(), set.rdata().map(<[u8]>::to_vec).collect()),
            Lookup::Any => Self::Any,
            Lookup::NoData => Self::NoData,
            Lookup::NxDomain => Self::NxDomain,
            Lookup::Delegated => Self::Delegated,
            Lookup::Deferred(reason) => Self::Deferred(reason),
            Lookup::Outside(target) => Self::Outside(target.to_owned()),
            Lookup::Loop => Self::Loop,
            Lookup::Choice(_) => Self::Choice,
        }
    }
}

/// A zone as a list of owners.
pub struct Naive {
    apex: Name,
    owners: Vec<(Name, BTreeMap<Rtype, Held>)>,
}

impl Naive {
    pub fn of(data: &ZoneData) -> Self {
        let mut zone = Self { apex: data.apex.clone(), owners: Vec::new() };
        for set in data.sets.iter().filter(|set| stands(set, &data.apex)) {
            if zone.types_at(set.owner.as_ref()).is_none() {
                zone.owners.push((set.owner.clone(), types_of(data, &set.owner)));
            }
        }
        zone
    }

    fn types_at(&self, owner: NameRef<'_>) -> Option<&BTreeMap<Rtype, Held>> {
        self.owners.iter().find(|(name, _)| name.as_ref() == owner).map(|(_, types)| types)
    }

    /// Whether the zone has `owner` and a set of type `rtype` there.
    pub fn has(&self, owner: NameRef<'_>, rtype: Rtype) -> bool {
        self.types_at(owner).is_some_and(|types| types.contains_key(&rtype))
    }

    fn exists(&self, name: NameRef<'_>) -> bool {
        name == self.apex.as_ref() || self.owners.iter().any(|(owner, _)| owner.as_ref().is_at_or_below(name))
    }

    /// Whether names below `owner` are not of this zone.
    fn ends_at(&self, owner: NameRef<'_>) -> bool {
        let delegates = owner != self.apex.as_ref() && !owner.is_wildcard() && self.has(owner, Rtype::NS);
        delegates || self.has(owner, Rtype::DNAME)
    }

    /// `qname` is at or below the apex.
    pub fn lookup(&self, qname: NameRef<'_>, qtype: Rtype) -> Said {
        match self.source(qname) {
            Ok(owner) => self.at(owner.as_ref(), qtype),
            Err(said) => said,
        }
    }

    /// The owner whose records answer for `qname`: itself, or a wildcard.
    fn source(&self, qname: NameRef<'_>) -> Result<Name, Said> {
        let within = |name: &NameRef<'_>| name.is_at_or_below(self.apex.as_ref());
        let mut path: Vec<_> = qname.suffixes().take_while(within).filter(|n| self.exists(*n)).collect();
        let Some(&closest_encloser) = path.first() else { panic!("the apex exists") };
        path.retain(|&name| name != qname);
        if path.iter().any(|&ancestor| self.ends_at(ancestor)) {
            return Err(Said::Delegated);
        }
        if closest_encloser == qname {
            return Ok(qname.to_owned());
        }
        match Name::child(b"*", closest_encloser) {
            Ok(source) if self.exists(source.as_ref()) => Ok(source),
            _ => Err(Said::NxDomain),
        }
    }

    /// What an alias of type `rtype` at `owner` is answered with.
    fn follow(&self, owner: NameRef<'_>, alias: &Alias, rtype: Rtype, qtype: Rtype) -> Said {
        let (mut alias, mut passed) = (alias.clone(), vec![owner.to_owned()]);
        while alias.is_inside {
            let source = match self.source(alias.target.as_ref()) {
                Ok(source) if passed.contains(&source) => return Said::Loop,
                Ok(source) => source,
                Err(Said::NxDomain) => return Said::NoData,
                Err(_) => return Said::Outside(alias.target),
            };
            let at = source.as_ref();
            if self.ends_at(at) && !self.has(at, Rtype::DNAME) && rtype != Rtype::DS {
                return Said::Outside(alias.target);
            }
            match self.types_at(at).and_then(|types| types.get(&rtype)) {
                Some(Held::Alias(next)) => alias = next.clone(),
                Some(Held::Deferred(reason)) => return Said::Deferred(*reason),
                Some(Held::Records(ttl, set)) if rtype == qtype => return Said::Answer(*ttl, set.clone()),
                Some(Held::Records(ttl, set)) => return Said::Cname(*ttl, set.clone()),
                None if self.has(at, Rtype::ANY) => return Said::Outside(alias.target),
                Some(Held::Choice) => return Said::Choice,
                None => return Said::NoData,
            }
            passed.push(source);
        }
        Said::Outside(alias.target)
    }

    fn at(&self, owner: NameRef<'_>, qtype: Rtype) -> Said {
        if self.ends_at(owner) && !self.has(owner, Rtype::DNAME) && qtype != Rtype::DS {
            return Said::Delegated;
        }
        let none = BTreeMap::new();
        let types = self.types_at(owner).unwrap_or(&none);
        let is_alias = !types.contains_key(&qtype) && types.contains_key(&Rtype::CNAME);
        let rtype = if is_alias { Rtype::CNAME } else { qtype };
        match (qtype, types.get(&rtype), types.get(&Rtype::ANY)) {
            (Rtype::ANY, ..) => Said::Any,
            (_, Some(Held::Alias(alias)), _) => self.follow(owner, alias, rtype, qtype),
            (_, Some(Held::Choice), _) => Said::Choice,
            (_, Some(Held::Deferred(reason)), _) => Said::Deferred(*reason),
            (_, Some(Held::Records(ttl, set)), _) if is_alias => Said::Cname(*ttl, set.clone()),
            (_, Some(Held::Records(ttl, set)), _) => Said::Answer(*ttl, set.clone()),
            (_, None, Some(Held::Deferred(reason))) => Said::Deferred(*reason),
            (_, None, _) => Said::NoData,
        }
    }
}

/// Whether a set can be part of the zone at all.
fn stands(set: &RecordSet, apex: &Name) -> bool {
    let stands_for_others = set.rtype == Rtype::ANY && matches!(set.body, Body::Deferred(_));
    set.owner.as_ref().is_at_or_below(apex.as_ref())
        && (stands_for_others || !set.rtype.is_meta())
        && set.rtype.0 != 0
        && (set.rtype != Rtype::SOA || set.owner == *apex)
}

fn types_of(data: &ZoneData, owner: &Name) -> BTreeMap<Rtype, Held> {
    let sets = data.sets.iter().filter(|set| set.owner == *owner && stands(set, &data.apex));
    let types: BTreeSet<Rtype> = sets.clone().map(|set| set.rtype).collect();
    let mut held: BTreeMap<Rtype, Held> = types
        .into_iter()
        .map(|rtype| (rtype, held(rtype, sets.clone().filter(|set| set.rtype == rtype))))
        .collect();
    if *owner == data.apex {
        held.remove(&Rtype::CNAME);
    } else if held.contains_key(&Rtype::CNAME) {
        held.retain(|&rtype, _| rtype == Rtype::CNAME);
    }
    held
}

fn held<'d>(rtype: Rtype, sets: impl Iterator<Item = &'d RecordSet>) -> Held {
    let (mut least, mut all, mut members) = (u32::MAX, BTreeSet::new(), Vec::new());
    for set in sets {
        match &set.body {
            Body::Deferred(DeferredReason::Choice) if !members.is_empty() => {
                return Held::Deferred(DeferredReason::Choice);
            }
            Body::Member(member) => members.push(&**member),
            _ if !members.is_empty() => {}
            Body::Deferred(DeferredReason::Unknown) => {}
            Body::Deferred(reason) => return Held::Deferred(*reason),
            Body::Alias(alias) => return Held::Alias(alias.clone()),
            Body::Records { ttl, rdata } => {
                let good: Vec<_> = rdata.iter().filter(|r| rdata::check(rtype, r).is_ok()).collect();
                if !good.is_empty() {
                    least = least.min(if *ttl > i32::MAX as u32 { 0 } else { *ttl });
                }
                all.extend(good.into_iter().map(|r| r.to_vec()));
            }
        }
    }
    if !members.is_empty() {
        return if is_sound(rtype, &members) { Held::Choice } else { Held::Deferred(DeferredReason::Choice) };
    }
    if matches!(rtype, Rtype::CNAME | Rtype::SOA) {
        all = all.into_iter().take(1).collect();
    }
    let size: usize = all.iter().map(|r| 12 + r.len()).sum();
    if all.is_empty() || size > MAX_BLOCK {
        return Held::Deferred(DeferredReason::Unknown);
    }
    Held::Records(least, all)
}

/// Whether one of these sets can be chosen here. A Region is not known.
fn is_sound(rtype: Rtype, members: &[&Member]) -> bool {
    let kind = |member: &Member| std::mem::discriminant(&member.policy);
    let is_one_kind = members.iter().all(|member| kind(member) == kind(members[0]));
    let is_by_place = matches!(members[0].policy, Policy::Latency(_) | Policy::Geolocation(_));
    let mut size = 12;
    for member in members {
        let Content::Records { rdata, .. } = &member.content else { continue };
        let is_good = rdata.iter().all(|value| rdata::check(rtype, value).is_ok());
        if !is_good || rdata.is_empty() || (rtype == Rtype::CNAME && rdata.len() > 1) {
            return false;
        }
        size += rdata.iter().map(|value| 12 + value.len()).sum::<usize>();
    }
    is_one_kind
        && !is_by_place
        && size <= MAX_BLOCK
        && (members.len() == 1 || members[0].policy != Policy::Simple)
}
