//! DNS messages for scripted servers, written out plainly.

use zonelet::wire::{Name, Rtype};

/// A record: owner, type, TTL, RDATA.
pub type Rec = (Name, Rtype, u32, Vec<u8>);

/// An EDNS option: code and content.
pub type EdnsOption = (u16, Vec<u8>);

/// The name of `text`.
pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An address record 192.0.2.`last`.
pub fn a(owner: &str, ttl: u32, last: u8) -> Rec {
    (name(owner), Rtype::A, ttl, vec![192, 0, 2, last])
}

/// A CNAME record.
pub fn cname(owner: &str, ttl: u32, target: &str) -> Rec {
    (name(owner), Rtype::CNAME, ttl, name(target).as_bytes().to_vec())
}

/// A SOA record.
pub fn soa(owner: &str, ttl: u32, minimum: u32) -> Rec {
    let mut rdata = name("ns.test").as_bytes().to_vec();
    rdata.extend(name("admin.test").as_bytes());
    for number in [1, 7200, 900, 86400, minimum] {
        rdata.extend(number.to_be_bytes());
    }
    (name(owner), Rtype::SOA, ttl, rdata)
}

/// A query read as far as the tests need it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The whole message.
    pub message: Vec<u8>,
    /// The name asked for, in lower case.
    pub qname: Name,
    /// The type asked for.
    pub qtype: Rtype,
    /// Where the question ends.
    pub end: usize,
}

impl Question {
    /// Reads a query; the name must not be compressed.
    pub fn read(message: &[u8]) -> Option<Self> {
        let len = zonelet::wire::name::wire_len(message.get(12..)?).ok()?;
        let qname = Name::from_wire(&message[12..12 + len]).ok()?;
        let end = 12 + len + 4;
        let qtype = Rtype(u16::from_be_bytes(message.get(end - 4..end - 2)?.try_into().ok()?));
        Some(Self { message: message.to_vec(), qname, qtype, end })
    }

    /// The OPT record's TTL field and options, if there is one.
    pub fn opt(&self) -> Option<(u32, Vec<EdnsOption>)> {
        let opt = self.message.get(self.end..)?;
        if opt.first_chunk::<3>()? != &[0, 0, 41] {
            return None;
        }
        let flags = u32::from_be_bytes(opt.get(5..9)?.try_into().ok()?);
        let mut rest = opt.get(11..)?;
        let mut options = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            options.push((u16::from_be_bytes([head[0], head[1]]), tail.get(..len)?.to_vec()));
            rest = &tail[len..];
        }
        Some((flags, options))
    }

    /// DO.
    pub fn dnssec_ok(&self) -> bool {
        self.opt().is_some_and(|(flags, _)| flags & 0x8000 != 0)
    }

    /// CD.
    pub fn checking_disabled(&self) -> bool {
        self.message[3] & 0x10 != 0
    }

    /// The content of the EDNS option `code`.
    pub fn option(&self, code: u16) -> Option<Vec<u8>> {
        self.opt()?.1.into_iter().find(|(c, _)| *c == code).map(|(_, data)| data)
    }

    /// The query without its OPT.
    pub fn without_opt(&self) -> Vec<u8> {
        let mut message = self.message[..self.end].to_vec();
        message[11] = 0;
        message
    }

    /// A response with this id and question, QR, RD and RA set.
    pub fn reply(&self, rcode: u8, answers: &[Rec], authorities: &[Rec]) -> Vec<u8> {
        let mut out = self.message[..self.end].to_vec();
        out[2] = 0x81;
        out[3] = 0x80 | rcode;
        for (at, records) in [(6, answers), (8, authorities)] {
            out[at..at + 2].copy_from_slice(&(records.len() as u16).to_be_bytes());
            for (owner, rtype, ttl, rdata) in records {
                out.extend(owner.as_bytes());
                out.extend(rtype.0.to_be_bytes());
                out.extend([0, 1]);
                out.extend(ttl.to_be_bytes());
                out.extend((rdata.len() as u16).to_be_bytes());
                out.extend(rdata);
            }
        }
        // Authorities were appended behind the answers, as they must stand.
        out[10..12].copy_from_slice(&[0, 0]);
        out
    }

    /// An address as the answer.
    pub fn address(&self, ttl: u32, last: u8) -> Vec<u8> {
        self.reply(0, &[(self.qname.clone(), Rtype::A, ttl, vec![192, 0, 2, last])], &[])
    }
}

/// Adds an OPT with one extended error.
pub fn with_ede(mut message: Vec<u8>, code: u16, text: &str) -> Vec<u8> {
    message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
    message.extend((6 + text.len() as u16).to_be_bytes());
    message.extend([0, 15]);
    message.extend((2 + text.len() as u16).to_be_bytes());
    message.extend(code.to_be_bytes());
    message.extend(text.as_bytes());
    message[11] += 1;
    message
}
