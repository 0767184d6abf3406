//! What one process leaves to the next, and whether this one is well.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Takings-over between processes. `role`: `given` (to a successor) or `taken` (from the process before); `result`:
/// `done`, `failed` (the old one went on serving) or `refused`.
pub const HANDOVERS: &str = "zonelet_app_handovers_total";
/// Listening sockets that were taken over from the process before.
pub const SOCKETS_TAKEN: &str = "zonelet_app_sockets_taken";
/// Snapshots of the cache written. `result`: `written` or `failed`.
pub const SNAPSHOTS: &str = "zonelet_app_snapshots_total";
/// Responses in the snapshot written last.
pub const SNAPSHOT_ENTRIES: &str = "zonelet_app_snapshot_entries";
/// Responses that came back from a snapshot or from the process before, at the start.
pub const RESTORED: &str = "zonelet_app_restored_entries";
/// Whether the file has problems and the last good configuration is at work in its place: 1 or 0.
pub const CONFIG_FALLBACK: &str = "zonelet_app_config_fallback";
/// Rounds of the watchdog. `result`: `well`, or `stuck` if something did not answer.
pub const WATCHDOG_ROUNDS: &str = "zonelet_app_watchdog_rounds_total";
/// UDP workers and TCP listeners that have not answered the watchdog for its limit; /livez fails above 0.
pub const WATCHDOG_STUCK: &str = "zonelet_app_watchdog_stuck";

/// Counts the takings-over of one role.
#[derive(Clone)]
pub struct HandoverMetrics {
    /// The successor serves alone.
    pub done: Counter,
    /// It came to nothing.
    pub failed: Counter,
    /// It was not begun.
    pub refused: Counter,
}

impl HandoverMetrics {
    /// The series of `role`, `given` or `taken`, at zero.
    pub fn register(role: &'static str) -> Self {
        describe_counter!(HANDOVERS, Unit::Count, "Takings-over between processes.");
        let of = |result: &'static str| counter!(HANDOVERS, "role" => role, "result" => result);
        Self { done: of("done"), failed: of("failed"), refused: of("refused") }
    }
}

/// What came over from the process before.
#[derive(Clone)]
pub struct HeritageMetrics {
    /// [`SOCKETS_TAKEN`].
    pub sockets: Gauge,
    /// [`RESTORED`].
    pub restored: Gauge,
}

impl HeritageMetrics {
    /// Registers the handles.
    pub fn register() -> Self {
        describe_gauge!(SOCKETS_TAKEN, Unit::Count, "Listening sockets taken over from the process before.");
        describe_gauge!(RESTORED, Unit::Count, "Responses that came back at the start.");
        Self { sockets: gauge!(SOCKETS_TAKEN), restored: gauge!(RESTORED) }
    }
}

/// What the writer of snapshots counts.
#[derive(Clone)]
pub struct SnapshotMetrics {
    /// A file was written.
    pub written: Counter,
    /// None was; the one before stays.
    pub failed: Counter,
    /// [`SNAPSHOT_ENTRIES`].
    pub entries: Gauge,
}

impl SnapshotMetrics {
    /// Registers the handles.
    pub fn register() -> Self {
        describe_counter!(SNAPSHOTS, Unit::Count, "Snapshots of the cache written.");
        describe_gauge!(SNAPSHOT_ENTRIES, Unit::Count, "Responses in the snapshot written last.");
        Self {
            written: counter!(SNAPSHOTS, "result" => "written"),
            failed: counter!(SNAPSHOTS, "result" => "failed"),
            entries: gauge!(SNAPSHOT_ENTRIES),
        }
    }
}

/// The gauge [`CONFIG_FALLBACK`].
pub fn config_fallback() -> Gauge {
    describe_gauge!(CONFIG_FALLBACK, Unit::Count, "Whether the last good configuration is at work.");
    gauge!(CONFIG_FALLBACK)
}

/// What the watchdog counts.
#[derive(Clone)]
pub struct WatchdogMetrics {
    /// Everything answered.
    pub well: Counter,
    /// Something did not.
    pub bad: Counter,
    /// [`WATCHDOG_STUCK`].
    pub stuck: Gauge,
}

impl WatchdogMetrics {
    /// Registers the handles.
    pub fn register() -> Self {
        describe_counter!(WATCHDOG_ROUNDS, Unit::Count, "Rounds of the watchdog.");
        describe_gauge!(WATCHDOG_STUCK, Unit::Count, "Workers and listeners that do not answer.");
        Self {
            well: counter!(WATCHDOG_ROUNDS, "result" => "well"),
            bad: counter!(WATCHDOG_ROUNDS, "result" => "stuck"),
            stuck: gauge!(WATCHDOG_STUCK),
        }
    }
}
