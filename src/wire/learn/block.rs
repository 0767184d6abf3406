//! Writing the records that are kept in the layout of a [`Learned`].

use crate::wire::learned::{Learned, Outcome, Turning};
use crate::wire::name::{NameRef, wire_len};
use crate::wire::rdata::expand;
use crate::wire::read::{HEADER, Malformed, Record};
use crate::wire::{CLASS_IN, Rcode, Rtype};

/// Names in the block that owners can point at, at most.
const MAX_PLACES: usize = 32;

/// The block being written.
pub(super) struct Block<'q> {
    qname: NameRef<'q>,
    bytes: Vec<u8>,
    /// Records written.
    count: usize,
    pub(super) answers: usize,
    pub(super) open_end: Option<u16>,
    /// Where in `bytes` the names stand that owners can point at: CNAME targets and owners.
    places: [u16; MAX_PLACES],
    known: usize,
}

impl<'q> Block<'q> {
    /// An empty block with room for what a message of `message_len` bytes usually leads to.
    pub(super) fn new(qname: NameRef<'q>, message_len: usize) -> Self {
        let room = message_len.saturating_sub(HEADER + qname.as_bytes().len() + 4);
        Self {
            qname,
            bytes: Vec::with_capacity(room),
            count: 0,
            answers: 0,
            open_end: None,
            places: [0; MAX_PLACES],
            known: 0,
        }
    }

    /// Records written so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The name written at `at`.
    pub(super) fn name_at(&self, at: u16) -> Option<NameRef<'_>> {
        let bytes = self.bytes.get(usize::from(at)..)?;
        bytes.get(..wire_len(bytes).ok()?).map(NameRef::from_checked)
    }

    /// The message offset the block is laid out for.
    fn base(&self) -> usize {
        HEADER + self.qname.as_bytes().len() + 4
    }

    /// Appends a record of `message` under `owner`.
    pub(super) fn push(
        &mut self,
        message: &[u8],
        owner: NameRef<'_>,
        record: &Record,
        ttl: u32,
    ) -> Result<(), Malformed> {
        u16::try_from(self.bytes.len()).map_err(|_| Malformed::TooLong)?;
        self.count += 1;
        self.push_owner(owner);
        let mut fixed = [0; 10];
        fixed[..2].copy_from_slice(&record.rtype.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&CLASS_IN.to_be_bytes());
        fixed[4..8].copy_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&fixed);
        let rdata_at = self.bytes.len();
        expand(message, record.rtype, record.rdata.clone(), &mut self.bytes)?;
        let rdata = self.bytes.get_mut(rdata_at..).unwrap_or_default();
        let len = u16::try_from(rdata.len()).map_err(|_| Malformed::TooLong)?;
        if record.rtype == Rtype::CNAME {
            rdata.make_ascii_lowercase();
            self.open_end = u16::try_from(rdata_at).ok();
            self.learn_place(rdata_at);
        }
        if let Some(slot) = self.bytes.get_mut(rdata_at - 2..rdata_at) {
            slot.copy_from_slice(&len.to_be_bytes());
        }
        if self.base() + self.bytes.len() > usize::from(u16::MAX) { Err(Malformed::TooLong) } else { Ok(()) }
    }

    fn push_owner(&mut self, owner: NameRef<'_>) {
        match self.place_of(owner) {
            Some(place) => self.bytes.extend_from_slice(&(0xc000 | place).to_be_bytes()),
            None => {
                let at = self.bytes.len();
                self.bytes.extend_from_slice(owner.as_bytes());
                self.learn_place(at);
            }
        }
    }

    /// Remembers that a name stands at `at` in the block.
    fn learn_place(&mut self, at: usize) {
        if let (Some(slot), Ok(at)) = (self.places.get_mut(self.known), u16::try_from(at)) {
            *slot = at;
            self.known += 1;
        }
    }

    /// The message offset where `name` stands already, whole or as the end of a longer name; `None`
    /// if it does not, or where no pointer reaches.
    fn place_of(&self, name: NameRef<'_>) -> Option<u16> {
        let ends_in = |known: NameRef<'_>, at: usize| {
            let front = known.as_bytes().len().checked_sub(name.as_bytes().len())?;
            let place = u16::try_from(at + front).ok().filter(|&p| p < 0x4000)?;
            known.is_at_or_below(name).then_some(place)
        };
        let places = self.places.get(..self.known).unwrap_or_default();
        ends_in(self.qname, HEADER).or_else(|| {
            places.iter().find_map(|&at| ends_in(self.name_at(at)?, self.base() + usize::from(at)))
        })
    }

    /// The records are whole; the caller fills in what the header and OPT say.
    pub(super) fn finish(self, rcode: Rcode, outcome: Outcome) -> Learned {
        let mut learned = Learned {
            rcode,
            outcome,
            authentic: false,
            answers: self.answers as u16,
            authorities: (self.count - self.answers) as u16,
            block: self.bytes,
            turning: Turning::default(),
            open_end: self.open_end,
            qname_len: self.qname.as_bytes().len() as u8,
            lifetime: 0,
            ede: None,
        };
        learned.turning = last_rrset(&learned);
        learned
    }
}

/// The last run of answers with one owner and type, signatures aside. An owner that is written out
/// could be pointed at, so such a run counts as empty.
fn last_rrset(learned: &Learned) -> Turning {
    if learned.answers < 2 {
        return Turning::default();
    }
    let (mut run, mut before) = (Turning::default(), None);
    for record in learned.records().take(usize::from(learned.answers)) {
        let same = before.replace((record.owner, record.rtype)) == Some((record.owner, record.rtype));
        match record.rtype {
            Rtype::RRSIG => {}
            _ if record.owner.is_none() => run = Turning::default(),
            _ if same => run.count += 1,
            _ => run = Turning { at: record.start as u16, count: 1 },
        }
    }
    run
}
