//! From an upstream's message to a [`Learned`]: only what answers the question is taken over.
//!
//! What is kept of the answer section is the question's own chain: the CNAME and DNAME records
//! that lead from the question name onwards and the RRset at their end, with its signatures where
//! they were asked for. Of the authority section stay the SOA of a negative answer and, with DO,
//! the proofs. Everything else an upstream may have added is not believed.

mod block;
mod opt;

use super::learned::{Learned, Outcome};
use super::name::NameRef;
use super::read::{LowerName, Malformed, NameBuf, Record, Sections, u16_at, u32_at};
use super::{CLASS_IN, Rcode, Rtype};

use block::Block;

/// Most CNAMEs taken from one message; a longer chain is left open at its end.
const MAX_LINKS: usize = 16;

/// Checks an upstream's response to the question (`qname`, `qtype`, IN) and brings it into the
/// form it is cached in.
///
/// The caller has checked the id and that the message is not truncated. A TTL with the top bit
/// set counts as 0 (RFC 2181 §8). Signatures and proofs are dropped unless `dnssec_ok`.
///
/// Cost: bounded by the message's length times the length of its CNAME chain (at most 16); one
/// allocation, for the block.
///
/// # Errors
/// [`Malformed`]: nothing of the response may be used.
pub fn learn(
    message: &[u8],
    qname: NameRef<'_>,
    qtype: Rtype,
    dnssec_ok: bool,
) -> Result<Learned, Malformed> {
    let sections = Sections::read(message, qname, qtype)?;
    let (high, ede) = sections.opt.as_ref().map_or((0, None), |opt| opt::read(message, opt));
    let rcode = Rcode(high << 4 | sections.flags & 0x000f);
    let walk = Walk {
        message,
        sections: &sections,
        qtype,
        dnssec_ok,
        block: Block::new(qname, message.len()),
        least_ttl: u32::MAX,
        signer: None,
    };
    let mut learned = match rcode {
        Rcode::NOERROR | Rcode::NXDOMAIN => walk.run(qname, rcode)?,
        _ => walk.block.finish(rcode, Outcome::Error),
    };
    learned.authentic = sections.flags & 0x0020 != 0;
    learned.ede = ede;
    Ok(learned)
}

/// What stands at one name of the chain.
#[allow(clippy::large_enum_variant)] // It lives on the stack for a moment; a box would be an allocation a link.
enum Link {
    /// Records of the type asked for.
    Final,
    /// A CNAME to this name.
    To(LowerName),
    /// Nothing that leads on.
    End,
}

struct Walk<'m> {
    message: &'m [u8],
    sections: &'m Sections<'m>,
    qtype: Rtype,
    dnssec_ok: bool,
    block: Block<'m>,
    least_ttl: u32,
    /// The signer of the answer's signatures, its zone's apex.
    signer: Option<LowerName>,
}

impl<'m> Walk<'m> {
    fn run(mut self, qname: NameRef<'m>, rcode: Rcode) -> Result<Learned, Malformed> {
        let (end, is_final) = self.follow(qname)?;
        let end = end.as_ref().map_or(qname, LowerName::as_ref);
        let links = self.block.count();
        let denies = rcode == Rcode::NXDOMAIN;
        if is_final && denies {
            return Err(Malformed::Contradiction);
        }
        self.block.answers = links;
        let (outcome, lifetime) = if is_final {
            self.block.open_end = None;
            let signer = self.signer.take();
            self.proofs(signer.as_ref().map(LowerName::as_ref).filter(|&s| end.is_at_or_below(s)))?;
            (Outcome::Answer, self.least_ttl)
        } else {
            let has_soa = self.deny(end)?;
            let outcome = match (denies, has_soa || links == 0) {
                (true, _) => Outcome::NxDomain,
                (false, true) => Outcome::NoData,
                (false, false) => Outcome::OpenChain,
            };
            let believed = has_soa || outcome == Outcome::OpenChain;
            (outcome, if believed { self.least_ttl } else { 0 })
        };
        if outcome == Outcome::NoData && links == 0 && self.is_referral() {
            return Err(Malformed::Referral);
        }
        let mut learned = self.block.finish(rcode, outcome);
        learned.lifetime = lifetime;
        Ok(learned)
    }

    /// Takes over the chain from `qname` and the RRset it leads to. Returns the last name unless it
    /// is `qname`, and whether records of the type asked for stand there.
    fn follow(&mut self, qname: NameRef<'_>) -> Result<(Option<LowerName>, bool), Malformed> {
        let mut last: Option<LowerName> = None;
        let mut targets = [None; MAX_LINKS];
        for slot in 0..MAX_LINKS {
            match self.link(last.as_ref().map_or(qname, LowerName::as_ref))? {
                Link::Final => return Ok((last, true)),
                Link::End => break,
                Link::To(target) => {
                    let known = targets[..slot].iter().flatten().filter_map(|&at| self.block.name_at(at));
                    if std::iter::once(qname).chain(known).any(|passed| passed == target.as_ref()) {
                        return Err(Malformed::CnameLoop);
                    }
                    targets[slot] = self.block.open_end;
                    last = Some(target);
                }
            }
        }
        Ok((last, false))
    }

    /// Takes over what stands at one name of the chain.
    fn link(&mut self, name: NameRef<'_>) -> Result<Link, Malformed> {
        if self.take_final(name)? {
            return Ok(Link::Final);
        }
        let by_dname = self.sections.answers.has_dname() && self.take_dname(name)?;
        match self.take_cname(name)? {
            Some(target) => Ok(Link::To(target)),
            // A server synthesises the CNAME that goes with a DNAME (RFC 6672 §3.1).
            None if by_dname => Err(Malformed::BadRecord),
            None => Ok(Link::End),
        }
    }

    /// Takes over the records of the type asked for at `name`.
    fn take_final(&mut self, name: NameRef<'_>) -> Result<bool, Malformed> {
        let (qtype, sections) = (self.qtype, self.sections);
        let wanted = |r: &Record| r.class == CLASS_IN && (r.rtype == qtype || qtype == Rtype::ANY);
        let mut found = false;
        for record in sections.answers.records().filter(wanted) {
            if record.is_at(self.message, name) {
                self.write(name, &record, record.ttl)?;
                found = true;
                if qtype == Rtype::CNAME {
                    break;
                }
            }
        }
        if found && qtype != Rtype::ANY && qtype != Rtype::RRSIG {
            self.take_signatures(name, qtype)?;
        }
        Ok(found)
    }

    /// Takes over the DNAME that `name` is below, if the message has one (RFC 6672 §3.1).
    fn take_dname(&mut self, name: NameRef<'_>) -> Result<bool, Malformed> {
        let sections = self.sections;
        for record in sections.answers.records().filter(|r| r.class == CLASS_IN && r.rtype == Rtype::DNAME) {
            let owner = record.owner(self.message)?;
            let owner = owner.as_ref();
            if owner != name && name.is_at_or_below(owner) {
                self.write(owner, &record, record.ttl)?;
                self.take_signatures(owner, Rtype::DNAME)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes over the CNAME at `name`. Returns its target.
    fn take_cname(&mut self, name: NameRef<'_>) -> Result<Option<LowerName>, Malformed> {
        let (sections, message) = (self.sections, self.message);
        let is_link = |r: &Record| r.class == CLASS_IN && r.rtype == Rtype::CNAME && r.is_at(message, name);
        let Some(record) = sections.answers.records().find(is_link) else { return Ok(None) };
        self.write(name, &record, record.ttl)?;
        self.take_signatures(name, Rtype::CNAME)?;
        let (target, _) = NameBuf::read(message, record.rdata.start)?;
        Ok(Some(target.lower()))
    }

    fn take_signatures(&mut self, name: NameRef<'_>, covered: Rtype) -> Result<(), Malformed> {
        if !self.dnssec_ok {
            return Ok(());
        }
        let (sections, message) = (self.sections, self.message);
        for record in sections.answers.records().filter(|r| covers(message, r, covered)) {
            if record.is_at(message, name) {
                let (signer, _) = NameBuf::read(message, record.rdata.start + 18)?;
                self.signer = Some(signer.lower());
                self.write(name, &record, record.ttl)?;
            }
        }
        Ok(())
    }

    /// Takes over the SOA that denies `end`, and with DO the proofs of its zone. Returns whether
    /// there was one.
    fn deny(&mut self, end: NameRef<'_>) -> Result<bool, Malformed> {
        let (sections, message) = (self.sections, self.message);
        for record in sections.authorities.records().filter(|r| r.class == CLASS_IN && r.rtype == Rtype::SOA)
        {
            let apex = record.owner(message)?;
            if !end.is_at_or_below(apex.as_ref()) {
                continue;
            }
            let minimum_at = record.rdata.end.saturating_sub(4).max(record.rdata.start);
            let minimum = u32_at(message, minimum_at).ok_or(Malformed::BadRecord)?;
            let ttl = real_ttl(record.ttl).min(minimum);
            self.write(apex.as_ref(), &record, ttl)?;
            if self.dnssec_ok {
                for signature in sections.authorities.records().filter(|r| covers(message, r, Rtype::SOA)) {
                    if signature.is_at(message, apex.as_ref()) {
                        self.write(apex.as_ref(), &signature, ttl)?;
                    }
                }
            }
            self.proofs(Some(apex.as_ref()))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// With DO, takes over the proofs of non-existence at or below `apex`.
    fn proofs(&mut self, apex: Option<NameRef<'_>>) -> Result<(), Malformed> {
        let (sections, message) = (self.sections, self.message);
        let Some(apex) = apex.filter(|_| self.dnssec_ok) else { return Ok(()) };
        let is_proof = |r: &Record| {
            let types = [Rtype::NSEC, Rtype::NSEC3];
            r.class == CLASS_IN && (types.contains(&r.rtype) || types.iter().any(|&t| covers(message, r, t)))
        };
        for record in sections.authorities.records().filter(is_proof) {
            let owner = record.owner(message)?;
            if owner.as_ref().is_at_or_below(apex) {
                self.write(owner.as_ref(), &record, record.ttl)?;
            }
        }
        Ok(())
    }

    fn is_referral(&self) -> bool {
        let recursion_available = self.sections.flags & 0x0080 != 0;
        let types = |t| self.sections.authorities.records().any(|r| r.rtype == t);
        !recursion_available && types(Rtype::NS) && !types(Rtype::SOA)
    }

    fn write(&mut self, owner: NameRef<'_>, record: &Record, ttl: u32) -> Result<(), Malformed> {
        let ttl = real_ttl(ttl);
        self.least_ttl = self.least_ttl.min(ttl);
        self.block.push(self.message, owner, record, ttl)
    }
}

/// Whether `record` is a signature over records of the type `covered`.
fn covers(message: &[u8], record: &Record, covered: Rtype) -> bool {
    record.class == CLASS_IN
        && record.rtype == Rtype::RRSIG
        && record.rdata.len() > 18
        && u16_at(message, record.rdata.start) == Some(covered.0)
}

/// A TTL as RFC 2181 §8 reads it: with the top bit set it is 0.
fn real_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

#[cfg(test)]
mod tests;
