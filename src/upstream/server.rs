//! One upstream: its address, sockets, health, and the domains it sends back to us.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Secure;
use super::bootstrap::UpstreamNames;
use super::isolation::Isolation;
use super::pool::Pool;
use super::stream::Streams;
use crate::clock::Moment;
use crate::metrics::{UpstreamFault, UpstreamMetrics};

/// Failures in a row after which an upstream is asked last.
const MAX_FAILURES: u32 = 3;
/// For how long it is.
const SET_BACK: Duration = Duration::from_secs(10);

/// What makes two upstreams the same one over a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Unspecified for one that goes by a host name.
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    pub(super) sockets: usize,
    pub(super) lifetime: Duration,
}

/// How an upstream is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    /// Over UDP, and over TCP what does not fit or is doubtful.
    Udp,
    /// Over TCP alone.
    Tcp,
    /// Over an encrypted transport alone.
    Secure(Arc<Secure>),
}

impl Transport {
    /// Whether it is asked over UDP.
    pub(super) fn is_udp(&self) -> bool {
        matches!(self, Self::Udp)
    }

    /// The metric label of what is asked over a stream.
    pub(super) fn stream_label(&self) -> &'static str {
        match self {
            Self::Udp | Self::Tcp => "tcp",
            Self::Secure(secure) => secure.protocol.scheme(),
        }
    }
}

/// One upstream. Shared by all domains that name it; outlives a reload that keeps it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) identity: Identity,
    pub(super) pool: Pool,
    pub(super) streams: Streams,
    pub(super) metrics: UpstreamMetrics,
    pub(super) isolation: Isolation,
    label: Box<str>,
    health: Health,
}

/// Plain cells: written when something fails, and read for every question.
#[derive(Debug, Default)]
struct Health {
    /// In a row.
    failures: AtomicU32,
    /// Milliseconds on the clock; 0 for never.
    back_until: AtomicU64,
}

impl Upstream {
    /// Without a way to find the addresses of hosts.
    #[cfg(test)]
    pub(super) fn new(identity: Identity) -> Arc<Self> {
        Self::found_by(identity, Arc::default())
    }

    /// Whose address, if it goes by a host name, `names` finds.
    pub(super) fn found_by(identity: Identity, names: Arc<UpstreamNames>) -> Arc<Self> {
        let label = label(identity.address, &identity.transport);
        let metrics = UpstreamMetrics::register(&label);
        Arc::new(Self {
            pool: Pool::new(identity.address, identity.sockets, identity.lifetime),
            streams: Streams::new(identity.address, &identity.transport, &label, names),
            isolation: Isolation::default(),
            health: Health::default(),
            metrics,
            label,
            identity,
        })
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.identity.address
    }

    /// Whether it has failed so often of late that others are asked first.
    pub(super) fn is_set_back(&self, now: Moment) -> bool {
        now.as_millis() < self.health.back_until.load(Ordering::Relaxed)
    }

    /// How often it has failed in a row, and for how much longer others are asked first.
    pub(super) fn standing(&self, now: Moment) -> (u32, Duration) {
        let until = Moment::from_millis(self.health.back_until.load(Ordering::Relaxed));
        (self.health.failures.load(Ordering::Relaxed), until.since(now))
    }

    /// Counts an answer that was taken `after` it was asked for.
    pub(super) fn note_success(&self, after: Duration) {
        if self.health.failures.load(Ordering::Relaxed) > 0 {
            self.health.failures.store(0, Ordering::Relaxed);
            self.health.back_until.store(0, Ordering::Relaxed);
        }
        self.metrics.seconds.record(after);
    }

    /// Counts a failure; `counts` is whether it is held against the upstream.
    pub(super) fn note_failure(&self, fault: UpstreamFault, counts: bool, now: Moment) {
        self.metrics.failed(fault);
        if counts && self.health.failures.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_FAILURES {
            self.health.back_until.store(now.after(SET_BACK).as_millis(), Ordering::Relaxed);
        }
    }

    /// Whether it may be told that we have seen a question: only who is on a private network, and
    /// may send it back to us.
    pub(super) fn takes_marker(&self) -> bool {
        let ip = self.address().ip().to_canonical();
        is_private(ip) || ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
    }
}

/// The name in logs, metrics and answers: the address, with the port where it is not 53.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

fn label(address: SocketAddr, transport: &Transport) -> Box<str> {
    let scheme = match transport {
        Transport::Udp => "",
        Transport::Tcp => "tcp://",
        Transport::Secure(secure) => return secure.to_string().into(),
    };
    match address.port() {
        53 => format!("{scheme}{}", address.ip()),
        _ => format!("{scheme}{address}"),
    }
    .into()
}

/// Whether the address is of RFC 1918, 100.64/10, 169.254/16 or fc00::/7.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(address: &str, tcp_only: bool) -> Arc<Upstream> {
        let lifetime = Duration::from_secs(60);
        let transport = if tcp_only { Transport::Tcp } else { Transport::Udp };
        Upstream::new(Identity { address: address.parse().unwrap(), transport, sockets: 4, lifetime })
    }

    #[test]
    fn an_upstream_is_named_by_its_address_and_by_its_port_where_it_is_unusual() {
        assert_eq!(upstream("10.0.0.2:53", false).to_string(), "10.0.0.2");
        assert_eq!(upstream("[fd00::2]:5353", true).to_string(), "tcp://[fd00::2]:5353");
    }

    #[test]
    fn three_failures_in_a_row_set_an_upstream_back_for_a_while() {
        let upstream = upstream("10.0.0.2:53", false);
        let (now, later) = (Moment::default(), Moment::from_millis(10_000));
        let fail = || upstream.note_failure(UpstreamFault::Timeout, true, now);
        fail();
        fail();
        upstream.note_failure(UpstreamFault::Rcode, false, now);
        assert!(!upstream.is_set_back(now));
        fail();
        assert!(upstream.is_set_back(now) && !upstream.is_set_back(later));
    }

    #[test]
    fn one_success_makes_up_for_all_failures() {
        let upstream = upstream("10.0.0.2:53", false);
        for _ in 0..3 {
            upstream.note_failure(UpstreamFault::Timeout, true, Moment::default());
        }
        upstream.note_success(Duration::ZERO);
        assert!(!upstream.is_set_back(Moment::default()));
        upstream.note_failure(UpstreamFault::Timeout, true, Moment::default());
        assert!(!upstream.is_set_back(Moment::default()));
    }

    #[test]
    fn markers_go_to_private_networks_only() {
        for (address, takes) in [
            ("10.0.0.2:53", true),
            ("169.254.169.253:53", true),
            ("[fd00:ec2::253]:53", true),
            ("100.64.0.1:53", true),
            ("127.0.0.1:53", true),
            ("1.1.1.1:53", false),
            ("100.128.0.1:53", false),
            ("[2606:4700::1]:53", false),
        ] {
            assert_eq!(upstream(address, false).takes_marker(), takes, "{address}");
        }
    }
}
