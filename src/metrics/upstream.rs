//! The metrics of upstreams and of the miss path.
//!
//! The label `upstream` is an address from the configuration or the system's resolver file, so
//! there are as many values as upstreams were ever configured.

use std::sync::Arc;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::Latency;

/// Queries sent to an upstream, without probes. `protocol`: `udp` or `tcp`.
pub const UPSTREAM_SENDS: &str = "zonelet_upstream_sends_total";
/// Time from a query to the answer that was taken.
pub const UPSTREAM_SECONDS: &str = "zonelet_upstream_response_seconds";
/// Queries an upstream did not answer well. `reason` as [`UpstreamFault::label`].
pub const UPSTREAM_FAILURES: &str = "zonelet_upstream_failures_total";
/// Datagrams from an upstream's address that answer nothing we asked.
pub const UPSTREAM_MISMATCHES: &str = "zonelet_upstream_mismatches_total";
/// Probes sent to find out whether an upstream sends our queries back to us.
pub const UPSTREAM_PROBES: &str = "zonelet_upstream_loop_probes_total";
/// Forwarding loops found.
pub const UPSTREAM_LOOPS: &str = "zonelet_upstream_loops_total";
/// Domains that are not sent to an upstream because it sends them back to us.
pub const UPSTREAM_ISOLATED: &str = "zonelet_upstream_isolated_domains";
/// Client questions that wait for an upstream.
pub const MISS_WAITING: &str = "zonelet_miss_waiting";
/// Client questions that joined one already asked.
pub const MISS_COALESCED: &str = "zonelet_miss_coalesced_total";
/// Questions asked again for the cache before their answers expire.
pub const MISS_RENEWALS: &str = "zonelet_miss_renewals_total";
/// Answers of upstreams that were withheld: private addresses for names that are protected (`[rebinding]`).
pub const MISS_WITHHELD: &str = "zonelet_miss_withheld_total";
/// Client questions refused. `reason` as [`Refusal::label`].
pub const MISS_REFUSED: &str = "zonelet_miss_refused_total";

/// How an upstream failed a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// No reply in time.
    Timeout,
    /// The network or the host says that nobody is there.
    Network,
    /// A response code that is no answer.
    Rcode,
    /// A response that cannot be believed.
    Malformed,
    /// The query came back to us.
    Loop,
    /// Too many queries wait for it already.
    Busy,
}

impl UpstreamFault {
    /// Every value, in order.
    pub const ALL: [Self; 6] =
        [Self::Timeout, Self::Network, Self::Rcode, Self::Malformed, Self::Loop, Self::Busy];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Rcode => "rcode",
            Self::Malformed => "malformed",
            Self::Loop => "loop",
            Self::Busy => "busy",
        }
    }
}

/// Why a client question was refused before anything was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many questions wait.
    InFlight,
    /// Too many clients wait for this question.
    Waiters,
    /// It has come through too many of us.
    Hops,
    /// It is our own question, come back.
    Loop,
}

impl Refusal {
    /// Every value, in order.
    pub const ALL: [Self; 4] = [Self::InFlight, Self::Waiters, Self::Hops, Self::Loop];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Waiters => "waiters",
            Self::Hops => "hops",
            Self::Loop => "loop",
        }
    }
}

/// What one upstream counts with.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    /// [`UPSTREAM_SENDS`] over UDP.
    pub udp_sends: Counter,
    /// [`UPSTREAM_SENDS`] over TCP.
    pub tcp_sends: Counter,
    /// [`UPSTREAM_SECONDS`].
    pub seconds: Arc<Latency>,
    /// [`UPSTREAM_MISMATCHES`].
    pub mismatches: Counter,
    /// [`UPSTREAM_PROBES`].
    pub probes: Counter,
    /// [`UPSTREAM_LOOPS`].
    pub loops: Counter,
    /// [`UPSTREAM_ISOLATED`].
    pub isolated: Gauge,
    failures: [Counter; 6],
}

impl UpstreamMetrics {
    /// Registers the handles of the upstream that logs and answers call `upstream`.
    pub fn register(upstream: &str) -> Self {
        describe_counter!(UPSTREAM_SENDS, Unit::Count, "Queries sent to an upstream, without probes.");
        describe_counter!(UPSTREAM_FAILURES, Unit::Count, "Queries an upstream did not answer well.");
        describe_counter!(UPSTREAM_MISMATCHES, Unit::Count, "Datagrams that answer nothing we asked.");
        describe_counter!(UPSTREAM_PROBES, Unit::Count, "Probes for forwarding loops.");
        describe_counter!(UPSTREAM_LOOPS, Unit::Count, "Forwarding loops found.");
        describe_gauge!(UPSTREAM_ISOLATED, Unit::Count, "Domains kept from an upstream for looping.");
        let seconds =
            Latency::register(UPSTREAM_SECONDS, "Time to the answer that was taken.", "upstream", upstream);
        let upstream = upstream.to_owned();
        let sends =
            |protocol| counter!(UPSTREAM_SENDS, "upstream" => upstream.clone(), "protocol" => protocol);
        Self {
            udp_sends: sends("udp"),
            tcp_sends: sends("tcp"),
            seconds,
            mismatches: counter!(UPSTREAM_MISMATCHES, "upstream" => upstream.clone()),
            probes: counter!(UPSTREAM_PROBES, "upstream" => upstream.clone()),
            loops: counter!(UPSTREAM_LOOPS, "upstream" => upstream.clone()),
            isolated: gauge!(UPSTREAM_ISOLATED, "upstream" => upstream.clone()),
            failures: UpstreamFault::ALL.map(|fault| {
                counter!(UPSTREAM_FAILURES, "upstream" => upstream.clone(), "reason" => fault.label())
            }),
        }
    }

    /// Counts [`UPSTREAM_FAILURES`].
    pub fn failed(&self, fault: UpstreamFault) {
        if let Some(counter) = self.failures.get(fault as usize) {
            counter.increment(1);
        }
    }
}

/// What the miss path counts with.
#[derive(Clone, Debug)]
pub struct MissMetrics {
    /// [`MISS_WAITING`].
    pub waiting: Gauge,
    /// [`MISS_COALESCED`].
    pub coalesced: Counter,
    /// [`MISS_RENEWALS`].
    pub renewals: Counter,
    /// [`MISS_WITHHELD`].
    pub withheld: Counter,
    refused: [Counter; 4],
}

impl MissMetrics {
    /// Registers with the installed recorder; without one nothing is counted.
    pub fn register() -> Self {
        describe_gauge!(MISS_WAITING, Unit::Count, "Client questions that wait for an upstream.");
        describe_counter!(MISS_COALESCED, Unit::Count, "Client questions that joined one already asked.");
        describe_counter!(MISS_RENEWALS, Unit::Count, "Questions asked again before their answers expire.");
        describe_counter!(MISS_WITHHELD, Unit::Count, "Answers withheld for their private addresses.");
        describe_counter!(MISS_REFUSED, Unit::Count, "Client questions refused by a cap or for a loop.");
        Self {
            waiting: gauge!(MISS_WAITING),
            coalesced: counter!(MISS_COALESCED),
            renewals: counter!(MISS_RENEWALS),
            withheld: counter!(MISS_WITHHELD),
            refused: Refusal::ALL.map(|why| counter!(MISS_REFUSED, "reason" => why.label())),
        }
    }

    /// Counts [`MISS_REFUSED`].
    pub fn refused(&self, why: Refusal) {
        if let Some(counter) = self.refused.get(why as usize) {
            counter.increment(1);
        }
    }
}
