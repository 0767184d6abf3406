//! The queries zonelet itself sends.

use super::{CLASS_IN, NameRef, Rtype};

/// The UDP payload size we announce and accept (DNS flag day 2020).
pub const OUR_UDP_SIZE: u16 = 1232;

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

impl Query<'_> {
    /// The message with id 0; whoever sends it writes the id into the first two bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + 255 + 4 + 11 + 4 + 64);
        let cd = u16::from(self.checking_disabled) << 4;
        for number in [0, 0x0100 | cd, 1, 0, 0, u16::from(self.edns)] {
            out.extend(number.to_be_bytes());
        }
        out.extend(self.qname.as_bytes());
        out.extend(self.qtype.0.to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        if self.edns {
            self.push_opt(&mut out);
        }
        out
    }

    fn push_opt(&self, out: &mut Vec<u8>) {
        let option = self.option.filter(|(_, data)| data.len() <= 512);
        let len = option.map_or(0, |(_, data)| 4 + data.len() as u16);
        out.push(0);
        for number in [Rtype::OPT.0, OUR_UDP_SIZE, 0, u16::from(self.dnssec_ok) << 15, len] {
            out.extend(number.to_be_bytes());
        }
        if let Some((code, data)) = option {
            out.extend(code.to_be_bytes());
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(data);
        }
    }
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
}
