//! RDATA of SVCB and HTTPS (RFC 9460).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use domain::utils::base64;

use super::Dialect;
use super::encode::number;
use super::fields::Field;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

/// The registered keys (RFC 9460 §14.3.2, RFC 9461 §5, RFC 9540 §4), each at its number.
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

/// Encodes priority, target and parameters; the parameters in the order of their numbers.
pub(super) fn encode(fields: &[Field<'_>], dialect: Dialect<'_>) -> Result<Vec<u8>, String> {
    let [priority, target, params @ ..] = fields else {
        return Err("a priority and a target are needed".into());
    };
    let mut wire = number::<u16>(priority.text, "priority")?.to_be_bytes().to_vec();
    wire.extend(dialect.name(target.text)?);
    let mut sorted = BTreeMap::new();
    for field in params {
        let (key, value) = param(field, dialect)?;
        if sorted.insert(key, value).is_some() {
            return Err(format!("key {key} stands there twice"));
        }
    }
    check_together(&sorted)?;
    for (key, value) in sorted {
        let len = u16::try_from(value.len()).map_err(|_| format!("the value of key {key} is too long"))?;
        wire.extend(key.to_be_bytes());
        wire.extend(len.to_be_bytes());
        wire.extend(value);
    }
    Ok(wire)
}

/// What a record's parameters must be with each other (RFC 9460 §7.1.1, §8).
fn check_together(params: &BTreeMap<u16, Vec<u8>>) -> Result<(), String> {
    if params.contains_key(&NO_DEFAULT_ALPN) && !params.contains_key(&ALPN) {
        return Err("no-default-alpn needs alpn".into());
    }
    let mandatory = params.get(&MANDATORY).map(Vec::as_slice).unwrap_or_default();
    let missing = mandatory.chunks_exact(2).find(|key| {
        let key = key.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        key.is_none_or(|key| !params.contains_key(&key))
    });
    if missing.is_some() { Err("a mandatory key is missing".into()) } else { Ok(()) }
}

/// Reads `key`, `key=value` or `key="value"`.
fn param(field: &Field<'_>, dialect: Dialect<'_>) -> Result<(u16, Vec<u8>), String> {
    if field.quoted {
        return Err(format!("{:?} is not a parameter", field.text));
    }
    let (name, text) = match field.text.split_once('=') {
        Some((name, text)) => (name, Some(text)),
        None => (field.text, None),
    };
    let value = text.map(|text| dialect.bytes(unquoted(text)?)).transpose()?;
    let generic = name.strip_prefix("key").filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(digits) = generic {
        // Any key may be written by number, its value then being what goes on the wire.
        return Ok((number(digits, "key")?, value.unwrap_or_default()));
    }
    let key = KEYS.iter().position(|known| *known == name).and_then(|at| u16::try_from(at).ok());
    let key = key.ok_or_else(|| format!("key {name:?} is not known"))?;
    let value = encode_value(name, value).map_err(|problem| format!("{name}: {problem}"))?;
    Ok((key, value))
}

/// A value without its quotes, if it has any.
fn unquoted(text: &str) -> Result<&str, String> {
    let Some(rest) = text.strip_prefix('"') else {
        return Ok(text);
    };
    rest.strip_suffix('"').ok_or_else(|| format!("something follows the quoted value in {text:?}"))
}

/// The wire form of a registered key's value.
fn encode_value(name: &str, value: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    if name == "no-default-alpn" || name == "ohttp" {
        return if value.is_none_or(|v| v.is_empty()) {
            Ok(Vec::new())
        } else {
            Err("it has no value".into())
        };
    }
    let value = value.filter(|v| !v.is_empty()).ok_or("it needs a value")?;
    let text = || std::str::from_utf8(&value).map_err(|_| "its value is not text".to_owned());
    match name {
        "mandatory" => mandatory(&value),
        "alpn" => alpn(&value),
        "port" => Ok(number::<u16>(text()?, "port")?.to_be_bytes().to_vec()),
        "ipv4hint" => addresses(text()?, |ip: Ipv4Addr| ip.octets().to_vec()),
        "ipv6hint" => addresses(text()?, |ip: Ipv6Addr| ip.octets().to_vec()),
        "ech" => base64::decode::<Vec<u8>>(text()?).map_err(|_| "its value is not base64".into()),
        _ => text().map(|path| path.as_bytes().to_vec()),
    }
}

fn mandatory(value: &[u8]) -> Result<Vec<u8>, String> {
    let mut keys = Vec::new();
    for name in items(value)? {
        let known =
            KEYS.iter().position(|known| known.as_bytes() == name).and_then(|at| u16::try_from(at).ok());
        let generic = || std::str::from_utf8(&name).ok()?.strip_prefix("key")?.parse().ok();
        keys.push(known.or_else(generic).ok_or("it names a key that is not known")?);
    }
    keys.sort_unstable();
    if keys.first() == Some(&MANDATORY) || keys.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err("it names a key twice, or itself".into());
    }
    Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
}

fn alpn(value: &[u8]) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    for id in items(value)? {
        let len = u8::try_from(id.len()).map_err(|_| "a protocol id is longer than 255 bytes")?;
        wire.push(len);
        wire.extend(id);
    }
    Ok(wire)
}

fn addresses<T: FromStr>(text: &str, octets: impl Fn(T) -> Vec<u8>) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    for text in text.split(',') {
        let address = text.parse().map_err(|_| format!("{text:?} is not an address of this family"))?;
        wire.extend(octets(address));
    }
    Ok(wire)
}

/// The items of a comma-separated list, in which a backslash protects commas and backslashes
/// (RFC 9460 appendix A.1). It is read behind the escapes of the string, so one is written twice.
fn items(value: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut items = Vec::new();
    let mut item = Vec::new();
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' => items.push(std::mem::take(&mut item)),
            b'\\' => match bytes.next() {
                Some(protected @ (b',' | b'\\')) => item.push(protected),
                _ => return Err("a backslash in it protects nothing".into()),
            },
            other => item.push(other),
        }
    }
    items.push(item);
    if items.iter().any(Vec::is_empty) { Err("an item of it is empty".into()) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::text::fields::split;

    fn in_zone_file(text: &str) -> Result<Vec<u8>, String> {
        encode(&split(text).unwrap(), Dialect::ZoneFile { origin: None })
    }

    fn in_api(text: &str) -> Result<Vec<u8>, String> {
        encode(&split(text).unwrap(), Dialect::Api)
    }

    const FOO: &[u8] = b"\x03foo\x07example\x03com\x00";

    #[test]
    fn the_examples_of_rfc_9460_appendix_d() {
        let with = |priority: &[u8], params: &[u8]| [priority, FOO, params].concat();
        assert_eq!(in_zone_file("0 foo.example.com.").unwrap(), with(b"\0\0", b""));
        assert_eq!(in_zone_file("1 .").unwrap(), b"\0\x01\0");
        assert_eq!(
            in_zone_file("16 foo.example.com. port=53").unwrap(),
            with(b"\0\x10", b"\0\x03\0\x02\0\x35")
        );
        for text in ["1 foo.example.com. key667=hello", r#"1 foo.example.com. key667="hello""#] {
            assert_eq!(in_zone_file(text).unwrap(), with(b"\0\x01", b"\x02\x9b\0\x05hello"));
        }
        let escaped = in_zone_file(r#"1 foo.example.com. key667="hello\210qoo""#).unwrap();
        assert_eq!(escaped, with(b"\0\x01", b"\x02\x9b\0\x09hello\xd2qoo"));
        let hints = in_zone_file(r#"1 foo.example.com. ipv6hint="2001:db8::1,2001:db8::53:1""#).unwrap();
        assert_eq!(hints.len(), 2 + FOO.len() + 4 + 32);
        let sorted =
            in_zone_file("16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1")
                .unwrap();
        let params = b"\0\0\0\x04\0\x01\0\x04\0\x01\0\x09\x02h2\x05h3-19\0\x04\0\x04\xc0\0\x02\x01";
        assert!(sorted.ends_with(params));
        for text in [r#"16 . alpn="f\\\\oo\\,bar,h2""#, r"16 . alpn=f\\\092oo\092,bar,h2"] {
            assert_eq!(in_zone_file(text).unwrap()[3..], *b"\0\x01\0\x0c\x08f\\oo,bar\x02h2", "{text}");
        }
    }

    #[test]
    fn what_rfc_9460_appendix_d_3_calls_malformed_is_refused() {
        for bad in [
            "1 foo.example.com. key123=abc key123=def",
            "1 foo.example.com. mandatory",
            "1 foo.example.com. alpn",
            "1 foo.example.com. port",
            "1 foo.example.com. ipv4hint",
            "1 foo.example.com. no-default-alpn=abc",
            "1 foo.example.com. no-default-alpn",
            "1 foo.example.com. mandatory=key123",
            "1 foo.example.com. mandatory=mandatory",
            "1 foo.example.com. mandatory=key123,key123 key123=abc",
            "1 foo.example.com. alpn=h2,,h3",
            "1 foo.example.com. ipv4hint=::1",
            "1 foo.example.com. unheard=of",
            "1 foo.example.com. port=-1",
            "1 foo.example.com. key65536=x",
            "1 foo.example.com. \"alpn=h2\"",
            "1 foo.example.com. alpn=\"h2\"x",
            "65536 .",
            "1",
        ] {
            assert!(in_zone_file(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_of_the_api_are_octal_here_too() {
        assert_eq!(in_api(r"1 foo.example.com key65499=a\052").unwrap()[19..], *b"\xff\xdb\0\x02a*");
        assert_eq!(in_api("1 . ech=AEX+").unwrap()[3..], *b"\0\x05\0\x03\0\x45\xfe");
        assert_eq!(in_api("1 . dohpath=/q{?dns} ohttp").unwrap()[3..], *b"\0\x07\0\x08/q{?dns}\0\x08\0\0");
    }
}
