//! Keys of a source that say how the health is followed which its routing policies hang on.

use std::time::Duration;

use crate::config::read::{Item, Section};
use crate::import::settings::{HealthPolicy, ProbePolicy};
use crate::wire::NamePattern;
use crate::zone::{Probe, ProbeRule};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// `health` and what belongs to it; `None` where it is off.
pub(super) fn health(section: &Section<'_>) -> Option<HealthPolicy> {
    let is_on = section.read("health", false, |item| item.word(&[("off", false), ("cloudwatch", true)]));
    // Read in any case: a bad value must not go unnoticed until it is needed.
    let every = section.read("health_refresh", SECOND * 60, |item| item.duration(SECOND * 10..=HOUR));
    let max_age = section.read("health_max_age", SECOND * 600, |item| item.duration(SECOND * 60..=HOUR * 24));
    // States are minutes old when they come, and one look may fail.
    let least = every * 2 + SECOND * 180;
    if max_age < least {
        let what = format!(
            "is too short for health_refresh: states would lapse between looks, {least:?} is the least"
        );
        section.reject("health_max_age", &what, Some("write a longer time, or a shorter health_refresh"));
    }
    is_on.then_some(HealthPolicy { every, max_age })
}

/// `[[source.probe]]`.
pub(super) fn probes(section: &Section<'_>) -> Vec<ProbePolicy> {
    let mut probes: Vec<ProbePolicy> = Vec::new();
    for table in section.tables("probe").unwrap_or_default() {
        let Some(policy) = policy(&table) else { continue };
        if probes.iter().any(|other| other.rule.probe == policy.rule.probe) {
            let fix = "put the names of both into one";
            table.reject("check", "another probe of this source has the same check", Some(fix));
        }
        probes.push(policy);
    }
    probes
}

fn policy(table: &Section<'_>) -> Option<ProbePolicy> {
    let names = table.get("names").and_then(|item| item.filled_list(pattern, "[\"*.db.corp.internal\"]"));
    let check = table.get("check").and_then(|item| probe(&item));
    for (key, example) in [("names", "names = [\"*.db.corp.internal\"]"), ("check", "check = \"tcp:5432\"")] {
        if !table.has(key) {
            table.reject(key, "is missing", Some(&format!("write {example}")));
        }
    }
    let times = |item: &Item<'_>| u32::try_from(item.integer(1..=100)?).ok();
    let every = table.read("interval", SECOND * 10, |item| item.duration(SECOND..=HOUR));
    let timeout =
        table.read("timeout", SECOND * 2, |item| item.duration(Duration::from_millis(10)..=SECOND * 60));
    let (rise, fall) = (table.read("rise", 2, times), table.read("fall", 3, times));
    table.finish();
    Some(ProbePolicy { rule: ProbeRule { names: names?, probe: check? }, every, timeout, rise, fall })
}

fn pattern(item: &Item<'_>) -> Option<NamePattern> {
    let text = item.text()?.trim();
    let fix = "write a name, or \"*.\" and a name for all below it".to_owned();
    if text.strip_prefix("*.").unwrap_or(text).contains('*') {
        item.reject(format!("{text:?} has a star inside"), Some(fix));
        return None;
    }
    match text.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            item.reject(format!("{text:?} is not a name: {error}"), Some(fix));
            None
        }
    }
}

/// `tcp:PORT`, or `http:PORT/PATH`.
fn probe(item: &Item<'_>) -> Option<Probe> {
    let text = item.text()?.trim();
    let parsed = match text.split_once(':') {
        Some(("tcp", port)) => port_of(port).map(|port| Probe { port, path: None }),
        Some(("http", rest)) => {
            let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            let is_plain =
                path.len() <= 1024 && path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'#');
            port_of(port).filter(|_| is_plain).map(|port| Probe { port, path: Some(path.into()) })
        }
        _ => None,
    };
    if parsed.is_none() {
        let fix = "write \"tcp:5432\" or \"http:8080/healthz\"".to_owned();
        item.reject(format!("{text:?} is not a check"), Some(fix));
    }
    parsed
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}
