//! `zones` of a source: which hosted zones it imports.

use std::collections::BTreeMap;

use crate::config::read::{Item, Section};
use crate::source::settings::{VpcSelector, ZoneSelector};

/// Every selector that is set must match.
pub(super) fn selector(section: &Section<'_>) -> ZoneSelector {
    let selector = ZoneSelector {
        vpc: section.read("vpc", None, |item| vpc(item).map(Some)),
        ids: section.read("ids", Vec::new(), |i| i.filled_list(zone_id, "[\"Z0123456789ABCDEFGHIJ\"]")),
        names: section.read("names", Vec::new(), |i| i.filled_list(zone_pattern, "[\"corp.internal\"]")),
        tags: section.read("tags", BTreeMap::new(), tags),
    };
    if !["vpc", "ids", "names", "tags"].iter().any(|key| section.has(key)) {
        section.reject("", "selects no zone", Some("write { vpc = \"auto\" }, or set ids, names or tags"));
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

/// Keys with the value wanted, or `*`. The limits are those of AWS.
fn tags(item: &Item<'_>) -> Option<BTreeMap<String, String>> {
    let example = || Some("write { team = \"core\", env = \"*\" }".to_owned());
    let entries = item.section()?.entries();
    if entries.is_empty() {
        item.reject("names no tag", example());
        return None;
    }
    let mut tags = BTreeMap::new();
    for (key, value) in entries {
        let Some(text) = value.text() else { continue };
        if key.is_empty() || key.chars().count() > 128 || text.chars().count() > 256 {
            value.reject("a tag has a key of 1 to 128 characters and a value of at most 256", example());
            continue;
        }
        tags.insert(key.to_owned(), text.to_owned());
    }
    Some(tags)
}
