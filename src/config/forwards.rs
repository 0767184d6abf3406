//! `[[forward]]`: which domains go to which upstreams.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::answer::settings::Keeping;
use crate::upstream;
use crate::upstream::Policy;
use crate::upstream::settings::{ForwardDomain, UpstreamSpec};
use crate::wire::Name;

use super::read::{Item, Section};
use super::sections;
use super::secure::{is_clear, named_only, with_ca};

/// What all `[[forward]]` say.
pub(super) struct Forwards {
    /// Whom to ask.
    pub domains: Vec<ForwardDomain>,
    /// How what they answer is kept.
    pub keeping: Vec<(Name, Keeping)>,
}

/// All forwarded domains: the default where there is no `[[forward]]`. What a domain does not say of keeping
/// its answers is as in `kept`. Relative paths start at `base`.
pub(super) fn forwards(root: &Section<'_>, kept: &Keeping, listen: &[SocketAddr], base: &Path) -> Forwards {
    let Some(sections) = root.tables("forward") else {
        let keeping = vec![(Name::root(), kept.clone())];
        return Forwards { domains: upstream::Settings::default().domains, keeping };
    };
    let mut domains: Vec<ForwardDomain> = Vec::new();
    let mut keeping = Vec::new();
    for section in sections {
        let own = sections::lifetimes(&section, sections::keeping(&section, kept));
        let Some(forward) = forward(&section, listen, base) else { continue };
        keeping.push((forward.domain.clone(), own));
        if domains.iter().any(|other| other.domain == forward.domain) {
            let what = format!("{} is forwarded twice", forward.domain);
            section.reject("domain", &what, Some("list all its upstreams in one [[forward]]"));
        }
        domains.push(forward);
    }
    let all = || domains.iter().flat_map(|forward| &forward.upstreams);
    if let Some(named) = domains.iter().find_map(|forward| named_only(&forward.upstreams))
        && !all().any(is_clear)
    {
        let what =
            format!("{named} has to be looked up, and all upstreams that could be asked are encrypted");
        let fix = format!("write {}://, its address and #{}", named.protocol.scheme(), named.server_name);
        root.reject("forward", &what, Some(&fix));
    }
    if !domains.iter().any(|forward| forward.domain == Name::root()) {
        let what = "no [[forward]] has domain = \".\": names of other domains get SERVFAIL";
        root.warn("forward", what, Some("add one with upstreams = [\"system\"]"));
    }
    Forwards { domains, keeping }
}

fn forward(section: &Section<'_>, listen: &[SocketAddr], base: &Path) -> Option<ForwardDomain> {
    let example = "[\"system\"] or [\"10.0.0.2\"]";
    let domain = required(section, "domain", "\".\"").and_then(|item| item.domain());
    let upstreams = required(section, "upstreams", example)
        .and_then(|item| item.filled_list(|i| upstream(i, listen), example));
    let upstreams = with_ca(section, base, upstreams);
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
    if let Some(address) = spec.address().filter(|a| listen.iter().any(|own| covers(*own, *a))) {
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
