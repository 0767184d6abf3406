//! `[[forward]]`: which domains go to which upstreams.

use std::net::{IpAddr, SocketAddr};

use crate::answer::settings::Keeping;
use crate::upstream;
use crate::upstream::Policy;
use crate::upstream::settings::{ForwardDomain, UpstreamSpec};
use crate::wire::Name;

use super::read::{Item, Section};
use super::sections;

/// What all `[[forward]]` say.
pub(super) struct Forwards {
    /// Whom to ask.
    pub domains: Vec<ForwardDomain>,
    /// How what they answer is kept.
    pub keeping: Vec<(Name, Keeping)>,
}

/// All forwarded domains: the default where there is no `[[forward]]`. What a domain does not say of keeping
/// its answers is as in `base`.
pub(super) fn forwards(root: &Section<'_>, base: &Keeping, listen: &[SocketAddr]) -> Forwards {
    let Some(sections) = root.tables("forward") else {
        let keeping = vec![(Name::root(), base.clone())];
        return Forwards { domains: upstream::Settings::default().domains, keeping };
    };
    let mut domains: Vec<ForwardDomain> = Vec::new();
    let mut keeping = Vec::new();
    for section in sections {
        let kept = sections::lifetimes(&section, sections::keeping(&section, base));
        let Some(forward) = forward(&section, listen) else { continue };
        keeping.push((forward.domain.clone(), kept));
        if domains.iter().any(|other| other.domain == forward.domain) {
            let what = format!("{} is forwarded twice", forward.domain);
            section.reject("domain", &what, Some("list all its upstreams in one [[forward]]"));
        }
        domains.push(forward);
    }
    if !domains.iter().any(|forward| forward.domain == Name::root()) {
        let what = "no [[forward]] has domain = \".\": names of other domains get SERVFAIL";
        root.warn("forward", what, Some("add one with upstreams = [\"system\"]"));
    }
    Forwards { domains, keeping }
}

fn forward(section: &Section<'_>, listen: &[SocketAddr]) -> Option<ForwardDomain> {
    let example = "[\"system\"] or [\"10.0.0.2\"]";
    let domain = required(section, "domain", "\".\"").and_then(|item| item.domain());
    let upstreams = required(section, "upstreams", example)
        .and_then(|item| item.filled_list(|i| upstream(i, listen), example));
    let policies = [
        ("auto", Policy::Auto),
        ("fastest", Policy::Fastest),
        ("sequential", Policy::Sequential),
        ("random", Policy::Random),
    ];
    let policy = section.read("policy", Policy::Auto, |item| item.word(&policies));
    section.finish();
    Some(ForwardDomain { domain: domain?, upstreams: upstreams?, policy })
}

fn upstream(item: &Item<'_>, listen: &[SocketAddr]) -> Option<UpstreamSpec> {
    let spec = item.upstream()?;
    let address = match spec {
        UpstreamSpec::System => None,
        UpstreamSpec::Plain(address) | UpstreamSpec::Tcp(address) => Some(address),
    };
    if let Some(address) = address.filter(|a| listen.iter().any(|own| covers(*own, *a))) {
        let fix = "name the resolver that zonelet is to ask".to_owned();
        item.reject(format!("{address} is where zonelet itself listens"), Some(fix));
        return None;
    }
    Some(spec)
}

/// Whether a packet to `address` surely reaches a listener on `own`.
fn covers(own: SocketAddr, address: SocketAddr) -> bool {
    let everywhere = match (own.ip(), address.ip()) {
        (IpAddr::V4(own), IpAddr::V4(ip)) => own.is_unspecified() && ip.is_loopback(),
        (IpAddr::V6(own), ip) => own.is_unspecified() && ip.is_loopback(),
        _ => false,
    };
    own.port() == address.port() && (own.ip() == address.ip() || everywhere)
}

fn required<'a>(section: &Section<'a>, key: &'static str, example: &str) -> Option<Item<'a>> {
    let item = section.get(key);
    if item.is_none() {
        section.reject(key, "is missing", Some(&format!("write {key} = {example}")));
    }
    item
}
