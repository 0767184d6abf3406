//! What the importer counts over all zones; zones.rs has what is said of each.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::health::HealthMetrics;
use super::tally::labels;

/// Zones by `state`: `loaded`, `stale`, `held`, `carved_out`, `unloaded`, `shadowed`.
pub const ZONES: &str = "zonelet_import_zones";
/// Records that are not served at present, by `reason`.
pub const SKIPPED: &str = "zonelet_import_skipped_records";
/// Duration of one fetch of a zone. `outcome`: `ok` or `error`.
pub const FETCH: &str = "zonelet_import_fetch_seconds";
/// Time from a hint that a zone has changed (its source said so, or a refresh was asked for) to the zone table that
/// has the change. Hints behind which nothing had changed are not counted.
pub const HINT: &str = "zonelet_import_hint_seconds";
/// Failures by `call` (`discover`, `fetch`) and `kind`.
pub const FAILURES: &str = "zonelet_import_failures_total";
/// RRsets that came, went or changed with an import, by `change`.
pub const CHANGES: &str = "zonelet_import_changed_rrsets_total";
/// Imports held back because the zone had shrunk sharply.
pub const HELD: &str = "zonelet_import_held_total";
/// Swaps of the zone table.
pub const SWAPS: &str = "zonelet_import_table_swaps_total";
/// State files that were not used or not written, by `problem`.
pub const STATE_ERRORS: &str = "zonelet_import_state_errors_total";

/// Every name of this file.
pub const NAMES: &[&str] = &[ZONES, SKIPPED, FETCH, HINT, FAILURES, CHANGES, HELD, SWAPS, STATE_ERRORS];

labels! {
    /// Why a call of a source gave nothing.
    FailureKind {
        /// The source asked for less.
        Throttled = "throttled",
        /// A permission is missing.
        Denied = "denied",
        /// The zone is gone.
        Gone = "gone",
        /// A reply that may not be believed.
        Damaged = "damaged",
        /// Network, time-outs, server errors.
        Failed = "failed",
        /// The settings cannot work.
        Misconfigured = "misconfigured",
    }
}

labels! {
    /// Why a state file was not used or not written.
    StateProblem {
        /// Cut, altered or of another format.
        Damaged = "damaged",
        /// Of another origin or of a source that is not configured.
        Foreign = "foreign",
        /// The system would not read it.
        Unreadable = "unreadable",
        /// The system would not write it, or it was too large.
        Unwritten = "unwritten",
    }
}

/// The handles the importer counts with.
pub struct ImportMetrics {
    discover_failures: Vec<Counter>,
    fetch_failures: Vec<Counter>,
    fetch_ok: Histogram,
    fetch_error: Histogram,
    hint: Histogram,
    added: Counter,
    removed: Counter,
    changed: Counter,
    /// Imports held back.
    pub held: Counter,
    /// Swaps of the zone table.
    pub swaps: Counter,
    state_errors: Vec<Counter>,
    /// What is counted of health.
    pub health: HealthMetrics,
}

impl ImportMetrics {
    /// Registers every counter, so that each stands at zero from the start.
    pub fn register() -> Self {
        describe();
        let failures = |call: &'static str| {
            let one = |kind: &FailureKind| counter!(FAILURES, "call" => call, "kind" => kind.label());
            FailureKind::ALL.iter().map(one).collect()
        };
        Self {
            discover_failures: failures("discover"),
            fetch_failures: failures("fetch"),
            fetch_ok: histogram!(FETCH, "outcome" => "ok"),
            fetch_error: histogram!(FETCH, "outcome" => "error"),
            hint: histogram!(HINT),
            added: counter!(CHANGES, "change" => "added"),
            removed: counter!(CHANGES, "change" => "removed"),
            changed: counter!(CHANGES, "change" => "changed"),
            held: counter!(HELD),
            swaps: counter!(SWAPS),
            state_errors: StateProblem::ALL
                .iter()
                .map(|problem| counter!(STATE_ERRORS, "problem" => problem.label()))
                .collect(),
            health: HealthMetrics::register(),
        }
    }

    /// Counts a failed discovery.
    pub fn discovery_failed(&self, kind: FailureKind) {
        self.discover_failures[kind as usize].increment(1);
    }

    /// Counts a failed fetch.
    pub fn fetch_failed(&self, kind: FailureKind) {
        self.fetch_failures[kind as usize].increment(1);
    }

    /// Records how long a fetch took.
    pub fn fetched(&self, took: Duration, ok: bool) {
        if ok { &self.fetch_ok } else { &self.fetch_error }.record(took);
    }

    /// Counts the RRsets that an import added, removed and changed.
    pub fn changes(&self, added: usize, removed: usize, changed: usize) {
        self.added.increment(added as u64);
        self.removed.increment(removed as u64);
        self.changed.increment(changed as u64);
    }

    /// Counts a state file that was not used or not written.
    pub fn state_error(&self, problem: StateProblem) {
        self.state_errors[problem as usize].increment(1);
    }

    /// Records how long after a hint the change was published.
    pub fn hint_served(&self, after: Duration) {
        self.hint.record(after);
    }

    /// Sets how many zones there are in `state`.
    pub fn show_state(&self, state: &'static str, zones: usize) {
        gauge!(ZONES, "state" => state).set(zones as f64);
    }

    /// Sets how many records are skipped for `reason`.
    pub fn show_skipped(&self, reason: &'static str, records: usize) {
        gauge!(SKIPPED, "reason" => reason).set(records as f64);
    }
}

fn describe() {
    describe_gauge!(ZONES, Unit::Count, "Zones by state.");
    describe_gauge!(SKIPPED, Unit::Count, "Records that are not served at present.");
    describe_histogram!(HINT, Unit::Seconds, "Time from a hint to the table that has the change.");
    describe_histogram!(FETCH, Unit::Seconds, "Duration of one fetch of a zone.");
    describe_counter!(FAILURES, Unit::Count, "Calls of a source that gave nothing.");
    describe_counter!(CHANGES, Unit::Count, "RRsets that came, went or changed with an import.");
    describe_counter!(HELD, Unit::Count, "Imports held back because the zone had shrunk sharply.");
    describe_counter!(SWAPS, Unit::Count, "Swaps of the zone table.");
    describe_counter!(STATE_ERRORS, Unit::Count, "State files that were not used or not written.");
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn every_name_is_exported() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let metrics = ImportMetrics::register();
            FailureKind::ALL.iter().for_each(|&kind| metrics.fetch_failed(kind));
            StateProblem::ALL.iter().for_each(|&problem| metrics.state_error(problem));
            metrics.fetched(Duration::from_secs(1), true);
            metrics.changes(1, 2, 3);
            metrics.show_state("loaded", 2);
            metrics.show_skipped("bad_ttl", 2);
            metrics.hint_served(Duration::from_secs(1));
        });
        let text = handle.render();
        for name in NAMES {
            assert!(text.contains(name), "{name} is not exported:\n{text}");
        }
        assert!(text.contains("change=\"changed\"} 3"));
    }
}
