//! `zonelet import`: what an import would serve and change, in words or as JSON.

mod report;

use std::fmt::Write;

use super::zones::{plain, span};
use crate::zone::Counts;

use report::{ChangesLine, ForwardedLine, SkippedLine, VanishedLine, ZoneLine};

pub use report::Report;

/// The report as JSON, `None` if it cannot be written so.
pub fn json(report: &Report) -> Option<String> {
    serde_json::to_string_pretty(report).ok().map(|text| text + "\n")
}

/// The report in words. Control characters come out escaped.
pub fn words(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |indent: usize, what: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:indent$}{}", "", plain(&what));
    };
    for zone in &report.zones {
        zone.tell(&mut line);
    }
    for zone in &report.vanished {
        let VanishedLine { zone, kind, source, id } = zone;
        line(0, format!("{zone} of {kind} {source} ({id}): no longer there, it would be removed"));
    }
    if report.zones.is_empty() && report.vanished.is_empty() {
        line(0, "no zones".to_owned());
    }
    text
}

impl ZoneLine {
    fn tell(&self, line: &mut impl FnMut(usize, String)) {
        let verdict = match (self.is_served, self.state) {
            (true, "shadowed") => "another zone of its name would be served in its place",
            (true, _) => "would be served",
            (false, "carved_out") => "cannot be read here, its names would be forwarded",
            (false, _) => "was not imported",
        };
        let Self { zone, kind, source, id, .. } = self;
        line(0, format!("{zone} of {kind} {source} ({id}): {verdict}"));
        if let Some(error) = &self.error {
            line(2, error.clone());
        }
        if self.is_served {
            line(2, counts(&self.counts, self.serial.unwrap_or_default()));
        }
        match &self.changes {
            Some(changes) => changes.tell(line),
            None if self.is_served => line(2, "no last-good zone to compare with".to_owned()),
            None => {}
        }
        for skipped in &self.skipped {
            let SkippedLine { owner, rtype, reason, detail } = skipped;
            line(
                2,
                format!(
                    "{}: {owner} {rtype}: {detail}",
                    if *reason == "forwarded" { "listed" } else { reason }
                ),
            );
        }
        for forwarded in &self.forwarded {
            let ForwardedLine { owner, rtype, why } = forwarded;
            line(2, format!("forwarded: {owner} {rtype}: {why}"));
        }
    }
}

fn counts(counts: &Counts, serial: u32) -> String {
    let Counts { records, rrsets, names, aliases, choices, deferred, dropped, cuts } = counts;
    format!(
        "serial {serial}: {records} records in {rrsets} RRsets at {names} names; {aliases} aliases, {choices} policies, \
         {deferred} deferred, {cuts} delegations; {dropped} left out on request"
    )
}

impl ChangesLine {
    fn tell(&self, line: &mut impl FnMut(usize, String)) {
        let Self { added, removed, changed, .. } = self;
        let age = span(self.last_good_age_seconds);
        line(
            2,
            format!(
                "against the last-good zone of {age} ago: {added} added, {removed} removed, {changed} changed"
            ),
        );
        if self.would_be_held {
            line(2, "it has shrunk sharply and would be held until a second import confirms it".to_owned());
        }
        for change in &self.rrsets {
            let sign = match change.change {
                "added" => '+',
                "removed" => '-',
                _ => '~',
            };
            line(4, format!("{sign} {} {}", change.owner, change.rtype));
        }
    }
}
