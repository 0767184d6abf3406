//! The queries zonelet itself sends.

use super::read::{HEADER, check_question, u16_at};
use super::response::UDP_SIZE;
use super::{CLASS_IN, NameRef, Rcode, Rtype};

/// One of our own queries: RD=1, one question, our own OPT and nothing of the client's.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The name asked for.
    pub qname: NameRef<'a>,
    /// The type asked for.
    pub qtype: Rtype,
    /// DO: signatures are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// CD: the upstream need not validate (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
    /// Whether to add an OPT at all; off only for upstreams that choke on it (RFC 6891 §6.2.2).
    pub edns: bool,
    /// One EDNS option: its code and content.
    pub option: Option<(u16, &'a [u8])>,
}

/// Room for the longest name and an option with four stamps; queries are hardly longer.
pub const MAX_QUERY: usize = 12 + 255 + 4 + 11 + 4 + 64;

/// The length that padded queries are a multiple of (RFC 8467 §4.1).
pub const PADDING_BLOCK: usize = 128;
/// The option that pads (RFC 7830 §3).
const PADDING_OPTION: u16 = 12;

impl Query<'_> {
    /// The message with id 0; whoever sends it writes the id into the first two bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_QUERY);
        self.write(0, &mut out);
        out
    }

    /// The same, padded to a multiple of [`PADDING_BLOCK`] (RFC 7830), for encrypted transports:
    /// the length tells nobody what is asked for. Without an OPT there is nowhere to put it.
    pub fn to_padded_bytes(&self) -> Vec<u8> {
        let mut out = self.to_bytes();
        if self.edns {
            let option = self.option_len();
            let padding = (out.len() + 4).next_multiple_of(PADDING_BLOCK) - out.len() - 4;
            let rdlen_at = out.len() - option - 2;
            let rdlen = (option + 4 + padding) as u16;
            if let Some(slot) = out.get_mut(rdlen_at..rdlen_at + 2) {
                slot.copy_from_slice(&rdlen.to_be_bytes());
            }
            out.extend(PADDING_OPTION.to_be_bytes());
            out.extend((padding as u16).to_be_bytes());
            out.resize(out.len() + padding, 0);
        }
        out
    }

    /// The option, as far as it is sent.
    fn option(&self) -> Option<(u16, &[u8])> {
        self.option.filter(|(_, data)| data.len() <= 512)
    }

    fn option_len(&self) -> usize {
        self.option().map_or(0, |(_, data)| 4 + data.len())
    }

    /// Writes the message in place of what `out` holds.
    pub fn write(&self, id: u16, out: &mut Vec<u8>) {
        out.clear();
        let cd = u16::from(self.checking_disabled) << 4;
        for number in [id, 0x0100 | cd, 1, 0, 0, u16::from(self.edns)] {
            out.extend(number.to_be_bytes());
        }
        out.extend(self.qname.as_bytes());
        out.extend(self.qtype.0.to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        if self.edns {
            self.push_opt(out);
        }
    }

    fn push_opt(&self, out: &mut Vec<u8>) {
        let len = self.option_len() as u16;
        out.push(0);
        for number in [Rtype::OPT.0, UDP_SIZE as u16, 0, u16::from(self.dnssec_ok) << 15, len] {
            out.extend(number.to_be_bytes());
        }
        if let Some((code, data)) = self.option() {
            out.extend(code.to_be_bytes());
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(data);
        }
    }
}

/// What the header of a message says to one who asked (`qname`, `qtype`, IN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// TC: the rest is to be had over TCP.
    pub truncated: bool,
    /// The response code, without its extension.
    pub rcode: Rcode,
}

/// Whether `message`, whose id fits, is a response to the question (`qname`, `qtype`, IN).
///
/// A server that could not read a query may send the header alone; that counts as its response
/// when the code is an error. `None`: not a response, or to another question.
pub fn read_reply(message: &[u8], qname: NameRef<'_>, qtype: Rtype) -> Option<Reply> {
    let flags = u16_at(message, 2)?;
    message.get(..HEADER)?;
    let reply = Reply { truncated: flags & 0x0200 != 0, rcode: Rcode(flags & 0x000f) };
    let bare = u16_at(message, 4)? == 0 && ![Rcode::NOERROR, Rcode::NXDOMAIN].contains(&reply.rcode);
    let fits = flags & 0xf800 == 0x8000
        && (bare || u16_at(message, 4)? == 1 && check_question(message, qname, qtype).is_ok());
    fits.then_some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn a_query_carries_our_opt_and_the_flags_asked_for() {
        let qname: Name = "a.test".parse().unwrap();
        let mut query = Query {
            qname: qname.as_ref(),
            qtype: Rtype::A,
            dnssec_ok: true,
            checking_disabled: true,
            edns: true,
            option: Some((65313, b"xy")),
        };
        let bytes = query.to_bytes();
        assert_eq!(&bytes[..12], b"\0\0\x01\x10\0\x01\0\0\0\0\0\x01");
        assert_eq!(&bytes[12..24], b"\x01a\x04test\0\0\x01\0\x01");
        assert_eq!(&bytes[24..], b"\0\0\x29\x04\xd0\0\0\x80\0\0\x06\xff\x21\0\x02xy");
        query.edns = false;
        assert_eq!(query.to_bytes().len(), 24);
    }

    #[test]
    fn padded_queries_have_the_length_of_whole_blocks_and_an_option_that_says_so() {
        let long = format!("{0}.{0}.test", "a".repeat(40));
        for (qname, option) in [("a.test", None), ("a.test", Some((65313, &b"xy"[..]))), (&*long, None)] {
            let qname: Name = qname.parse().unwrap();
            let mut query = Query {
                qname: qname.as_ref(),
                qtype: Rtype::A,
                dnssec_ok: false,
                checking_disabled: false,
                edns: true,
                option,
            };
            let (plain, padded) = (query.to_bytes(), query.to_padded_bytes());
            assert_eq!(padded.len() % PADDING_BLOCK, 0);
            assert!(padded.len() < plain.len() + 4 + PADDING_BLOCK);
            // The OPT's length, and what stands before and behind it.
            let opt = 12 + qname.as_bytes().len() + 4;
            assert_eq!(padded[..opt + 9], plain[..opt + 9]);
            assert_eq!(padded[opt + 11..plain.len()], plain[opt + 11..]);
            assert_eq!(usize::from(u16_at(&padded, opt + 9).unwrap()), padded.len() - opt - 11);
            let padding = padded.len() - plain.len() - 4;
            assert_eq!(padded[plain.len()..plain.len() + 4], [0, 12, 0, padding as u8]);
            assert!(padded[plain.len() + 4..].iter().all(|&b| b == 0));
            query.edns = false;
            assert_eq!(query.to_padded_bytes(), query.to_bytes());
        }
    }

    #[test]
    fn a_reply_is_told_from_queries_and_other_answers() {
        let qname: Name = "a.test".parse().unwrap();
        let read = |message: &[u8]| read_reply(message, qname.as_ref(), Rtype::A);
        let mut message = crate::wire::sample::response("a.test", Rtype::A, Rcode::NOERROR, &[], &[]);
        assert_eq!(read(&message), Some(Reply { truncated: false, rcode: Rcode::NOERROR }));
        assert_eq!(read_reply(&message, qname.as_ref(), Rtype::AAAA), None);
        message[2] |= 0x02;
        assert!(read(&message).unwrap().truncated);
        message[2] = 0x01;
        assert_eq!(read(&message), None, "a query");
        assert_eq!(read(b"\0\0\x81\x81\0\0\0\0\0\0\0\0").unwrap().rcode, Rcode::FORMERR);
        assert_eq!(read(b"\0\0\x81\x80\0\0\0\0\0\0\0\0"), None);
        assert_eq!(read(b"\0\0\x81"), None);
    }
}
