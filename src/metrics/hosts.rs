//! Hosts files.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Names that hosts files have, each file counted by itself.
pub const NAMES: &str = "zonelet_source_hosts_names";
/// Hosts files whose content was taken over, at the start or after a change.
pub const LOADS: &str = "zonelet_source_hosts_loads_total";
/// Looks at hosts files that could not be read; what was read before stays.
pub const FAILURES: &str = "zonelet_source_hosts_failures_total";

/// Ready handles.
pub struct HostsMetrics {
    /// [`NAMES`].
    pub names: Gauge,
    /// [`LOADS`].
    pub loads: Counter,
    /// [`FAILURES`].
    pub failures: Counter,
}

impl HostsMetrics {
    /// Registers the handles; all start at zero.
    pub fn register() -> Self {
        describe_gauge!(NAMES, Unit::Count, "Names that hosts files have.");
        describe_counter!(LOADS, Unit::Count, "Hosts files whose content was taken over.");
        describe_counter!(FAILURES, Unit::Count, "Looks at hosts files that could not be read.");
        Self { names: gauge!(NAMES), loads: counter!(LOADS), failures: counter!(FAILURES) }
    }
}
