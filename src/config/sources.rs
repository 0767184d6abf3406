//! `[[source]]`: where zones come from, and how each source's zones are treated.

mod health;
mod hints;
mod roles;
mod route53;
mod selector;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::import::settings::{OnUnloaded, SourcePolicy};
use crate::source::settings::{FileSettings, HostsSettings};
use crate::wire::Name;
use crate::zone::OnMissing;

use super::read::{Item, Section};
use super::sections::path;
use super::{Source, SourceKind};

/// Keys that only `kind = "route53"` has.
const ROUTE53_KEYS: [&str; 13] = [
    "zones",
    "partition",
    "endpoint",
    "public",
    "budget",
    "burst",
    "roles",
    "profiles",
    "resolver_rules",
    "health",
    "health_refresh",
    "health_max_age",
    "hints",
];
/// Keys that only `kind = "file"` has, and a hosts file in part.
const FILE_KEYS: [&str; 2] = ["path", "zone"];
/// Keys that only `kind = "hosts"` has.
const HOSTS_KEYS: [&str; 1] = ["ttl"];
/// Keys of zones, which a hosts file has none of.
const ZONE_KEYS: [&str; 9] = [
    "zone",
    "refresh",
    "negative_ttl_max",
    "on_missing",
    "on_missing_zones",
    "registry_txt",
    "on_unloaded",
    "probe",
    "region",
];

/// All sources, without those that were refused.
pub(super) fn sources(root: &Section<'_>, base: &Path) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for section in root.tables("source").unwrap_or_default() {
        let Some(source) = source(&section, base) else { continue };
        if sources.iter().any(|other| other.kind == source.kind) {
            section.reject("", "the same source is listed twice", Some("remove one"));
        } else if sources.iter().any(|other| selects_alike(other, &source)) {
            // They have one name in logs and on disk.
            let what = "selects zones just as another source does";
            section.warn("zones", what, Some("list the roles of both in one source"));
        }
        hints::refuse_shared(&section, &source, &sources);
        sources.push(source);
    }
    sources
}

fn selects_alike(one: &Source, other: &Source) -> bool {
    match (&one.kind, &other.kind) {
        (SourceKind::Route53(one), SourceKind::Route53(other)) => one.zones == other.zones,
        _ => false,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Route53,
    File,
    Hosts,
}

fn source(section: &Section<'_>, base: &Path) -> Option<Source> {
    let kinds = [("route53", Kind::Route53), ("file", Kind::File), ("hosts", Kind::Hosts)];
    let Some(kind) = section.get("kind") else {
        section.reject(
            "kind",
            "is missing",
            Some("write kind = \"route53\", kind = \"file\" or kind = \"hosts\""),
        );
        return None;
    };
    // Without a known kind, which keys there are is anybody's guess.
    let kind = kind.word(&kinds)?;
    if matches!(kind, Kind::Route53) && !cfg!(feature = "route53") {
        let fix = "build with the default features, or set kind = \"file\"";
        section.reject("kind", "route53 is not part of this build", Some(fix));
    }
    let (source, strange, what): (_, [&[&'static str]; 2], _) = match kind {
        Kind::File => {
            (file(section, base), [&ROUTE53_KEYS, &HOSTS_KEYS], "has no meaning for kind = \"file\"")
        }
        Kind::Route53 => {
            let source = Some(route53::source(section));
            (source, [&FILE_KEYS, &HOSTS_KEYS], "has no meaning for kind = \"route53\"")
        }
        Kind::Hosts => {
            (hosts(section, base), [&ROUTE53_KEYS, &ZONE_KEYS], "has no meaning for kind = \"hosts\"")
        }
    };
    for key in strange.into_iter().flatten() {
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
    let path = existing_path(section, base, "write the path of a zone file or of Route 53's JSON")?;
    let region = section.read("region", None, |item| auto_or(item, self::region));
    Some(Source { kind: SourceKind::File(FileSettings { path, zone, region }), policy })
}

/// A file that ought to be there.
fn existing_path(section: &Section<'_>, base: &Path, fix: &str) -> Option<PathBuf> {
    let Some(item) = section.get("path") else {
        section.reject("path", "is missing", Some(fix));
        return None;
    };
    let Some(path) = path(&item, base)? else {
        item.reject("is empty", Some(fix.to_owned()));
        return None;
    };
    if !path.exists() {
        section.warn("path", &format!("{} does not exist", path.display()), None);
    }
    Some(path)
}

fn hosts(section: &Section<'_>, base: &Path) -> Option<Source> {
    let day = Duration::from_secs(86_400);
    let ttl =
        section.read("ttl", 30, |item| u32::try_from(item.duration(Duration::ZERO..=day)?.as_secs()).ok());
    let path = existing_path(section, base, "write the path of a hosts file, such as \"/etc/hosts\"")?;
    Some(Source { kind: SourceKind::Hosts(HostsSettings { path, ttl }), policy: SourcePolicy::default() })
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
        health: default.health,
        probes: health::probes(section),
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
