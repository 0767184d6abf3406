//! The few things a zone must know of RDATA: that the server and its clients can read it.

use crate::wire::{Rtype, name};

/// Checks what lookups and answers rest on: whole names, fixed sizes, character-strings that end.
///
/// # Errors
/// The problem in words. Types not named here are taken as they are (RFC 3597).
pub fn check(rtype: Rtype, rdata: &[u8]) -> Result<(), &'static str> {
    if rdata.len() > usize::from(u16::MAX) {
        return Err("longer than 65535 bytes");
    }
    let whole = match rtype {
        Rtype::A => rdata.len() == 4,
        Rtype::AAAA => rdata.len() == 16,
        Rtype::CNAME | Rtype::NS | Rtype::PTR | Rtype::DNAME => names_then(rdata, 1, 0),
        Rtype::MB | Rtype::MG | Rtype::MR | Rtype::MD | Rtype::MF => names_then(rdata, 1, 0),
        Rtype::MINFO | Rtype::RP => names_then(rdata, 2, 0),
        Rtype::SOA => names_then(rdata, 2, 20),
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX => rdata.len() > 2 && names_then(&rdata[2..], 1, 0),
        Rtype::PX => rdata.len() > 2 && names_then(&rdata[2..], 2, 0),
        Rtype::SRV => rdata.len() > 6 && names_then(&rdata[6..], 1, 0),
        Rtype::TXT | Rtype::SPF => !rdata.is_empty() && strings(rdata),
        Rtype::HINFO => after_strings(rdata, 2).is_some_and(<[u8]>::is_empty),
        Rtype::NAPTR => {
            let names = rdata.get(4..).and_then(|rest| after_strings(rest, 3));
            names.is_some_and(|rest| names_then(rest, 1, 0))
        }
        Rtype::SVCB | Rtype::HTTPS => rdata.get(2..).is_some_and(service),
        // A flag byte and a tag that is not empty (RFC 8659 §4.1).
        Rtype::CAA => rdata.len() > 2 && rdata[1] > 0 && after_strings(&rdata[1..], 1).is_some(),
        Rtype::DS => rdata.len() > 4,
        Rtype::TLSA => rdata.len() > 3,
        Rtype::SSHFP => rdata.len() > 2,
        _ => true,
    };
    if whole { Ok(()) } else { Err("not valid RDATA for its type") }
}

/// `count` uncompressed names, then exactly `tail` bytes.
fn names_then(rdata: &[u8], count: usize, tail: usize) -> bool {
    let mut rest = rdata;
    for _ in 0..count {
        match name::wire_len(rest) {
            Ok(len) => rest = &rest[len..],
            Err(_) => return false,
        }
    }
    rest.len() == tail
}

fn strings(mut rdata: &[u8]) -> bool {
    while !rdata.is_empty() {
        match after_strings(rdata, 1) {
            Some(after) => rdata = after,
            None => return false,
        }
    }
    true
}

/// What follows `count` character-strings, `None` if they do not end.
fn after_strings(rdata: &[u8], count: usize) -> Option<&[u8]> {
    (0..count).try_fold(rdata, |rest, _| {
        let (&len, tail) = rest.split_first()?;
        tail.get(usize::from(len)..)
    })
}

/// A target, then parameters with keys that rise (RFC 9460 §2.2).
fn service(rdata: &[u8]) -> bool {
    let Some(mut rest) = name::wire_len(rdata).ok().and_then(|len| rdata.get(len..)) else { return false };
    let mut last = None;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let (key, len) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        let Some(after) = tail.get(usize::from(len)..).filter(|_| last.is_none_or(|last| last < key)) else {
            return false;
        };
        (last, rest) = (Some(key), after);
    }
    rest.is_empty()
}

/// SERIAL and MINIMUM of checked SOA RDATA (RFC 1035 §3.3.13); zeros for anything else.
pub fn soa_serial_and_minimum(rdata: &[u8]) -> (u32, u32) {
    let numbers = rdata.len().checked_sub(20).and_then(|at| rdata.get(at..));
    let number = |from: usize| {
        numbers
            .and_then(|n| n.get(from..from + 4))
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_be_bytes)
    };
    (number(0), number(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdata_that_would_derail_a_reader_is_refused() {
        assert!(check(Rtype::A, &[10, 0, 0, 1]).is_ok());
        assert!(check(Rtype::A, &[10, 0, 0]).is_err());
        assert!(check(Rtype::CNAME, b"\x01a\x00").is_ok());
        assert!(check(Rtype::CNAME, b"\xc0\x0c").is_err());
        assert!(check(Rtype::CNAME, b"\x01a\x00x").is_err());
        assert!(check(Rtype::MX, b"\x00\x0a").is_err());
        assert!(check(Rtype::TXT, b"\x05abc").is_err());
        assert!(check(Rtype::TXT, b"\x03abc\x00").is_ok());
        assert!(check(Rtype::HINFO, b"\x01a\x00").is_ok() && check(Rtype::HINFO, b"\x01a").is_err());
        assert!(check(Rtype::NAPTR, b"\0\0\0\0\0\0\0\0").is_ok());
        assert!(check(Rtype::NAPTR, b"\0\0\0\0\0\0\0\xc0\x0c").is_err());
        assert!(check(Rtype::HTTPS, b"\0\x01\0\0\x01\0\0\0\x03\0\x01x").is_ok());
        assert!(check(Rtype::HTTPS, b"\0\x01\0\0\x03\0\0\0\x01\0\0").is_err(), "keys must rise");
        assert!(check(Rtype::SVCB, b"\0\x01\0\0\x03\0\x02x").is_err());
        assert!(check(Rtype::CAA, b"\0\x01i").is_ok() && check(Rtype::CAA, b"\0\x02i").is_err());
        assert!(check(Rtype::DS, b"\0\0\0\0").is_err() && check(Rtype::TLSA, b"\0\0\0").is_err());
        assert!(check(Rtype(65280), b"").is_ok());
    }

    #[test]
    fn soa_numbers_are_read_from_the_end() {
        let mut rdata = b"\x01a\x00\x00".to_vec();
        for n in [7u32, 1, 2, 3, 60] {
            rdata.extend_from_slice(&n.to_be_bytes());
        }
        assert!(check(Rtype::SOA, &rdata).is_ok());
        assert_eq!(soa_serial_and_minimum(&rdata), (7, 60));
        assert_eq!(soa_serial_and_minimum(b"short"), (0, 0));
    }
}
