//! A response learned from an upstream, in the form it is cached and served from.

mod copy;
mod private;

use std::ops::{Deref, Range};

use super::name::wire_len;
use super::read::{pointer, u16_at, u32_at};
use super::{EdeCode, NameRef, Rcode, Rtype};

/// A checked upstream response without header, question and OPT.
///
/// `block` holds the answer records, then the authority records, as they stand in a message whose
/// question is `qname`: the block begins at offset [`Learned::base`], right behind the question.
/// Owner names are a compression pointer wherever the name occurs before: at 12 (the question
/// name), inside the question name (a suffix of it), or in an earlier owner or CNAME target of the
/// block. Names inside RDATA are never compressed. So a block is served by one copy, and can be
/// moved behind other records by shifting its owner pointers. Additional records are dropped
/// (minimal responses), and so is the authority section of a positive answer unless DO was set.
///
/// `B` and `T` are where block and text are kept: its own, or, as [`LearnedRef`], a cache's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned<B = Vec<u8>, T = Box<str>> {
    /// The response code, extended bits included.
    pub rcode: Rcode,
    /// What the response says about the question.
    pub outcome: Outcome,
    /// The AD bit of the response (RFC 6840 §5.8).
    pub authentic: bool,
    /// Records in the answer section: the CNAME chain first, then the RRset it leads to.
    pub answers: u16,
    /// Records in the authority section.
    pub authorities: u16,
    /// The records.
    pub block: B,
    /// The RRset that is turned when it is served.
    pub turning: Turning,
    /// Where in `block` the target of the last CNAME stands, if the chain leads to no records of
    /// the type asked for; see [`Learned::chain_end`].
    pub open_end: Option<u16>,
    /// Wire length of the question name the block was laid out for.
    pub qname_len: u8,
    /// How long it may be cached: the least TTL of a positive answer, min(SOA TTL, MINIMUM) of a
    /// negative one (RFC 2308 §5), 0 for what may not be cached.
    pub lifetime: u32,
    /// The upstream's extended error, if it sent one.
    pub ede: Option<(EdeCode, T)>,
}

/// A [`Learned`] whose bytes lie elsewhere.
pub type LearnedRef<'a> = Learned<&'a [u8], &'a str>;

/// The last RRset of an answer, signatures aside: clients are shown another record first each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turning {
    /// Where in the block it begins.
    pub at: u16,
    /// How many records it has; below two nothing is turned.
    pub count: u16,
}

/// What a learned response says about the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Records of the type asked for, perhaps behind a CNAME chain.
    Answer,
    /// A CNAME chain, and not a word about the name it leads to.
    OpenChain,
    /// The name, or the one its chain leads to, has no records of the type.
    NoData,
    /// The name, or the one its chain leads to (RFC 2308 §2.1), does not exist.
    NxDomain,
    /// Another response code; there are no records.
    Error,
}

/// Which records of a [`Learned`] are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sections {
    /// The answer section alone.
    Answers,
    /// This many records from the front of the answer section, as they lie.
    First(u16),
    /// The authority section alone.
    Authorities,
    /// The answer section and behind it the authority section.
    Both,
}

impl Sections {
    /// How many answer and authority records of `learned` these are.
    pub fn counts<B, T>(self, learned: &Learned<B, T>) -> (u16, u16) {
        match self {
            Self::Answers => (learned.answers, 0),
            Self::First(count) => (count.min(learned.answers), 0),
            Self::Authorities => (0, learned.authorities),
            Self::Both => (learned.answers, learned.authorities),
        }
    }
}

/// One record of a [`Learned`], where it stands in the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Whether it belongs to the answer section.
    pub is_answer: bool,
    /// The record's first byte.
    pub start: usize,
    /// The message offset its owner points to; `None` for an owner written out at `start`.
    pub owner: Option<usize>,
    /// The type.
    pub rtype: Rtype,
    /// Where the TTL stands.
    pub ttl_at: usize,
    /// The TTL as it was learned (and capped).
    pub ttl: u32,
    /// Where the RDATA stands.
    pub rdata: Range<usize>,
}

impl<B: Deref<Target = [u8]>, T: Deref<Target = str>> Learned<B, T> {
    /// The same with its bytes borrowed. Cost: a few words copied.
    pub fn view(&self) -> LearnedRef<'_> {
        Learned {
            rcode: self.rcode,
            outcome: self.outcome,
            authentic: self.authentic,
            answers: self.answers,
            authorities: self.authorities,
            block: &self.block,
            turning: self.turning,
            open_end: self.open_end,
            qname_len: self.qname_len,
            lifetime: self.lifetime,
            ede: self.ede.as_ref().map(|(code, text)| (*code, &**text)),
        }
    }

    /// The message offset that `block` is laid out for: header, question name, type and class.
    pub fn base(&self) -> usize {
        12 + usize::from(self.qname_len) + 4
    }

    /// Whether this is a negative answer in the sense of RFC 2308.
    pub fn is_negative(&self) -> bool {
        matches!(self.outcome, Outcome::NoData | Outcome::NxDomain)
    }

    /// Whether it says that the question's own name does not exist. NXDOMAIN behind a CNAME chain
    /// does not: it is the chain's last name that is missing (RFC 6604 §3).
    pub fn denies_qname(&self) -> bool {
        self.outcome == Outcome::NxDomain && self.answers == 0
    }

    /// Where the last name of a CNAME chain stands in `block` (uncompressed, lower case), `None`
    /// unless the answer is such a chain without records of the type asked for.
    ///
    /// The chain may be open, or the upstream may deny the name at its end; who holds a zone with
    /// that name, or another upstream for it, knows better.
    pub fn chain_end(&self) -> Option<Range<usize>> {
        let start = usize::from(self.open_end?);
        let len = wire_len(self.block.get(start..)?).ok()?;
        Some(start..start + len)
    }

    /// The name at [`Learned::chain_end`].
    pub fn chain_target(&self) -> Option<NameRef<'_>> {
        self.block.get(self.chain_end()?).map(NameRef::from_checked)
    }

    /// The records in order. Cost: one step a record.
    pub fn records(&self) -> impl Iterator<Item = RecordView> + '_ {
        let (block, mut index, mut at) = (&*self.block, 0, 0);
        std::iter::from_fn(move || {
            let record = RecordView::read(block, at, index < usize::from(self.answers))?;
            (index, at) = (index + 1, record.rdata.end);
            Some(record)
        })
    }

    /// Where record `index` begins, the block's end for one past the last. Cost: a step a record.
    fn start_of(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => 0,
            Some(_) if index >= usize::from(self.answers) + usize::from(self.authorities) => self.block.len(),
            Some(before) => self.records().nth(before).map_or(self.block.len(), |r| r.rdata.end),
        }
    }
}

impl Learned {
    /// Lowers every TTL, and the lifetime, to `max_ttl`; the authority section and the lifetime of
    /// a negative answer to `max_negative_ttl`, too. Seconds.
    pub fn cap_ttls(&mut self, max_ttl: u32, max_negative_ttl: u32) {
        let negative = if self.is_negative() { max_negative_ttl.min(max_ttl) } else { max_ttl };
        let (mut index, mut at) = (0, 0);
        while let Some(record) = RecordView::read(&self.block, at, index < self.answers) {
            let cap = if record.is_answer { max_ttl } else { negative };
            if record.ttl > cap
                && let Some(bytes) = self.block.get_mut(record.ttl_at..record.ttl_at + 4)
            {
                bytes.copy_from_slice(&cap.to_be_bytes());
            }
            (index, at) = (index.saturating_add(1), record.rdata.end);
        }
        self.lifetime = self.lifetime.min(negative);
    }
}

impl RecordView {
    fn read(block: &[u8], start: usize, is_answer: bool) -> Option<Self> {
        let owner = pointer(block, start);
        let fixed = start + owner_len(block, start)?;
        let rdata = fixed + 10;
        Some(Self {
            is_answer,
            start,
            owner,
            rtype: Rtype(u16_at(block, fixed)?),
            ttl_at: fixed + 4,
            ttl: u32_at(block, fixed + 4)?,
            rdata: rdata..rdata + usize::from(u16_at(block, fixed + 8)?),
        })
    }
}

/// The length of the owner at `at`: a pointer, or a name written out.
fn owner_len(bytes: &[u8], at: usize) -> Option<usize> {
    match pointer(bytes, at) {
        Some(_) => Some(2),
        None => wire_len(bytes.get(at..)?).ok(),
    }
}

#[cfg(test)]
mod tests;
