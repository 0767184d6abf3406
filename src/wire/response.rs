//! Writing a response over a query: sections in order, cut to the asker's size, OPT last.

use super::query::{HEADER, Query};
use super::{CLASS_CH, CLASS_IN, EdeCode, LearnedRef, NameRef, Rcode, Rtype, Sections};

/// The UDP size we announce, and the most we send over UDP (RFC 9715 §3.1).
pub const UDP_SIZE: usize = 1232;
/// The longest message (RFC 1035 §4.2.2).
pub const MAX_MESSAGE: usize = 65_535;

const OPT_LEN: usize = 11;
/// Code and length of an option.
const OPTION_HEAD: usize = 4;
/// The option that names a server.
pub const NSID: u16 = 3;
/// EXTRA-TEXT longer than this is cut: operators read it, nothing parses it.
const MAX_EDE_TEXT: usize = 200;
/// Compression pointers reach no further (RFC 1035 §4.1.4).
const MAX_POINTER: usize = 0x3fff;

/// There is no room for a whole RRset: the response must be truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A name that stands uncompressed in the response: at offset 12 the question's, later targets.
#[derive(Clone, Copy, Debug)]
pub struct NameAt<'n> {
    /// Where it begins.
    pub at: usize,
    /// The name, lower case.
    pub name: NameRef<'n>,
}

/// A response in the making.
#[derive(Debug)]
pub struct Response<'o, 'q> {
    out: &'o mut [u8],
    query: &'q Query<'q>,
    len: usize,
    /// Room for records, the OPT record's place already taken off.
    limit: usize,
    /// Records in the answer section.
    answers: u16,
    /// Records in the authority section.
    authorities: u16,
    truncated: bool,
    /// What the OPT record tells of this server (RFC 5001); mostly nothing. Its place is taken off `limit`.
    nsid: &'q [u8],
}

/// What the finished header and OPT record say.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'e> {
    /// The response code.
    pub rcode: Rcode,
    /// AA.
    pub authoritative: bool,
    /// AD.
    pub authentic: bool,
    /// An extended error, for clients that speak EDNS.
    pub ede: Option<(EdeCode, &'e str)>,
}

impl Verdict<'static> {
    /// Only a code: not authoritative, no extended error.
    pub fn code(rcode: Rcode) -> Self {
        Self { rcode, authoritative: false, authentic: false, ede: None }
    }
}

impl<'o, 'q> Response<'o, 'q> {
    /// Starts with the question, byte for byte as asked; the header comes last.
    ///
    /// `max` is the most this transport sends; `out` must hold at least 512 bytes.
    pub fn start(query: &'q Query<'q>, out: &'o mut [u8], max: usize) -> Self {
        let end = query.question_end();
        out[HEADER..end].copy_from_slice(&query.bytes()[HEADER..end]);
        let room = max.min(out.len()) - if query.edns.is_some() { OPT_LEN } else { 0 };
        Self { out, query, len: end, limit: room, answers: 0, authorities: 0, truncated: false, nsid: &[] }
    }

    /// Has at most `max` bytes sent, if there was more room. Comes before any record.
    pub fn limit_to(&mut self, max: usize) {
        let room = max.saturating_sub(if self.query.edns.is_some() { OPT_LEN } else { 0 });
        self.limit = self.limit.min(room).max(self.len);
    }

    /// Names this server in the OPT record, if there is one (RFC 5001 §2.2). Comes before any record;
    /// where there is no room for it, it is left out.
    pub fn identify(&mut self, nsid: &'q [u8]) {
        let taken = OPTION_HEAD + nsid.len();
        if self.query.edns.is_some() && self.limit >= self.len + taken {
            (self.nsid, self.limit) = (nsid, self.limit - taken);
        }
    }

    /// Whether a section was left out for want of room.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The offset where the next record begins.
    pub fn position(&self) -> usize {
        self.len
    }

    /// The uncompressed name that was written at `at`.
    pub fn name_at(&self, at: usize) -> Option<&[u8]> {
        let written = self.out.get(at..self.len)?;
        written.get(..super::name::wire_len(written).ok()?)
    }

    /// Writes an RRset of a zone into the answer section, rotated, its owner pointing at `owner`.
    ///
    /// # Errors
    /// [`Full`]; nothing of it has been written.
    pub fn answer(&mut self, owner: NameAt<'_>, block: &[u8], count: u16, rotate: u64) -> Result<(), Full> {
        let start = self.len;
        let room = self.out.get_mut(start..self.limit).and_then(|o| o.get_mut(..block.len())).ok_or(Full)?;
        match block.split_at_checked(rotation(block, count, rotate)) {
            Some((head, tail)) if !head.is_empty() => {
                room[..tail.len()].copy_from_slice(tail);
                room[tail.len()..].copy_from_slice(head);
            }
            _ => room.copy_from_slice(block),
        }
        self.len += block.len();
        if owner.at != HEADER {
            self.move_owners(start, owner.at)?;
        }
        self.answers = self.answers.saturating_add(count);
        Ok(())
    }

    /// Points the owners of the blocks written from `start` on at another offset.
    fn move_owners(&mut self, start: usize, to: usize) -> Result<(), Full> {
        // A chain that has grown past 16 KiB before its last RRset does not occur in practice.
        let pointer = u16::try_from(to).ok().filter(|_| to <= MAX_POINTER).ok_or(Full)? | 0xc000;
        let mut at = start;
        while at < self.len {
            self.out[at..at + 2].copy_from_slice(&pointer.to_be_bytes());
            at += 12 + usize::from(u16::from_be_bytes([self.out[at + 10], self.out[at + 11]]));
        }
        Ok(())
    }

    /// Copies one record of a zone into the authority section, its owner a pointer to offset
    /// `owner_at`.
    ///
    /// # Errors
    /// [`Full`]; nothing of it has been written.
    pub fn authority(&mut self, owner_at: usize, record: &[u8]) -> Result<(), Full> {
        let pointer = u16::try_from(owner_at).ok().filter(|_| owner_at <= MAX_POINTER).ok_or(Full)? | 0xc000;
        let room =
            self.out.get_mut(self.len..self.limit).and_then(|o| o.get_mut(..record.len())).ok_or(Full)?;
        room.copy_from_slice(record);
        *room.first_chunk_mut().ok_or(Full)? = pointer.to_be_bytes();
        self.len += record.len();
        self.authorities = self.authorities.saturating_add(1);
        Ok(())
    }

    /// Writes one record made here into the answer section (`authority` false) or the authority
    /// section, its owner a pointer to offset `owner_at`.
    ///
    /// # Errors
    /// [`Full`]; nothing of it has been written.
    pub fn record(
        &mut self,
        authority: bool,
        owner_at: usize,
        rtype: Rtype,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), Full> {
        let pointer = u16::try_from(owner_at).ok().filter(|_| owner_at <= MAX_POINTER).ok_or(Full)? | 0xc000;
        let len = u16::try_from(rdata.len()).map_err(|_| Full)?;
        let whole = 12 + rdata.len();
        let room = self.out.get_mut(self.len..self.limit).and_then(|o| o.get_mut(..whole)).ok_or(Full)?;
        let (head, data) = room.split_first_chunk_mut::<12>().ok_or(Full)?;
        head[..2].copy_from_slice(&pointer.to_be_bytes());
        head[2..4].copy_from_slice(&rtype.0.to_be_bytes());
        head[4..6].copy_from_slice(&CLASS_IN.to_be_bytes());
        head[6..10].copy_from_slice(&ttl.to_be_bytes());
        head[10..].copy_from_slice(&len.to_be_bytes());
        data.copy_from_slice(rdata);
        self.len += whole;
        let section = if authority { &mut self.authorities } else { &mut self.answers };
        *section = section.saturating_add(1);
        Ok(())
    }

    /// Writes a text of class CH under the question's name (RFC 4892 §2); at most 255 bytes.
    ///
    /// # Errors
    /// [`Full`]; nothing of it has been written.
    pub fn chaos(&mut self, text: &str) -> Result<(), Full> {
        let start = self.len;
        let len = u8::try_from(text.len()).map_err(|_| Full)?;
        self.record(false, HEADER, Rtype::TXT, 0, &[&[len], text.as_bytes()].concat())?;
        if let Some(class) = self.out.get_mut(start + 4..start + 6) {
            class.copy_from_slice(&CLASS_CH.to_be_bytes());
        }
        Ok(())
    }

    /// Copies sections of a learned response; `owner_at` is where the name it was learned for stands.
    ///
    /// # Errors
    /// [`Full`]; nothing of it has been written.
    pub fn learned(
        &mut self,
        owner_at: usize,
        learned: LearnedRef<'_>,
        age: u32,
        sections: Sections,
        rotate: usize,
    ) -> Result<(), Full> {
        let room = self.out.get_mut(..self.limit).ok_or(Full)?;
        self.len = learned.copy_into(room, self.len, owner_at, age, sections, rotate).ok_or(Full)?;
        let (answers, authorities) = sections.counts(&learned);
        self.answers = self.answers.saturating_add(answers);
        self.authorities = self.authorities.saturating_add(authorities);
        Ok(())
    }

    /// Drops every record and marks the response truncated (RFC 2181 §9): a client that needs the
    /// rest asks over TCP.
    pub fn truncate(&mut self) {
        self.truncated = true;
        self.clear();
    }

    /// Forgets every record written so far, for a failure found behind the start of a chain.
    pub fn clear(&mut self) {
        self.len = self.query.question_end();
        (self.answers, self.authorities) = (0, 0);
    }

    /// Completes header and OPT record; returns the length of the response.
    pub fn finish(mut self, verdict: Verdict<'_>) -> usize {
        let query = self.query;
        let flags = 0x80
            | if verdict.authoritative { 0x04 } else { 0 }
            | if self.truncated { 0x02 } else { 0 }
            | u8::from(query.recursion_desired());
        let more_flags = 0x80
            | if verdict.authentic && query.wants_authentic_data() { 0x20 } else { 0 }
            | if query.checking_disabled() { 0x10 } else { 0 }
            | (verdict.rcode.0 & 0x0f) as u8;
        let [id0, id1] = query.id();
        let ([an0, an1], [ns0, ns1]) = (self.answers.to_be_bytes(), self.authorities.to_be_bytes());
        let opts = u8::from(query.edns.is_some());
        let header = [id0, id1, flags, more_flags, 0, 1, an0, an1, ns0, ns1, 0, opts];
        self.out[..HEADER].copy_from_slice(&header);
        if let Some(edns) = query.edns {
            self.write_opt(verdict, edns.dnssec_ok);
        }
        self.len
    }

    /// Our own OPT: nothing of the client's options is echoed (RFC 6891 §6.1.1).
    fn write_opt(&mut self, verdict: Verdict<'_>, dnssec_ok: bool) {
        let at = self.len;
        let ([type0, type1], [size0, size1]) = (Rtype::OPT.0.to_be_bytes(), (UDP_SIZE as u16).to_be_bytes());
        let (rcode, dnssec_ok) = ((verdict.rcode.0 >> 4) as u8, u8::from(dnssec_ok) << 7);
        let opt: [u8; OPT_LEN] = [0, type0, type1, size0, size1, rcode, 0, dnssec_ok, 0, 0, 0];
        self.out[at..at + OPT_LEN].copy_from_slice(&opt);
        self.len += OPT_LEN;
        if !self.nsid.is_empty() {
            self.write_nsid(at);
        }
        if let Some((code, text)) = verdict.ede {
            self.write_ede(at, code, text);
        }
    }

    #[cold]
    fn write_nsid(&mut self, opt_at: usize) {
        let (at, nsid) = (self.len, self.nsid);
        let len = OPTION_HEAD + nsid.len();
        self.out[at..at + 2].copy_from_slice(&NSID.to_be_bytes());
        self.out[at + 2..at + 4].copy_from_slice(&(nsid.len() as u16).to_be_bytes());
        self.out[at + 4..at + len].copy_from_slice(nsid);
        self.len += len;
        self.out[opt_at + 9..opt_at + 11].copy_from_slice(&(len as u16).to_be_bytes());
    }

    /// Where the last byte of the response may stand, records or not.
    fn end(&self) -> usize {
        let nsid = if self.nsid.is_empty() { 0 } else { OPTION_HEAD + self.nsid.len() };
        self.limit + OPT_LEN + nsid
    }

    /// An extended error, its text cut to what fits (RFC 8914 §2).
    fn write_ede(&mut self, opt_at: usize, code: EdeCode, text: &str) {
        let room = self.end().saturating_sub(self.len + 6);
        let mut cut = text.len().min(MAX_EDE_TEXT).min(room);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        if self.end() < self.len + 6 {
            return;
        }
        let at = self.len;
        self.out[at..at + 2].copy_from_slice(&[0, 15]);
        self.out[at + 2..at + 4].copy_from_slice(&(2 + cut as u16).to_be_bytes());
        self.out[at + 4..at + 6].copy_from_slice(&code.0.to_be_bytes());
        self.out[at + 6..at + 6 + cut].copy_from_slice(&text.as_bytes()[..cut]);
        self.len += 6 + cut;
        let options = (self.len - opt_at - OPT_LEN) as u16;
        self.out[opt_at + 9..opt_at + 11].copy_from_slice(&options.to_be_bytes());
    }
}

/// Where a block is cut for rotation: at the start of record `rotate mod count`.
fn rotation(block: &[u8], count: u16, rotate: u64) -> usize {
    if count < 2 {
        return 0;
    }
    let mut at = 0;
    for _ in 0..rotate % u64::from(count) {
        let Some(len) = block.get(at + 10..at + 12) else { return 0 };
        at += 12 + usize::from(u16::from_be_bytes([len[0], len[1]]));
    }
    at
}

/// Answers a packet that is no well-formed query: header, the question if it can be read, no OPT.
pub fn error(query: &[u8], question_end: Option<usize>, rcode: Rcode, out: &mut [u8]) -> usize {
    let end = question_end.filter(|&end| end <= query.len() && end <= out.len()).unwrap_or(HEADER);
    out[..end].copy_from_slice(&query[..end]);
    // QR, the opcode and RD as sent; RA and the code.
    out[2] = 0x80 | (query[2] & 0x79);
    out[3] = 0x80 | (query[3] & 0x10) | (rcode.0 & 0x0f) as u8;
    out[4..HEADER].fill(0);
    out[5] = u8::from(end > HEADER);
    end
}
