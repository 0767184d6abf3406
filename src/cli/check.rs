//! `zonelet check`: what a configuration without problems amounts to.

use std::fmt::{Display, Write};
use std::path::Path;

use crate::app::online::{self, Tried};
use crate::config::{Config, Source, SourceKind};
use crate::source::settings::{Route53Settings, VpcSelector};
use crate::source::trial::Outcome;
use crate::upstream::settings::UpstreamSpec;

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

/// What would be served, from where, and where the rest would go.
pub fn summary(config: &Config, path: Option<&Path>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:9} {value}");
    };
    match path {
        Some(path) => line("config", &format_args!("{}: no problems", path.display())),
        None => line("config", &"built-in defaults: no problems"),
    }
    line("listen", &format_args!("{} (UDP and TCP)", list(&config.server.listen)));
    line("access", &list(&config.answer.access));
    match config.admin.listen {
        Some(address) => line("metrics", &format_args!("http://{address}/metrics")),
        None => line("metrics", &"off"),
    }
    let off = || "off".to_owned();
    line("socket", &config.admin.socket.as_ref().map_or_else(off, |path| path.display().to_string()));
    for source in &config.sources {
        line("source", &source_text(source));
    }
    for forward in &config.upstream.domains {
        let upstreams: Vec<String> = forward.upstreams.iter().map(upstream_text).collect();
        line("forward", &format_args!("{} to {}", forward.domain, upstreams.join(", ")));
    }
    line("cache", &format_args!("{} MiB", config.cache.max_bytes as f64 / f64::from(1 << 20)));
    line("state", &config.import.state_dir.as_ref().map_or_else(off, |path| path.display().to_string()));
    text
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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

fn upstream_text(upstream: &UpstreamSpec) -> String {
    match upstream {
        UpstreamSpec::System => "the system's resolvers".to_owned(),
        UpstreamSpec::Plain(address) => address.to_string(),
        UpstreamSpec::Tcp(address) => format!("tcp://{address}"),
        UpstreamSpec::Secure(secure) => secure.to_string(),
    }
}
