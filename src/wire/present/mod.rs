//! Names and record data as text, the way a zone file has it (RFC 1035 §5.1), for people and for other servers.

mod message;
mod rdata;
mod svcb;

use std::fmt::Write;

pub use message::{Message, Record, message};
pub use rdata::rdata;

/// An uncompressed name with a trailing dot, its case kept; bytes that mean something in a zone file are
/// escaped, all that are not printable in decimal.
///
/// What is no name comes out as far as it is one.
pub fn name(wire: &[u8]) -> String {
    let (mut text, mut rest) = (String::with_capacity(wire.len() + 1), wire);
    while let Some((&len, behind)) = rest.split_first() {
        let Some((label, after)) = behind.split_at_checked(usize::from(len)).filter(|_| len > 0) else {
            break;
        };
        for &byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    text.extend(['\\', char::from(byte)]);
                }
                0x21..=0x7e => text.push(char::from(byte)),
                _ => push_decimal(&mut text, byte),
            }
        }
        text.push('.');
        rest = after;
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// A character-string in quotes.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => push_decimal(&mut text, byte),
        }
    }
    text.push('"');
    text
}

fn push_decimal(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\{byte:03}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn names_are_escaped_so_that_they_read_back() {
        let wire = b"\x04a.b\\\x03 @\xe4\x01*\x00";
        assert_eq!(name(wire), r"a\.b\\.\032\@\228.*.");
        assert_eq!(name(wire).parse::<Name>().unwrap(), Name::from_wire(wire).unwrap());
        assert_eq!((name(b"\0"), name(b"")), (".".to_owned(), ".".to_owned()));
        assert_eq!(name(b"\x02Ab\x09x"), "Ab.", "what is cut ends where it is");
    }

    #[test]
    fn strings_keep_every_byte() {
        assert_eq!(quoted(b"a\"b\\; \x00\xff"), r#""a\"b\\; \000\255""#);
        assert_eq!(quoted(b""), "\"\"");
    }
}
