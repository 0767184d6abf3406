//! What the observation of queries counts.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Queries, and messages to or from upstreams, that dnstap or the query log wanted and did not get. `reason`: `full` (their background task was behind), or `turned_away` (more was turned away by limits and access rules in this second than they are told of).
pub const WATCH_LOST: &str = "zonelet_watch_lost_total";
/// Frames for dnstap, one for each message. `outcome`: `sent`, or `dropped` (nobody took them in time).
pub const DNSTAP_FRAMES: &str = "zonelet_dnstap_frames_total";
/// Whether a dnstap receiver takes frames: 1 or 0.
pub const DNSTAP_CONNECTED: &str = "zonelet_dnstap_connected";
/// Connections to the dnstap receiver that failed or broke.
pub const DNSTAP_FAILURES: &str = "zonelet_dnstap_connection_failures_total";
/// Lines of the query log. `outcome`: `written`, or `suppressed` (more than `query_log.lines`).
pub const QUERY_LOG_LINES: &str = "zonelet_query_log_lines_total";

/// Handles of the way from the answering threads.
#[derive(Clone, Debug)]
pub struct FeedMetrics {
    /// [`WATCH_LOST`] for want of room.
    pub lost: Counter,
    /// [`WATCH_LOST`] of what was turned away.
    pub left_out: Counter,
}

impl FeedMetrics {
    /// Registers the series at zero.
    pub fn register() -> Self {
        describe_counter!(WATCH_LOST, Unit::Count, "Queries that outputs wanted and did not get.");
        Self {
            lost: counter!(WATCH_LOST, "reason" => "full"),
            left_out: counter!(WATCH_LOST, "reason" => "turned_away"),
        }
    }
}

/// Handles of dnstap.
#[derive(Clone, Debug)]
pub struct DnstapMetrics {
    /// [`DNSTAP_FRAMES`] that were written.
    pub sent: Counter,
    /// [`DNSTAP_FRAMES`] that were not.
    pub dropped: Counter,
    /// [`DNSTAP_CONNECTED`].
    pub connected: Gauge,
    /// [`DNSTAP_FAILURES`].
    pub failures: Counter,
}

impl DnstapMetrics {
    /// Registers the series at zero.
    pub fn register() -> Self {
        describe_counter!(DNSTAP_FRAMES, Unit::Count, "Frames for dnstap.");
        describe_gauge!(DNSTAP_CONNECTED, Unit::Count, "Whether a dnstap receiver takes frames.");
        describe_counter!(DNSTAP_FAILURES, Unit::Count, "Connections to the dnstap receiver that failed.");
        Self {
            sent: counter!(DNSTAP_FRAMES, "outcome" => "sent"),
            dropped: counter!(DNSTAP_FRAMES, "outcome" => "dropped"),
            connected: gauge!(DNSTAP_CONNECTED),
            failures: counter!(DNSTAP_FAILURES),
        }
    }
}

/// Handles of the query log.
#[derive(Clone, Debug)]
pub struct QueryLogMetrics {
    /// [`QUERY_LOG_LINES`] that were written.
    pub written: Counter,
    /// [`QUERY_LOG_LINES`] that were not.
    pub suppressed: Counter,
}

impl QueryLogMetrics {
    /// Registers the series at zero.
    pub fn register() -> Self {
        describe_counter!(QUERY_LOG_LINES, Unit::Count, "Lines of the query log.");
        Self {
            written: counter!(QUERY_LOG_LINES, "outcome" => "written"),
            suppressed: counter!(QUERY_LOG_LINES, "outcome" => "suppressed"),
        }
    }
}
