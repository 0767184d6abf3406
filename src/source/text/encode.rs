//! RDATA of the types whose text is only names, numbers, addresses and strings.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::wire::Rtype;

use super::fields::Field;
use super::{Dialect, svcb};

type Wire = Result<Vec<u8>, String>;

/// Encodes the types that need no scanner; `None` for the others.
pub(super) fn by_hand(rtype: Rtype, fields: &[Field<'_>], dialect: Dialect<'_>) -> Option<Wire> {
    if rtype == Rtype::SVCB || rtype == Rtype::HTTPS {
        return Some(svcb::encode(fields, dialect));
    }
    let mut reader = Reader { fields: fields.iter(), dialect, wire: Vec::new() };
    let done = match rtype {
        Rtype::A => reader.address::<Ipv4Addr>(|ip| ip.octets().to_vec()),
        Rtype::AAAA => reader.address::<Ipv6Addr>(|ip| ip.octets().to_vec()),
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => reader.name(),
        Rtype::MX => reader.numbers(&["preference"]).and_then(|()| reader.name()),
        Rtype::SRV => reader.numbers(&["priority", "weight", "port"]).and_then(|()| reader.name()),
        Rtype::SOA => reader.soa(),
        Rtype::TXT | Rtype::SPF => reader.strings(),
        _ => return None,
    };
    Some(done.and_then(|()| reader.finish()))
}

/// Takes fields from the front and appends their wire form.
struct Reader<'a> {
    fields: std::slice::Iter<'a, Field<'a>>,
    dialect: Dialect<'a>,
    wire: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        self.fields.next().map(|f| f.text).ok_or_else(|| format!("the {what} is missing"))
    }

    fn address<T: FromStr>(&mut self, octets: impl Fn(T) -> Vec<u8>) -> Result<(), String> {
        let text = self.next("address")?;
        let address = text.parse().map_err(|_| format!("{text:?} is not an address of this type"))?;
        self.wire.extend(octets(address));
        Ok(())
    }

    fn name(&mut self) -> Result<(), String> {
        let dialect = self.dialect;
        let name = dialect.name(self.next("name")?)?;
        self.wire.extend(name);
        Ok(())
    }

    fn numbers(&mut self, names: &[&str]) -> Result<(), String> {
        for what in names {
            let number: u16 = number(self.next(what)?, what)?;
            self.wire.extend(number.to_be_bytes());
        }
        Ok(())
    }

    fn soa(&mut self) -> Result<(), String> {
        self.name()?;
        self.name()?;
        let serial: u32 = number(self.next("serial")?, "serial")?;
        self.wire.extend(serial.to_be_bytes());
        for what in ["refresh", "retry", "expire", "minimum"] {
            let text = self.next(what)?;
            let seconds = match self.dialect {
                Dialect::Api => number(text, what)?,
                Dialect::ZoneFile { .. } => {
                    seconds(text).ok_or_else(|| format!("{what} {text:?} is not a time"))?
                }
            };
            self.wire.extend(seconds.to_be_bytes());
        }
        Ok(())
    }

    fn strings(&mut self) -> Result<(), String> {
        if self.fields.len() == 0 {
            return Err("there is no string".into());
        }
        for field in self.fields.by_ref() {
            let bytes = self.dialect.bytes(field.text)?;
            let len = u8::try_from(bytes.len())
                .map_err(|_| format!("a string of {} bytes, above 255", bytes.len()))?;
            self.wire.push(len);
            self.wire.extend(bytes);
        }
        Ok(())
    }

    fn finish(mut self) -> Wire {
        match self.fields.next() {
            Some(field) => Err(format!("{:?} is left over", field.text)),
            None => Ok(self.wire),
        }
    }
}

/// A plain decimal number.
pub(super) fn number<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    let digits = Some(text).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|t| t.parse().ok()).ok_or_else(|| format!("{what} {text:?} is not a number in range"))
}

/// Seconds written as a number or with units, `1h30m`; `None` for anything else.
pub(in crate::source) fn seconds(text: &str) -> Option<u32> {
    let mut total = 0u32;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count: u32 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?.chars().next();
        let factor = match unit.map(|c| c.to_ascii_lowercase()) {
            None if digits == text.len() => 1,
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(factor)?)?;
        rest = rest.get(digits + usize::from(unit.is_some())..)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_or_numbers_with_units() {
        assert_eq!(seconds("3600"), Some(3600));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("1W2D"), Some(777_600));
        for bad in ["", "h", "1h30", "1x", "-1", "4294967296", "9999999w", "+1", "1 h", "é"] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_have_no_sign() {
        assert!(number::<u16>("+1", "port").is_err());
        assert!(number::<u16>("65536", "port").is_err());
        assert_eq!(number::<u16>("65535", "port"), Ok(65535));
    }
}
