//! What decides on answers: access, bounds of clients, special names, overrides, relief, rebinding.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::answer::Settings;
use crate::answer::settings::{
    AccessAction, AccessRule, ClientLimits, Identity, MAX_IDENTITY, Override, OverrideAnswer, Rebinding,
    Relief, ReliefKind, ServerId, SpecialNames, named_networks,
};
use crate::upstream::settings::ForwardDomain;
use crate::wire::query::CLASSIC_UDP;
use crate::wire::response::UDP_SIZE;
use crate::wire::{Name, NamePattern};

use super::forwards::Forwards;
use super::read::{Item, Section};

/// The sections that make one room's settings.
pub(super) struct Sections<'s, 'a> {
    pub root: &'s Section<'a>,
    pub server: &'s Section<'a>,
    pub special: &'s Section<'a>,
    pub limits: &'s Section<'a>,
    pub rebinding: &'s Section<'a>,
}

/// The settings of answers. Domains that are forwarded by themselves are left out of relief.
pub(super) fn answer(sections: &Sections<'_, '_>, forwards: &Forwards) -> Settings {
    let Sections { root, server, special, limits, rebinding } = sections;
    let default = Settings::default();
    let names = default.special;
    let domains = |item: &Item<'_>| item.list(|i| i.domain());
    Settings {
        access: server.read("access", default.access, networks),
        access_rules: root.tables("access").unwrap_or_default().iter().filter_map(access_rule).collect(),
        clients: clients(limits, default.clients),
        stranger_udp: limits.read("stranger_udp", default.stranger_udp, |item| {
            usize::try_from(item.bytes(CLASSIC_UDP as u64..=UDP_SIZE as u64)?).ok()
        }),
        identity: Identity {
            server: server.read("identity", None, |item| identity(item).map(|text| text.map(server_id))),
            version: server.read("version", None, |item| identity(item).map(|text| text.map(version))),
        },
        overrides: overrides(root),
        relief: relief(root, &forwards.domains),
        rebinding: Rebinding {
            domains: rebinding.read("domains", Vec::new(), domains),
            except: rebinding.read("except", Vec::new(), domains),
        },
        special: SpecialNames {
            localhost: special.read("localhost", names.localhost, Item::boolean),
            invalid: special.read("invalid", names.invalid, Item::boolean),
            onion: special.read("onion", names.onion, Item::boolean),
            resolver_arpa: special.read("resolver_arpa", names.resolver_arpa, Item::boolean),
        },
        max_in_flight: limits.read("in_flight", default.max_in_flight, |i| i.count(1..=1 << 20)),
        max_waiters: limits.read("waiters", default.max_waiters, |i| i.count(1..=1 << 20)),
        keeping: forwards.keeping.clone(),
        max_renewals: limits
            .read("renewals", default.max_renewals, |i| u32::try_from(i.integer(0..=1_000_000)?).ok()),
    }
}

/// A list of words and prefixes, each network once.
fn networks(item: &Item<'_>) -> Option<Vec<IpNet>> {
    let lists = item.filled_list(|i| i.networks(), "[\"loopback\", \"private\"]")?;
    let mut networks: Vec<_> = lists.into_iter().flatten().collect();
    let mut seen = HashSet::new();
    networks.retain(|network| seen.insert(*network));
    Some(networks)
}

fn access_rule(section: &Section<'_>) -> Option<AccessRule> {
    let actions =
        [("allow", AccessAction::Allow), ("refuse", AccessAction::Refuse), ("drop", AccessAction::Drop)];
    let action = required(section, "action", "\"refuse\"").and_then(|item| item.word(&actions));
    let clients = section.read("clients", named_networks("any").unwrap_or_default(), networks);
    let domains = section.read("domains", Vec::new(), |item| {
        item.filled_list(|i| i.domain(), "[\"corp.internal\"], or leave it out for every name")
    });
    if !section.has("clients") && !section.has("domains") {
        section.reject("", "means every query", Some("write clients, domains or both"));
    }
    section.finish();
    Some(AccessRule { action: action?, clients, domains })
}

fn clients(limits: &Section<'_>, default: ClientLimits) -> ClientLimits {
    let number = |item: &Item<'_>, range| u32::try_from(item.integer(range)?).ok();
    let exempt = |item: &Item<'_>| Some(item.list(|i| i.networks())?.into_iter().flatten().collect());
    let rate = |item: &Item<'_>| match item.as_text() {
        Some("off") => Some(None),
        _ => number(item, 1..=1_000_000).map(Some),
    };
    let in_flight = |item: &Item<'_>| match item.as_text() {
        Some("off") => Some(None),
        _ => item.count(1..=1 << 20).map(Some),
    };
    ClientLimits {
        rate: limits.read("client_rate", default.rate, rate),
        burst: limits.read("client_burst", default.burst, |item| number(item, 1..=1_000_000)),
        slip: limits.read("client_slip", default.slip, |item| match item.as_text() {
            Some("off") => Some(0),
            _ => number(item, 1..=1000),
        }),
        in_flight: limits.read("client_in_flight", default.in_flight, in_flight),
        exempt: limits.read("client_exempt", default.exempt, exempt),
    }
}

/// A text that fits into an answer; an empty one tells nothing.
fn identity(item: &Item<'_>) -> Option<Option<String>> {
    let text = item.text()?;
    if text.len() > MAX_IDENTITY || !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        let fix = format!("write at most {MAX_IDENTITY} printable ASCII characters");
        item.reject(format!("{text:?} cannot be told"), Some(fix));
        return None;
    }
    Some((!text.is_empty()).then(|| text.to_owned()))
}

fn server_id(text: String) -> ServerId {
    if text == "hostname" { ServerId::Hostname } else { ServerId::Text(text) }
}

/// `auto` is what this is.
fn version(text: String) -> String {
    if text == "auto" { concat!("zonelet ", env!("CARGO_PKG_VERSION")).to_owned() } else { text }
}

fn ttl(section: &Section<'_>) -> u32 {
    let day = Duration::from_secs(86_400);
    section.read("ttl", 30, |item| u32::try_from(item.duration(Duration::ZERO..=day)?.as_secs()).ok())
}

/// `[[override]]`.
fn overrides(root: &Section<'_>) -> Vec<Override> {
    let mut all: Vec<Override> = Vec::new();
    for section in root.tables("override").unwrap_or_default() {
        let Some(rule) = override_of(&section) else { continue };
        if let Some(twice) = rule.names.iter().find(|name| all.iter().any(|other| other.names.contains(name)))
        {
            section.reject(
                "names",
                &format!("{twice} is overridden twice"),
                Some("put both into one [[override]]"),
            );
        }
        all.push(rule);
    }
    all
}

fn override_of(section: &Section<'_>) -> Option<Override> {
    let names = required(section, "names", "[\"db.corp.internal\", \"*.ads.example\"]")
        .and_then(|item| item.filled_list(NamePattern::read, "[\"db.corp.internal\"]"));
    let addresses = section.get("address").map(|item| item.filled_list(address, "[\"10.0.0.1\"]"));
    let cname = section.get("cname").map(|item| item.domain());
    let words = [
        ("nxdomain", OverrideAnswer::NxDomain),
        ("nodata", OverrideAnswer::NoData),
        ("pass", OverrideAnswer::Pass),
    ];
    let word = section.get("answer").map(|item| {
        let indexed = [(words[0].0, 0), (words[1].0, 1), (words[2].0, 2)];
        item.word(&indexed).and_then(|index: usize| words.get(index)).map(|(_, answer)| answer.clone())
    });
    let given = [addresses.is_some(), cname.is_some(), word.is_some()];
    if given.into_iter().filter(|is_given| *is_given).count() != 1 {
        let fix = "write one of address, cname and answer";
        section.reject("", "needs exactly one thing to answer", Some(fix));
    }
    let ttl = ttl(section);
    section.finish();
    let answer = addresses.map(|found| found.map(OverrideAnswer::Addresses));
    let answer = answer.or(cname.map(|found| found.map(OverrideAnswer::Cname))).or(word)??;
    let names = names?;
    if let OverrideAnswer::Cname(target) = &answer
        && names.iter().any(|name| name.matches(target.as_ref()))
    {
        section.reject("cname", &format!("{target} is overridden with itself"), Some("name another target"));
    }
    Some(Override { names, answer, ttl })
}

fn address(item: &Item<'_>) -> Option<IpAddr> {
    let text = item.text()?.trim();
    let address = text.parse::<IpAddr>().ok();
    if address.is_none() {
        item.reject(format!("{text:?} is not an address"), Some("write \"10.0.0.1\" or \"fd00::1\"".into()));
    }
    address
}

impl NamePattern {
    /// A name, or `*.` and a name for all below it.
    fn read(item: &Item<'_>) -> Option<Self> {
        let text = item.text()?.trim();
        match text.strip_prefix("*.") {
            Some(above) => item.domain_of(above).map(Self::Below),
            None => item.domain_of(text).map(Self::Exactly),
        }
    }
}

/// `[[relief]]`.
fn relief(root: &Section<'_>, forwards: &[ForwardDomain]) -> Vec<Relief> {
    let mut all: Vec<Relief> = Vec::new();
    for section in root.tables("relief").unwrap_or_default() {
        let Some(mut relief) = relief_of(&section) else { continue };
        if all.iter().any(|other| other.domain == relief.domain) {
            section.reject("domain", &format!("{} has relief twice", relief.domain), Some("remove one"));
        }
        let is_below =
            |name: &Name| *name != relief.domain && name.as_ref().is_at_or_below(relief.domain.as_ref());
        let others = forwards.iter().map(|forward| &forward.domain).filter(|name| is_below(name));
        let others: Vec<Name> = others.cloned().collect();
        relief.except.extend(others);
        all.push(relief);
    }
    all
}

fn relief_of(section: &Section<'_>) -> Option<Relief> {
    let kinds = [
        ("kubernetes", ReliefKind::Kubernetes),
        ("clusterset", ReliefKind::ClusterSet),
        ("ec2", ReliefKind::Ec2),
    ];
    let item = required(section, "domain", "\"cluster.local\"");
    let domain = item.as_ref().and_then(Item::domain);
    let kind = required(section, "kind", "\"kubernetes\"").and_then(|item| item.word(&kinds));
    if let (Some(item), Some(domain)) = (&item, &domain)
        && domain.as_ref().is_root()
    {
        item.reject("is every name", Some("write the domain of the cluster".to_owned()));
        return None;
    }
    let except = section.read("except", Vec::new(), |item| item.list(|i| i.domain()));
    let ttl = ttl(section);
    section.finish();
    Some(Relief { domain: domain?, kind: kind?, except, ttl })
}

fn required<'a>(section: &Section<'a>, key: &'static str, example: &str) -> Option<Item<'a>> {
    let item = section.get(key);
    if item.is_none() {
        section.reject(key, "is missing", Some(&format!("write {key} = {example}")));
    }
    item
}
