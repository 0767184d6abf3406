//! What each kind of source needs to know, checked.

use std::path::PathBuf;

use crate::wire::Name;

/// `kind = "file"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// `aws route53 list-resource-record-sets` JSON, or an RFC 1035 zone file.
    pub path: PathBuf,
    /// The zone's name where the file does not say it (JSON without an apex SOA, no `$ORIGIN`).
    pub zone: Option<Name>,
    /// The Region of the VPC that asks, for latency and geolocation records.
    pub region: Option<String>,
}

/// `kind = "route53"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route53Settings {
    /// Which zones; every selector that is set must match.
    pub zones: ZoneSelector,
    /// Public zones too.
    pub public: bool,
    /// Region of the VPC, where it is not asked of instance metadata.
    pub region: Option<String>,
    /// AWS partition: `aws`, `aws-cn`, `aws-us-gov`, `aws-eusc`; `None` derives it from the region.
    pub partition: Option<String>,
    /// Another endpoint for the Route 53 API; the signing region stays the partition's.
    pub endpoint: Option<String>,
    /// Calls per second of this process.
    pub calls_per_second: f64,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Whether the states of health checks are asked of CloudWatch.
    pub health: bool,
    /// The queue that says when zones have changed.
    pub hints: Option<HintQueue>,
}

/// A queue of SQS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintQueue {
    /// `https://HOST/ACCOUNT/NAME`.
    pub url: String,
    /// The region that its host names; `None` for the partition's signing region.
    pub region: Option<String>,
}

impl HintQueue {
    /// Its URL without the path.
    pub fn endpoint(&self) -> &str {
        let authority = self.url.find("://").map_or(0, |at| at + 3);
        let path = self.url.get(authority..).and_then(|rest| rest.find('/'));
        path.and_then(|at| self.url.get(..authority + at)).unwrap_or(&self.url)
    }
}

/// Which hosted zones are imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneSelector {
    /// Those associated with this VPC.
    pub vpc: Option<VpcSelector>,
    /// Those with one of these ids; empty for all.
    pub ids: Vec<String>,
    /// Those whose name matches one of these: `corp.internal`, or `*.internal` for any name below;
    /// empty for all.
    pub names: Vec<String>,
}

/// Which VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VpcSelector {
    /// The one instance metadata names.
    Auto,
    /// This one; its region is the source's `region`.
    Id(String),
}

impl Default for Route53Settings {
    fn default() -> Self {
        Self {
            zones: ZoneSelector { vpc: Some(VpcSelector::Auto), ..ZoneSelector::default() },
            public: false,
            region: None,
            partition: None,
            endpoint: None,
            calls_per_second: 1.0,
            burst: 10,
            health: false,
            hints: None,
        }
    }
}
