//! Names that are never asked of an upstream: `localhost`, `invalid`, `onion`, `resolver.arpa`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::settings::SpecialNames;
use crate::wire::{NameRef, Rcode, Rtype, Suffixes};

/// TTL of what is answered for special names, seconds.
pub const TTL: u32 = 10_800;

/// The answer to a special name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// NOERROR or NXDOMAIN.
    pub rcode: Rcode,
    /// The one record's RDATA, if there is one for this type.
    pub rdata: Option<&'static [u8]>,
    /// Wire length of the special domain at the end of the name, the owner of the SOA record.
    pub zone_len: usize,
}

/// SOA RDATA for negatives: mname and rname are the root, serial 1, usual timers (RFC 6303 §3).
pub const SOA: &[u8] =
    b"\x00\x00\x00\x00\x00\x01\x00\x00\x0e\x10\x00\x00\x04\xb0\x00\x09\x3a\x80\x00\x00\x2a\x30";

const LOCALHOST: &[u8] = b"\x09localhost\x00";
const INVALID: &[u8] = b"\x07invalid\x00";
const ONION: &[u8] = b"\x05onion\x00";
const ARPA: &[u8] = b"\x04arpa\x00";
const RESOLVER_ARPA: &[u8] = b"\x08resolver\x04arpa\x00";

/// Finds what a special name is answered with, `None` for any other name.
///
/// `localhost` and below have the loopback addresses (RFC 6761 §6.3), `invalid` and `onion` do not
/// exist (RFC 6761 §6.4, RFC 7686 §2), `resolver.arpa` and below have no data (RFC 9462 §6.4).
/// Cost: a compare of the top-level domain with each of the four.
pub fn find(qname: &Suffixes, qtype: Rtype, settings: SpecialNames) -> Option<Special> {
    let (on, domain, rcode) = match qname.suffix(1).as_bytes() {
        LOCALHOST => (settings.localhost, LOCALHOST, Rcode::NOERROR),
        INVALID => (settings.invalid, INVALID, Rcode::NXDOMAIN),
        ONION => (settings.onion, ONION, Rcode::NXDOMAIN),
        ARPA if qname.suffix(2).as_bytes() == RESOLVER_ARPA => {
            (settings.resolver_arpa, RESOLVER_ARPA, Rcode::NOERROR)
        }
        _ => return None,
    };
    let rdata: Option<&'static [u8]> = match qtype {
        Rtype::A if domain == LOCALHOST => Some(&[127, 0, 0, 1]),
        Rtype::AAAA if domain == LOCALHOST => Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        _ => None,
    };
    on.then_some(Special { rcode, rdata, zone_len: domain.len() })
}

/// Whether a hosts file that gives `name` these addresses is not heard, as the name is answered here in another way.
pub fn overrules(name: NameRef<'_>, addresses: &[IpAddr], settings: SpecialNames) -> bool {
    let special = find(&Suffixes::of(name), Rtype::A, settings);
    let is_own = |ip: &IpAddr| *ip == Ipv4Addr::LOCALHOST || *ip == Ipv6Addr::LOCALHOST;
    special.is_some_and(|special| special.rdata.is_none() || !addresses.iter().all(is_own))
}

/// Whether a special domain lies below `apex`, so that not all names below it need be its zone's.
/// Cost: nothing for a zone whose name has more than a few bytes.
pub fn lies_below(apex: NameRef<'_>) -> bool {
    let parents =
        [LOCALHOST, INVALID, ONION, RESOLVER_ARPA].map(|domain| NameRef::from_checked(domain).parent());
    parents.into_iter().flatten().any(|parent| parent.is_at_or_below(apex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;
    use crate::zone::rdata;

    fn special(qname: &str, qtype: Rtype) -> Option<(Rcode, bool)> {
        let qname: Name = qname.parse().unwrap();
        find(&Suffixes::of(qname.as_ref()), qtype, SpecialNames::default())
            .map(|s| (s.rcode, s.rdata.is_some()))
    }

    #[test]
    fn special_names_and_what_is_below_them_are_answered_here() {
        assert_eq!(special("localhost", Rtype::A), Some((Rcode::NOERROR, true)));
        assert_eq!(special("db.LOCALHOST", Rtype::AAAA), Some((Rcode::NOERROR, true)));
        assert_eq!(special("localhost", Rtype::MX), Some((Rcode::NOERROR, false)));
        assert_eq!(special("x.invalid", Rtype::A), Some((Rcode::NXDOMAIN, false)));
        assert_eq!(special("abc.onion", Rtype::A), Some((Rcode::NXDOMAIN, false)));
        assert_eq!(special("_dns.resolver.arpa", Rtype::SVCB), Some((Rcode::NOERROR, false)));
    }

    #[test]
    fn neighbours_of_special_names_are_not_special() {
        for other in ["notlocalhost", "localhost.example", "arpa", "10.in-addr.arpa", "xresolver.arpa", "."] {
            assert_eq!(special(other, Rtype::A), None, "{other}");
        }
    }

    #[test]
    fn only_the_root_and_arpa_have_special_names_below_them() {
        let below = |apex: &str| lies_below(apex.parse::<Name>().unwrap().as_ref());
        assert!(below(".") && below("arpa"));
        assert!(!below("resolver.arpa") && !below("in-addr.arpa") && !below("corp.internal"));
        assert!(!below("localhost") && !below("x.onion") && !below("com"));
    }

    #[test]
    fn a_hosts_file_is_overruled_where_it_says_something_else() {
        let overruled = |name: &str, ip: &str, settings| {
            overrules(name.parse::<Name>().unwrap().as_ref(), &[ip.parse().unwrap()], settings)
        };
        let all = SpecialNames::default();
        assert!(!overruled("localhost", "127.0.0.1", all) && !overruled("localhost", "::1", all));
        assert!(overruled("db.localhost", "10.0.0.1", all) && overruled("localhost", "127.0.1.1", all));
        assert!(overruled("x.invalid", "127.0.0.1", all) && overruled("x.onion", "10.0.0.1", all));
        assert!(!overruled("box", "10.0.0.1", all));
        assert!(!overruled("db.localhost", "10.0.0.1", SpecialNames { localhost: false, ..all }));
    }

    #[test]
    fn each_special_name_can_be_given_back_to_the_upstream() {
        let none = SpecialNames { localhost: false, invalid: false, onion: false, resolver_arpa: false };
        for qname in ["localhost", "invalid", "onion", "resolver.arpa"] {
            let qname: Name = qname.parse().unwrap();
            assert_eq!(find(&Suffixes::of(qname.as_ref()), Rtype::A, none), None);
        }
    }

    #[test]
    fn the_negative_soa_is_well_formed() {
        assert!(rdata::check(Rtype::SOA, SOA).is_ok());
        assert_eq!(rdata::soa_serial_and_minimum(SOA), (1, TTL));
    }
}
