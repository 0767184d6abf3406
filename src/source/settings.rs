//! What each kind of source needs to know, checked.

use std::collections::BTreeMap;
use std::fmt;
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

/// `kind = "hosts"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsSettings {
    /// A hosts file, such as `/etc/hosts`.
    pub path: PathBuf,
    /// Of all records made of it, seconds.
    pub ttl: u32,
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
    /// Whether the states of health checks are asked of CloudWatch.
    pub health: bool,
    /// Calls per second of this process.
    pub calls_per_second: f64,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Roles in other accounts, at most one for each: their zones are wanted, too.
    pub roles: Vec<Role>,
    /// Zones that Route 53 Profiles give to the VPC, too.
    pub profiles: bool,
    /// What the VPC's resolver rules forward is not answered from zones.
    pub resolver_rules: bool,
    /// The queue that says when zones have changed.
    pub hints: Option<HintQueue>,
}

/// A role that is assumed from the source's own credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::123456789012:role/zonelet`.
    pub arn: String,
    /// What the role's trust policy asks for; never shown.
    pub external_id: Option<String>,
    /// How the session is named in the other account's logs.
    pub session_name: String,
}

impl Role {
    /// The role of that ARN, with the default session name and no external id.
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), external_id: None, session_name: "zonelet".to_owned() }
    }

    /// The account that the role belongs to; empty for an ARN that is none.
    pub fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }
}

impl fmt::Debug for Role {
    /// Without the external id, which others should not learn from a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Role");
        shown.field("arn", &self.arn).field("session_name", &self.session_name).finish_non_exhaustive()
    }
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
    /// Those with all these tags; `*` is any value.
    pub tags: BTreeMap<String, String>,
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
            health: false,
            calls_per_second: 1.0,
            burst: 10,
            roles: Vec::new(),
            profiles: false,
            resolver_rules: false,
            hints: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_knows_its_account_and_shows_no_external_id() {
        let role = Role {
            external_id: Some("between us".into()),
            ..Role::new("arn:aws-cn:iam::222233334444:role/dns/zonelet")
        };
        assert_eq!(role.account(), "222233334444");
        let shown = format!("{role:?}");
        assert!(shown.contains("role/dns/zonelet") && !shown.contains("between us"), "{shown}");
        assert_eq!(Role::new("zonelet").account(), "");
    }
}
