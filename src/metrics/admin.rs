//! What the admin listeners count.

use metrics::{Counter, Unit, counter, describe_counter};

/// Connections that had to wait because as many as are allowed were open. `listener`: `http` or
/// `socket`.
pub const WAITED: &str = "zonelet_admin_connections_waited_total";
/// Connections cut off because they took too long. `listener`: `http` or `socket`.
pub const TIMED_OUT: &str = "zonelet_admin_connections_timed_out_total";

/// Handles of one listener.
#[derive(Clone)]
pub struct AdminMetrics {
    /// [`WAITED`].
    pub waited: Counter,
    /// [`TIMED_OUT`].
    pub timed_out: Counter,
}

impl AdminMetrics {
    /// Registers the series of `listener`, `http` or `socket`, at zero.
    pub fn register(listener: &'static str) -> Self {
        describe_counter!(WAITED, Unit::Count, "Connections that waited for their turn.");
        describe_counter!(TIMED_OUT, Unit::Count, "Connections cut off because they took too long.");
        Self {
            waited: counter!(WAITED, "listener" => listener),
            timed_out: counter!(TIMED_OUT, "listener" => listener),
        }
    }
}
