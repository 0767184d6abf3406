//! Record data as text, by the form of its type.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{name, quoted, svcb};
use crate::wire::Rtype;
use crate::wire::name::wire_len;

/// One field of a type's data.
#[derive(Clone, Copy)]
enum Field {
    U8,
    U16,
    U32,
    V4,
    V6,
    Name,
    /// A character-string.
    Text,
    /// Character-strings up to the end, at least one.
    Texts,
    /// A character-string of letters and digits, without quotes.
    Tag,
    /// All that is left, as one string.
    Value,
    /// All that is left in hexadecimal digits, at least one byte.
    Hex,
}

/// The fields of a type; `None` for one that is shown in the generic form.
fn form(rtype: Rtype) -> Option<&'static [Field]> {
    use Field::{Hex, Name, Tag, Text, Texts, U8, U16, U32, V4, V6, Value};
    Some(match rtype {
        Rtype::A => &[V4],
        Rtype::AAAA => &[V6],
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => &[Name],
        Rtype::MX => &[U16, Name],
        Rtype::SRV => &[U16, U16, U16, Name],
        Rtype::SOA => &[Name, Name, U32, U32, U32, U32, U32],
        Rtype::RP | Rtype::MINFO => &[Name, Name],
        Rtype::TXT | Rtype::SPF => &[Texts],
        Rtype::HINFO => &[Text, Text],
        Rtype::NAPTR => &[U16, U16, Text, Text, Text, Name],
        Rtype::CAA => &[U8, Tag, Value],
        Rtype::DS => &[U16, U8, U8, Hex],
        Rtype::TLSA => &[U8, U8, U8, Hex],
        Rtype::SSHFP => &[U8, U8, Hex],
        _ => return None,
    })
}

/// The data of a record as a zone file has it; in the generic form of RFC 3597 §5 (`\# 4 0a000001`) for types
/// that have no other one here, and for data that does not have its type's form.
pub fn rdata(rtype: Rtype, data: &[u8]) -> String {
    let told = match rtype {
        Rtype::SVCB | Rtype::HTTPS => svcb::told(data),
        _ => form(rtype).and_then(|fields| told(fields, data)),
    };
    told.unwrap_or_else(|| generic(data))
}

fn told(fields: &[Field], mut data: &[u8]) -> Option<String> {
    let mut texts = Vec::with_capacity(fields.len());
    for &field in fields {
        data = one(field, data, &mut texts)?;
    }
    data.is_empty().then(|| texts.join(" "))
}

/// Adds the text of the field in front; returns what is behind it.
fn one<'d>(field: Field, data: &'d [u8], texts: &mut Vec<String>) -> Option<&'d [u8]> {
    let number = |len: usize| {
        let (front, rest) = data.split_at_checked(len)?;
        Some((front.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte)).to_string(), rest))
    };
    let (text, rest) = match field {
        Field::U8 => number(1)?,
        Field::U16 => number(2)?,
        Field::U32 => number(4)?,
        Field::V4 => {
            data.split_first_chunk::<4>().map(|(ip, rest)| (Ipv4Addr::from(*ip).to_string(), rest))?
        }
        Field::V6 => {
            data.split_first_chunk::<16>().map(|(ip, rest)| (Ipv6Addr::from(*ip).to_string(), rest))?
        }
        Field::Name => {
            let (wire, rest) = data.split_at_checked(wire_len(data).ok()?)?;
            (name(wire), rest)
        }
        Field::Text => string(data).map(|(bytes, rest)| (quoted(bytes), rest))?,
        Field::Texts => {
            let (bytes, rest) = string(data)?;
            texts.push(quoted(bytes));
            return if rest.is_empty() { Some(rest) } else { one(field, rest, texts) };
        }
        Field::Tag => {
            let (bytes, rest) = string(data)?;
            let is_plain = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_alphanumeric);
            (String::from_utf8(bytes.to_vec()).ok().filter(|_| is_plain)?, rest)
        }
        Field::Value => (quoted(data), &data[data.len()..]),
        Field::Hex if data.is_empty() => return None,
        Field::Hex => (hex(data), &data[data.len()..]),
    };
    texts.push(text);
    Some(rest)
}

fn string(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(len))
}

fn generic(data: &[u8]) -> String {
    let digits = hex(data);
    format!("\\# {} {digits}", data.len()).trim_end().to_owned()
}

fn hex(data: &[u8]) -> String {
    data.iter().fold(String::with_capacity(data.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_told_by_the_form_of_its_type() {
        for (rtype, data, text) in [
            (Rtype::A, &[10, 0, 0, 1][..], "10.0.0.1"),
            (Rtype::AAAA, b"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", "fd00::1"),
            (Rtype::MX, b"\0\x0a\x01A\x02b.\0", r"10 A.b\.."),
            (Rtype::SRV, b"\0\x01\0\x02\0\x03\0", "1 2 3 ."),
            (Rtype::TXT, b"\x03a\"b\x00\x01\xe4", r#""a\"b" "" "\228""#),
            (Rtype::CAA, b"\x00\x05issuele.org", r#"0 issue "le.org""#),
            (Rtype::NAPTR, b"\0\x01\0\x02\x01s\0\x00\0", r#"1 2 "s" "" "" ."#),
            (Rtype::DS, b"\x00\x01\x08\x02\xab\xcd", "1 8 2 abcd"),
            (Rtype(65280), b"\x0a\x0b", r"\# 2 0a0b"),
            (Rtype(65280), b"", r"\# 0"),
        ] {
            assert_eq!(rdata(rtype, data), text, "{rtype}");
        }
    }

    #[test]
    fn data_without_its_types_form_is_told_byte_by_byte() {
        assert_eq!(rdata(Rtype::A, b"\x0a\0\0"), r"\# 3 0a0000");
        assert_eq!(rdata(Rtype::TXT, b""), r"\# 0");
        assert_eq!(rdata(Rtype::TXT, b"\x05ab"), r"\# 3 056162");
        assert_eq!(rdata(Rtype::CAA, b"\x00\x01\"x"), r"\# 4 00012278");
        assert_eq!(rdata(Rtype::CNAME, b"\x01a\0x"), r"\# 4 01610078");
    }
}
