//! Whether an answer leads to addresses that only a private network can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use super::Learned;
use crate::wire::name::wire_len;
use crate::wire::read::u16_at;
use crate::wire::{EdeCode, Rcode, Rtype};

/// SvcParamKeys of address hints (RFC 9460 §7.3).
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

impl<B: Deref<Target = [u8]>, T: Deref<Target = str>> Learned<B, T> {
    /// Whether an address of the answer, a hint of SVCB or HTTPS included, is of a private network, of a
    /// link, or of the asking host itself.
    pub fn leads_to_private(&self) -> bool {
        let answers = self.records().filter(|record| record.is_answer);
        answers.filter_map(|r| Some((r.rtype, self.block.get(r.rdata)?))).any(|(rtype, rdata)| match rtype {
            Rtype::A | Rtype::AAAA => addresses(rdata, rdata.len()).any(is_private),
            Rtype::SVCB | Rtype::HTTPS => hints(rdata).any(is_private),
            _ => false,
        })
    }
}

impl Learned {
    /// The same without a record, NODATA for as long as the answer would have been kept: clients are not sent
    /// to their next resolver, as they would be by an error.
    pub fn withheld(self, text: &str) -> Self {
        Self {
            rcode: Rcode::NOERROR,
            outcome: super::Outcome::NoData,
            authentic: false,
            answers: 0,
            authorities: 0,
            block: Vec::new(),
            turning: super::Turning::default(),
            open_end: None,
            qname_len: self.qname_len,
            lifetime: self.lifetime,
            ede: Some((EdeCode::FILTERED, text.into())),
        }
    }
}

/// The addresses of `size` bytes each that stand in a row.
fn addresses(bytes: &[u8], size: usize) -> impl Iterator<Item = IpAddr> + '_ {
    bytes.chunks_exact(size.max(1)).filter_map(|chunk| match chunk.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(chunk).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(chunk).ok()?).into()),
        _ => None,
    })
}

/// The address hints of SVCB data: priority, target, then key, length and value of each parameter.
fn hints(rdata: &[u8]) -> impl Iterator<Item = IpAddr> + '_ {
    let target = rdata.get(2..).and_then(|rest| wire_len(rest).ok());
    let mut at = target.map_or(rdata.len(), |len| 2 + len);
    let params = std::iter::from_fn(move || {
        let (key, len) = (u16_at(rdata, at)?, usize::from(u16_at(rdata, at + 2)?));
        let value = rdata.get(at + 4..at + 4 + len)?;
        at += 4 + len;
        Some((key, value))
    });
    params.flat_map(|(key, value)| match key {
        IPV4_HINT => addresses(value, 4),
        IPV6_HINT => addresses(value, 16),
        _ => addresses(&[], 1),
    })
}

/// Loopback, private (RFC 1918, RFC 4193, site-local as of RFC 3513), shared (RFC 6598), link-local and unspecified
/// addresses, and IPv6 addresses that lead to such a one of IPv4.
fn is_private(address: IpAddr) -> bool {
    let ip = match address {
        IpAddr::V4(ip) => return is_private_v4(ip),
        IpAddr::V6(ip) => ip,
    };
    let [first, ..] = ip.segments();
    ip.is_unspecified()
        || ip.is_loopback()
        || first & 0xfe00 == 0xfc00
        // fe80::/10 and fec0::/10.
        || first & 0xff80 == 0xfe80
        || held_v4(ip).is_some_and(is_private_v4)
}

/// The IPv4 address that packets to an IPv6 address end at: mapped and compatible (RFC 4291 §2.5.5), translated (RFC 2765
/// §2.1, RFC 6052 §2.1) and 6to4 (RFC 3056 §2). A Teredo address leads to a client that listens for its tunnel alone.
fn held_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    const NAT64: u128 = 0x64_ff9b << 64;
    // What a network translates for itself (RFC 8215).
    const LOCAL_NAT64: u128 = 0x64_ff9b_0001;
    let bits = ip.to_bits();
    match bits >> 32 {
        0 | 0xffff | 0xffff_0000 | NAT64 => Some(Ipv4Addr::from_bits(bits as u32)),
        _ if bits >> 80 == LOCAL_NAT64 => Some(locally_translated(ip)),
        _ if bits >> 112 == 0x2002 => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        _ => None,
    }
}

/// The IPv4 address in one of a local prefix, whose length its zeros behind the address tell (RFC 6052 §2.2).
fn locally_translated(ip: Ipv6Addr) -> Ipv4Addr {
    let octets = ip.octets();
    let used = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    let at = match used {
        ..=11 => [6, 7, 9, 10],
        12 => [7, 9, 10, 11],
        13 => [9, 10, 11, 12],
        _ => [12, 13, 14, 15],
    };
    Ipv4Addr::from(at.map(|octet| octets[octet]))
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || a == 0 || (a == 100 && b & 0xc0 == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(text: &str) -> bool {
        is_private(text.parse().unwrap())
    }

    #[test]
    fn private_addresses_are_told_from_others_at_their_edges() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.1",
            "::",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::ffff:100.64.0.1",
            "::10.0.0.1",
            "::192.168.0.1",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::",
            "64:ff9b:1::10.0.0.1",
            "64:ff9b:1:fffe::169.254.169.254",
            // Prefixes of 48, 56 and 64 bits.
            "64:ff9b:1:a00:0:100::",
            "64:ff9b:1:c0:a8:101::",
            "64:ff9b:1:0:a:0:100:0",
            "2002:a00:1::",
            "2002:7f00:1::1",
            "2002:c0a8:101:1::99",
            "2002:a9fe:a9fe::",
            "2002:6440:1::",
        ] {
            assert!(private(ip), "{ip}");
        }
        for ip in [
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.0.1",
            "2001:db8::1",
            "fe00::1",
            "ff02::1",
            "::ffff:192.0.2.1",
            "::192.0.2.1",
            "::1:10.0.0.1",
            "::ffff:0:192.0.2.1",
            "64:ff9b::192.0.2.1",
            "64:ff9b:2::10.0.0.1",
            "64:ff9b:1::192.0.2.1",
            "64:ff9b:1:ffff::192.0.2.1",
            "64:ff9b:1:c000:2:100::",
            "64:ff9b:1:c0:0:201::",
            "64:ff9b:1:0:c0:2:100:0",
            "64:ff9b:0:0:0:1:10.0.0.1",
            "2002:c000:201::10.0.0.1",
            "2003:a00:1::",
            // Its client's address is 192.0.2.45, turned over.
            "2001:0:a00:1:0:fbee:3fff:fdd2",
        ] {
            assert!(!private(ip), "{ip}");
        }
    }

    #[test]
    fn hints_are_found_behind_other_parameters_and_bad_data_has_none() {
        let mut rdata = b"\x00\x01\x00\x00\x01\x00\x03\x02h2".to_vec();
        rdata.extend([0, 4, 0, 8, 192, 0, 2, 1, 10, 0, 0, 1]);
        let found = |rdata: &[u8]| hints(rdata).map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(found(&rdata), ["192.0.2.1", "10.0.0.1"]);
        for cut in 0..rdata.len() {
            assert!(found(&rdata[..cut]).is_empty());
        }
    }
}
