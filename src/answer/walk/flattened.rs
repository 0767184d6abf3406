//! The part of a walk behind an alias of a name elsewhere: what upstreams say of that name is answered
//! under the owner, with no CNAME to be seen.

use super::trace::Trace;
use super::{MAX_RESTARTS, Step, Walk, Why, done, failed};
use crate::cache::EntryRef;
use crate::wire::learned::RecordView;
use crate::wire::response::{Full, NameAt};
use crate::wire::{LearnedRef, Name, NameRef, Outcome, Rcode, Rtype};
use crate::zone::Zone;

/// What an upstream's word about one name of the target's chain comes to.
enum Part {
    /// The walk's step is found.
    Found(Step),
    /// The chain goes on at this name.
    On(Name),
}

/// An alias being followed at upstreams.
struct Flat<'w, 'a> {
    zone: &'w Zone,
    owner: NameAt<'a>,
    /// The least of the chain so far, seconds.
    ttl: u32,
}

impl<'w, T: Trace<'w>> Walk<'w, '_, '_, '_, T> {
    /// Answers with the records that `target` has of the type asked for, their TTL the least of its
    /// chain; with NODATA where it has none, since the owner exists.
    pub(super) fn flattened(
        &mut self,
        zone: &'w Zone,
        owner: NameAt<'_>,
        target: NameRef<'w>,
        first: bool,
    ) -> Result<Step, Full> {
        let mut flat = Flat { zone, owner, ttl: u32::MAX };
        let mut next: Option<Name> = None;
        let note = |walk: &mut Self, source| {
            if first {
                walk.source = source;
            }
        };
        for _ in 0..=MAX_RESTARTS {
            let name = next.as_ref().map_or(target, Name::as_ref);
            let said = self.consult(name, false, note, |walk, entry| walk.flatten(&mut flat, entry));
            match said.unwrap_or_else(|step| Ok(Part::Found(step)))? {
                Part::On(name) => next = Some(name),
                Part::Found(step) => return Ok(step),
            }
        }
        Ok(failed(Why::ChainTooLong))
    }

    fn flatten(&mut self, flat: &mut Flat<'w, '_>, entry: EntryRef<'_>) -> Result<Part, Full> {
        let (learned, now) = (entry.learned, self.view.now);
        let age = now.secs_since(entry.stored);
        let left = |ttl: u32| ttl.saturating_sub(age);
        let answers = learned.records().take(learned.answers.into());
        flat.ttl = answers.map(|record| left(record.ttl)).fold(flat.ttl, u32::min);
        match (learned.outcome, learned.chain_target()) {
            (Outcome::Answer, _) => self.copy_flat(flat.owner.at, learned, flat.ttl).map(Part::Found),
            (Outcome::OpenChain, Some(name)) => Ok(Part::On(name.to_owned())),
            (Outcome::NoData | Outcome::NxDomain, _) => {
                let left = left(learned.lifetime).min(flat.ttl);
                self.empty(flat.zone, flat.owner, left).map(Part::Found)
            }
            _ => Ok(Part::Found(failed(Why::Target))),
        }
    }

    /// Copies the records of the type asked for, turned as those of a zone are.
    fn copy_flat(&mut self, owner_at: usize, learned: LearnedRef<'_>, ttl: u32) -> Result<Step, Full> {
        let qtype = self.qtype;
        let wanted = || learned.records().filter(move |r| r.is_answer && r.rtype == qtype);
        let turned = self.rotate.checked_rem(wanted().count() as u64).unwrap_or(0) as usize;
        for RecordView { rdata, .. } in wanted().skip(turned).chain(wanted().take(turned)) {
            let rdata = learned.block.get(rdata).unwrap_or_default();
            self.response.record(false, owner_at, qtype, ttl, rdata)?;
        }
        Ok(done(Rcode::NOERROR))
    }

    /// NODATA, for as long as the zone and the upstream both say so.
    fn empty(&mut self, zone: &'w Zone, owner: NameAt<'_>, left: u32) -> Result<Step, Full> {
        let apex_at = owner.at + owner.name.as_bytes().len() - zone.apex().as_bytes().len();
        let soa = zone.soa().rdata().next().unwrap_or_default();
        self.response.record(true, apex_at, Rtype::SOA, zone.negative_ttl().min(left), soa)?;
        Ok(done(Rcode::NOERROR))
    }
}
