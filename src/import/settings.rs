//! The schedule and the policies of each source, checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::wire::Name;
use crate::zone::{OnMissing, ProbeRule};

/// What the importer needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where last-good zones are kept; `None` keeps none.
    pub state_dir: Option<PathBuf>,
}

/// How the zones of one source are treated.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePolicy {
    /// A zone is fetched this often; stretched to what the budget allows.
    pub refresh: Duration,
    /// Calls per second of this source; `None` for a source without a budget.
    pub calls_per_second: Option<f64>,
    /// Cap on the TTL of the zone's negative answers, seconds.
    pub negative_ttl_max: u32,
    /// What becomes of names that the zone does not have.
    pub on_missing: OnMissing,
    /// The same for single zones.
    pub on_missing_zones: BTreeMap<String, OnMissing>,
    /// Whether the TXT records by which ExternalDNS knows its own are left out.
    pub drops_registry: bool,
    /// What becomes of queries below a zone that has not been loaded yet.
    pub on_unloaded: OnUnloaded,
    /// How the states of health checks are followed; `None`: they stay unknown.
    pub health: Option<HealthPolicy>,
    /// What is probed from here.
    pub probes: Vec<ProbePolicy>,
    /// Zone names known from configuration before the first discovery, if any.
    pub expected: Vec<Name>,
}

/// How the states of health checks are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// They are looked at this often.
    pub every: Duration,
    /// A state that is older is not believed.
    pub max_age: Duration,
}

/// Addresses that are probed from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePolicy {
    /// Whose, and how.
    pub rule: ProbeRule,
    /// Each address is probed this often.
    pub every: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// Successes in a row that make an address healthy again.
    pub rise: u32,
    /// Failures in a row that make it unhealthy.
    pub fall: u32,
}

/// What becomes of queries below a zone that has never been loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnloaded {
    /// `Forward` while the upstream for the zone is the VPC resolver, else `Fail`.
    #[default]
    Auto,
    /// They are forwarded.
    Forward,
    /// SERVFAIL with EDE 14.
    Fail,
}

impl Default for SourcePolicy {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(60),
            calls_per_second: None,
            negative_ttl_max: 30,
            on_missing: OnMissing::NxDomain,
            on_missing_zones: BTreeMap::new(),
            drops_registry: false,
            on_unloaded: OnUnloaded::Auto,
            health: None,
            probes: Vec::new(),
            expected: Vec::new(),
        }
    }
}
