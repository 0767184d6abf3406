//! One of our own responses as text, record by record.

use super::{name, rdata};
use crate::wire::read::{HEADER, NameBuf, u16_at, u32_at};
use crate::wire::{EdeCode, Rcode, Rtype};

/// The EDNS option of extended errors.
const EDE: u16 = 15;

/// What a response says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The response code, extended bits included.
    pub rcode: u16,
    /// AA.
    pub authoritative: bool,
    /// AD.
    pub authentic: bool,
    /// TC.
    pub truncated: bool,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The extended error (RFC 8914).
    pub ede: Option<(EdeCode, String)>,
}

impl Message {
    /// The response code.
    pub fn rcode(&self) -> Rcode {
        Rcode(self.rcode)
    }
}

/// One record as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The owner.
    pub owner: String,
    /// Seconds.
    pub ttl: u32,
    /// The type.
    pub rtype: Rtype,
    /// The data.
    pub data: String,
}

/// Reads a response of ours, in whose record data no name is compressed. `None` for what is none.
///
/// Not for what comes from outside: [`learn`](fn@crate::wire::learn) reads that.
pub fn message(bytes: &[u8]) -> Option<Message> {
    let flags = u16_at(bytes, 2)?;
    let mut reader = Reader { bytes, at: HEADER };
    for _ in 0..u16_at(bytes, 4)? {
        reader.name()?;
        reader.at += 4;
    }
    let flag = |bit: u16| flags & bit != 0;
    let (answers, authorities) = (reader.records(u16_at(bytes, 6)?)?, reader.records(u16_at(bytes, 8)?)?);
    let mut told = Message {
        rcode: flags & 0x000f,
        authoritative: flag(0x0400),
        authentic: flag(0x0020),
        truncated: flag(0x0200),
        answers: answers.iter().map(Raw::told).collect(),
        authorities: authorities.iter().map(Raw::told).collect(),
        ede: None,
    };
    for opt in reader.records(u16_at(bytes, 10)?)?.iter().filter(|raw| raw.rtype == Rtype::OPT) {
        told.rcode |= (opt.ttl >> 24 << 4) as u16;
        told.ede = extended_error(opt.data);
    }
    Some(told)
}

fn extended_error(mut options: &[u8]) -> Option<(EdeCode, String)> {
    loop {
        let (code, len) = (u16_at(options, 0)?, usize::from(u16_at(options, 2)?));
        let (option, rest) = options.get(4..)?.split_at_checked(len)?;
        if code == EDE {
            let text = String::from_utf8_lossy(option.get(2..)?).into_owned();
            return Some((EdeCode(u16_at(option, 0)?), text));
        }
        options = rest;
    }
}

struct Raw<'m> {
    owner: String,
    rtype: Rtype,
    ttl: u32,
    data: &'m [u8],
}

impl Raw<'_> {
    fn told(&self) -> Record {
        let Self { owner, rtype, ttl, data } = self;
        Record { owner: owner.clone(), ttl: *ttl, rtype: *rtype, data: rdata(*rtype, data) }
    }
}

struct Reader<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    fn name(&mut self) -> Option<String> {
        let (found, end) = NameBuf::read(self.bytes, self.at).ok()?;
        self.at = end;
        Some(name(found.as_bytes()))
    }

    fn records(&mut self, count: u16) -> Option<Vec<Raw<'m>>> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Option<Raw<'m>> {
        let owner = self.name()?;
        let (rtype, ttl) = (Rtype(u16_at(self.bytes, self.at)?), u32_at(self.bytes, self.at + 4)?);
        let from = self.at + 10;
        self.at = from + usize::from(u16_at(self.bytes, self.at + 8)?);
        Some(Raw { owner, rtype, ttl, data: self.bytes.get(from..self.at)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{a, add_opt, response, soa};

    #[test]
    fn a_response_is_told_section_by_section() {
        let (answer, denial) = (a("A.test", 60, 1), soa("test", 5, 30));
        let mut bytes = response("a.test", Rtype::A, Rcode::NXDOMAIN, &[answer], &[denial]);
        bytes[2] |= 0x04;
        add_opt(&mut bytes, 0, b"\0\x0a\0\0\0\x0f\0\x05\0\x16no!");
        let told = message(&bytes).unwrap();
        let line = |r: &Record| format!("{} {} {} {}", r.owner, r.ttl, r.rtype, r.data);
        assert_eq!(told.answers.iter().map(line).collect::<Vec<_>>(), ["a.test. 60 A 192.0.2.1"]);
        let authorities: Vec<_> = told.authorities.iter().map(line).collect();
        assert_eq!(authorities, ["test. 5 SOA ns.test. admin.test. 1 7200 900 86400 30"]);
        assert_eq!((told.rcode(), told.authoritative, told.truncated), (Rcode::NXDOMAIN, true, false));
        assert_eq!(told.ede, Some((EdeCode::NO_REACHABLE_AUTHORITY, "no!".to_owned())));
    }

    #[test]
    fn what_is_cut_is_no_response_and_harms_nothing() {
        let bytes = response("a.test", Rtype::A, Rcode::NOERROR, &[a("a.test", 60, 1)], &[]);
        assert!((0..bytes.len()).all(|len| message(&bytes[..len]).is_none()));
        let mut extended = bytes;
        add_opt(&mut extended, 1, b"");
        assert_eq!(message(&extended).unwrap().rcode(), Rcode::BADVERS);
    }
}
