//! What the admin listeners count.

use metrics::{Counter, Unit, counter, describe_counter};

/// Times that as many connections as are allowed were open, so that further ones waited.
/// `listener`: `http` or `socket`.
pub const LIMIT_HITS: &str = "zonelet_admin_connection_limit_hits_total";
/// Connections cut off because they took too long. `listener`: `http` or `socket`.
pub const TIMEOUTS: &str = "zonelet_admin_connection_timeouts_total";

/// Handles of one listener.
#[derive(Clone)]
pub struct AdminMetrics {
    /// [`LIMIT_HITS`].
    pub limit_hits: Counter,
    /// [`TIMEOUTS`].
    pub timeouts: Counter,
}

impl AdminMetrics {
    /// Registers the series of `listener`, `http` or `socket`, at zero.
    pub fn register(listener: &'static str) -> Self {
        describe_counter!(LIMIT_HITS, Unit::Count, "Times that no further connection was taken.");
        describe_counter!(TIMEOUTS, Unit::Count, "Connections cut off because they took too long.");
        Self {
            limit_hits: counter!(LIMIT_HITS, "listener" => listener),
            timeouts: counter!(TIMEOUTS, "listener" => listener),
        }
    }
}
