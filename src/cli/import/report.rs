//! The shape of what `zonelet import` says.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::import::{ChangeKind, Rehearsal, Rehearsed};
use crate::wire::Name;
use crate::zone::{Counts, Zone};

/// Forwarded RRsets that are named of one zone.
const MAX_FORWARDED: usize = 1000;

/// What came of a rehearsal.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Every source.
    pub sources: Vec<SourceLine>,
    /// Every zone.
    pub zones: Vec<ZoneLine>,
    /// Last-good zones that their sources no longer list.
    pub vanished: Vec<VanishedLine>,
    /// Everything that failed; none for a whole import.
    pub problems: Vec<String>,
}

/// One source.
#[derive(Debug, Serialize)]
pub struct SourceLine {
    pub(super) kind: &'static str,
    pub(super) source: String,
    pub(super) error: Option<String>,
}

/// A zone that its source no longer has.
#[derive(Debug, Serialize)]
pub struct VanishedLine {
    pub(super) zone: String,
    pub(super) kind: &'static str,
    pub(super) source: String,
    pub(super) id: String,
}

/// One zone.
#[derive(Debug, Serialize)]
pub struct ZoneLine {
    pub(super) zone: String,
    pub(super) kind: &'static str,
    pub(super) source: String,
    pub(super) id: String,
    /// Whether it would be served.
    pub(super) is_served: bool,
    pub(super) state: &'static str,
    pub(super) error: Option<String>,
    pub(super) serial: Option<u32>,
    pub(super) counts: Counts,
    /// Against the last-good zone of the state directory, where there is one.
    pub(super) changes: Option<ChangesLine>,
    pub(super) skipped_by_reason: BTreeMap<&'static str, usize>,
    /// What is not served as it stands, as the source gave it.
    pub(super) skipped: Vec<SkippedLine>,
    /// RRsets that only the origin can answer.
    pub(super) forwarded: Vec<ForwardedLine>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChangesLine {
    pub(super) last_good_age_seconds: u64,
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) changed: usize,
    pub(super) would_be_held: bool,
    pub(super) rrsets: Vec<ChangeLine>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChangeLine {
    pub(super) change: &'static str,
    pub(super) owner: String,
    pub(super) rtype: String,
}

#[derive(Debug, Serialize)]
pub(super) struct SkippedLine {
    pub(super) owner: String,
    pub(super) rtype: String,
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ForwardedLine {
    pub(super) owner: String,
    pub(super) rtype: String,
    pub(super) why: String,
}

impl Report {
    /// Sums up a rehearsal of the zones of the name `wanted`, or of all, that had so many seconds.
    pub fn of(rehearsal: &Rehearsal, wanted: Option<&Name>, seconds: u32) -> Self {
        let mut problems = Vec::new();
        for source in &rehearsal.sources {
            problems.extend(
                source.error.iter().map(|error| format!("source {} {}: {error}", source.kind, source.source)),
            );
        }
        for zone in rehearsal.zones.iter().filter(|zone| zone.has_failed()) {
            let why = zone.status.error.as_deref().unwrap_or("it was not fetched");
            problems.push(format!("zone {} ({}): {why}", zone.status.zone, zone.status.id));
        }
        if rehearsal.is_cut {
            problems.push(format!("not all was fetched within {seconds} s: give it more with --timeout"));
        }
        if let Some(wanted) = wanted.filter(|_| rehearsal.zones.is_empty() && problems.is_empty()) {
            problems.push(format!("no source has the zone {wanted}"));
        }
        let source = |line: &crate::import::SourceStatus| SourceLine {
            kind: line.kind,
            source: line.source.clone(),
            error: line.error.clone(),
        };
        let vanished = |line: &crate::import::Vanished| VanishedLine {
            zone: line.zone.clone(),
            kind: line.kind,
            source: line.source.clone(),
            id: line.id.clone(),
        };
        Self {
            sources: rehearsal.sources.iter().map(source).collect(),
            zones: rehearsal.zones.iter().map(ZoneLine::of).collect(),
            vanished: rehearsal.vanished.iter().map(vanished).collect(),
            problems,
        }
    }
}

impl ZoneLine {
    fn of(rehearsed: &Rehearsed) -> Self {
        let status = &rehearsed.status;
        let changes = rehearsed.changes.as_ref().zip(rehearsed.last_good.as_ref());
        let skipped = status.skipped.iter().map(|s| SkippedLine {
            owner: s.owner.clone(),
            rtype: s.rtype.clone(),
            reason: s.reason,
            detail: s.detail.clone(),
        });
        Self {
            zone: status.zone.clone(),
            kind: status.kind,
            source: status.source.clone(),
            id: status.id.clone(),
            is_served: rehearsed.zone.is_some(),
            state: status.state.label(),
            error: status.error.clone(),
            serial: status.serial,
            counts: status.counts,
            changes: changes.map(|(changes, (_, age))| ChangesLine {
                last_good_age_seconds: age.as_secs(),
                added: changes.added,
                removed: changes.removed,
                changed: changes.changed,
                would_be_held: changes.would_be_held,
                rrsets: changes
                    .named
                    .iter()
                    .map(|c| ChangeLine {
                        change: word(c.kind),
                        owner: c.owner.clone(),
                        rtype: c.rtype.clone(),
                    })
                    .collect(),
            }),
            skipped_by_reason: status.skipped_by_reason.clone(),
            skipped: skipped.collect(),
            forwarded: rehearsed.zone.as_deref().map(forwarded).unwrap_or_default(),
        }
    }
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    }
}

/// What of a zone only its origin can answer.
fn forwarded(zone: &Zone) -> Vec<ForwardedLine> {
    let line = |view: crate::zone::RrsetView<'_>| {
        let told = zone.tell_choice(view.owner, view.rrset);
        let why = match (view.rrset.deferred(), told) {
            (Some(reason), _) => reason.label().to_owned(),
            (None, Some(group)) if group.ends.is_empty() => {
                let region =
                    if group.region.is_none() { ", the Region of the VPC not being known" } else { "" };
                format!("a {} policy that cannot be followed here{region}", group.policy)
            }
            _ => return None,
        };
        Some(ForwardedLine { owner: view.owner.to_string(), rtype: view.rrset.rtype.to_string(), why })
    };
    zone.rrsets().filter_map(line).take(MAX_FORWARDED).collect()
}
