//! Readiness, and reloads of the configuration.

use metrics::{Counter, Unit, counter, describe_counter};

/// Reloads of the configuration. `result`: `taken` or `refused` (the old one stays).
pub const RELOADS: &str = "zonelet_config_reloads_total";

/// Whether /readyz says yes: 1, or 0 while something is waited for or the drain has begun.
pub const READY: &str = "zonelet_app_ready";

/// Ready handles.
pub struct ReloadMetrics {
    /// A new configuration is at work.
    pub taken: Counter,
    /// A bad one was refused.
    pub refused: Counter,
}

impl ReloadMetrics {
    /// Registers the handles; both start at zero.
    pub fn register() -> Self {
        describe_counter!(RELOADS, Unit::Count, "Reloads of the configuration.");
        Self {
            taken: counter!(RELOADS, "result" => "taken"),
            refused: counter!(RELOADS, "result" => "refused"),
        }
    }
}
