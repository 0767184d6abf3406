//! Data of SVCB and HTTPS as text (RFC 9460 §2.1), for the parameters that are in use.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::name;
use crate::wire::name::wire_len;

/// The names of the parameters that are told, by their keys.
const KEYS: [&str; 7] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];

/// Priority, target and parameters; `None` where one of these has no plain text here.
pub(super) fn told(data: &[u8]) -> Option<String> {
    let (priority, rest) = data.split_first_chunk::<2>()?;
    let (target, mut rest) = rest.split_at_checked(wire_len(rest).ok()?)?;
    let mut text = format!("{} {}", u16::from_be_bytes(*priority), name(target));
    while let Some(([key_0, key_1, len_0, len_1], behind)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([*len_0, *len_1]));
        let (value, after) = behind.split_at_checked(len)?;
        text.push(' ');
        text.push_str(&parameter(u16::from_be_bytes([*key_0, *key_1]), value)?);
        rest = after;
    }
    rest.is_empty().then_some(text)
}

fn parameter(key: u16, value: &[u8]) -> Option<String> {
    let text = match key {
        0 => list(value.as_chunks::<2>(), |key| {
            KEYS.get(usize::from(u16::from_be_bytes(*key))).copied().map(str::to_owned)
        })?,
        1 => protocols(value)?,
        2 if value.is_empty() => return Some("no-default-alpn".to_owned()),
        3 => u16::from_be_bytes(value.try_into().ok()?).to_string(),
        4 => list(value.as_chunks::<4>(), |ip| Some(Ipv4Addr::from(*ip).to_string()))?,
        6 => list(value.as_chunks::<16>(), |ip| Some(Ipv6Addr::from(*ip).to_string()))?,
        _ => return None,
    };
    Some(format!("{}={text}", KEYS.get(usize::from(key))?))
}

/// Items of one size, at least one, and nothing left over.
fn list<const N: usize>(
    (items, rest): (&[[u8; N]], &[u8]),
    one: impl Fn(&[u8; N]) -> Option<String>,
) -> Option<String> {
    let texts = items.iter().map(one).collect::<Option<Vec<_>>>()?;
    (rest.is_empty() && !texts.is_empty()).then(|| texts.join(","))
}

/// Protocol names that need no escapes.
fn protocols(mut value: &[u8]) -> Option<String> {
    let mut texts = Vec::new();
    while let Some((&len, rest)) = value.split_first() {
        let (protocol, after) = rest.split_at_checked(usize::from(len))?;
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-./_".contains(byte);
        if protocol.is_empty() || !protocol.iter().all(is_plain) {
            return None;
        }
        texts.push(std::str::from_utf8(protocol).ok()?);
        value = after;
    }
    (!texts.is_empty()).then(|| texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_in_use_are_told_and_others_are_not_guessed() {
        let head = b"\0\x01\x01a\0";
        let with = |parameters: &[u8]| told(&[&head[..], parameters].concat());
        assert_eq!(told(b"\0\0\0").as_deref(), Some("0 ."));
        assert_eq!(
            with(b"\0\0\0\x02\0\x01\0\x01\0\x06\x02h2\x02h3").as_deref(),
            Some("1 a. mandatory=alpn alpn=h2,h3")
        );
        assert_eq!(
            with(b"\0\x02\0\0\0\x03\0\x02\x01\xbb\0\x04\0\x04\x0a\0\0\x01").as_deref(),
            Some("1 a. no-default-alpn port=443 ipv4hint=10.0.0.1")
        );
        for other in [
            &b"\0\x05\0\x01x"[..],
            b"\x01\0\0\x01x",
            b"\0\x01\0\x03\x02a,",
            b"\0\x01\0\0",
            b"\0\x04\0\x03\x0a\0\0",
            b"\0\x03\0\x01\x01",
            b"\0\x03\0",
        ] {
            assert_eq!(with(other), None, "{other:?}");
        }
    }
}
