//! A client's query, read with every check that decides how to answer it (RFC 1035 §4.1, RFC 8906).

use super::hash::hash_in_any_case;
use super::name::{MAX_LABEL, MAX_NAME};
use super::{NameRef, Rcode, Rtype, Suffixes};

/// Bytes of a DNS header.
pub const HEADER: usize = 12;
/// Largest UDP response to a client without EDNS (RFC 1035 §4.2.1).
pub const CLASSIC_UDP: usize = 512;

const RD: u8 = 0x01;
const AD: u8 = 0x20;
const CD: u8 = 0x10;

/// A well-formed query with one question.
#[derive(Debug)]
pub struct Query<'q> {
    bytes: &'q [u8],
    header: &'q [u8; HEADER],
    qname: &'q Suffixes,
    question_end: usize,
    /// The query type.
    pub qtype: Rtype,
    /// The query class.
    pub qclass: u16,
    /// What the OPT record says; `None` without one.
    pub edns: Option<Edns<'q>>,
}

/// The OPT record of a query (RFC 6891 §6.1).
#[derive(Clone, Copy, Debug)]
pub struct Edns<'q> {
    /// Largest UDP response the client takes, at least 512 (RFC 6891 §6.2.3).
    pub udp_size: u16,
    /// EDNS version; only 0 is known.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    options: &'q [u8],
}

impl<'q> Edns<'q> {
    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&'q [u8]> {
        let mut rest = self.options;
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let (data, after) = tail.split_at_checked(usize::from(u16::from_be_bytes([head[2], head[3]])))?;
            if u16::from_be_bytes([head[0], head[1]]) == code {
                return Some(data);
            }
            rest = after;
        }
        None
    }
}

/// Why a packet is not answered as a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Shorter than a header: there is no id to answer with.
    ShortHeader,
    /// A response. Answering it could make two servers talk for ever.
    IsResponse,
    /// Answered with this code. The question is echoed when `question_end` names where it ends.
    Error {
        /// FORMERR or NOTIMP.
        rcode: Rcode,
        /// End of the one question, where there is exactly one that can be read.
        question_end: Option<usize>,
    },
}

impl<'q> Query<'q> {
    /// Reads a packet, its name into `qname`. Cost: about 20 ns, no allocation.
    ///
    /// # Errors
    /// [`Unreadable`] says what to do with anything else than a well-formed QUERY.
    // A call would hand the result over in memory, to be copied twice.
    #[inline(always)]
    pub fn parse(bytes: &'q [u8], qname: &'q mut Suffixes) -> Result<Self, Unreadable> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Unreadable::ShortHeader)?;
        if header[2] & 0x80 != 0 {
            return Err(Unreadable::IsResponse);
        }
        if header[2] & 0x78 != 0 {
            // What follows another opcode's header may not even be a question (DSO, RFC 8490).
            return Err(Unreadable::Error { rcode: Rcode::NOTIMP, question_end: None });
        }
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let formerr = |question_end| Unreadable::Error { rcode: Rcode::FORMERR, question_end };
        if count(4) != 1 {
            return Err(formerr(None));
        }
        // A pointer has nothing to point at in the first name of a message.
        let name_end = HEADER + qname.read(rest).ok_or(formerr(None))?;
        let Some(&[t0, t1, c0, c1]) = bytes.get(name_end..).and_then(<[u8]>::first_chunk) else {
            return Err(formerr(None));
        };
        let question_end = name_end + 4;
        let plain = usize::from(count(6)) + usize::from(count(8));
        let edns = read_records(bytes, question_end, plain, usize::from(count(10)))
            .ok_or(formerr(Some(question_end)))?;
        let (qtype, qclass) = (Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1]));
        Ok(Self { bytes, header, qname, question_end, qtype, qclass, edns })
    }

    /// The packet.
    pub fn bytes(&self) -> &'q [u8] {
        self.bytes
    }

    /// The id, which the response repeats.
    pub fn id(&self) -> [u8; 2] {
        [self.header[0], self.header[1]]
    }

    /// The query name in lower case.
    pub fn qname(&self) -> NameRef<'q> {
        self.qname.name()
    }

    /// The query name with what it takes to look it up.
    pub fn suffixes(&self) -> &'q Suffixes {
        self.qname
    }

    /// Where the question ends in the packet, and in a response that echoes it.
    pub fn question_end(&self) -> usize {
        self.question_end
    }

    /// Recursion desired.
    pub fn recursion_desired(&self) -> bool {
        self.header[2] & RD != 0
    }

    /// Checking disabled (RFC 4035 §3.2.2).
    pub fn checking_disabled(&self) -> bool {
        self.header[3] & CD != 0
    }

    /// Whether the client understands AD (RFC 6840 §5.7): it set AD or DO itself.
    pub fn wants_authentic_data(&self) -> bool {
        self.header[3] & AD != 0 || self.dnssec_ok()
    }

    /// DNSSEC OK.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|e| e.dnssec_ok)
    }

    /// The largest UDP response this client takes, whatever we would send at most.
    pub fn udp_size(&self) -> usize {
        self.edns.map_or(CLASSIC_UDP, |e| usize::from(e.udp_size))
    }
}

/// The hash of the name that a packet seems to ask for, as [`name_hash`](super::name_hash) has it:
/// for who wants to know before it is read. Nothing but the name's form is checked.
pub fn seeming_hash(bytes: &[u8]) -> Option<u64> {
    let name = bytes.get(HEADER..)?;
    let mut at = 0;
    loop {
        match usize::from(*name.get(at)?) {
            0 => break,
            label if label > MAX_LABEL || at + label >= MAX_NAME => return None,
            label => at += 1 + label,
        }
    }
    Some(hash_in_any_case(name.get(..=at)?))
}

/// Walks what follows the question, `plain` records and `additional` ones: everything must be whole,
/// nothing may be left, only the one OPT matters.
fn read_records(bytes: &[u8], mut at: usize, plain: usize, additional: usize) -> Option<Option<Edns<'_>>> {
    let mut edns = None;
    for index in 0..plain + additional {
        let owner_is_root = bytes.get(at) == Some(&0);
        at = skip_name(bytes, at)?;
        let head = bytes.get(at..)?.first_chunk::<10>()?;
        let len = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let rdata = bytes.get(at + 10..at + 10 + len)?;
        if index >= plain && Rtype(u16::from_be_bytes([head[0], head[1]])) == Rtype::OPT {
            if edns.is_some() || !owner_is_root || !whole_options(rdata) {
                return None;
            }
            edns = Some(Edns {
                udp_size: u16::from_be_bytes([head[2], head[3]]).max(CLASSIC_UDP as u16),
                version: head[5],
                dnssec_ok: head[6] & 0x80 != 0,
                options: rdata,
            });
        }
        at += 10 + len;
    }
    (at == bytes.len()).then_some(edns)
}

/// The offset behind the name at `at`, compressed or not; nothing is followed.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            len if usize::from(len) <= MAX_LABEL => at += 1 + usize::from(len),
            len if len >= 0xc0 => return bytes.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
        if at - start > MAX_NAME {
            return None;
        }
    }
}

fn whole_options(mut rest: &[u8]) -> bool {
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        match tail.get(usize::from(u16::from_be_bytes([head[2], head[3]]))..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A query for `qname` (dotted, as it is to stand on the wire) with optional OPT bytes behind.
    pub(crate) fn packet(qname: &str, qtype: u16, opt: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(opt.is_some())];
        for label in qname.split('.').filter(|l| !l.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&qtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(opt.unwrap_or_default());
        bytes
    }

    /// An OPT record: UDP size 4096, version, DO, options.
    pub(crate) fn opt(version: u8, dnssec_ok: bool, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 41, 0x10, 0, 0, version, u8::from(dnssec_ok) << 7, 0];
        bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
        bytes.extend_from_slice(options);
        bytes
    }

    fn rcode(bytes: &[u8]) -> Rcode {
        match Query::parse(bytes, &mut Suffixes::default()) {
            Err(Unreadable::Error { rcode, .. }) => rcode,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_is_read_with_its_name_in_lower_case() {
        let bytes = packet("WwW.Example.Com", 28, Some(&opt(0, true, &[0, 10, 0, 2, 7, 7, 0, 3, 0, 0])));
        let mut qname = Suffixes::default();
        let query = Query::parse(&bytes, &mut qname).unwrap();
        assert_eq!(query.qname().to_string(), "www.example.com.");
        assert_eq!((query.qtype, query.qclass, query.udp_size()), (Rtype::AAAA, 1, 4096));
        assert!(query.dnssec_ok() && query.wants_authentic_data() && query.recursion_desired());
        let edns = query.edns.unwrap();
        assert_eq!(
            (edns.option(10), edns.option(3), edns.option(8)),
            (Some(&[7u8, 7][..]), Some(&[][..]), None)
        );
        let plain = packet("a", 1, None);
        assert_eq!(Query::parse(&plain, &mut Suffixes::default()).unwrap().udp_size(), 512);
    }

    #[test]
    fn packets_without_an_answerable_header_are_dropped() {
        assert!(matches!(Query::parse(&[0; 11], &mut Suffixes::default()), Err(Unreadable::ShortHeader)));
        let mut response = packet("a", 1, None);
        response[2] |= 0x80;
        assert!(matches!(Query::parse(&response, &mut Suffixes::default()), Err(Unreadable::IsResponse)));
    }

    #[test]
    fn other_opcodes_are_not_implemented_whatever_follows() {
        for opcode in 1..16u8 {
            let mut bytes = packet("a", 1, None);
            bytes[2] = opcode << 3;
            assert_eq!(rcode(&bytes), Rcode::NOTIMP);
            bytes.truncate(12);
            assert_eq!(rcode(&bytes), Rcode::NOTIMP);
        }
    }

    #[test]
    fn malformed_queries_are_format_errors() {
        let good = packet("www.example.com", 1, Some(&opt(0, false, &[0, 10, 0, 2, 7, 7])));
        for len in 12..good.len() {
            assert_eq!(rcode(&good[..len]), Rcode::FORMERR, "cut to {len}");
        }
        for count in [0, 2] {
            let mut bytes = good.clone();
            bytes[5] = count;
            assert_eq!(rcode(&bytes), Rcode::FORMERR);
        }
        let mut pointer = packet("", 1, None);
        pointer[12] = 0xc0;
        assert_eq!(rcode(&pointer), Rcode::FORMERR);
        let two: Vec<u8> = [opt(0, false, &[]), opt(0, false, &[])].concat();
        let mut twice = packet("a", 1, Some(&two));
        twice[11] = 2;
        assert_eq!(rcode(&twice), Rcode::FORMERR);
        let mut trailing = packet("a", 1, None);
        trailing.push(0);
        assert_eq!(rcode(&trailing), Rcode::FORMERR);
        let long_option = packet("a", 1, Some(&opt(0, false, &[0, 10, 0, 9, 7])));
        assert_eq!(rcode(&long_option), Rcode::FORMERR);
    }

    #[test]
    fn names_are_read_up_to_their_limit() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        let bytes = packet(&longest, 1, None);
        assert_eq!(Query::parse(&bytes, &mut Suffixes::default()).unwrap().qname().as_bytes().len(), 255);
        assert_eq!(rcode(&packet(&format!("{longest}b"), 1, None)), Rcode::FORMERR);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = Query::parse(&bytes, &mut Suffixes::default());
        }

        #[test]
        fn no_changed_byte_makes_the_reader_panic(at in 0usize..50, value in proptest::num::u8::ANY) {
            let mut bytes = packet("www.example.com", 1, Some(&opt(0, false, &[0, 10, 0, 2, 7, 7])));
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(query) = Query::parse(&bytes, &mut Suffixes::default()) {
                assert!(query.question_end() <= bytes.len());
            }
        }
    }
}
