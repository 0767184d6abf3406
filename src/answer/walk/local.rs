//! The part of a walk that is answered here beside zones: overrides, hosts files, names that cannot exist.

use super::trace::{Event, Trace};
use super::{End, Fallback, Step, Walk, done};
use crate::answer::local::{Data, Local};
use crate::answer::relief::Impossible;
use crate::answer::special;
use crate::metrics::AnswerSource;
use crate::wire::response::{Full, NameAt};
use crate::wire::{EdeCode, Rcode, Rtype, Suffixes};

const OVERRIDDEN: (EdeCode, &str) = (EdeCode::BLOCKED, "an override of the configuration denies this name");
const IMPOSSIBLE: (EdeCode, &str) =
    (EdeCode::SYNTHESIZED, "no such name can be in this domain (section [[relief]])");

impl<'w, T: Trace<'w>> Walk<'w, '_, '_, '_, T> {
    /// Answers with what is said of a name here, also where a chain leads to it.
    pub(super) fn pinned(&mut self, owner: NameAt<'_>, local: Local<'w>, first: bool) -> Result<Step, Full> {
        self.local(first);
        if first {
            self.source = local.pin.source;
        }
        match &local.pin.data {
            Data::Cname(record) => {
                let start = self.response.position();
                self.response.answer(owner, record, 1, 0)?;
                let is_asked = self.qtype == Rtype::CNAME || self.qtype == Rtype::ANY;
                // The owner is a pointer of two bytes, the fixed fields ten: the target follows.
                return Ok(if is_asked { done(Rcode::NOERROR) } else { Step::Restart(start + 12) });
            }
            Data::Rrsets(_) if self.qtype == Rtype::ANY => return self.any(owner),
            Data::Rrsets(rrsets) => {
                if let Some(rrset) = rrsets.iter().find(|rrset| rrset.rtype == self.qtype) {
                    self.response.answer(owner, &rrset.block, rrset.count, self.rotate)?;
                    return Ok(done(Rcode::NOERROR));
                }
            }
            Data::Denied(_) | Data::Pass => {}
        }
        let zone_at = owner.at + owner.name.as_bytes().len() - local.zone_len;
        self.response.record(true, zone_at, Rtype::SOA, local.pin.ttl, special::SOA)?;
        Ok(match &local.pin.data {
            Data::Denied(rcode) => Step::End(End::Told { rcode: *rcode, ede: OVERRIDDEN }),
            _ => done(Rcode::NOERROR),
        })
    }

    /// A name that no zone has: denied here where it cannot exist, else an upstream's.
    pub(super) fn unclaimed(
        &mut self,
        owner: NameAt<'_>,
        name: &Suffixes,
        first: bool,
    ) -> Result<Step, Full> {
        match &self.view.rules.relief {
            None => self.forwarded(owner, Fallback::None),
            Some(relief) => match relief.find(name).filter(|_| !self.has_names_below(name)) {
                None => self.forwarded(owner, Fallback::None),
                Some(impossible) => self.impossible(owner, impossible, first),
            },
        }
    }

    /// Whether a zone or an override has names below this one, so that it exists after all.
    fn has_names_below(&self, name: &Suffixes) -> bool {
        let is_local = self.view.rules.local.as_ref().is_some_and(|names| names.has_below(name));
        is_local || self.view.table.has_below(name)
    }

    fn impossible(&mut self, owner: NameAt<'_>, impossible: Impossible, first: bool) -> Result<Step, Full> {
        self.trace.note(|| Event::Impossible(impossible));
        self.local(first);
        if first {
            self.source = AnswerSource::Relief;
        }
        let zone_at = owner.at + owner.name.as_bytes().len() - impossible.zone_len;
        self.response.record(true, zone_at, Rtype::SOA, impossible.ttl, special::SOA)?;
        Ok(Step::End(End::Told { rcode: Rcode::NXDOMAIN, ede: IMPOSSIBLE }))
    }

    /// Whether a name is answered here whatever upstreams say of it.
    pub(super) fn is_pinned(&self, name: &Suffixes) -> bool {
        self.view.rules.local.as_ref().is_some_and(|names| names.find(name).is_some())
    }
}
