//! Writing the records that are kept in the layout of a [`Learned`].

use crate::wire::learned::{Learned, Outcome};
use crate::wire::name::{NameRef, wire_len};
use crate::wire::rdata::expand;
use crate::wire::read::{HEADER, Malformed, Record};
use crate::wire::{CLASS_IN, Rcode, Rtype};

/// The block being written.
pub(super) struct Block {
    base: usize,
    qname_len: usize,
    bytes: Vec<u8>,
    pub(super) starts: Vec<u16>,
    pub(super) answers: usize,
    pub(super) open_end: Option<u16>,
    /// Names that owners can point at, with their message offset.
    known: Vec<(Box<[u8]>, usize)>,
}

impl Block {
    pub(super) fn new(qname: NameRef<'_>) -> Self {
        let qname_len = qname.as_bytes().len();
        Self {
            base: HEADER + qname_len + 4,
            qname_len,
            bytes: Vec::new(),
            starts: Vec::new(),
            answers: 0,
            open_end: None,
            known: vec![(qname.as_bytes().into(), HEADER)],
        }
    }

    /// Appends a record of `message` under `owner`.
    pub(super) fn push(
        &mut self,
        message: &[u8],
        owner: NameRef<'_>,
        record: &Record,
        ttl: u32,
    ) -> Result<(), Malformed> {
        self.starts.push(u16::try_from(self.bytes.len()).map_err(|_| Malformed::TooLong)?);
        self.push_owner(owner);
        self.bytes.extend(record.rtype.0.to_be_bytes());
        self.bytes.extend(CLASS_IN.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        let rdlength_at = self.bytes.len();
        self.bytes.extend([0, 0]);
        expand(message, record.rtype, record.rdata.clone(), &mut self.bytes)?;
        let rdata = self.bytes.get_mut(rdlength_at + 2..).unwrap_or_default();
        let len = u16::try_from(rdata.len()).map_err(|_| Malformed::TooLong)?;
        if record.rtype == Rtype::CNAME {
            rdata.make_ascii_lowercase();
            let target: Box<[u8]> = (&*rdata).into();
            self.open_end = u16::try_from(rdlength_at + 2).ok();
            self.learn_place(target, rdlength_at + 2);
        }
        if let Some(slot) = self.bytes.get_mut(rdlength_at..rdlength_at + 2) {
            slot.copy_from_slice(&len.to_be_bytes());
        }
        if self.base + self.bytes.len() > usize::from(u16::MAX) { Err(Malformed::TooLong) } else { Ok(()) }
    }

    fn push_owner(&mut self, owner: NameRef<'_>) {
        match self.place_of(owner) {
            Some(place) => self.bytes.extend((0xc000 | place).to_be_bytes()),
            None => {
                let at = self.bytes.len();
                self.bytes.extend(owner.as_bytes());
                self.learn_place(owner.as_bytes().into(), at);
            }
        }
    }

    /// Remembers that `name` stands at `at` in the block, if a pointer reaches that far.
    fn learn_place(&mut self, name: Box<[u8]>, at: usize) {
        const MAX_PLACES: usize = 32;
        if self.known.len() < MAX_PLACES && wire_len(&name) == Ok(name.len()) {
            self.known.push((name, self.base + at));
        }
    }

    /// The message offset where `name` stands already, whole or as the end of a longer name.
    fn place_of(&self, name: NameRef<'_>) -> Option<u16> {
        self.known.iter().find_map(|(known, at)| {
            let known = NameRef::from_checked(known);
            let front = known.as_bytes().len().checked_sub(name.as_bytes().len())?;
            let place = u16::try_from(at + front).ok().filter(|&p| p < 0x4000)?;
            known.is_at_or_below(name).then_some(place)
        })
    }

    /// The records are whole; the caller fills in what the header and OPT say.
    pub(super) fn finish(self, rcode: Rcode, outcome: Outcome) -> Learned {
        Learned {
            rcode,
            outcome,
            authentic: false,
            answers: self.answers as u16,
            authorities: (self.starts.len() - self.answers) as u16,
            block: self.bytes.into(),
            starts: self.starts.into(),
            open_end: self.open_end,
            qname_len: self.qname_len as u8,
            lifetime: 0,
            ede: None,
        }
    }
}
