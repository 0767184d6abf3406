//! Copying a block's records into a message: the work of a cache hit.

use std::ops::Range;

use super::{Learned, RecordView, Sections, owner_len};
use crate::wire::Rtype;
use crate::wire::name::wire_len;
use crate::wire::read::{pointer, u16_at, u32_at};

impl Learned {
    /// Copies records to `out[at..]` and returns the offset behind them; `None` when they do not
    /// fit, or would end up where no compression pointer can reach (past 16383).
    ///
    /// `name_at` is where the name this was learned for stands uncompressed in the message: 12, or
    /// the place of the CNAME target that led here. `age` is in seconds and taken off every TTL,
    /// down to 0. The last RRset of the answer is turned by `rotate` records; the chain in front
    /// of it keeps its place.
    ///
    /// Cost: one copy, and one walk over the records; no allocation.
    pub fn copy_into(
        &self,
        out: &mut [u8],
        at: usize,
        name_at: usize,
        age: u32,
        sections: Sections,
        rotate: usize,
    ) -> Option<usize> {
        let (first, last) = match sections {
            Sections::Answers => (0, usize::from(self.answers)),
            Sections::First(count) => (0, usize::from(count.min(self.answers))),
            Sections::Authorities => (usize::from(self.answers), self.starts.len()),
            Sections::Both => (0, self.starts.len()),
        };
        let (from, to) = (self.start_of(first), self.start_of(last));
        let shift = Shift { block: self, from, at, name_at };
        if from > 0 && self.points_before(first, from) {
            return shift.copy_each(out, first..last, age);
        }
        let end = at + (to - from);
        let target = out.get_mut(at..end)?;
        target.copy_from_slice(self.block.get(from..to)?);
        if rotate > 0 && matches!(sections, Sections::Answers | Sections::Both) {
            self.turn(target, rotate);
        }
        let moved = at != self.base() + from || name_at != 12;
        let mut pos = at;
        for _ in first..last {
            if moved && let Some(old) = pointer(out, pos) {
                put_pointer(out, pos, shift.moved(old)?)?;
            }
            pos = age_record(out, pos, age)?;
        }
        Some(end)
    }

    /// Whether an owner among the records from `first` on points to a record before them.
    fn points_before(&self, first: usize, from: usize) -> bool {
        let base = self.base();
        (first..self.starts.len())
            .filter_map(|i| pointer(&self.block, usize::from(*self.starts.get(i)?)))
            .any(|p| p >= base && p < base + from)
    }

    /// Turns the last RRset of the answer, copied to the front of `target`, by `rotate` records.
    fn turn(&self, target: &mut [u8], rotate: usize) {
        let (first, count) = self.last_rrset();
        if count < 2 {
            return;
        }
        let start = self.start_of(first);
        let middle = self.start_of(first + rotate % count);
        let end = self.start_of(first + count);
        if let Some(set) = target.get_mut(start..end) {
            set.rotate_left(middle - start);
        }
    }

    /// Index and length of the last run of answers with one owner and type, signatures aside. An
    /// owner that is written out could be pointed at, so such a run counts as empty.
    fn last_rrset(&self) -> (usize, usize) {
        let mut run: Option<(usize, usize, RecordView)> = None;
        for index in (0..usize::from(self.answers)).rev() {
            let Some(record) = self.record(index) else { break };
            match &mut run {
                None if record.rtype == Rtype::RRSIG => {}
                None if record.owner.is_none() => break,
                None => run = Some((index, 1, record)),
                Some((first, count, last)) if record.owner == last.owner && record.rtype == last.rtype => {
                    (*first, *count) = (index, *count + 1);
                }
                Some(_) => break,
            }
        }
        run.map_or((0, 0), |(first, count, _)| (first, count))
    }
}

/// How a block's records move when they are copied.
struct Shift<'a> {
    block: &'a Learned,
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

    /// Copies record by record, writing out the owners that point to records left behind.
    fn copy_each(&self, out: &mut [u8], records: Range<usize>, age: u32) -> Option<usize> {
        let (base, block) = (self.block.base(), &self.block.block);
        let mut pos = self.at;
        for index in records {
            let (start, end) = (self.block.start_of(index), self.block.start_of(index + 1));
            let record_at = pos;
            let fixed = start + owner_len(block, start)?;
            match pointer(block, start) {
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
            pos = put(out, pos, block.get(fixed..end)?)?;
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
