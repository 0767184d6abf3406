//! What decides on answers, checked.

use std::time::Duration;

use ipnet::IpNet;

use crate::wire::Name;

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
    /// How answers are kept, by forwarded domain; the longest one that covers a name decides.
    pub keeping: Vec<(Name, Keeping)>,
    /// Questions asked again before their answers expire, each second.
    pub max_renewals: u32,
}

/// How the answers of one forwarded domain are kept, and given when its upstreams fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How long ago an answer may have expired that is still given when upstreams fail (RFC 8767 §4); zero:
    /// none is.
    pub max_stale: Duration,
    /// How long upstreams are waited for before such an answer is given (RFC 8767 §5, the client response
    /// timer); zero: not at all, they are asked beside it.
    pub stale_timer: Duration,
    /// The most such an answer has for a TTL.
    pub stale_ttl: Duration,
    /// How long upstreams are not asked again after they failed, where there is such an answer.
    pub stale_recheck: Duration,
    /// How long after it expired a positive answer is still given where upstreams now say that there is none.
    pub keep_positive: Duration,
    /// Bounds on lifetimes that are tighter than the cache's own.
    pub max_ttl: Duration,
    /// The same for negative answers.
    pub max_negative_ttl: Duration,
    /// Whether answers in use are learned anew before they expire.
    pub renews: bool,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            max_stale: Duration::from_secs(86_400),
            stale_timer: Duration::from_millis(1800),
            stale_ttl: Duration::from_secs(30),
            stale_recheck: Duration::from_secs(30),
            keep_positive: Duration::ZERO,
            max_ttl: Duration::MAX,
            max_negative_ttl: Duration::MAX,
            renews: true,
        }
    }
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
        Self {
            access,
            special: SpecialNames::default(),
            max_in_flight: 4096,
            max_waiters: 512,
            keeping: vec![(Name::root(), Keeping::default())],
            max_renewals: 100,
        }
    }
}
