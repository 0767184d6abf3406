//! The numbers of DNS: record types, classes, response codes, opcodes, extended errors.

use std::fmt;

/// A record type or query type (RFC 1035 §3.2.2 and the registry since).
///
/// Open: every 16-bit value is a valid type (RFC 3597), known or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rtype(pub u16);

macro_rules! rtypes {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Rtype {
            $(#[doc = concat!("Type ", stringify!($name), ", number ", stringify!($number), ".")]
            pub const $name: Rtype = Rtype($number);)*

            /// The mnemonic, `None` for a type without one here.
            pub fn mnemonic(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }

            /// The type of a mnemonic (any case) or of `TYPE123` (RFC 3597 §5).
            pub fn from_text(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case(stringify!($name)) { return Some(Self::$name); })*
                let digits = text.get(..4).filter(|p| p.eq_ignore_ascii_case("TYPE")).and(text.get(4..))?;
                if digits.starts_with('+') { return None; }
                digits.parse().ok().map(Rtype)
            }
        }
    };
}

rtypes! {
    A = 1, NS = 2, MD = 3, MF = 4, CNAME = 5, SOA = 6, MB = 7, MG = 8, MR = 9, WKS = 11, PTR = 12,
    HINFO = 13, MINFO = 14, MX = 15, TXT = 16, RP = 17, AFSDB = 18, RT = 21, SIG = 24, KEY = 25,
    PX = 26, AAAA = 28, SRV = 33, NAPTR = 35, KX = 36, CERT = 37, DNAME = 39, OPT = 41, DS = 43, SSHFP = 44,
    RRSIG = 46, NSEC = 47, DNSKEY = 48, NSEC3 = 50, TLSA = 52, CDS = 59, CDNSKEY = 60, SVCB = 64,
    HTTPS = 65, SPF = 99, TKEY = 249, TSIG = 250, IXFR = 251, AXFR = 252, MAILB = 253, MAILA = 254,
    ANY = 255, CAA = 257,
}

impl Rtype {
    /// A query-only or meta type that no zone or cache holds (RFC 6895 §3.1): OPT and 128 to 255.
    pub fn is_meta(self) -> bool {
        self == Self::OPT || (128..=255).contains(&self.0)
    }
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(text) => f.write_str(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Class IN, the only one zonelet serves.
pub const CLASS_IN: u16 = 1;
/// Class CH, in which servers are asked who they are.
pub const CLASS_CH: u16 = 3;

/// A response code, the EDNS extension included (RFC 6895 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error; with an empty answer this is NODATA (RFC 2308 §2.2).
    pub const NOERROR: Rcode = Rcode(0);
    /// The query could not be read.
    pub const FORMERR: Rcode = Rcode(1);
    /// No answer could be obtained.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// The name does not exist.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// This kind of query is not implemented.
    pub const NOTIMP: Rcode = Rcode(4);
    /// Refused by policy.
    pub const REFUSED: Rcode = Rcode(5);
    /// EDNS version not supported (RFC 6891 §6.1.3).
    pub const BADVERS: Rcode = Rcode(16);

    /// The text operators know, `RCODE23` for codes without one here.
    pub fn label(self) -> &'static str {
        match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            16 => "BADVERS",
            _ => "OTHER",
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label() {
            "OTHER" => write!(f, "RCODE{}", self.0),
            label => f.write_str(label),
        }
    }
}

/// An extended DNS error's INFO-CODE (RFC 8914 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdeCode(pub u16);

impl EdeCode {
    /// Other Error: the text says what.
    pub const OTHER: EdeCode = EdeCode(0);
    /// Stale NXDOMAIN Answer.
    pub const STALE_NXDOMAIN: Self = Self(19);
    /// Stale Answer.
    pub const STALE: EdeCode = EdeCode(3);
    /// Cached Error: a failure remembered (RFC 9520).
    pub const CACHED_ERROR: EdeCode = EdeCode(13);
    /// Not Ready: the zone has not been loaded yet.
    pub const NOT_READY: EdeCode = EdeCode(14);
    /// Blocked: the operator does not let this name be answered.
    pub const BLOCKED: EdeCode = EdeCode(15);
    /// Filtered: the answer holds what this client is not to have.
    pub const FILTERED: EdeCode = EdeCode(17);
    /// Prohibited: the client is not on the access list.
    pub const PROHIBITED: EdeCode = EdeCode(18);
    /// Not Authoritative.
    pub const NOT_AUTHORITATIVE: EdeCode = EdeCode(20);
    /// Not Supported.
    pub const NOT_SUPPORTED: EdeCode = EdeCode(21);
    /// No Reachable Authority.
    pub const NO_REACHABLE_AUTHORITY: EdeCode = EdeCode(22);
    /// Network Error.
    pub const NETWORK_ERROR: EdeCode = EdeCode(23);
    /// Invalid Data.
    pub const INVALID_DATA: EdeCode = EdeCode(24);
    /// Synthesized: the answer was made up here, as the upstream would have given it.
    pub const SYNTHESIZED: EdeCode = EdeCode(29);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_mnemonics_and_generic_text() {
        assert_eq!(Rtype::from_text("https"), Some(Rtype::HTTPS));
        assert_eq!(Rtype::from_text("TYPE65280"), Some(Rtype(65280)));
        assert_eq!(Rtype::from_text("type65"), Some(Rtype::HTTPS));
        assert_eq!(Rtype::from_text("TYPE65536"), None);
        assert_eq!(Rtype::from_text("TYPE+1"), None);
        assert_eq!(Rtype(65280).to_string(), "TYPE65280");
    }

    #[test]
    fn meta_types_are_told_from_data_types() {
        assert!(Rtype::ANY.is_meta() && Rtype::AXFR.is_meta() && Rtype::OPT.is_meta());
        assert!(!Rtype::CAA.is_meta() && !Rtype::A.is_meta() && !Rtype(65280).is_meta());
    }
}
