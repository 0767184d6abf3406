//! `zonelet zones`: the listing of a running zonelet, for people or as JSON.

use std::fmt::Write;

use crate::admin::Listing;
use crate::admin::protocol::ZoneReport;

const HEAD: [&str; 9] =
    ["ZONE", "SOURCE", "ID", "STATE", "RECORDS", "SERIAL", "AGE", "REFRESH", "LAST ERROR"];

/// The listing as JSON, `None` if it cannot be written so.
pub fn json(listing: &Listing) -> Option<String> {
    serde_json::to_string_pretty(listing).ok().map(|text| text + "\n")
}

/// The listing as a table, with the failing sources and any skipped records below it.
///
/// Control characters come out escaped: the texts are other people's, and go to a terminal.
pub fn table(listing: &Listing) -> Option<String> {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(listing.zones.iter().map(row));
    let mut text = aligned(&rows);
    if listing.zones.is_empty() {
        text.push_str("no zones\n");
    }
    for source in &listing.sources {
        if let Some(error) = &source.error {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "source {} {}: {}", source.kind, plain(&source.source), plain(error));
        }
    }
    for zone in &listing.zones {
        skipped(&mut text, zone);
    }
    Some(text)
}

fn row(zone: &ZoneReport) -> [String; 9] {
    let none = || "-".to_owned();
    [
        plain(&zone.zone),
        plain(&format!("{} {}", zone.kind, zone.source)),
        if zone.id.is_empty() { none() } else { plain(&zone.id) },
        if zone.from_state_file { format!("{} (from disk)", plain(&zone.state)) } else { plain(&zone.state) },
        zone.records.to_string(),
        zone.serial.map_or_else(none, |serial| serial.to_string()),
        zone.age_seconds.map_or_else(none, span),
        span(zone.refresh_seconds),
        zone.error.as_deref().map_or_else(none, plain),
    ]
}

fn skipped(text: &mut String, zone: &ZoneReport) {
    for (reason, count) in &zone.skipped_by_reason {
        let _ = writeln!(text, "{}: {count} records not served: {}", plain(&zone.zone), plain(reason));
    }
    for record in &zone.skipped {
        let [owner, rtype, reason, detail] =
            [&record.owner, &record.rtype, &record.reason, &record.detail].map(|text| plain(text));
        let _ = writeln!(text, "  {owner} {rtype}: {reason}: {detail}");
    }
}

fn aligned(rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// Seconds in the largest unit that leaves a telling number.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::protocol::{SkippedReport, SourceReport};

    fn listing() -> Listing {
        let loaded = ZoneReport {
            zone: "corp.internal.".into(),
            kind: "route53".into(),
            source: "vpc=auto".into(),
            id: "Z1".into(),
            state: "loaded".into(),
            records: 12,
            serial: Some(7),
            age_seconds: Some(45),
            refresh_seconds: 600,
            skipped_by_reason: [("bad_value".to_owned(), 1)].into(),
            skipped: vec![SkippedReport {
                owner: "a\u{1b}[2J.corp.internal.".into(),
                rtype: "A".into(),
                reason: "bad_value".into(),
                detail: "\"1.2.3\"\nis no address".into(),
            }],
            ..ZoneReport::default()
        };
        let expected = ZoneReport {
            zone: "b.".into(),
            kind: "file".into(),
            source: "b.json".into(),
            state: "unloaded".into(),
            refresh_seconds: 60,
            error: Some("b.json: not found".into()),
            ..ZoneReport::default()
        };
        let source = SourceReport {
            kind: "route53".into(),
            source: "vpc=auto".into(),
            zones: 1,
            error: Some("throttled".into()),
        };
        Listing { sources: vec![source], zones: vec![loaded, expected] }
    }

    #[test]
    fn a_table_lines_up_and_lists_what_is_wrong_below() {
        let want = "\
ZONE            SOURCE            ID  STATE     RECORDS  SERIAL  AGE  REFRESH  LAST ERROR
corp.internal.  route53 vpc=auto  Z1  loaded    12       7       45s  10m      -
b.              file b.json       -   unloaded  0        -       -    60s      b.json: not found
source route53 vpc=auto: throttled
corp.internal.: 1 records not served: bad_value
  a\\u{1b}[2J.corp.internal. A: bad_value: \"1.2.3\"\\nis no address
";
        assert_eq!(table(&listing()).unwrap(), want);
        assert!(table(&Listing::default()).unwrap().ends_with("LAST ERROR\nno zones\n"));
    }

    #[test]
    fn json_is_the_listing_itself() {
        let text = json(&listing()).unwrap();
        assert_eq!(serde_json::from_str::<Listing>(&text).unwrap(), listing());
    }

    #[test]
    fn spans_are_short() {
        assert_eq!([0, 119, 120, 7199, 7200, 172_800].map(span), ["0s", "119s", "2m", "119m", "2h", "2d"]);
    }
}
