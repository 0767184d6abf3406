//! The part of a walk behind an alias of a name elsewhere: what upstreams say of that name is answered
//! under the owner, with no CNAME to be seen.

use super::{End, MAX_RESTARTS, Missing, Step, Walk, Why, done, failed};
use crate::answer::miss::Fetched;
use crate::cache::{CacheKey, EntryRef};
use crate::metrics::AnswerSource;
use crate::upstream::Question;
use crate::wire::learned::RecordView;
use crate::wire::response::{Full, NameAt};
use crate::wire::{LearnedRef, Name, NameRef, Outcome, Rcode, Rtype};
use crate::zone::Zone;

/// What came of looking for one name of the target's chain.
enum Part {
    /// The walk's step is found.
    Found(Step),
    /// The chain goes on at this name.
    On(Name),
}

impl<'w> Walk<'w, '_, '_, '_> {
    /// Answers with the records that `target` has of the type asked for, their TTL the least of its
    /// chain; with NODATA where it has none, since the owner exists.
    pub(super) fn flattened(
        &mut self,
        zone: &'w Zone,
        owner: NameAt<'_>,
        target: NameRef<'w>,
        first: bool,
    ) -> Result<Step, Full> {
        let (mut ttl, mut next): (u32, Option<Name>) = (u32::MAX, None);
        for _ in 0..=MAX_RESTARTS {
            let name = next.as_ref().map_or(target, Name::as_ref);
            match self.part(zone, owner, name, &mut ttl, first)? {
                Part::Found(step) => return Ok(step),
                Part::On(name) => next = Some(name),
            }
        }
        Ok(Step::End(End::Failed(Why::ChainTooLong)))
    }

    /// Looks for what upstreams say of one name: among what was fetched for this query, then in the cache.
    fn part(
        &mut self,
        zone: &'w Zone,
        owner: NameAt<'_>,
        name: NameRef<'_>,
        ttl: &mut u32,
        first: bool,
    ) -> Result<Part, Full> {
        let resolved = self.resolved;
        if let Some(resolved) = resolved.iter().find(|r| r.question.qname() == name) {
            self.came_from(AnswerSource::Upstream, first);
            return match &resolved.fetched {
                Fetched::Entry(entry) => self.flatten(zone, owner, entry.view(), ttl),
                Fetched::Failed(failure) => Ok(Part::Found(failed(Why::Upstream(failure.clone())))),
            };
        }
        let (dnssec_ok, checking_disabled) = (self.dnssec_ok, self.checking_disabled);
        let key = CacheKey { qname: name, qtype: self.qtype, dnssec_ok, checking_disabled };
        let (cache, now) = (self.cache, self.view.now);
        self.came_from(AnswerSource::Cache, first);
        if let Some(part) = cache.with(&key, now, |entry| self.flatten(zone, owner, entry, ttl)) {
            return part;
        }
        Ok(Part::Found(match cache.failure(&key, now) {
            Some(failure) => failed(Why::Upstream(failure)),
            None => {
                let question = Question::new(name, self.qtype);
                Step::End(End::Missing(Missing { question, must_exist: false }))
            }
        }))
    }

    fn came_from(&mut self, source: AnswerSource, first: bool) {
        if first {
            self.source = source;
        }
    }

    fn flatten(
        &mut self,
        zone: &'w Zone,
        owner: NameAt<'_>,
        entry: EntryRef<'_>,
        ttl: &mut u32,
    ) -> Result<Part, Full> {
        let (learned, age) = (entry.learned, self.view.now.secs_since(entry.stored));
        let answers = learned.records().take(learned.answers.into());
        *ttl = answers.map(|record| record.ttl.saturating_sub(age)).fold(*ttl, u32::min);
        match (learned.outcome, learned.chain_target()) {
            (Outcome::Answer, _) => self.copy_flat(owner.at, learned, *ttl).map(Part::Found),
            (Outcome::OpenChain, Some(name)) => Ok(Part::On(name.to_owned())),
            (Outcome::NoData | Outcome::NxDomain, _) => {
                let left = learned.lifetime.saturating_sub(age).min(*ttl);
                self.empty(zone, owner, left).map(Part::Found)
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
