//! What a configuration comes to, a line for each thing that is configured.

use std::fmt::{Display, Write};
use std::path::Path;

use super::source_text;
use crate::answer::settings::{
    AccessAction, AccessRule, ClientLimits, Keeping, Override, OverrideAnswer, Rebinding, Relief, ReliefKind,
};
use crate::config::Config;
use crate::server;
use crate::upstream::settings::{ForwardDomain, UpstreamSpec};
use crate::upstream::{Packets, Policy};
use crate::watch::settings::{Class, Dnstap, Messages, QueryLog};

/// Lines of one kind; the others are counted.
const MOST: usize = 20;

/// Lines with a name before each.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:9} {value}");
    }

    fn each<T>(&mut self, name: &str, items: &[T], tell: impl Fn(usize, &T) -> String) {
        items.iter().take(MOST).enumerate().for_each(|(n, item)| self.add(name, tell(n, item)));
        if let Some(more) = items.len().checked_sub(MOST).filter(|&more| more > 0) {
            self.add(name, format_args!("and {more} more"));
        }
    }
}

/// What would be served to whom, from where, and where the rest would go.
pub fn summary(config: &Config, path: Option<&Path>) -> String {
    let mut lines = Lines::default();
    match path {
        Some(path) => lines.add("config", format_args!("{}: no problems", path.display())),
        None => lines.add("config", "built-in defaults: no problems"),
    }
    listeners(&mut lines, &config.server);
    lines.add("access", list(&config.answer.access));
    admission(&mut lines, config);
    match config.admin.listen {
        Some(address) => lines.add("metrics", format_args!("http://{address}/metrics")),
        None => lines.add("metrics", "off"),
    }
    let off = || "off".to_owned();
    lines.add("socket", config.admin.socket.as_ref().map_or_else(off, |path| path.display().to_string()));
    config.sources.iter().for_each(|source| lines.add("source", source_text(source)));
    lines.each("override", &config.answer.overrides, |_, rule| override_text(rule));
    lines.each("relief", &config.answer.relief, |_, relief| relief_text(relief));
    for forward in &config.upstream.domains {
        let keeping = config.answer.keeping.iter().find(|(domain, _)| *domain == forward.domain);
        lines.add("forward", forward_text(forward, keeping.map(|(_, keeping)| keeping)));
    }
    if let Packets::PerSecond(packets) = config.upstream.packets {
        lines.add("packets", format_args!("at most {packets}/s to each upstream"));
    }
    lines.add("cache", format_args!("{} MiB", config.cache.max_bytes as f64 / f64::from(1 << 20)));
    lines.add("state", config.import.state_dir.as_ref().map_or_else(off, |path| path.display().to_string()));
    seeing(&mut lines, &config.watch.dnstap, &config.watch.query_log);
    lines.0
}

fn listeners(lines: &mut Lines, server: &server::Settings) {
    lines.add("listen", format_args!("{} (UDP and TCP)", list(&server.listen)));
    let certificate = server.certificate.as_ref().map(|files| files.chain.display().to_string());
    let certificate = certificate.unwrap_or_default();
    if !server.tls.is_empty() {
        lines.add("tls", format_args!("{}, certificate {certificate}", list(&server.tls)));
    }
    if !server.https.is_empty() {
        let (addresses, path) = (list(&server.https), &server.https_path);
        lines.add("https", format_args!("{addresses}, path {path}, certificate {certificate}"));
    }
    if !server.quic.is_empty() {
        lines.add("quic", format_args!("{}, certificate {certificate}", list(&server.quic)));
    }
}

fn admission(lines: &mut Lines, config: &Config) {
    lines.each("rule", &config.answer.access_rules, |n, rule| format!("{}: {}", n + 1, rule_text(rule)));
    if let Some(limits) = limits_text(&config.answer.clients) {
        lines.add("limits", limits);
    }
    let Rebinding { domains, except } = &config.answer.rebinding;
    if !domains.is_empty() {
        let but = if except.is_empty() { String::new() } else { format!(", but not {}", list(except)) };
        lines.add("rebinding", format_args!("no private addresses for {}{but}", list(domains)));
    }
}

fn seeing(lines: &mut Lines, dnstap: &Dnstap, log: &QueryLog) {
    if let Some(to) = &dnstap.to {
        let words = Messages::WORDS.iter().filter(|(_, messages)| dnstap.messages.contains(messages));
        let words: Vec<&str> = words.map(|(word, _)| *word).collect();
        let sample = sample_text(dnstap.sample);
        lines.add("dnstap", format_args!("{to}, messages of {}, {sample}", words.join(" and ")));
    }
    if !log.classes.is_empty() {
        let class = |class: &Class| match class {
            Class::All => format!("all ({})", sample_text(log.sample)),
            Class::Slow => format!("slow (from {:?})", log.slow),
            other => other.label().to_owned(),
        };
        let classes: Vec<String> = log.classes.iter().map(class).collect();
        lines.add("query log", format_args!("{}, at most {} lines/s", classes.join(", "), log.lines));
    }
}

fn sample_text(sample: u32) -> String {
    if sample == 1 { "every query".to_owned() } else { format!("one query in {sample}") }
}

fn rule_text(rule: &AccessRule) -> String {
    let action = match rule.action {
        AccessAction::Allow => "allow",
        AccessAction::Refuse => "refuse",
        AccessAction::Drop => "drop",
    };
    let names = if rule.domains.is_empty() { "every name".to_owned() } else { list(&rule.domains) };
    format!("{action} {} for {names}", list(&rule.clients))
}

fn limits_text(limits: &ClientLimits) -> Option<String> {
    let rate = limits.rate.map(|rate| format!("{rate} queries/s (at once {})", limits.burst));
    let waiting = limits.in_flight.map(|most| format!("{most} waiting questions"));
    let bounds: Vec<String> = rate.into_iter().chain(waiting).collect();
    let exempt = match limits.exempt.as_slice() {
        [] => String::new(),
        exempt => format!(", but not for {}", list(exempt)),
    };
    (!bounds.is_empty()).then(|| format!("for each client {}{exempt}", bounds.join(" and ")))
}

fn override_text(rule: &Override) -> String {
    let answer = match &rule.answer {
        OverrideAnswer::Addresses(addresses) => list(addresses),
        OverrideAnswer::Cname(target) => format!("alias of {target}"),
        OverrideAnswer::NxDomain => "NXDOMAIN".to_owned(),
        OverrideAnswer::NoData => "no data".to_owned(),
        OverrideAnswer::Pass => "passed on".to_owned(),
    };
    format!("{}: {answer}", list(&rule.names))
}

fn relief_text(relief: &Relief) -> String {
    let kind = match relief.kind {
        ReliefKind::Kubernetes => "kubernetes",
        ReliefKind::ClusterSet => "clusterset",
        ReliefKind::Ec2 => "ec2",
    };
    let but =
        if relief.except.is_empty() { String::new() } else { format!(", but not {}", list(&relief.except)) };
    format!("{} (names of {kind} alone){but}", relief.domain)
}

/// Where a domain goes, and what of its rules is not as it is by default.
fn forward_text(forward: &ForwardDomain, keeping: Option<&Keeping>) -> String {
    let upstreams: Vec<String> = forward.upstreams.iter().map(upstream_text).collect();
    let mut text = format!("{} to {}", forward.domain, upstreams.join(", "));
    let policy = match forward.policy {
        Policy::Auto => None,
        Policy::Fastest => Some("fastest"),
        Policy::Sequential => Some("sequential"),
        Policy::Random => Some("random"),
    };
    let rules = keeping.map(keeping_texts).unwrap_or_default();
    for rule in policy.map(|policy| format!("policy {policy}")).into_iter().chain(rules) {
        text.push_str("; ");
        text.push_str(&rule);
    }
    text
}

fn keeping_texts(keeping: &Keeping) -> Vec<String> {
    let usual = Keeping::default();
    let mut texts = Vec::new();
    match keeping.max_stale {
        stale if stale.is_zero() => texts.push("never stale".to_owned()),
        stale if stale != usual.max_stale => texts.push(format!("stale up to {stale:?}")),
        _ => {}
    }
    if keeping.stale_timer != usual.stale_timer {
        texts.push(format!("stale after {:?}", keeping.stale_timer));
    }
    if !keeping.keep_positive.is_zero() {
        texts.push(format!("kept against denials for {:?}", keeping.keep_positive));
    }
    for (what, bound, usual) in [
        ("TTLs", keeping.max_ttl, usual.max_ttl),
        ("negative TTLs", keeping.max_negative_ttl, usual.max_negative_ttl),
    ] {
        if bound != usual {
            texts.push(format!("{what} up to {bound:?}"));
        }
    }
    if !keeping.renews {
        texts.push("not prefetched".to_owned());
    }
    texts
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn upstream_text(upstream: &UpstreamSpec) -> String {
    match upstream {
        UpstreamSpec::System => "the system's resolvers".to_owned(),
        UpstreamSpec::Plain(address) => address.to_string(),
        UpstreamSpec::Tcp(address) => format!("tcp://{address}"),
        UpstreamSpec::Secure(secure) => secure.to_string(),
    }
}
