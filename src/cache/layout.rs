//! How an entry lies in the cache's memory.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | link: the next of those that their bucket has no slot for |
//! | 4..8 | hash of the name |
//! | 8..10 | length of the entry in units of eight bytes |
//! | 10 | state: uses, whether it is dead |
//! | 11 | length of the name |
//! | 12..14 | type |
//! | 14 | DO, CD, and whether it counts for every type |
//! | 15 | outcome, AD |
//! | 16..24 | when it was learned, milliseconds |
//! | 24..28 | lifetime, seconds |
//! | 28..32 | records in the answer and authority section |
//! | 32..34 | response code |
//! | 34..36 | length of the block |
//! | 36..38 | where the chain's last name stands, 0xffff for nowhere |
//! | 38..42 | the RRset that turns |
//! | 42..46 | extended error: length of its text plus one, 0 for none; code |
//! | 46..48 | nothing |
//! | 48.. | name, block, text, and what is missing to a multiple of eight |
//!
//! So an answer of one address for a name of 26 bytes takes 48 + 26 + 16 = 90, rounded up 96 bytes,
//! and in the index 21 to 43.

use std::time::Duration;

use super::entry::EntryRef;
use super::key::CacheKey;
use crate::clock::Moment;
use crate::wire::learned::Turning;
use crate::wire::{EdeCode, Learned, LearnedRef, Outcome, Rcode, Rtype};

/// Length of the fixed part.
const HEAD: usize = 48;
/// Entries lie at multiples of this.
pub(super) const UNIT: usize = 8;

const ANY_TYPE: u8 = 4;
const AUTHENTIC: u8 = 0x80;
const USES: u8 = 3;
const DEAD: u8 = 4;
const NO_END: u16 = u16::MAX;

/// The bytes of one entry, read.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a> {
    head: &'a [u8; HEAD],
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    /// The entry at the front of `bytes`.
    pub(super) fn at(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        Some(Self { head, rest })
    }

    /// The entries of a chunk that was filled from its front, dead ones included.
    pub(super) fn all(mut chunk: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let packed = Self::at(chunk).filter(|packed| packed.len() > 0)?;
            chunk = chunk.get(packed.len()..)?;
            Some(packed)
        })
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes([self.head[at], self.head[at + 1]])
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes([self.head[at], self.head[at + 1], self.head[at + 2], self.head[at + 3]])
    }

    /// The link to the next entry that the bucket has no slot for; means nothing where it has one.
    pub(super) fn next(self) -> u32 {
        self.u32(0)
    }

    pub(super) fn tag(self) -> u32 {
        self.u32(4)
    }

    /// The bytes it takes.
    pub(super) fn len(self) -> usize {
        usize::from(self.u16(8)) * UNIT
    }

    /// How often it was handed out, up to three.
    pub(super) fn uses(self) -> u8 {
        self.head[10] & USES
    }

    /// Whether another has taken its place.
    pub(super) fn is_dead(self) -> bool {
        self.head[10] & DEAD != 0
    }

    /// Whether it is about this name, asked with these flags.
    pub(super) fn is_about(self, tag: u32, key: &CacheKey<'_>) -> bool {
        self.tag() == tag
            && self.head[14] & !ANY_TYPE == key.flags()
            && self.rest.get(..usize::from(self.head[11])) == Some(key.qname.as_bytes())
    }

    /// The name it is about.
    pub(super) fn qname(self) -> Option<&'a [u8]> {
        self.rest.get(..usize::from(self.head[11]))
    }

    /// The flags it was asked with, as in a key.
    pub(super) fn flags(self) -> u8 {
        self.head[14] & !ANY_TYPE
    }

    /// The type it counts for, `None` if for every type.
    pub(super) fn qtype(self) -> Option<Rtype> {
        (self.head[14] & ANY_TYPE == 0).then(|| Rtype(self.u16(12)))
    }

    pub(super) fn stored(self) -> Moment {
        Moment::from_millis(u64::from(self.u32(20)) << 32 | u64::from(self.u32(16)))
    }

    pub(super) fn expires(self) -> Moment {
        self.stored().after(Duration::from_secs(self.u32(24).into()))
    }

    /// Writes the entry as it is to the front of `out`.
    pub(super) fn copy_to(self, out: &mut [u8]) {
        let rest = self.rest.get(..self.len().saturating_sub(HEAD));
        if let (Some((head, behind)), Some(rest)) = (out.split_first_chunk_mut(), rest)
            && let Some(behind) = behind.get_mut(..rest.len())
        {
            *head = *self.head;
            behind.copy_from_slice(rest);
        }
    }

    /// The response as it is served.
    pub(super) fn entry(self) -> Option<EntryRef<'a>> {
        let qname_len = self.head[11];
        let behind_name = self.rest.get(usize::from(qname_len)..)?;
        let (block, behind_block) = behind_name.split_at_checked(self.u16(34).into())?;
        let ede = match self.u16(42).checked_sub(1) {
            None => None,
            Some(len) => {
                let text = std::str::from_utf8(behind_block.get(..usize::from(len))?).ok()?;
                Some((EdeCode(self.u16(44)), text))
            }
        };
        let learned = LearnedRef {
            rcode: Rcode(self.u16(32)),
            outcome: outcome_of(self.head[15]),
            authentic: self.head[15] & AUTHENTIC != 0,
            answers: self.u16(28),
            authorities: self.u16(30),
            block,
            turning: Turning { at: self.u16(38), count: self.u16(40) },
            open_end: Some(self.u16(36)).filter(|&at| at != NO_END),
            qname_len,
            lifetime: self.u32(24),
            ede,
        };
        Some(EntryRef {
            learned,
            stored: self.stored(),
            expires: self.expires(),
            uses: self.uses(),
            qtype: self.qtype(),
        })
    }
}

/// Changes the link in the head of an entry.
pub(super) fn set_next(entry: &mut [u8], next: u32) {
    if let Some(slot) = entry.first_chunk_mut() {
        *slot = next.to_le_bytes();
    }
}

/// Sets how often an entry was handed out.
pub(super) fn set_uses(entry: &mut [u8], uses: u8) {
    if let Some(state) = entry.get_mut(10) {
        *state = *state & !USES | uses.min(USES);
    }
}

/// Marks an entry as one that another has taken the place of.
pub(super) fn set_dead(entry: &mut [u8]) {
    if let Some(state) = entry.get_mut(10) {
        *state |= DEAD;
    }
}

/// A response that is to be put in.
#[derive(Clone, Copy)]
pub(super) struct Fresh<'a> {
    pub(super) key: &'a CacheKey<'a>,
    pub(super) tag: u32,
    pub(super) entry: EntryRef<'a>,
}

impl Fresh<'_> {
    /// The bytes it takes, a multiple of [`UNIT`].
    pub(super) fn len(&self) -> usize {
        let text = self.learned().ede.map_or(0, |(_, text)| text.len());
        (HEAD + self.key.qname.as_bytes().len() + self.learned().block.len() + text).next_multiple_of(UNIT)
    }

    fn learned(&self) -> LearnedRef<'_> {
        self.entry.learned
    }

    /// Writes it to `out`, all of which counts as the entry's from then on.
    pub(super) fn write(&self, out: &mut [u8], next: u32, uses: u8) {
        let units = u16::try_from(out.len() / UNIT).unwrap_or(0);
        let Some((head, mut rest)) = out.split_first_chunk_mut::<HEAD>() else { return };
        *head = self.head(next, units, uses);
        let text = self.learned().ede.map_or("", |(_, text)| text);
        for bytes in [self.key.qname.as_bytes(), self.learned().block, text.as_bytes()] {
            let Some((to, behind)) = rest.split_at_mut_checked(bytes.len()) else { return };
            to.copy_from_slice(bytes);
            rest = behind;
        }
    }

    fn head(&self, next: u32, units: u16, uses: u8) -> [u8; HEAD] {
        let (learned, qtype) = (self.learned(), self.entry.qtype);
        let mut head = [0; HEAD];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &next.to_le_bytes());
        put(4, &self.tag.to_le_bytes());
        put(8, &units.to_le_bytes());
        put(10, &[uses & USES, learned.qname_len]);
        put(12, &qtype.map_or(0, |t| t.0).to_le_bytes());
        put(14, &[self.key.flags() | if qtype.is_none() { ANY_TYPE } else { 0 }]);
        put(15, &[learned.outcome as u8 | if learned.authentic { AUTHENTIC } else { 0 }]);
        put(16, &self.entry.stored.as_millis().to_le_bytes());
        put(24, &learned.lifetime.to_le_bytes());
        put(28, &learned.answers.to_le_bytes());
        put(30, &learned.authorities.to_le_bytes());
        put(32, &learned.rcode.0.to_le_bytes());
        put(34, &(learned.block.len() as u16).to_le_bytes());
        put(36, &learned.open_end.unwrap_or(NO_END).to_le_bytes());
        put(38, &learned.turning.at.to_le_bytes());
        put(40, &learned.turning.count.to_le_bytes());
        if let Some((code, text)) = learned.ede {
            put(42, &(text.len() as u16 + 1).to_le_bytes());
            put(44, &code.0.to_le_bytes());
        }
        head
    }
}

fn outcome_of(byte: u8) -> Outcome {
    const ALL: [Outcome; 5] =
        [Outcome::Answer, Outcome::OpenChain, Outcome::NoData, Outcome::NxDomain, Outcome::Error];
    ALL.get(usize::from(byte & !AUTHENTIC)).copied().unwrap_or(Outcome::Error)
}

/// Whether a response has the sizes this layout can say.
pub(super) fn fits(key: &CacheKey<'_>, learned: &Learned) -> bool {
    learned.block.len() <= usize::from(u16::MAX)
        && usize::from(learned.qname_len) == key.qname.as_bytes().len()
        && learned.ede.as_ref().is_none_or(|(_, text)| text.len() < 1024)
}
