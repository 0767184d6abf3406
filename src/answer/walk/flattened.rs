//! The part of a walk behind an alias of a name elsewhere: what upstreams say of that name is answered
//! under the owner, with no CNAME to be seen.

use std::sync::Arc;
use std::time::Duration;

use super::trace::{Event, Trace};
use super::{End, MAX_RESTARTS, Step, Walk, Why, done, failed};
use crate::cache::EntryRef;
use crate::metrics::AnswerSource;
use crate::upstream::Question;
use crate::wire::learned::RecordView;
use crate::wire::response::{Full, NameAt};
use crate::wire::{EdeCode, LearnedRef, Name, NameRef, Outcome, Rcode, Rtype};
use crate::zone::Zone;

/// How long ago an answer may have expired that is still given (RFC 8767 §4), and the TTL it then has,
/// seconds (§5).
const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
const STALE_TTL: u32 = 30;
/// What is said then.
const STALE: &str = "the upstreams fail for the target of the alias; this is what they said before";

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
    /// Something of it had expired.
    is_stale: bool,
}

impl<'w, T: Trace<'w>> Walk<'w, '_, '_, '_, T> {
    /// Answers with the records that `target` has of the type asked for, their TTL the least of its
    /// chain; with NODATA where it has none, since the owner exists. Where upstreams fail, what they
    /// said before is given for a while (RFC 8767).
    pub(super) fn flattened(
        &mut self,
        zone: &'w Zone,
        owner: NameAt<'_>,
        target: NameRef<'w>,
        first: bool,
    ) -> Result<Step, Full> {
        let mut flat = Flat { zone, owner, ttl: u32::MAX, is_stale: false };
        let mut next: Option<Name> = None;
        let note = |walk: &mut Self, source| {
            if first {
                walk.source = source;
            }
        };
        for _ in 0..=MAX_RESTARTS {
            let name = next.as_ref().map_or(target, Name::as_ref);
            let said = self.consult(name, false, note, |walk, entry| walk.flatten(&mut flat, name, entry));
            let mut part = match said {
                Ok(part) => part?,
                Err(step) => Part::Found(step),
            };
            if let Part::Found(Step::End(End::Failed(Why::Upstream(_) | Why::Target))) = part
                && let Some(stale) = self.stale(&mut flat, name)
            {
                part = stale?;
            }
            match part {
                Part::On(name) => next = Some(name),
                Part::Found(step) if flat.is_stale => {
                    note(self, AnswerSource::Stale);
                    return Ok(with_ede(step));
                }
                Part::Found(step) => return Ok(step),
            }
        }
        Ok(failed(Why::ChainTooLong))
    }

    /// What upstreams said of a name before they failed.
    fn stale(&mut self, flat: &mut Flat<'w, '_>, name: NameRef<'_>) -> Option<Result<Part, Full>> {
        let key = self.key(name);
        let (cache, now) = (self.cache, self.view.now);
        cache.with_stale(&key, now, MAX_STALE, |entry| {
            flat.is_stale = true;
            self.trace.note(|| Event::Stale(Arc::new(entry.to_owned())));
            self.flatten(flat, name, entry)
        })
    }

    fn flatten(
        &mut self,
        flat: &mut Flat<'w, '_>,
        name: NameRef<'_>,
        entry: EntryRef<'_>,
    ) -> Result<Part, Full> {
        let (learned, now) = (entry.learned, self.view.now);
        if self.due.is_none() && now < entry.expires && entry.is_due(now) {
            self.due = Some(Box::new(Question::new(name, self.qtype)));
        }
        let age = now.secs_since(entry.stored);
        let left = |ttl: u32| if flat.is_stale { ttl.min(STALE_TTL) } else { ttl.saturating_sub(age) };
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

/// Says that what is given had expired (RFC 8914 §4.4).
fn with_ede(step: Step) -> Step {
    match step {
        Step::End(End::Done { rcode, ede: None }) => {
            Step::End(End::Done { rcode, ede: Some(Box::new((EdeCode::STALE, STALE.into()))) })
        }
        step => step,
    }
}
