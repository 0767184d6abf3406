//! Trying the sources of a configuration out, for `zonelet check --online`: nothing is served.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::config::{Config, Source, SourceKind};
use crate::source::file::FileSource;
use crate::source::hosts::HostsFile;
use crate::source::settings::{FileSettings, HostsSettings};
use crate::source::trial::Finding;
use crate::source::{Progress, ZoneSource, chain};
use crate::upstream::Forwarder;

/// One source, tried.
pub struct Tried {
    /// What was found, in the order of trying.
    pub findings: Vec<Finding>,
    /// The IAM policies that it needs, each with what it is for.
    pub policies: Vec<(String, String)>,
}

/// Tries every source, in the order of the configuration. Host names are resolved as a running zonelet
/// would: through the configured upstreams. Must run on a multi-thread runtime.
pub async fn try_sources(config: &Config) -> Vec<Tried> {
    let forwarder = Forwarder::new(config.upstream.clone(), Clock::real(), Handle::current());
    let mut tried = Vec::new();
    for source in &config.sources {
        tried.push(try_source(source, &forwarder).await);
    }
    tried
}

#[cfg_attr(not(feature = "route53"), allow(unused_variables))]
async fn try_source(source: &Source, forwarder: &Arc<Forwarder>) -> Tried {
    match &source.kind {
        SourceKind::File(settings) => {
            Tried { findings: vec![try_file(settings).await], policies: Vec::new() }
        }
        SourceKind::Hosts(settings) => Tried { findings: vec![try_hosts(settings)], policies: Vec::new() },
        #[cfg(feature = "route53")]
        SourceKind::Route53(settings) => {
            let trial = super::imports::route53(settings, forwarder).trial().await;
            let policies = policies(settings, trial.vpc.as_ref(), trial.caller.as_deref());
            Tried { findings: trial.findings, policies }
        }
        #[cfg(not(feature = "route53"))]
        SourceKind::Route53(_) => {
            let what = Finding::fails("kind", "route53 is not part of this build");
            Tried { findings: vec![what], policies: Vec::new() }
        }
    }
}

fn try_hosts(settings: &HostsSettings) -> Finding {
    let (mut file, what) = (HostsFile::new(settings.clone()), settings.path.display().to_string());
    match (file.look(), file.hosts()) {
        (Err(error), _) => Finding::fails(what, error.to_string()),
        (Ok(_), None) => Finding::fails(what, "was not read"),
        (Ok(_), Some(hosts)) => {
            let odd: Vec<String> = hosts.odd_lines.iter().map(ToString::to_string).collect();
            let odd = if odd.is_empty() {
                String::new()
            } else {
                format!(", not all understood of lines {}", odd.join(", "))
            };
            Finding::works(what, format!("{} names{odd}", hosts.forward.len()))
        }
    }
}

async fn try_file(settings: &FileSettings) -> Finding {
    let source = FileSource::new(settings.clone());
    let what = settings.path.display().to_string();
    let zones = match source.discover().await {
        Ok(zones) => zones,
        Err(error) => return Finding::fails(what, chain(&error)),
    };
    let Some(zone) = zones.first() else { return Finding::fails(what, "holds no zone") };
    match source.fetch(zone, &mut Progress::default()).await {
        Ok(fetched) => Finding::works(what, format!("zone {}, {} sets", zone.apex, fetched.data.sets.len())),
        Err(error) => Finding::fails(what, chain(&error)),
    }
}

/// The IAM policies that the sources of a configuration need, told without asking anybody.
pub fn offline_policies(config: &Config) -> Vec<(String, String)> {
    let of_source = |source: &Source| match &source.kind {
        #[cfg(feature = "route53")]
        SourceKind::Route53(settings) => policies(settings, named_vpc(settings).as_ref(), None),
        _ => Vec::new(),
    };
    config.sources.iter().flat_map(of_source).collect()
}

/// The VPC, where the configuration names it with its Region.
#[cfg(feature = "route53")]
fn named_vpc(
    settings: &crate::source::settings::Route53Settings,
) -> Option<crate::source::route53::vpc::Vpc> {
    use crate::source::settings::VpcSelector;
    match (&settings.zones.vpc, &settings.region) {
        (Some(VpcSelector::Id(id)), Some(region)) => {
            Some(crate::source::route53::vpc::Vpc { id: id.clone(), region: region.clone() })
        }
        _ => None,
    }
}

#[cfg(feature = "route53")]
fn policies(
    settings: &crate::source::settings::Route53Settings,
    vpc: Option<&crate::source::route53::vpc::Vpc>,
    caller: Option<&str>,
) -> Vec<(String, String)> {
    use crate::source::route53::policy;
    let caller = caller.map_or_else(|| "THE-ROLE-OF-ZONELET".to_owned(), policy::principal);
    let own = ("of the role that zonelet runs with".to_owned(), policy::own(settings, vpc).text());
    let of_role = settings.roles.iter().flat_map(|role| {
        let trust = policy::trust(role, &caller).text();
        [
            (format!("of {}", role.arn), policy::of_role(settings).text()),
            (format!("of trust of {}", role.arn), trust),
        ]
    });
    std::iter::once(own).chain(of_role).collect()
}
