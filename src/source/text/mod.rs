//! Record text to RDATA on the wire, in the two dialects it is written in.
//!
//! Types whose text is names, numbers and strings are encoded here; the others go through the
//! `domain` crate's zone-file scanner, one record at a time.

mod encode;
pub mod fields;
mod scanned;
mod svcb;

use crate::wire::name::{MAX_NAME, unescape, wire_from_text};
use crate::wire::{Escapes, NameError, NameRef, Rtype};
use crate::zone::rdata::check;

use fields::Field;

pub(super) use encode::seconds;

/// The largest RDATA there is (RFC 1035 §3.2.1: RDLENGTH has 16 bits).
const MAX_RDATA: usize = 65_535;

/// How record text is to be read.
#[derive(Clone, Copy, Debug)]
pub enum Dialect<'a> {
    /// A value of the Route 53 API: octal escapes, names absolute with or without a trailing dot.
    Api,
    /// A zone file (RFC 1035 §5.1): decimal escapes, names without a trailing dot below the origin.
    ZoneFile {
        /// What relative names are completed with; `None` makes them errors.
        origin: Option<NameRef<'a>>,
    },
}

impl Dialect<'_> {
    /// How `\ddd` is read.
    pub fn escapes(self) -> Escapes {
        match self {
            Self::Api => Escapes::Octal,
            Self::ZoneFile { .. } => Escapes::Decimal,
        }
    }

    /// Reads a domain name into uncompressed wire bytes, its case kept.
    ///
    /// # Errors
    /// A text that says what is wrong with the name.
    pub fn name(self, text: &str) -> Result<Vec<u8>, String> {
        let problem = |error: NameError| format!("{text:?} is not a domain name: {error}");
        let Self::ZoneFile { origin } = self else {
            return wire_from_text(text, Escapes::Octal).map_err(problem);
        };
        if text == "@" {
            let origin = origin.ok_or("@ stands for an origin, and none is set")?;
            return Ok(origin.as_bytes().to_vec());
        }
        let mut wire = wire_from_text(text, Escapes::Decimal).map_err(problem)?;
        if !is_absolute(text) {
            let origin = origin.ok_or_else(|| format!("{text:?} is relative, and no origin is set"))?;
            wire.pop();
            wire.extend_from_slice(origin.as_bytes());
            if wire.len() > MAX_NAME {
                return Err(problem(NameError::NameTooLong));
            }
        }
        Ok(wire)
    }

    /// Reads a string with its escapes into bytes.
    ///
    /// # Errors
    /// A text that says what is wrong with the string.
    pub fn bytes(self, text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(text.len());
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'\\' => {
                    unescape(&mut bytes, self.escapes()).map_err(|e| format!("{e} in string {text:?}"))?
                }
                other => other,
            });
        }
        Ok(out)
    }
}

/// Whether a name ends in a dot that is not escaped.
fn is_absolute(text: &str) -> bool {
    let Some(rest) = text.strip_suffix('.') else {
        return false;
    };
    rest.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 0
}

/// Encodes one record's data.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn rdata(rtype: Rtype, fields: &[Field<'_>], dialect: Dialect<'_>) -> Result<Box<[u8]>, String> {
    let is_generic = fields.first().is_some_and(|f| !f.quoted && f.text == "\\#");
    let wire = match (is_generic, encode::by_hand(rtype, fields, dialect)) {
        (false, Some(wire)) => wire?,
        _ => scanned::encode(rtype, fields, dialect)?,
    };
    if wire.len() > MAX_RDATA {
        return Err(format!("{} bytes of data, above {MAX_RDATA}", wire.len()));
    }
    // Generic data of a known type must have that type's form (RFC 3597 §5), and the scanner lets
    // names with empty labels pass.
    check(rtype, &wire)?;
    Ok(wire.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn a_final_dot_counts_only_when_it_is_not_escaped() {
        assert!(is_absolute("a.") && is_absolute(r"a\\.") && is_absolute("."));
        assert!(!is_absolute(r"a\.") && !is_absolute("a") && !is_absolute(r"a\\\."));
    }

    #[test]
    fn relative_names_are_completed_in_zone_files_only() {
        let origin: Name = "corp.internal".parse().unwrap();
        let file = Dialect::ZoneFile { origin: Some(origin.as_ref()) };
        assert_eq!(file.name("Db").unwrap(), b"\x02Db\x04corp\x08internal\x00");
        assert_eq!(file.name("@").unwrap(), b"\x04corp\x08internal\x00");
        assert_eq!(file.name("db.test.").unwrap(), b"\x02db\x04test\x00");
        assert_eq!(Dialect::Api.name("Db.Test").unwrap(), b"\x02Db\x04Test\x00");
        assert!(Dialect::ZoneFile { origin: None }.name("db").unwrap_err().contains("origin"));
        let long = format!("{0}.{0}.{0}.{1}", "a".repeat(60), "b".repeat(58));
        assert!(file.name(&long).unwrap_err().contains("longer than 255"));
    }
}
