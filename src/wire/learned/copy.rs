//! Copying a block's records into a message: the work of a cache hit.

use std::ops::Deref;

use super::{Learned, LearnedRef, Sections, owner_len};
use crate::wire::name::wire_len;
use crate::wire::read::{pointer, u16_at, u32_at};

impl<B: Deref<Target = [u8]>, T: Deref<Target = str>> Learned<B, T> {
    /// Copies records to `out[at..]` and returns the offset behind them; `None` when they do not
    /// fit, or would end up where no compression pointer can reach (past 16383).
    ///
    /// `name_at` is where the name this was learned for stands uncompressed in the message: 12, or
    /// the place of the CNAME target that led here. `age` is in seconds and taken off every TTL,
    /// down to 0. The last RRset of the answer is turned by `rotate` records; the chain in front
    /// of it keeps its place.
    ///
    /// Cost: one copy, and one walk over the records if TTLs or owners change; no allocation.
    pub fn copy_into(
        &self,
        out: &mut [u8],
        at: usize,
        name_at: usize,
        age: u32,
        sections: Sections,
        rotate: usize,
    ) -> Option<usize> {
        let block = self.view();
        let answers = usize::from(self.answers);
        let (from, to, turns) = match sections {
            Sections::Both => (0, block.block.len(), true),
            Sections::Answers => (0, self.start_of(answers), true),
            Sections::First(count) => (0, self.start_of(usize::from(count).min(answers)), false),
            Sections::Authorities => (self.start_of(answers), block.block.len(), false),
        };
        let shift = Shift { block, from, at, name_at };
        if from > 0 && block.points_before(from) {
            return shift.copy_each(out, age);
        }
        let end = at + (to - from);
        let target = out.get_mut(at..end)?;
        match block.turned(rotate).filter(|_| turns) {
            None => target.copy_from_slice(block.block.get(from..to)?),
            Some((start, middle, end)) => block.copy_turned(target, start, middle, end)?,
        }
        if age > 0 || at != block.base() + from || name_at != 12 {
            shift.fix(out, end, age)?;
        }
        Some(end)
    }
}

impl LearnedRef<'_> {
    /// Whether an owner among the records from `from` on points to a record before them.
    fn points_before(&self, from: usize) -> bool {
        let base = self.base();
        let behind = self.records().skip_while(|r| r.start < from);
        behind.filter_map(|r| r.owner).any(|p| p >= base && p < base + from)
    }

    /// Start, split and end of the RRset that is turned by `rotate` records; `None` if it stays.
    fn turned(&self, rotate: usize) -> Option<(usize, usize, usize)> {
        let count = usize::from(self.turning.count);
        if count < 2 || rotate.is_multiple_of(count) {
            return None;
        }
        let start = usize::from(self.turning.at);
        // The owners of such a set are pointers.
        let step = |at: usize| Some(at + 12 + usize::from(u16_at(self.block, at + 10)?));
        let middle = (0..rotate % count).try_fold(start, |at, _| step(at))?;
        let end = (rotate % count..count).try_fold(middle, |at, _| step(at))?;
        Some((start, middle, end))
    }

    /// Copies the front of the block with the records of `start..end` turned to begin at `middle`.
    fn copy_turned(&self, target: &mut [u8], start: usize, middle: usize, end: usize) -> Option<()> {
        let mut at = 0;
        for piece in [0..start, middle..end, start..middle, end..target.len()] {
            at = put(target, at, self.block.get(piece)?)?;
        }
        Some(())
    }
}

/// How a block's records move when they are copied.
struct Shift<'a> {
    block: LearnedRef<'a>,
    /// Where the copied records begin in the block.
    from: usize,
    /// Where they begin in the message.
    at: usize,
    /// Where the name they were learned for stands in the message.
    name_at: usize,
}

impl Shift<'_> {
    /// The new target of a pointer to `old`.
    fn moved(&self, old: usize) -> Option<usize> {
        match old.checked_sub(self.block.base()) {
            None => Some(self.name_at + (old - 12)),
            Some(inside) => Some(self.at + inside.checked_sub(self.from)?),
        }
    }

    /// Ages the records copied to `out[self.at..end]`, and points their owners where they belong.
    fn fix(&self, out: &mut [u8], end: usize, age: u32) -> Option<()> {
        let moved = self.at != self.block.base() + self.from || self.name_at != 12;
        let mut pos = self.at;
        while pos < end {
            if moved && let Some(old) = pointer(out, pos) {
                put_pointer(out, pos, self.moved(old)?)?;
            }
            pos = age_record(out, pos, age)?;
        }
        Some(())
    }

    /// Copies record by record to the block's end, writing out owners that point to records left
    /// behind.
    fn copy_each(&self, out: &mut [u8], age: u32) -> Option<usize> {
        let (base, block) = (self.block.base(), self.block.block);
        let mut pos = self.at;
        for record in self.block.records().skip_while(|r| r.start < self.from) {
            let (start, record_at) = (record.start, pos);
            let fixed = start + owner_len(block, start)?;
            match record.owner {
                Some(old) if old >= base => {
                    let name = block.get(old - base..)?;
                    pos = put(out, pos, name.get(..wire_len(name).ok()?)?)?;
                }
                Some(old) => {
                    put_pointer(out, pos, self.moved(old)?)?;
                    pos += 2;
                }
                None => pos = put(out, pos, block.get(start..fixed)?)?,
            }
            pos = put(out, pos, block.get(fixed..record.rdata.end)?)?;
            age_record(out, record_at, age)?;
        }
        Some(pos)
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at + bytes.len();
    out.get_mut(at..end)?.copy_from_slice(bytes);
    Some(end)
}

fn put_pointer(out: &mut [u8], at: usize, target: usize) -> Option<()> {
    let target = u16::try_from(target).ok().filter(|&t| t < 0x4000)?;
    put(out, at, &(0xc000 | target).to_be_bytes()).map(|_| ())
}

/// Takes `age` off the TTL of the record at `at`. Returns the offset behind the record.
fn age_record(out: &mut [u8], at: usize, age: u32) -> Option<usize> {
    let fixed = at + owner_len(out, at)?;
    if age > 0 {
        let ttl = u32_at(out, fixed + 4)?.saturating_sub(age);
        put(out, fixed + 4, &ttl.to_be_bytes())?;
    }
    Some(fixed + 10 + usize::from(u16_at(out, fixed + 8)?))
}
