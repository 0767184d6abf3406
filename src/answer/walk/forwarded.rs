//! The part of a walk that is in nobody's zone: from what was fetched, the cache, or not yet known.

use std::sync::Arc;

use super::trace::{Event, Trace};
use super::{Due, End, Expired, Fallback, Missing, Step, Walk, Why, failed};
use crate::answer::miss::{Fetched, stale};
use crate::cache::{CacheKey, EntryRef, Failure, Remembered, Stale};
use crate::metrics::AnswerSource;
use crate::upstream::Question;
use crate::wire::learned::{Outcome, Sections};
use crate::wire::query::HEADER;
use crate::wire::response::{Full, NameAt};
use crate::wire::{EdeCode, LearnedRef, NameRef, Rcode, Rtype, Suffixes};
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
    /// cache holds, or held while they fail. `note` is told which before it is known what that is.
    ///
    /// # Errors
    /// How the walk goes on where they say nothing: with a failure, or something to be fetched.
    pub(super) fn consult<R>(
        &mut self,
        name: NameRef<'_>,
        must_exist: bool,
        note: impl Fn(&mut Self, AnswerSource),
        mut serve: impl FnMut(&mut Self, EntryRef<'_>) -> R,
    ) -> Result<R, Step> {
        let resolved = self.resolved;
        self.trace.note(|| Event::Consult { name: name.to_owned(), must_exist });
        if let Some(resolved) = resolved.iter().find(|r| r.question.qname() == name) {
            note(self, AnswerSource::Upstream);
            self.trace.note(|| Event::Fetched(&resolved.fetched));
            return match &resolved.fetched {
                Fetched::Entry(entry) => Ok(serve(self, entry.view())),
                Fetched::Stale(stale, failure) => Ok(self.expired(stale, failure, serve)),
                Fetched::Failed(failure) => Err(failed(Why::Upstream(Arc::clone(failure)))),
            };
        }
        note(self, AnswerSource::Cache);
        let key = self.key(name);
        let (cache, now) = (self.cache, self.view.now);
        let cached = cache.consult(&key, now, |entry| {
            // A denial learned before the name was imported says nothing now.
            let is_believed = !(must_exist && entry.learned.denies_qname());
            self.trace.note(|| Event::Cached { entry: Arc::new(entry.to_owned()), is_believed });
            if entry.uses > 1 && entry.is_due(now) {
                self.note_due(name, must_exist, entry);
            }
            is_believed.then(|| serve(self, entry))
        });
        match cached {
            Ok(Some(served)) => Ok(served),
            Ok(None) => self.not_fresh(&key, must_exist, false, serve),
            Err(was_in_use) => self.not_fresh(&key, must_exist, was_in_use, serve),
        }
    }

    /// Goes on where the cache has no fresh answer: with an expired one where upstreams fail, or are not to
    /// be waited for.
    #[cold]
    fn not_fresh<R>(
        &mut self,
        key: &CacheKey<'_>,
        must_exist: bool,
        was_in_use: bool,
        serve: impl FnOnce(&mut Self, EntryRef<'_>) -> R,
    ) -> Result<R, Step> {
        let (view, now) = (self.view, self.view.now);
        if let Some(Remembered { failure, is_firm }) = self.cache.failure(key, now) {
            self.trace.note(|| Event::Failed(Arc::clone(&failure)));
            let keeping = view.rules.keepings.find(key.qname);
            match stale(self.cache, key, keeping, must_exist, now) {
                Some(stale) => return Ok(self.expired(&stale, &failure, serve)),
                None if is_firm => return Err(failed(Why::Upstream(failure))),
                // Only those are kept waiting whom an expired answer helps.
                None => {}
            }
        }
        let immediate = view.rules.keepings.immediate(key.qname);
        if let Some(stale) = immediate.and_then(|k| stale(self.cache, key, k, must_exist, now)) {
            let question = Question::new(key.qname, key.qtype);
            self.due = Some(Box::new(Due { question, must_exist, is_expired: true }));
            let text = "the upstreams are asked beside it".into();
            let failure = Failure { rcode: Rcode::NOERROR, ede: EdeCode::STALE, text };
            return Ok(self.expired(&stale, &Arc::new(failure), serve));
        }
        let question = Question::new(key.qname, key.qtype);
        Err(Step::End(End::Missing(Missing { question, must_exist, was_in_use })))
    }

    /// Gives an answer that has expired, and says why.
    fn expired<R>(
        &mut self,
        stale: &Stale,
        failure: &Arc<Failure>,
        serve: impl FnOnce(&mut Self, EntryRef<'_>) -> R,
    ) -> R {
        self.trace.note(|| Event::Stale(Arc::clone(&stale.entry)));
        self.stale = Some(Box::new(Expired { since: stale.expired, failure: Arc::clone(failure) }));
        // Signatures may have expired with it.
        self.authentic = false;
        serve(self, stale.entry.view())
    }

    /// Notes that an answer in use is to be learned anew, unless there is no leisure for it, or it only says
    /// that the name does not exist.
    #[cold]
    fn note_due(&mut self, name: NameRef<'_>, must_exist: bool, entry: EntryRef<'_>) {
        let renews = || self.view.rules.keepings.find(name).renews;
        if self.view.has_leisure
            && self.due.is_none()
            && entry.learned.outcome != Outcome::NxDomain
            && renews()
        {
            let question = Question::new(name, self.qtype);
            self.due = Some(Box::new(Due { question, must_exist, is_expired: false }));
        }
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
