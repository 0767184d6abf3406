//! A response's sections, checked once and walked over as often as it takes.

use super::{HEADER, Malformed, Record, check_question};
use crate::wire::Rtype;
use crate::wire::name::NameRef;

/// A section of a message: records that have been checked, read again by whoever walks them.
pub(in crate::wire) struct Section<'m> {
    message: &'m [u8],
    at: usize,
    count: u16,
    has_dname: bool,
}

impl<'m> Section<'m> {
    /// Checks `count` records from `at` on, which is moved behind them.
    fn read(message: &'m [u8], at: &mut usize, count: u16) -> Result<Self, Malformed> {
        let mut section = Self { message, at: *at, count, has_dname: false };
        for _ in 0..count {
            let (record, end) = Record::read(message, *at)?;
            section.has_dname |= record.rtype == Rtype::DNAME;
            *at = end;
        }
        Ok(section)
    }

    /// Whether one of the records is a DNAME.
    pub(in crate::wire) fn has_dname(&self) -> bool {
        self.has_dname
    }

    /// The records in order.
    pub(in crate::wire) fn records(&self) -> impl Iterator<Item = Record> + use<'m> {
        let (message, mut at) = (self.message, self.at);
        (0..self.count).map_while(move |_| {
            let (record, end) = Record::again(message, at)?;
            at = end;
            Some(record)
        })
    }
}

/// The header fields of a response and the records of its three sections.
pub(in crate::wire) struct Sections<'m> {
    /// The second 16 bits of the header.
    pub(in crate::wire) flags: u16,
    pub(in crate::wire) answers: Section<'m>,
    pub(in crate::wire) authorities: Section<'m>,
    pub(in crate::wire) opt: Option<Record>,
}

impl<'m> Sections<'m> {
    /// Reads a whole response to the question (`qname`, `qtype`, IN).
    pub(in crate::wire) fn read(
        message: &'m [u8],
        qname: NameRef<'_>,
        qtype: Rtype,
    ) -> Result<Self, Malformed> {
        let head = message.get(..HEADER).ok_or(Malformed::ShortHeader)?;
        let count = |i: usize| u16::from_be_bytes([head[i], head[i + 1]]);
        let flags = count(2);
        if flags & 0xf800 != 0x8000 {
            return Err(Malformed::NotAResponse);
        }
        if count(4) != 1 {
            return Err(Malformed::OtherQuestion);
        }
        let mut at = check_question(message, qname, qtype)?;
        let answers = Section::read(message, &mut at, count(6))?;
        let authorities = Section::read(message, &mut at, count(8))?;
        let mut opt = None;
        for record in Section::read(message, &mut at, count(10))?.records() {
            if record.rtype == Rtype::OPT && opt.replace(record).is_some() {
                return Err(Malformed::SecondOpt);
            }
        }
        Ok(Self { flags, answers, authorities, opt })
    }
}
