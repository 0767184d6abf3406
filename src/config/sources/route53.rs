//! `kind = "route53"`.

use super::health::health;
use super::roles::{self, role};
use super::selector::selector;
use super::{auto_or, hints, policy, region};
use crate::config::read::{Item, Section};
use crate::config::{Source, SourceKind};
use crate::import::SourcePolicy;
use crate::source::settings::Route53Settings;

const PARTITIONS: [(&str, &str); 5] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
];

/// The source that a section describes.
pub(super) fn source(section: &Section<'_>) -> Source {
    let default = Route53Settings::default();
    let health = health(section);
    let settings = Route53Settings {
        health: health.is_some(),
        zones: section.read("zones", default.zones, |item| Some(selector(&item.section()?))),
        public: section.read("public", default.public, Item::boolean),
        region: section.read("region", default.region, |item| auto_or(item, region)),
        partition: section.read("partition", default.partition, |item| auto_or(item, partition)),
        endpoint: section.read("endpoint", default.endpoint, endpoint),
        calls_per_second: section.read("budget", default.calls_per_second, |i| i.rate(0.001..=1000.0)),
        burst: section.read("burst", default.burst, |i| u32::try_from(i.integer(1..=1000)?).ok()),
        roles: section.read("roles", default.roles, |i| i.list(role)),
        profiles: section.read("profiles", default.profiles, Item::boolean),
        resolver_rules: section.read("resolver_rules", default.resolver_rules, Item::boolean),
        hints: section.read("hints", default.hints, hints::queue),
    };
    roles::check(section, &settings);
    for (key, is_on) in [("profiles", settings.profiles), ("resolver_rules", settings.resolver_rules)] {
        if is_on && settings.zones.vpc.is_none() {
            let fix = "write zones = { vpc = \"auto\" }, or remove it";
            section.reject(key, "belongs to a VPC, and zones selects none", Some(fix));
        }
    }
    if settings.public && settings.zones.vpc.is_some() {
        let fix = "set zones to ids or names, without vpc";
        section.reject("public", "public zones belong to no VPC, and zones selects by one", Some(fix));
    }
    if settings.calls_per_second > 5.0 && settings.endpoint.is_none() {
        let what = "the whole account shares 10 calls a second";
        section.warn("budget", what, Some("stay at \"1/s\" for each process"));
    }
    check_partition(section, &settings);
    let expected = settings.zones.names.iter().filter(|name| !name.starts_with('*'));
    let expected = expected.filter_map(|name| name.parse().ok()).collect();
    let policy = SourcePolicy { health, ..policy(section, Some(settings.calls_per_second), expected) };
    Source { kind: SourceKind::Route53(settings), policy }
}

fn partition(text: &str) -> Option<String> {
    let known = text == "aws" || PARTITIONS.iter().any(|&(_, name)| name == text);
    (!known).then(|| "write \"auto\", \"aws\", \"aws-cn\", \"aws-us-gov\" or \"aws-eusc\"".to_owned())
}

fn check_partition(section: &Section<'_>, settings: &Route53Settings) {
    let (Some(region), Some(partition)) = (&settings.region, &settings.partition) else { return };
    let home =
        PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |&(_, name)| name);
    if home != partition {
        let what = format!("region {region} is in partition {home}");
        section.reject("partition", &what, Some("write partition = \"auto\""));
    }
}

fn endpoint(item: &Item<'_>) -> Option<Option<String>> {
    let text = item.text()?.trim();
    if text.is_empty() {
        return Some(None);
    }
    let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = authority.and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    if host.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let fix = "write a URL such as \"http://127.0.0.1:5000\"".to_owned();
        item.reject(format!("{text:?} is not an http:// or https:// URL"), Some(fix));
        return None;
    }
    Some(Some(text.to_owned()))
}
