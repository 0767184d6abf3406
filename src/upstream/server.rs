//! One upstream: its address, sockets, how it does, and the domains it sends back to us.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Secure;
use super::bootstrap::UpstreamNames;
use super::breaker::{Breaker, Weight};
use super::budget::{Budget, REUSED_PACKETS, TCP_PACKETS};
use super::hedge::{Hedges, SOONEST};
use super::isolation::Isolation;
use super::pace::{PENALTY, Pace};
use super::pool::Pool;
use super::stream::Streams;
use crate::clock::Moment;
use crate::metrics::{UpstreamFault, UpstreamMetrics};

/// For how long an upstream that refuses EDNS is asked without before it is tried again.
const WITHOUT_EDNS: Duration = Duration::from_secs(600);
/// For how long TCP that has failed is not waited for where another upstream can be asked.
const WITHOUT_TCP: Duration = Duration::from_secs(30);
/// A budget that is used beyond this, in percent of what is left of it, pays no second queries.
const LEAST_EASE: u32 = 50;

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
    pub(super) breaker: Breaker,
    pub(super) pace: Pace,
    pub(super) budget: Budget,
    pub(super) hedges: Hedges,
    label: Arc<str>,
    /// Until when it is asked without EDNS, and without TCP, in milliseconds on the clock.
    no_edns_until: AtomicU64,
    no_tcp_until: AtomicU64,
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
            breaker: Breaker::default(),
            pace: Pace::default(),
            budget: Budget::default(),
            hedges: Hedges::default(),
            no_edns_until: AtomicU64::new(0),
            no_tcp_until: AtomicU64::new(0),
            metrics,
            label,
            identity,
        })
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.identity.address
    }

    /// Its name in logs, metrics and answers.
    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Whether it is asked over UDP, unless TCP is needed.
    pub(super) fn is_over_udp(&self) -> bool {
        self.identity.transport.is_udp()
    }

    /// Packets that a query over a connection takes now.
    pub(super) fn stream_packets(&self) -> u32 {
        if self.streams.are_open() { REUSED_PACKETS } else { TCP_PACKETS }
    }

    /// Packets that a query takes by the way that comes first.
    pub(super) fn packets(&self) -> u32 {
        if self.is_over_udp() { 1 } else { self.stream_packets() }
    }

    /// Counts an answer that was taken `after` it was asked for.
    pub(super) fn note_success(&self, after: Duration, now: Moment) {
        self.metrics.seconds.record(after);
        self.pace.sample(after, now);
        if self.breaker.note_success() {
            tracing::info!(upstream = %self, "upstream answers again");
        }
    }

    /// Notes an answer that came when nobody waited for it any more.
    pub(super) fn note_late_answer(&self) {
        if self.breaker.note_success() {
            tracing::info!(upstream = %self, "upstream answers again");
        }
    }

    /// Counts a failure; `weight` is what it says of the upstream.
    pub(super) fn note_failure(&self, fault: UpstreamFault, weight: Weight, now: Moment) {
        self.metrics.failed(fault);
        if weight != Weight::None {
            self.pace.penalise(PENALTY, now);
        }
        if self.breaker.note_failure(weight, now) {
            self.metrics.openings.increment(1);
            tracing::warn!(
                upstream = %self, reason = fault.label(),
                "upstream keeps failing; until it answers again it is only tried now and then"
            );
        }
    }

    /// Takes the trial of its open breaker that is due; see [`Breaker::claim_trial`].
    pub(super) fn claim_trial(&self, alone: bool, now: Moment) -> bool {
        let claimed = self.breaker.claim_trial(alone, now);
        if claimed {
            self.metrics.trials.increment(1);
        }
        claimed
    }

    /// After what time without an answer a second query helps more than waiting.
    pub(super) fn hedges_after(&self) -> Duration {
        self.pace.late_after().max(SOONEST)
    }

    /// Whether packets are plentiful enough for second queries.
    pub(super) fn has_packets_to_spare(&self, now: Moment) -> bool {
        self.budget.limit().is_none() || self.budget.ease(now) >= LEAST_EASE
    }

    /// Room for spare work, in percent: none while it is open, near its budget or far slower than
    /// it usually is.
    pub(super) fn ease(&self, now: Moment) -> u32 {
        if self.breaker.is_closed() { self.pace.ease(now).min(self.budget.ease(now)).min(100) } else { 0 }
    }

    /// Brings its gauges up to date.
    pub(super) fn observe(&self, now: Moment) {
        let (sent, refused) = self.budget.counts();
        self.metrics.packets.absolute(sent);
        self.metrics.over_budget.absolute(refused);
        self.metrics.budget.set(f64::from(self.budget.limit().unwrap_or(0)));
        self.metrics.open.set(if self.breaker.is_closed() { 0.0 } else { 1.0 });
        self.metrics.smoothed.set(self.pace.smoothed().unwrap_or_default().as_secs_f64());
        self.metrics.isolated.set(self.isolation.len(now) as f64);
    }

    /// Whether it is asked with EDNS. Cost: a load.
    pub(super) fn takes_edns(&self, now: Moment) -> bool {
        now.as_millis() >= self.no_edns_until.load(Ordering::Relaxed)
    }

    /// It has answered without EDNS what it would not answer with.
    pub(super) fn note_refuses_edns(&self, now: Moment) {
        self.no_edns_until.store(now.after(WITHOUT_EDNS).as_millis(), Ordering::Relaxed);
    }

    /// Whether its TCP is not known to fail.
    pub(super) fn takes_tcp(&self, now: Moment) -> bool {
        now.as_millis() >= self.no_tcp_until.load(Ordering::Relaxed)
    }

    /// Notes whether TCP has worked.
    pub(super) fn note_tcp(&self, works: bool, now: Moment) {
        let until = if works { 0 } else { now.after(WITHOUT_TCP).as_millis() };
        self.no_tcp_until.store(until, Ordering::Relaxed);
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

fn label(address: SocketAddr, transport: &Transport) -> Arc<str> {
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
pub(super) mod tests {
    use super::*;

    pub(in crate::upstream) fn upstream(address: &str, tcp_only: bool) -> Arc<Upstream> {
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
    fn who_fails_fast_does_not_look_fast() {
        let (upstream, now) = (upstream("10.0.0.2:53", false), Moment::from_millis(1000));
        upstream.note_success(Duration::from_millis(2), now);
        upstream.note_failure(UpstreamFault::Rcode, Weight::Reply, now);
        assert!(upstream.pace.score(now) > 200_000);
    }

    #[test]
    fn there_is_room_for_spare_work_while_all_is_as_usual() {
        let (upstream, now) = (upstream("10.0.0.2:53", false), Moment::from_millis(1000));
        assert_eq!(upstream.ease(now), 100);
        upstream.budget.set_limit(100);
        assert!(upstream.has_packets_to_spare(now));
        (0..10).for_each(|_| assert!(upstream.budget.take(1, now)));
        let now = now.after(Duration::from_secs(1));
        assert_eq!(upstream.ease(now), 100);
        (0..95).for_each(|i| assert!(upstream.budget.take(1, now.after(Duration::from_millis(10 * i)))));
        let now = now.after(Duration::from_secs(1));
        assert_eq!((upstream.ease(now), upstream.has_packets_to_spare(now)), (0, false));
        upstream.budget.set_limit(0);
        for _ in 0..3 {
            let silence = Weight::Silence(upstream.breaker.mark());
            upstream.note_failure(UpstreamFault::Timeout, silence, now);
        }
        assert_eq!(upstream.ease(now), 0);
    }

    #[test]
    fn what_it_refuses_is_remembered_for_a_while() {
        let (upstream, now) = (upstream("10.0.0.2:53", false), Moment::default());
        assert!(upstream.takes_edns(now) && upstream.takes_tcp(now));
        upstream.note_refuses_edns(now);
        upstream.note_tcp(false, now);
        assert!(!upstream.takes_edns(now.after(WITHOUT_EDNS / 2)) && !upstream.takes_tcp(now));
        assert!(upstream.takes_edns(now.after(WITHOUT_EDNS)) && upstream.takes_tcp(now.after(WITHOUT_TCP)));
        upstream.note_tcp(true, now);
        assert!(upstream.takes_tcp(now));
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
