//! The part of a walk that is in nobody's zone: from what was fetched, the cache, or not yet known.

use std::sync::Arc;

use super::trace::{Event, Trace};
use super::{End, Fallback, Missing, Step, Walk, Why, failed};
use crate::answer::miss::Fetched;
use crate::cache::{CacheKey, EntryRef};
use crate::metrics::AnswerSource;
use crate::upstream::Question;
use crate::wire::learned::{Outcome, Sections};
use crate::wire::query::HEADER;
use crate::wire::response::{Full, NameAt};
use crate::wire::{LearnedRef, NameRef, Rcode, Rtype, Suffixes};
use crate::zone::{Authority, WhenUnloaded};

impl<'w, T: Trace<'w>> Walk<'w, '_, '_, '_, T> {
    /// Answers a name that an upstream decides on: from what was fetched for this query, else from
    /// the cache.
    pub(super) fn forwarded(&mut self, owner: NameAt<'_>, fallback: Fallback<'w>) -> Result<Step, Full> {
        let must_exist = matches!(fallback, Fallback::MustExist);
        let note = |walk: &mut Self, source| {
            if source == AnswerSource::Upstream {
                walk.source = source;
            }
        };
        let known =
            self.consult(owner.name, must_exist, note, |walk, entry| walk.known(owner, fallback, entry));
        known.unwrap_or_else(Ok)
    }

    /// Hands to `serve` what upstreams say of a name: what was fetched for this query, else what the
    /// cache holds. `note` is told which before it is known what that is.
    ///
    /// # Errors
    /// How the walk goes on where they say nothing: with a failure, or something to be fetched.
    pub(super) fn consult<R>(
        &mut self,
        name: NameRef<'_>,
        must_exist: bool,
        note: impl Fn(&mut Self, AnswerSource),
        serve: impl FnOnce(&mut Self, EntryRef<'_>) -> R,
    ) -> Result<R, Step> {
        let resolved = self.resolved;
        self.trace.note(|| Event::Consult { name: name.to_owned(), must_exist });
        if let Some(resolved) = resolved.iter().find(|r| r.question.qname() == name) {
            note(self, AnswerSource::Upstream);
            self.trace.note(|| Event::Fetched(&resolved.fetched));
            return match &resolved.fetched {
                Fetched::Entry(entry) => Ok(serve(self, entry.view())),
                Fetched::Failed(failure) => Err(failed(Why::Upstream(Arc::clone(failure)))),
            };
        }
        note(self, AnswerSource::Cache);
        let key = self.key(name);
        let (cache, now) = (self.cache, self.view.now);
        let cached = cache.with(&key, now, |entry| {
            // A denial learned before the name was imported says nothing now.
            let is_believed = !(must_exist && entry.learned.denies_qname());
            self.trace.note(|| Event::Cached { entry: Arc::new(entry.to_owned()), is_believed });
            is_believed.then(|| serve(self, entry))
        });
        cached.flatten().ok_or_else(|| match cache.failure(&key, now) {
            Some(failure) => {
                self.trace.note(|| Event::Failed(Arc::clone(&failure)));
                failed(Why::Upstream(failure))
            }
            None => {
                let question = Question::new(name, self.qtype);
                Step::End(End::Missing(Missing { question, must_exist }))
            }
        })
    }

    /// What a name is found by in the cache.
    pub(super) fn key<'n>(&self, name: NameRef<'n>) -> CacheKey<'n> {
        CacheKey {
            qname: name,
            qtype: self.qtype,
            dnssec_ok: self.dnssec_ok,
            checking_disabled: self.checking_disabled,
        }
    }

    /// Says what is known of a name, as far as the fallback lets it stand.
    fn known(
        &mut self,
        owner: NameAt<'_>,
        fallback: Fallback<'w>,
        entry: EntryRef<'_>,
    ) -> Result<Step, Full> {
        if entry.learned.denies_qname() {
            match fallback {
                Fallback::MustExist => return Ok(failed(Why::Denied)),
                Fallback::NoData(zone) => {
                    self.local(owner.at == HEADER);
                    return self.negative(zone, owner, Rcode::NOERROR);
                }
                Fallback::None => {}
            }
        }
        self.learned(owner, entry)
    }

    /// Copies a learned answer. Its chain is left where it enters a zone of ours, which knows
    /// better than the upstream, and gone on with where the upstream did not follow it.
    fn learned(&mut self, owner: NameAt<'_>, entry: EntryRef<'_>) -> Result<Step, Full> {
        let learned = entry.learned;
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
        let ede = learned.ede.map(|(code, text)| Box::new((code, text.into())));
        Ok(Step::End(End::Done { rcode: learned.rcode, ede }))
    }

    fn copy(&mut self, owner: NameAt<'_>, entry: EntryRef<'_>, sections: Sections) -> Result<(), Full> {
        let age = self.view.now.secs_since(entry.stored);
        self.response.learned(owner.at, entry.learned, age, sections, self.rotate as usize)
    }

    /// The first CNAME whose target a zone of ours answers: how many records lead up to it, its own
    /// included, and where its target stands in the block.
    fn enters_zone(&self, learned: LearnedRef<'_>) -> Option<(u16, usize)> {
        let has_names = !self.view.table.entries().is_empty() || self.view.rules.local.is_some();
        if !has_names || self.qtype == Rtype::CNAME {
            return None;
        }
        for (index, record) in learned.records().take(usize::from(learned.answers)).enumerate() {
            if record.rtype != Rtype::CNAME {
                continue;
            }
            let mut target = Suffixes::default();
            target.read(learned.block.get(record.rdata.clone())?)?;
            let here = self.view.table.find(&target);
            let is_zones =
                matches!(here, Some((_, Authority::Loaded(_) | Authority::Unloaded(WhenUnloaded::Fail, _))));
            if is_zones || self.is_pinned(&target) {
                return Some((index as u16 + 1, record.rdata.start));
            }
        }
        None
    }
}
