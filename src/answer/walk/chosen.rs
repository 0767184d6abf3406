//! The part of a walk behind sets that a routing policy chooses among.

use super::trace::{Event, Trace};
use super::{End, Fallback, MAX_RESTARTS, Ours, Step, Walk, Why, done, failed};
use crate::metrics::AnswerSource;
use crate::wire::response::{Full, NameAt};
use crate::wire::{EdeCode, Rcode};
use crate::zone::{Choice, Chosen};

/// What is said where a choice was made without knowing all that it depends on.
const ASSUMED: &str = "chosen here, as if what has an unknown state of health were healthy";
/// What is said where the origin may reckon otherwise.
const APPROXIMATE: &str = "chosen here by distances whose bias is reckoned with approximately";

impl<'w, T: Trace<'w>> Walk<'w, '_, '_, '_, T> {
    /// Asks those who know what the choice depends on, and makes it here where they do not answer.
    pub(super) fn uncertain(
        &mut self,
        ours: Ours<'w>,
        choice: Choice<'w>,
        owner: NameAt<'_>,
        first: bool,
    ) -> Result<Step, Full> {
        // Another upstream than the VPC's resolver has never heard of the zone, or has one of its own.
        if ours.part.asks_origin {
            match self.forwarded(owner, Fallback::MustExist)? {
                Step::End(End::Failed(Why::Upstream(_) | Why::Denied)) => {}
                step => return Ok(step),
            }
        }
        self.local(first);
        if first {
            self.source = AnswerSource::Assumed;
        }
        let why = if choice.is_approximate() { APPROXIMATE } else { ASSUMED };
        Ok(match self.chosen(ours, choice, owner, first)? {
            Step::End(End::Done { rcode, ede: None }) => {
                Step::End(End::Done { rcode, ede: Some(Box::new((EdeCode::OTHER, why.into()))) })
            }
            step => step,
        })
    }

    /// The number for the choice at hand. The first is the query's own, which is spread evenly; how one on
    /// the way behind it falls must not follow from that.
    fn draw(&self) -> u32 {
        if self.restarts_left == MAX_RESTARTS {
            return self.rotate as u32;
        }
        // The finalizer of MurmurHash3: each bit depends on all bits.
        let mut bits = self.rotate ^ (self.restarts_left as u64) << 32;
        for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
            bits = (bits ^ bits >> 33).wrapping_mul(factor);
        }
        (bits ^ bits >> 33) as u32
    }

    /// Answers with what is chosen.
    pub(super) fn chosen(
        &mut self,
        ours: Ours<'w>,
        choice: Choice<'w>,
        owner: NameAt<'_>,
        first: bool,
    ) -> Result<Step, Full> {
        let chosen = choice.pick(self.draw());
        self.trace.note(|| Event::Chosen(chosen));
        match chosen {
            Chosen::Records(rrset) if rrset.rtype == self.qtype => {
                self.response.answer(owner, rrset.block(), rrset.count, self.rotate)?;
                Ok(done(Rcode::NOERROR))
            }
            Chosen::Records(cname) => self.chain(ours, owner.at, cname),
            Chosen::Several(several) => {
                for rrset in several.rrsets() {
                    self.response.answer(owner, rrset.block(), rrset.count, 0)?;
                }
                Ok(done(Rcode::NOERROR))
            }
            Chosen::Outside(target) => self.flattened(ours.zone, owner, target, first),
            Chosen::Nothing => self.negative(ours.zone, owner, Rcode::NOERROR),
            Chosen::Loop => Ok(failed(Why::AliasLoop)),
        }
    }
}
