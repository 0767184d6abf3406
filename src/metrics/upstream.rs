//! The metrics of upstreams and of the miss path.
//!
//! The label `upstream` is an address from the configuration or the system's resolver file, so
//! there are as many values as upstreams were ever configured.

use std::sync::Arc;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::Latency;

/// Queries sent to an upstream; over connections, probes for loops among them. `protocol`: `udp`, `tcp`, `tls`, `https` or `quic`.
pub const UPSTREAM_SENDS: &str = "zonelet_upstream_sends_total";
/// Connections opened to an upstream. `protocol` as for [`UPSTREAM_SENDS`].
pub const UPSTREAM_CONNECTIONS: &str = "zonelet_upstream_connections_total";
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
/// 1 while an upstream keeps failing and is sent nothing but a trial now and then.
pub const UPSTREAM_OPEN: &str = "zonelet_upstream_open";
/// How often an upstream came to that.
pub const UPSTREAM_OPENINGS: &str = "zonelet_upstream_openings_total";
/// Trials of upstreams that kept failing.
pub const UPSTREAM_TRIALS: &str = "zonelet_upstream_trials_total";
/// The smoothed latency that the choice of an upstream goes by; 0 before its first answer.
pub const UPSTREAM_SMOOTHED: &str = "zonelet_upstream_smoothed_seconds";
/// Packets sent to an upstream, as its budget counts them: 1 for a UDP query, 10 for a TCP connection.
pub const UPSTREAM_PACKETS: &str = "zonelet_upstream_packets_total";
/// Packets a second that an upstream may be sent; 0 for no limit.
pub const UPSTREAM_BUDGET: &str = "zonelet_upstream_packet_budget";
/// Queries not sent to an upstream because its packet budget was used up.
pub const UPSTREAM_OVER_BUDGET: &str = "zonelet_upstream_over_budget_total";
/// Second queries beside late ones. `outcome`: `won` (its answer was taken), `lost` (another's was), `failed`
/// (there was none).
pub const UPSTREAM_HEDGES: &str = "zonelet_upstream_hedges_total";
/// Client questions that wait for an upstream.
pub const MISS_WAITING: &str = "zonelet_miss_waiting";
/// Client questions that joined one already asked.
pub const MISS_COALESCED: &str = "zonelet_miss_coalesced_total";
/// Questions asked again for the cache before their answers expire.
pub const MISS_RENEWALS: &str = "zonelet_miss_renewals_total";
/// Questions whose clients were given an expired answer because upstreams had been silent for too long.
pub const MISS_OVERDUE: &str = "zonelet_miss_overdue_total";
/// Denials that were not believed for a while (`keep_positive`).
pub const MISS_KEPT_POSITIVE: &str = "zonelet_miss_kept_positive_total";
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
    /// Its packet budget is used up.
    Budget,
    /// It could not prove who it is, or would not speak TLS.
    Tls,
}

impl UpstreamFault {
    /// Every value, in order.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Network,
        Self::Rcode,
        Self::Malformed,
        Self::Loop,
        Self::Busy,
        Self::Budget,
        Self::Tls,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Rcode => "rcode",
            Self::Malformed => "malformed",
            Self::Loop => "loop",
            Self::Busy => "busy",
            Self::Budget => "budget",
            Self::Tls => "tls",
        }
    }
}

/// What came of a second query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeOutcome {
    /// Its answer was taken.
    Won,
    /// Another's answer was.
    Lost,
    /// There was no answer.
    Failed,
}

impl HedgeOutcome {
    /// Every value, in order.
    pub const ALL: [Self; 3] = [Self::Won, Self::Lost, Self::Failed];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
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
    /// [`UPSTREAM_OPEN`].
    pub open: Gauge,
    /// [`UPSTREAM_OPENINGS`].
    pub openings: Counter,
    /// [`UPSTREAM_TRIALS`].
    pub trials: Counter,
    /// [`UPSTREAM_SMOOTHED`].
    pub smoothed: Gauge,
    /// [`UPSTREAM_PACKETS`].
    pub packets: Counter,
    /// [`UPSTREAM_BUDGET`].
    pub budget: Gauge,
    /// [`UPSTREAM_OVER_BUDGET`].
    pub over_budget: Counter,
    failures: [Counter; 8],
}

impl UpstreamMetrics {
    /// Registers the handles of the upstream that logs and answers call `upstream`.
    pub fn register(upstream: &str) -> Self {
        describe_counter!(UPSTREAM_SENDS, Unit::Count, "Queries sent to an upstream.");
        describe_counter!(UPSTREAM_FAILURES, Unit::Count, "Queries an upstream did not answer well.");
        describe_counter!(UPSTREAM_MISMATCHES, Unit::Count, "Datagrams that answer nothing we asked.");
        describe_counter!(UPSTREAM_PROBES, Unit::Count, "Probes for forwarding loops.");
        describe_counter!(UPSTREAM_LOOPS, Unit::Count, "Forwarding loops found.");
        describe_gauge!(UPSTREAM_ISOLATED, Unit::Count, "Domains kept from an upstream for looping.");
        describe_gauge!(UPSTREAM_OPEN, Unit::Count, "1 while an upstream is only tried now and then.");
        describe_counter!(UPSTREAM_OPENINGS, Unit::Count, "How often an upstream came to that.");
        describe_counter!(UPSTREAM_TRIALS, Unit::Count, "Trials of upstreams that kept failing.");
        describe_gauge!(UPSTREAM_SMOOTHED, Unit::Seconds, "The smoothed latency of an upstream.");
        describe_counter!(UPSTREAM_PACKETS, Unit::Count, "Packets sent to an upstream.");
        describe_gauge!(UPSTREAM_BUDGET, Unit::Count, "Packets a second that an upstream may be sent.");
        describe_counter!(UPSTREAM_OVER_BUDGET, Unit::Count, "Queries not sent for the packet budget.");
        let seconds =
            Latency::register(UPSTREAM_SECONDS, "Time to the answer that was taken.", "upstream", upstream);
        let upstream = upstream.to_owned();
        Self {
            udp_sends: counter!(UPSTREAM_SENDS, "upstream" => upstream.clone(), "protocol" => "udp"),
            seconds,
            mismatches: counter!(UPSTREAM_MISMATCHES, "upstream" => upstream.clone()),
            probes: counter!(UPSTREAM_PROBES, "upstream" => upstream.clone()),
            loops: counter!(UPSTREAM_LOOPS, "upstream" => upstream.clone()),
            isolated: gauge!(UPSTREAM_ISOLATED, "upstream" => upstream.clone()),
            open: gauge!(UPSTREAM_OPEN, "upstream" => upstream.clone()),
            openings: counter!(UPSTREAM_OPENINGS, "upstream" => upstream.clone()),
            trials: counter!(UPSTREAM_TRIALS, "upstream" => upstream.clone()),
            smoothed: gauge!(UPSTREAM_SMOOTHED, "upstream" => upstream.clone()),
            packets: counter!(UPSTREAM_PACKETS, "upstream" => upstream.clone()),
            budget: gauge!(UPSTREAM_BUDGET, "upstream" => upstream.clone()),
            over_budget: counter!(UPSTREAM_OVER_BUDGET, "upstream" => upstream.clone()),
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

/// What the forwarder counts with, over all upstreams.
#[derive(Clone, Debug)]
pub struct ForwarderMetrics {
    hedges: [Counter; 3],
}

impl ForwarderMetrics {
    /// Registers with the installed recorder; without one nothing is counted.
    pub fn register() -> Self {
        describe_counter!(UPSTREAM_HEDGES, Unit::Count, "Second queries beside late ones.");
        let hedges = HedgeOutcome::ALL.map(|o| counter!(UPSTREAM_HEDGES, "outcome" => o.label()));
        Self { hedges }
    }

    /// Counts [`UPSTREAM_HEDGES`].
    pub fn hedged(&self, outcome: HedgeOutcome) {
        if let Some(counter) = self.hedges.get(outcome as usize) {
            counter.increment(1);
        }
    }
}

/// [`UPSTREAM_SENDS`] over connections of `protocol`.
pub fn stream_sends(upstream: &str, protocol: &'static str) -> Counter {
    counter!(UPSTREAM_SENDS, "upstream" => upstream.to_owned(), "protocol" => protocol)
}

/// [`UPSTREAM_CONNECTIONS`].
pub fn stream_connections(upstream: &str, protocol: &'static str) -> Counter {
    describe_counter!(UPSTREAM_CONNECTIONS, Unit::Count, "Connections opened to an upstream.");
    counter!(UPSTREAM_CONNECTIONS, "upstream" => upstream.to_owned(), "protocol" => protocol)
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
    /// [`MISS_OVERDUE`].
    pub overdue: Counter,
    /// [`MISS_KEPT_POSITIVE`].
    pub kept_positive: Counter,
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
        describe_counter!(
            MISS_OVERDUE,
            Unit::Count,
            "Questions that were given an expired answer meanwhile."
        );
        describe_counter!(MISS_KEPT_POSITIVE, Unit::Count, "Denials that were not believed for a while.");
        describe_counter!(MISS_WITHHELD, Unit::Count, "Answers withheld for their private addresses.");
        describe_counter!(MISS_REFUSED, Unit::Count, "Client questions refused by a cap or for a loop.");
        Self {
            waiting: gauge!(MISS_WAITING),
            coalesced: counter!(MISS_COALESCED),
            renewals: counter!(MISS_RENEWALS),
            overdue: counter!(MISS_OVERDUE),
            kept_positive: counter!(MISS_KEPT_POSITIVE),
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
