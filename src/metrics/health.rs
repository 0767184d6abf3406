//! What the importer counts of health.

use metrics::{Counter, Unit, counter, describe_counter, describe_gauge, gauge};

use super::import::FailureKind;
use super::tally::labels;

/// What choices hang on, by `kind` (`check`, `probe`) and `state`.
pub const SUBJECTS: &str = "zonelet_import_health_subjects";
/// Changes of a state.
pub const CHANGES: &str = "zonelet_import_health_changes_total";
/// Choices worked out anew because of one.
pub const REPLANNED: &str = "zonelet_import_replanned_choices_total";
/// Looks at health checks that failed, by `kind`.
pub const FAILURES: &str = "zonelet_import_health_failures_total";
/// Probes by `result`: `ok` or `failed`.
pub const PROBES: &str = "zonelet_import_probes_total";

/// Every name of this file.
pub const NAMES: &[&str] = &[SUBJECTS, CHANGES, REPLANNED, FAILURES, PROBES];

labels! {
    /// What a choice hangs on.
    SubjectKind {
        /// A health check of the origin's.
        Check = "check",
        /// A probe of ours.
        Probe = "probe",
    }
}

labels! {
    /// What is known of it.
    SubjectState {
        /// It passes.
        Healthy = "healthy",
        /// It fails.
        Unhealthy = "unhealthy",
        /// Nobody has said, or not lately.
        Unknown = "unknown",
    }
}

/// How many subjects there are of each kind and state.
pub type Census = [[usize; SubjectState::ALL.len()]; SubjectKind::ALL.len()];

/// The handles.
pub struct HealthMetrics {
    /// Changes of a state.
    pub changes: Counter,
    /// Choices worked out anew.
    pub replanned: Counter,
    /// Probes that went well.
    pub probes_ok: Counter,
    /// The others.
    pub probes_failed: Counter,
    failures: Vec<Counter>,
}

impl HealthMetrics {
    /// Registers everything at zero.
    pub fn register() -> Self {
        describe_gauge!(
            SUBJECTS,
            Unit::Count,
            "Health checks and probes that answers hang on, by kind and state."
        );
        describe_counter!(CHANGES, Unit::Count, "Changes of the state of a health check or a probe.");
        describe_counter!(REPLANNED, Unit::Count, "Choices worked out anew because of a change of health.");
        describe_counter!(FAILURES, Unit::Count, "Looks at health checks that failed, by kind.");
        describe_counter!(PROBES, Unit::Count, "Probes by result.");
        let failure = |kind: &FailureKind| counter!(FAILURES, "kind" => kind.label());
        let metrics = Self {
            changes: counter!(CHANGES),
            replanned: counter!(REPLANNED),
            probes_ok: counter!(PROBES, "result" => "ok"),
            probes_failed: counter!(PROBES, "result" => "failed"),
            failures: FailureKind::ALL.iter().map(failure).collect(),
        };
        metrics.show(&Census::default());
        metrics
    }

    /// Counts a failed look.
    pub fn failed(&self, kind: FailureKind) {
        self.failures[kind as usize].increment(1);
    }

    /// Shows how many there are of each kind and state.
    pub fn show(&self, census: &Census) {
        for (kind, states) in SubjectKind::ALL.iter().zip(census) {
            for (state, &count) in SubjectState::ALL.iter().zip(states) {
                gauge!(SUBJECTS, "kind" => kind.label(), "state" => state.label()).set(count as f64);
            }
        }
    }
}
