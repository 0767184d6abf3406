//! The record sets of one owner settled into the RRsets that are served: checks, merges, conflicts.

use super::data::{Alias, Body, DeferredReason, RecordSet, SkipReason, Skipped};
use super::rdata;
use super::rows::skip;
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
    from: usize,
    to: usize,
}

impl Settled<'_> {
    /// Whether it has records of its own.
    pub fn is_plain(&self) -> bool {
        self.alias.is_none() && self.deferred.is_none()
    }

    /// Whether it stands against records of the same owner and type.
    fn is_decided(&self) -> bool {
        let at_origin = [Some(DeferredReason::Flattened), Some(DeferredReason::Choice)];
        self.alias.is_some() || at_origin.contains(&self.deferred)
    }
}

/// The RRsets of one owner by ascending type; used for one owner after another.
#[derive(Debug, Default)]
pub(super) struct RrsetsOf<'d> {
    rrsets: Vec<Settled<'d>>,
    values: Vec<&'d [u8]>,
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
        sets.for_each(|set| self.merge(set, skipped));
        self.sort();
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
        self.values.get(rrset.from..rrset.to).unwrap_or_default()
    }

    /// Gives the owner this SOA, unless it has a usable one.
    pub fn ensure_soa(&mut self, ttl: u32, rdata: &'d [u8]) {
        if self.rrsets.iter().any(|r| r.rtype == Rtype::SOA && r.is_plain()) {
            return;
        }
        self.rrsets.retain(|r| r.rtype != Rtype::SOA);
        let from = self.values.len();
        self.values.push(rdata);
        let soa = Settled { rtype: Rtype::SOA, ttl, alias: None, deferred: None, from, to: from + 1 };
        let place = self.rrsets.partition_point(|r| r.rtype < Rtype::SOA);
        self.rrsets.insert(place, soa);
    }

    fn merge(&mut self, set: &'d RecordSet, skipped: &mut Vec<Skipped>) {
        let incoming = self.take_values(set, skipped);
        let Some(standing) = self.rrsets.last_mut().filter(|standing| standing.rtype == set.rtype) else {
            return self.rrsets.push(incoming);
        };
        if standing.is_decided() {
            return self.values.truncate(standing.to);
        }
        match (standing.deferred, incoming.deferred) {
            (None, None) if incoming.alias.is_none() => {
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
        let mut settled = Settled { rtype: set.rtype, ttl: 0, alias: None, deferred: None, from, to: from };
        match &set.body {
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
        for rrset in &mut self.rrsets {
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
        for rrset in self.rrsets.iter_mut().filter(|rrset| rrset.rtype == rtype && rrset.deferred.is_none()) {
            for _ in rrset.from + 1..rrset.to {
                let detail = format!("only one {rtype} record can stand here");
                skip(skipped, owner, rtype, SkipReason::Conflict, detail);
            }
            rrset.to = rrset.to.min(rrset.from + 1);
        }
    }

    fn defer_the_large(&mut self, owner: &Name, skipped: &mut Vec<Skipped>) {
        for rrset in &mut self.rrsets {
            let values = self.values.get(rrset.from..rrset.to).unwrap_or_default();
            let size: usize = values.iter().map(|value| 12 + value.len()).sum();
            if size > MAX_BLOCK {
                let detail = format!("{size} bytes do not fit in one message");
                skip(skipped, owner, rrset.rtype, SkipReason::TooLarge, detail);
                *rrset = Settled { deferred: Some(DeferredReason::Unknown), to: rrset.from, ..*rrset };
            }
        }
    }
}
