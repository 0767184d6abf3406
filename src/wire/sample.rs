//! Messages for unit tests, written out plainly (no compression but what a test asks for).

use super::{CLASS_IN, Name, Rcode, Rtype};

/// A record: owner, type, TTL, RDATA.
pub(crate) type Rec = (Name, Rtype, u32, Vec<u8>);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn a(owner: &str, ttl: u32, last: u8) -> Rec {
    (name(owner), Rtype::A, ttl, vec![192, 0, 2, last])
}

pub(crate) fn cname(owner: &str, ttl: u32, target: &str) -> Rec {
    (name(owner), Rtype::CNAME, ttl, name(target).as_bytes().to_vec())
}

pub(crate) fn soa(owner: &str, ttl: u32, minimum: u32) -> Rec {
    let mut rdata = name("ns.test").as_bytes().to_vec();
    rdata.extend(name("admin.test").as_bytes());
    for number in [1, 7200, 900, 86400, minimum] {
        rdata.extend(number.to_be_bytes());
    }
    (name(owner), Rtype::SOA, ttl, rdata)
}

pub(crate) fn rrsig(owner: &str, ttl: u32, covered: Rtype, signer: &str) -> Rec {
    let mut rdata = covered.0.to_be_bytes().to_vec();
    rdata.extend([0; 16]);
    rdata.extend(name(signer).as_bytes());
    rdata.extend([7; 8]);
    (name(owner), Rtype::RRSIG, ttl, rdata)
}

/// A response with id 0: QR, RD and RA set.
pub(crate) fn response(
    qname: &str,
    qtype: Rtype,
    rcode: Rcode,
    answers: &[Rec],
    authorities: &[Rec],
) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [0, 0x8180 | rcode.0, 1, answers.len() as u16, authorities.len() as u16, 0] {
        out.extend(number.to_be_bytes());
    }
    out.extend(name(qname).as_bytes());
    out.extend(qtype.0.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    for record in answers.iter().chain(authorities) {
        push(&mut out, record);
    }
    out
}

/// Appends a record; the caller counts it.
pub(crate) fn push(out: &mut Vec<u8>, (owner, rtype, ttl, rdata): &Rec) {
    out.extend(owner.as_bytes());
    out.extend(rtype.0.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    out.extend((rdata.len() as u16).to_be_bytes());
    out.extend(rdata);
}

/// Appends an OPT with `data` as its options, counted in the header.
pub(crate) fn add_opt(out: &mut Vec<u8>, extended: u8, data: &[u8]) {
    out.extend([0, 0, 41, 4, 208, extended, 0, 0, 0]);
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out[11] += 1;
}
