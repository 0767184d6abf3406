//! What decides on answers, checked.

use ipnet::IpNet;

/// Reloaded while serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Client networks that are answered; everyone else gets REFUSED with EDE 18.
    pub access: Vec<IpNet>,
    /// Special names that are answered here (RFC 6761, RFC 9462); one that is false is forwarded.
    pub special: SpecialNames,
    /// Questions waiting for an upstream, over all clients; one more gets SERVFAIL at once.
    pub max_in_flight: usize,
    /// Clients waiting for one and the same question; one more gets SERVFAIL at once.
    pub max_waiters: usize,
}

/// Which special names are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialNames {
    /// `localhost` and below: the loopback addresses (RFC 6761 §6.3).
    pub localhost: bool,
    /// `invalid` and below: NXDOMAIN (RFC 6761 §6.4).
    pub invalid: bool,
    /// `onion` and below: NXDOMAIN (RFC 7686 §2).
    pub onion: bool,
    /// `resolver.arpa` and below: NODATA (RFC 9462 §6.4).
    pub resolver_arpa: bool,
}

impl Default for SpecialNames {
    fn default() -> Self {
        Self { localhost: true, invalid: true, onion: true, resolver_arpa: true }
    }
}

/// `loopback` in an access list.
pub const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// `private` in an access list: link-local, RFC 1918, shared address space, unique local.
pub const PRIVATE: [&str; 7] = [
    "169.254.0.0/16",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fe80::/10",
    "fc00::/7",
];

/// The networks of a word in an access list, `None` for a word that has no meaning there.
pub fn named_networks(word: &str) -> Option<Vec<IpNet>> {
    let texts: &[&str] = match word {
        "loopback" => &LOOPBACK,
        "private" => &PRIVATE,
        "any" => &["0.0.0.0/0", "::/0"],
        _ => return None,
    };
    Some(texts.iter().filter_map(|t| t.parse().ok()).collect())
}

impl Default for Settings {
    fn default() -> Self {
        let access = ["loopback", "private"].iter().filter_map(|w| named_networks(w)).flatten().collect();
        Self { access, special: SpecialNames::default(), max_in_flight: 4096, max_waiters: 512 }
    }
}
