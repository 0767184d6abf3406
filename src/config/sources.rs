//! `[[source]]`: where zones come from, and how each source's zones are treated.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::import::settings::{OnUnloaded, SourcePolicy};
use crate::source::settings::{FileSettings, Route53Settings, VpcSelector, ZoneSelector};
use crate::wire::Name;
use crate::zone::OnMissing;

use super::read::{Item, Section};
use super::sections::path;
use super::{Source, SourceKind};

/// Keys that only `kind = "route53"` has.
const ROUTE53_KEYS: [&str; 6] = ["zones", "partition", "endpoint", "public", "budget", "burst"];
/// Keys that only `kind = "file"` has.
const FILE_KEYS: [&str; 2] = ["path", "zone"];
const PARTITIONS: [(&str, &str); 5] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
];

/// All sources, without those that were refused.
pub(super) fn sources(root: &Section<'_>, base: &Path) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for section in root.tables("source").unwrap_or_default() {
        let Some(source) = source(&section, base) else { continue };
        if sources.iter().any(|other| other.kind == source.kind) {
            section.reject("", "the same source is listed twice", Some("remove one"));
        }
        sources.push(source);
    }
    sources
}

#[derive(Clone, Copy)]
enum Kind {
    Route53,
    File,
}

fn source(section: &Section<'_>, base: &Path) -> Option<Source> {
    let kinds = [("route53", Kind::Route53), ("file", Kind::File)];
    let Some(kind) = section.get("kind") else {
        section.reject("kind", "is missing", Some("write kind = \"route53\" or kind = \"file\""));
        return None;
    };
    // Without a known kind, which keys there are is anybody's guess.
    let kind = kind.word(&kinds)?;
    if matches!(kind, Kind::Route53) && !cfg!(feature = "route53") {
        let fix = "build with the default features, or set kind = \"file\"";
        section.reject("kind", "route53 is not part of this build", Some(fix));
    }
    section.refuse("roles", "is not supported yet", Some("remove it"));
    let (source, strange, what) = match kind {
        Kind::File => (file(section, base), &ROUTE53_KEYS[..], "has no meaning for kind = \"file\""),
        Kind::Route53 => (Some(route53(section)), &FILE_KEYS[..], "has no meaning for kind = \"route53\""),
    };
    for key in strange {
        section.refuse(key, what, Some("remove it"));
    }
    section.finish();
    source
}

fn file(section: &Section<'_>, base: &Path) -> Option<Source> {
    let zone = section.get("zone").and_then(|item| match item.as_text() {
        Some("") => None,
        _ => item.domain(),
    });
    let policy = policy(section, None, zone.iter().cloned().collect());
    let Some(item) = section.get("path") else {
        section.reject("path", "is missing", Some("write the path of a zone file or of Route 53's JSON"));
        return None;
    };
    let Some(path) = path(&item, base)? else {
        item.reject("is empty", Some("write the path of a zone file or of Route 53's JSON".to_owned()));
        return None;
    };
    if !path.exists() {
        section.warn("path", &format!("{} does not exist", path.display()), None);
    }
    let region = section.read("region", None, |item| auto_or(item, self::region));
    Some(Source { kind: SourceKind::File(FileSettings { path, zone, region }), policy })
}

fn route53(section: &Section<'_>) -> Source {
    let default = Route53Settings::default();
    let settings = Route53Settings {
        zones: section.read("zones", default.zones, |item| Some(selector(&item.section()?))),
        public: section.read("public", default.public, Item::boolean),
        region: section.read("region", default.region, |item| auto_or(item, region)),
        partition: section.read("partition", default.partition, |item| auto_or(item, partition)),
        endpoint: section.read("endpoint", default.endpoint, endpoint),
        calls_per_second: section.read("budget", default.calls_per_second, |i| i.rate(0.001..=1000.0)),
        burst: section.read("burst", default.burst, |i| u32::try_from(i.integer(1..=1000)?).ok()),
    };
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
    let policy = policy(section, Some(settings.calls_per_second), expected);
    Source { kind: SourceKind::Route53(settings), policy }
}

fn policy(section: &Section<'_>, calls_per_second: Option<f64>, expected: Vec<Name>) -> SourcePolicy {
    let default = SourcePolicy::default();
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let unloaded = [("auto", OnUnloaded::Auto), ("forward", OnUnloaded::Forward), ("fail", OnUnloaded::Fail)];
    SourcePolicy {
        refresh: section.read("refresh", default.refresh, |i| i.duration(second..=day)),
        calls_per_second,
        negative_ttl_max: section.read("negative_ttl_max", default.negative_ttl_max, |i| {
            u32::try_from(i.duration(Duration::ZERO..=day)?.as_secs()).ok()
        }),
        on_missing: section.read("on_missing", default.on_missing, on_missing),
        on_missing_zones: section.read("on_missing_zones", default.on_missing_zones, on_missing_zones),
        drops_registry: section
            .read("registry_txt", default.drops_registry, |i| i.word(&[("keep", false), ("drop", true)])),
        on_unloaded: section.read("on_unloaded", default.on_unloaded, |i| i.word(&unloaded)),
        expected,
    }
}

fn on_missing(item: &Item<'_>) -> Option<OnMissing> {
    item.word(&[
        ("nxdomain", OnMissing::NxDomain),
        ("forward-nxdomain", OnMissing::ForwardNxDomain),
        ("forward-nodata", OnMissing::ForwardNoData),
    ])
}

/// Keys become names in lower case with a trailing dot, as zone names display.
fn on_missing_zones(item: &Item<'_>) -> Option<BTreeMap<String, OnMissing>> {
    let mut zones = BTreeMap::new();
    for (key, value) in item.section()?.entries() {
        let (Some(name), Some(policy)) = (value.domain_of(key), on_missing(&value)) else { continue };
        if zones.insert(name.to_string(), policy).is_some() {
            value.reject(format!("{name} is listed twice"), Some("remove one".to_owned()));
        }
    }
    Some(zones)
}

fn selector(section: &Section<'_>) -> ZoneSelector {
    section.refuse("tags", "is not supported yet", Some("select by vpc, ids or names"));
    let selector = ZoneSelector {
        vpc: section.read("vpc", None, |item| vpc(item).map(Some)),
        ids: section.read("ids", Vec::new(), |i| i.filled_list(zone_id, "[\"Z0123456789ABCDEFGHIJ\"]")),
        names: section.read("names", Vec::new(), |i| i.filled_list(zone_pattern, "[\"corp.internal\"]")),
    };
    if !["vpc", "ids", "names", "tags"].iter().any(|key| section.has(key)) {
        section.reject("", "selects no zone", Some("write { vpc = \"auto\" }, or set ids or names"));
    }
    section.finish();
    selector
}

fn vpc(item: &Item<'_>) -> Option<VpcSelector> {
    let text = item.text()?;
    if text == "auto" {
        return Some(VpcSelector::Auto);
    }
    let is_id = text
        .strip_prefix("vpc-")
        .is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit()));
    if is_id && text.len() <= 32 {
        return Some(VpcSelector::Id(text.to_owned()));
    }
    item.reject(
        format!("{text:?} is not a VPC"),
        Some("write \"auto\" or \"vpc-0123456789abcdef0\"".to_owned()),
    );
    None
}

/// The bare id; the API's own `/hostedzone/` in front is dropped.
fn zone_id(item: &Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    let id = text.trim_start_matches("/hostedzone/");
    if (1..=32).contains(&id.len()) && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return Some(id.to_owned());
    }
    item.reject(
        format!("{text:?} is not a hosted zone id"),
        Some("write \"Z0123456789ABCDEFGHIJ\"".to_owned()),
    );
    None
}

/// A zone name, or `*.` and a name, in lower case without a trailing dot.
fn zone_pattern(item: &Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    let (star, rest) = match text.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", text),
    };
    let name = item.domain_of(rest)?.to_string();
    Some(format!("{star}{}", name.strip_suffix('.').unwrap_or(&name)))
}

fn auto_or(item: &Item<'_>, check: fn(&str) -> Option<String>) -> Option<Option<String>> {
    let text = item.text()?;
    match check(text) {
        _ if text == "auto" => Some(None),
        None => Some(Some(text.to_owned())),
        Some(fix) => {
            item.reject(format!("unknown value {text:?}"), Some(fix));
            None
        }
    }
}

fn region(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let plain = parts
        .iter()
        .all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    let shaped = parts.len() >= 3 && parts.last().is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()));
    (!plain || !shaped).then(|| "write \"auto\" or a region such as \"eu-central-1\"".to_owned())
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
