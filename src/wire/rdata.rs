//! RDATA copied out of a message with the names inside it decompressed (RFC 3597 §4).

use std::ops::Range;

use super::Rtype;
use super::read::{Malformed, NameBuf};

/// One piece of an RDATA form.
#[derive(Clone, Copy)]
enum Piece {
    /// So many bytes.
    Bytes(usize),
    /// A character-string: a length byte and as many bytes.
    Text,
    /// A name, possibly compressed.
    Name,
    /// All that is left.
    Rest,
}

/// The form of the types whose names a sender may have compressed, of addresses, and of signatures
/// and proofs, whose names are relied on.
fn form(rtype: Rtype) -> &'static [Piece] {
    use Piece::{Bytes, Name, Rest, Text};
    const NXT: Rtype = Rtype(30);
    match rtype {
        Rtype::A => &[Bytes(4)],
        Rtype::AAAA => &[Bytes(16)],
        Rtype::NS | Rtype::MD | Rtype::MF | Rtype::CNAME | Rtype::MB | Rtype::MG | Rtype::MR => &[Name],
        Rtype::PTR | Rtype::DNAME => &[Name],
        Rtype::MINFO | Rtype::RP => &[Name, Name],
        Rtype::SOA => &[Name, Name, Bytes(20)],
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX => &[Bytes(2), Name],
        Rtype::PX => &[Bytes(2), Name, Name],
        Rtype::SRV => &[Bytes(6), Name],
        Rtype::NAPTR => &[Bytes(4), Text, Text, Text, Name],
        Rtype::SIG | Rtype::RRSIG => &[Bytes(18), Name, Rest],
        NXT | Rtype::NSEC => &[Name, Rest],
        _ => &[Rest],
    }
}

/// Appends the RDATA at `range` of `message` to `out`, names written out in full.
///
/// # Errors
/// [`Malformed`] when the bytes do not have the form of `rtype`, or end before it does.
pub(super) fn expand(
    message: &[u8],
    rtype: Rtype,
    range: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut at = range.start;
    for piece in form(rtype) {
        let end = match piece {
            Piece::Name => {
                let (name, end) = NameBuf::read(message, at)?;
                out.extend_from_slice(name.as_bytes());
                at = end;
                continue;
            }
            Piece::Bytes(len) => at + len,
            Piece::Text => at + 1 + usize::from(*message.get(at).ok_or(Malformed::BadRecord)?),
            Piece::Rest => range.end,
        };
        if end > range.end {
            return Err(Malformed::BadRecord);
        }
        out.extend_from_slice(message.get(at..end).ok_or(Malformed::BadRecord)?);
        at = end;
    }
    if at == range.end { Ok(()) } else { Err(Malformed::BadRecord) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_compressible_rdata_are_written_out() {
        let message = b"............\x04test\x00\x00\x05\xc0\x0c";
        let mut out = Vec::new();
        expand(message, Rtype::MX, 18..22, &mut out).unwrap();
        assert_eq!(out, b"\x00\x05\x04test\x00");
    }

    #[test]
    fn rdata_must_have_the_form_of_its_type_exactly() {
        let message = b"............\x04test\x00\x00\x05\xc0\x0c..";
        for (rtype, range) in
            [(Rtype::A, 12..15), (Rtype::A, 12..17), (Rtype::MX, 18..21), (Rtype::MX, 18..23)]
        {
            assert!(expand(message, rtype, range.clone(), &mut Vec::new()).is_err(), "{rtype} {range:?}");
        }
        let signature = [&[0; 30][..], b"\x04test\x00sig"].concat();
        assert!(expand(&signature, Rtype::RRSIG, 12..39, &mut Vec::new()).is_ok());
        assert!(expand(&signature, Rtype::RRSIG, 12..35, &mut Vec::new()).is_err(), "the signer is cut");
        let mut out = Vec::new();
        expand(message, Rtype(65280), 18..22, &mut out).unwrap();
        assert_eq!(out, b"\x00\x05\xc0\x0c", "unknown types are opaque");
    }
}
