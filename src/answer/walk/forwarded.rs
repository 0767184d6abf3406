//! The part of a walk that is in nobody's zone: from what was fetched, the cache, or not yet known.

use std::sync::Arc;

use super::{End, Fallback, Missing, Step, Walk, Why};
use crate::answer::miss::Fetched;
use crate::cache::{CacheKey, Entry};
use crate::metrics::AnswerSource;
use crate::upstream::Question;
use crate::wire::learned::{Outcome, Sections};
use crate::wire::query::HEADER;
use crate::wire::response::{Full, NameAt};
use crate::wire::{Learned, NameRef, Rcode, Rtype, Suffixes};
use crate::zone::{Authority, WhenUnloaded};

impl<'w> Walk<'w, '_, '_, '_> {
    /// Answers a name that an upstream decides on.
    pub(super) fn forwarded(&mut self, owner: NameAt<'_>, fallback: Fallback<'w>) -> Result<Step, Full> {
        let entry = match self.known(owner.name, fallback) {
            Ok(entry) => entry,
            Err(end) => return Ok(Step::End(end)),
        };
        if entry.learned.denies_qname() {
            match fallback {
                Fallback::MustExist => return Ok(Step::End(End::Failed(Why::Denied))),
                Fallback::NoData(zone) => {
                    self.local(owner.at == HEADER);
                    return self.negative(zone, owner, Rcode::NOERROR);
                }
                Fallback::None => {}
            }
        }
        self.learned(owner, &entry)
    }

    /// What is known of a forwarded name: fetched for this query, cached, or a remembered failure.
    fn known(&mut self, name: NameRef<'_>, fallback: Fallback<'_>) -> Result<Arc<Entry>, End> {
        if let Some(resolved) = self.resolved.iter().find(|r| r.question.qname() == name) {
            self.source = AnswerSource::Upstream;
            return match &resolved.fetched {
                Fetched::Entry(entry) => Ok(Arc::clone(entry)),
                Fetched::Failed(failure) => Err(End::Failed(Why::Upstream(Arc::clone(failure)))),
            };
        }
        let key = CacheKey {
            qname: name,
            qtype: self.qtype,
            dnssec_ok: self.dnssec_ok,
            checking_disabled: self.checking_disabled,
        };
        let must_exist = matches!(fallback, Fallback::MustExist);
        match self.cache.get(&key, self.view.now) {
            // A denial learned before the name was imported says nothing now.
            Some(entry) if must_exist && entry.learned.denies_qname() => {}
            Some(entry) => return Ok(entry),
            None => {}
        }
        match self.cache.failure(&key, self.view.now) {
            Some(failure) => Err(End::Failed(Why::Upstream(failure))),
            None => {
                let question = Question::new(name, self.qtype);
                Err(End::Missing(Missing { question, must_exist }))
            }
        }
    }

    /// Copies a learned answer. Its chain is left where it enters a zone of ours, which knows
    /// better than the upstream, and gone on with where the upstream did not follow it.
    fn learned(&mut self, owner: NameAt<'_>, entry: &Arc<Entry>) -> Result<Step, Full> {
        let learned = &entry.learned;
        let start = self.response.position();
        self.authentic &= learned.authentic;
        if let Some((records, target)) = self.enters_zone(learned) {
            self.copy(owner, entry, Sections::First(records))?;
            return Ok(Step::Restart(start + target));
        }
        if let (Outcome::OpenChain, Some(target)) = (learned.outcome, learned.chain_end()) {
            self.copy(owner, entry, Sections::Answers)?;
            return Ok(Step::Restart(start + target.start));
        }
        self.copy(owner, entry, Sections::Both)?;
        Ok(Step::End(End::Done { rcode: learned.rcode, ede: Some(Arc::clone(entry)) }))
    }

    fn copy(&mut self, owner: NameAt<'_>, entry: &Entry, sections: Sections) -> Result<(), Full> {
        let age = self.view.now.secs_since(entry.stored);
        self.response.learned(owner.at, &entry.learned, age, sections, self.rotate as usize)
    }

    /// The first CNAME whose target a zone of ours answers: how many records lead up to it, its own
    /// included, and where its target stands in the block.
    fn enters_zone(&self, learned: &Learned) -> Option<(u16, usize)> {
        if self.view.table.entries().is_empty() || self.qtype == Rtype::CNAME {
            return None;
        }
        for (index, record) in learned.records().take(usize::from(learned.answers)).enumerate() {
            if record.rtype != Rtype::CNAME {
                continue;
            }
            let mut target = Suffixes::default();
            target.read(learned.block.get(record.rdata.clone())?)?;
            let here = self.view.table.find(&target);
            if matches!(here, Some((_, Authority::Loaded(_) | Authority::Unloaded(WhenUnloaded::Fail)))) {
                return Some((index as u16 + 1, record.rdata.start));
            }
        }
        None
    }
}
