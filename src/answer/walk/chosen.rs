//! The part of a walk behind sets that a routing policy chooses among.

use super::{End, Fallback, Ours, Step, Walk, Why, done, failed};
use crate::wire::response::{Full, NameAt};
use crate::wire::{EdeCode, Rcode};
use crate::zone::{Choice, Chosen};

/// What is said where a choice was made without knowing all that it depends on.
const ASSUMED: &str = "chosen here, as if what has an unknown state of health were healthy";

impl<'w> Walk<'w, '_, '_, '_> {
    /// Asks those who know what the choice depends on, and makes it here where they do not answer.
    pub(super) fn uncertain(
        &mut self,
        ours: Ours<'w>,
        choice: Choice<'w>,
        owner: NameAt<'_>,
        first: bool,
    ) -> Result<Step, Full> {
        match self.forwarded(owner, Fallback::MustExist)? {
            Step::End(End::Failed(Why::Upstream(_) | Why::Denied)) => {}
            step => return Ok(step),
        }
        self.local(first);
        Ok(match self.chosen(ours, choice, owner, first)? {
            Step::End(End::Done { rcode, ede: None }) => {
                Step::End(End::Done { rcode, ede: Some(Box::new((EdeCode::OTHER, ASSUMED.into()))) })
            }
            step => step,
        })
    }

    /// Answers with what is chosen.
    pub(super) fn chosen(
        &mut self,
        ours: Ours<'w>,
        choice: Choice<'w>,
        owner: NameAt<'_>,
        first: bool,
    ) -> Result<Step, Full> {
        // Several choices on the way to one answer must not all fall alike.
        let random = (self.rotate as u32).wrapping_add((self.restarts_left as u32).wrapping_mul(0x9e37_79b9));
        match choice.pick(random) {
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
