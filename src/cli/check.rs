//! `zonelet check`: what a configuration without problems amounts to.

mod summary;

use crate::app::online::{self, Tried};
use crate::config::{Config, Source, SourceKind};
use crate::source::settings::{Route53Settings, VpcSelector};
use crate::source::trial::Outcome;

pub use summary::summary;

/// One line for each warning.
pub fn warnings(config: &Config) -> String {
    config.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect()
}

/// What trying the sources out has found, and the policies that they need.
pub fn findings(config: &Config, tried: &[Tried]) -> String {
    let mut text = String::new();
    for (source, tried) in config.sources.iter().zip(tried) {
        let lines: Vec<String> = tried.findings.iter().map(|finding| format!("  {finding}\n")).collect();
        text.push_str(&format!("\n{}\n{}", source_text(source), lines.concat()));
        text.push_str(&policy_texts(&tried.policies));
    }
    text
}

/// Whether nothing that was tried failed.
pub fn all_work(tried: &[Tried]) -> bool {
    tried.iter().flat_map(|tried| &tried.findings).all(|finding| finding.outcome != Outcome::Fails)
}

/// The IAM policies that a configuration needs.
pub fn policies(config: &Config) -> String {
    let policies = online::offline_policies(config);
    if policies.is_empty() { "no source needs an IAM policy\n".to_owned() } else { policy_texts(&policies) }
}

fn policy_texts(policies: &[(String, String)]) -> String {
    policies.iter().map(|(what, policy)| format!("\n# policy {what}\n{policy}\n")).collect()
}

fn source_text(source: &Source) -> String {
    let refresh = source.policy.refresh;
    match &source.kind {
        SourceKind::File(file) => format!("file {}, every {refresh:?}", file.path.display()),
        SourceKind::Hosts(hosts) => format!("hosts {}", hosts.path.display()),
        SourceKind::Route53(settings) => {
            let budget = settings.calls_per_second;
            format!("route53 {}, every {refresh:?} within {budget} calls/s", zones_text(settings))
        }
    }
}

fn zones_text(settings: &Route53Settings) -> String {
    let mut parts = Vec::new();
    match &settings.zones.vpc {
        Some(VpcSelector::Auto) => parts.push("zones of this instance's VPC".to_owned()),
        Some(VpcSelector::Id(id)) => parts.push(format!("zones of {id}")),
        None => {}
    }
    if !settings.zones.ids.is_empty() {
        parts.push(format!("ids {}", settings.zones.ids.join(", ")));
    }
    if !settings.zones.names.is_empty() {
        parts.push(format!("names {}", settings.zones.names.join(", ")));
    }
    if !settings.zones.tags.is_empty() {
        let tags: Vec<String> =
            settings.zones.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        parts.push(format!("tags {}", tags.join(", ")));
    }
    let roles: Vec<&str> = settings.roles.iter().map(|role| role.arn.as_str()).collect();
    let roles = if roles.is_empty() { String::new() } else { format!(", also through {}", roles.join(", ")) };
    parts.join(" and ") + &roles
}
