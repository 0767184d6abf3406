//! Questions, what is to be answered to them, and both as bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Record types that workloads are made of.
pub const A: u16 = 1;
/// An IPv6 address.
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;
const SOA: u16 = 6;
/// What a query with EDNS carries: 1232 bytes, no options.
pub const OPT: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
/// TTL of everything that our upstream says: longer than a run.
const TTL: u32 = 3600;
/// Bytes of a message before its question.
pub const HEADER: usize = 12;

/// The data of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name, without the final dot.
    Cname(String),
}

/// A record of an answer section; names are lower case and have no final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Whose record it is.
    pub owner: String,
    /// What it says.
    pub data: Data,
}

/// A question and its only right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name asked for, without the final dot.
    pub qname: String,
    /// The type asked for.
    pub qtype: u16,
    /// The zone that says so: the owner of the SOA record of a negative answer.
    pub apex: &'static str,
    /// Whether the name does not exist.
    pub is_nxdomain: bool,
    /// The answer section, in any order; empty for NODATA, too.
    pub records: Vec<Record>,
}

impl Case {
    /// A question with its answer.
    pub fn positive(qname: String, qtype: u16, apex: &'static str, records: Vec<Record>) -> Self {
        Self { qname, qtype, apex, is_nxdomain: false, records }
    }

    /// A question for a name that does not exist.
    pub fn nxdomain(qname: String, qtype: u16, apex: &'static str) -> Self {
        Self { qname, qtype, apex, is_nxdomain: true, records: Vec::new() }
    }

    /// The response code on the wire.
    pub fn rcode(&self) -> u8 {
        if self.is_nxdomain { 3 } else { 0 }
    }

    /// Name, type and class as they stand in a message.
    pub fn question(&self) -> Vec<u8> {
        [&name(&self.qname)[..], &self.qtype.to_be_bytes(), &[0, 1]].concat()
    }

    /// The query, with id 0 and RD set.
    pub fn query(&self, with_edns: bool) -> Vec<u8> {
        let header = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(with_edns)];
        let opt: &[u8] = if with_edns { &OPT } else { &[] };
        [&header[..], &self.question(), opt].concat()
    }

    /// What stands behind the question in the right response, with the bytes of its header that matter.
    pub fn ready(&self) -> ReadyAnswer {
        let question = self.question();
        let mut sections = Vec::new();
        for record in &self.records {
            let owner = if record.owner == self.qname { vec![0xc0, 12] } else { name(&record.owner) };
            let (rtype, data) = match &record.data {
                Data::A(address) => (A, address.octets().to_vec()),
                Data::Aaaa(address) => (AAAA, address.octets().to_vec()),
                Data::Cname(target) => (CNAME, name(target)),
            };
            sections.extend(bytes_of(&owner, rtype, &data));
        }
        if self.records.is_empty() {
            sections.extend(self.soa());
        }
        let answers = self.records.len() as u8;
        ReadyAnswer { question, rcode: self.rcode(), answers, sections }
    }

    fn soa(&self) -> Vec<u8> {
        let apex_at = HEADER + self.qname.len() - self.apex.len();
        let pointer = [0xc0, apex_at as u8];
        let mut data = [&[2, b'n', b's'][..], &pointer, &[5], b"admin", &pointer].concat();
        for number in [1u32, 7200, 3600, 1_209_600, TTL] {
            data.extend(number.to_be_bytes());
        }
        bytes_of(&pointer, SOA, &data)
    }
}

/// A response without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyAnswer {
    /// Name, type and class.
    pub question: Vec<u8>,
    /// The response code.
    pub rcode: u8,
    /// Records of the answer section; with none there is an SOA record in the authority section.
    pub answers: u8,
    /// The bytes of all sections behind the question.
    pub sections: Vec<u8>,
}

/// A name on the wire, not compressed. Labels must be 1 to 63 bytes long, which those made here are.
pub fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).chain([0]).collect()
}

/// Where the question of a message ends: behind its class. `None` where it is cut, or not one plain name.
pub fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match usize::from(*message.get(at)?) {
            0 => break,
            len @ 1..=63 => at += 1 + len,
            _ => return None,
        }
    }
    (at + 5 <= message.len()).then_some(at + 5)
}

fn bytes_of(owner: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
    let fixed = [rtype.to_be_bytes(), [0, 1]].concat();
    [owner, &fixed, &TTL.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    fn address(owner: &str) -> Record {
        Record { owner: owner.into(), data: Data::A(Ipv4Addr::new(10, 0, 0, 1)) }
    }

    #[test]
    fn the_question_ends_where_the_options_begin() {
        let case = Case::positive("a.bc.test".into(), A, "test", vec![address("a.bc.test")]);
        let query = case.query(true);
        assert_eq!(question_end(&query), Some(query.len() - OPT.len()));
        assert_eq!(case.query(false).len() + OPT.len(), query.len());
        assert_eq!(question_end(&query[..20]), None);
    }

    #[test]
    fn a_chain_keeps_its_owners() {
        let alias = Record { owner: "www.test".into(), data: Data::Cname("web.test".into()) };
        let case = Case::positive("www.test".into(), A, "test", vec![alias, address("web.test")]);
        let ready = case.ready();
        assert_eq!((ready.answers, ready.rcode), (2, 0));
        assert!(ready.sections.starts_with(&[0xc0, 12, 0, 5]));
        assert!(ready.sections.windows(10).any(|part| part == name("web.test")));
    }

    #[test]
    fn a_denial_points_to_its_zone_within_the_question() {
        let case = Case::nxdomain("no.such.test".into(), A, "test");
        let ready = case.ready();
        assert_eq!((ready.answers, ready.rcode), (0, 3));
        let message = [&[0; HEADER][..], &ready.question].concat();
        assert_eq!(&message[usize::from(ready.sections[1])..][..6], name("test"));
    }
}
