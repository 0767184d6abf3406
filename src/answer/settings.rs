//! What decides on answers, checked.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::wire::response::UDP_SIZE;
use crate::wire::{Name, NamePattern};

/// Reloaded while serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Client networks that are answered; everyone else gets REFUSED with EDE 18.
    pub access: Vec<IpNet>,
    /// What goes before `access`: the first rule that a query meets decides.
    pub access_rules: Vec<AccessRule>,
    /// What is asked of the answers of each client.
    pub clients: ClientLimits,
    /// The most that is sent over UDP to a client outside of loopback and private networks, bytes.
    pub stranger_udp: usize,
    /// What is told of this server to who asks for it.
    pub identity: Identity,
    /// Names that are answered here whatever zones and upstreams say.
    pub overrides: Vec<Override>,
    /// Domains below which names that cannot exist are denied here.
    pub relief: Vec<Relief>,
    /// Domains whose upstreams may not answer with private addresses.
    pub rebinding: Rebinding,
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

/// A rule of `[[access]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// What becomes of the query.
    pub action: AccessAction,
    /// The clients that are meant.
    pub clients: Vec<IpNet>,
    /// The names that are meant: these and all below; empty means every name.
    pub domains: Vec<Name>,
}

/// What an access rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessAction {
    /// The query is answered.
    Allow,
    /// REFUSED, with EDE 15 where names are meant, and EDE 18 where it is the client.
    Refuse,
    /// Nothing is sent.
    Drop,
}

/// Bounds for each client: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Queries a second, over UDP and over TCP each; `None` is no bound.
    pub rate: Option<u32>,
    /// Queries that may come at once after a pause.
    pub burst: u32,
    /// Of the UDP queries above the rate, one in so many is answered with TC=1, the others are dropped;
    /// 0 drops all.
    pub slip: u32,
    /// Questions of a client that wait for upstreams; `None` is no bound.
    pub in_flight: Option<usize>,
    /// Clients without such bounds.
    pub exempt: Vec<IpNet>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { rate: None, burst: 200, slip: 2, in_flight: None, exempt: Vec::new() }
    }
}

/// What is told of this server. What is `None` is refused, as all of class CH is then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `id.server` and `hostname.bind` (RFC 4892), NSID (RFC 5001).
    pub server: Option<ServerId>,
    /// `version.server` and `version.bind`.
    pub version: Option<String>,
}

/// The longest text that a server is named by, bytes: it must leave room in an answer of 512.
pub const MAX_IDENTITY: usize = 64;

/// How the server is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerId {
    /// By the host's name.
    Hostname,
    /// So.
    Text(String),
}

/// One `[[override]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The names that are meant.
    pub names: Vec<NamePattern>,
    /// What is answered.
    pub answer: OverrideAnswer,
    /// Of all records made of it, seconds.
    pub ttl: u32,
}

/// What an override answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverrideAnswer {
    /// These addresses; NODATA for every other type.
    Addresses(Vec<IpAddr>),
    /// An alias of this name.
    Cname(Name),
    /// The name does not exist.
    NxDomain,
    /// The name has no data of any type.
    NoData,
    /// As if no override, nor a hosts file, had the name.
    Pass,
}

/// Names of a search list that cannot exist, by the structure of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relief {
    /// The domain.
    pub domain: Name,
    /// Its structure.
    pub kind: ReliefKind,
    /// Domains below it that have a structure of their own, such as those that are forwarded elsewhere.
    pub except: Vec<Name>,
    /// Of the denials, seconds.
    pub ttl: u32,
}

/// Which names a domain can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReliefKind {
    /// Those of Kubernetes' DNS specification, and what CoreDNS answers beside them.
    Kubernetes,
    /// Those of the Multi-Cluster Services API.
    ClusterSet,
    /// Those that EC2 gives to instances: one label.
    Ec2,
}

/// Protection from answers that lead strangers' names to private addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebinding {
    /// Names at or below these are protected; empty for none.
    pub domains: Vec<Name>,
    /// But not names at or below these; of both the most specific decides.
    pub except: Vec<Name>,
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
            keeping: vec![(Name::root(), Keeping::default())],
            max_renewals: 100,
            access_rules: Vec::new(),
            clients: ClientLimits::default(),
            stranger_udp: UDP_SIZE,
            identity: Identity::default(),
            overrides: Vec::new(),
            relief: Vec::new(),
            rebinding: Rebinding::default(),
            special: SpecialNames::default(),
            max_in_flight: 4096,
            max_waiters: 512,
        }
    }
}
