//! The figures of each zone.
//!
//! They are written out at each scrape and not kept by the exporter, which never forgets a series: a zone that is no
//! more leaves nothing behind, however many come and go.

use std::fmt::{Display, Write};
use std::time::Duration;

/// Time since a zone's last successful import, over restarts; absent before the first. `source`, `zone`, `id`.
pub const SUCCESS_AGE: &str = "zonelet_import_success_age_seconds";
/// How often a zone is really imported, after budget and throttling. `source`, `zone`, `id`.
pub const REFRESH: &str = "zonelet_import_refresh_seconds";
/// What is served of a zone. `source`, `zone`, `id`; `kind`: `names`, `records`, `rrsets`, and of the RRsets
/// `aliases`, `choices` (a routing policy chooses) and `deferred` (the origin answers); `dropped` (left out on
/// request), `cuts` (delegations).
pub const RECORDS: &str = "zonelet_import_zone_records";
/// Records of a zone that are not served at present, by `reason`. `source`, `zone`, `id`.
pub const ZONE_SKIPPED: &str = "zonelet_import_zone_skipped_records";
/// How long the last fetch of a zone took, well or not; absent before the first. `source`, `zone`, `id`.
pub const LAST_FETCH: &str = "zonelet_import_zone_last_fetch_seconds";
/// Calls of its source that a zone's last import took. `source`, `zone`, `id`.
pub const LAST_CALLS: &str = "zonelet_import_zone_last_calls";
/// Imports of a zone that its source throttled. `source`, `zone`, `id`.
pub const THROTTLES: &str = "zonelet_import_zone_throttles_total";
/// RRsets of a zone that came, went or changed with an import, by `change`. `source`, `zone`, `id`.
pub const ZONE_CHANGES: &str = "zonelet_import_zone_changed_rrsets_total";

/// The figures of one zone.
#[derive(Clone, Debug, Default)]
pub struct ZoneFigures {
    /// The source's label.
    pub source: String,
    /// The apex.
    pub zone: String,
    /// The id within the source.
    pub id: String,
    /// Since the last success, `None` before the first.
    pub age: Option<Duration>,
    /// The effective refresh.
    pub refresh: Duration,
    /// By kind, see [`RECORDS`].
    pub counts: Vec<(&'static str, usize)>,
    /// By reason.
    pub skipped: Vec<(&'static str, usize)>,
    /// What its imports came to.
    pub imports: ZoneTally,
}

/// What the imports of a zone came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneTally {
    /// Duration of the last fetch.
    pub last_fetch: Option<Duration>,
    /// Calls of the last that went well.
    pub last_calls: u32,
    /// Throttled ones.
    pub throttles: u64,
    /// RRsets that came.
    pub added: u64,
    /// RRsets that went.
    pub removed: u64,
    /// RRsets that changed.
    pub changed: u64,
}

impl ZoneTally {
    /// Counts the RRsets that an import added, removed and changed.
    pub fn changes(&mut self, added: usize, removed: usize, changed: usize) {
        self.added += added as u64;
        self.removed += removed as u64;
        self.changed += changed as u64;
    }
}

/// A metric of zones: name, type, what it says, and its samples, each with a label of its own or none.
type Metric = (&'static str, &'static str, &'static str, fn(&ZoneFigures) -> Vec<Sample>);
/// Name and value of a further label, and the value of the series.
type Sample = (Option<(&'static str, &'static str)>, f64);

const METRICS: [Metric; 8] = [
    (SUCCESS_AGE, "gauge", "Time since the zone's last successful import.", |z| {
        one(z.age.map(|a| a.as_secs_f64()))
    }),
    (REFRESH, "gauge", "How often the zone is really imported.", |z| one(Some(z.refresh.as_secs_f64()))),
    (RECORDS, "gauge", "What is served of the zone.", |z| by("kind", &z.counts)),
    (ZONE_SKIPPED, "gauge", "Records of the zone that are not served.", |z| by("reason", &z.skipped)),
    (LAST_FETCH, "gauge", "Duration of the zone's last fetch.", |z| {
        one(z.imports.last_fetch.map(|took| took.as_secs_f64()))
    }),
    (LAST_CALLS, "gauge", "Calls of the zone's last import.", |z| one(Some(f64::from(z.imports.last_calls)))),
    (THROTTLES, "counter", "Imports of the zone that were throttled.", |z| {
        one(Some(z.imports.throttles as f64))
    }),
    (ZONE_CHANGES, "counter", "RRsets of the zone that came, went or changed.", |z| {
        let ZoneTally { added, removed, changed, .. } = z.imports;
        let changes = [("added", added), ("removed", removed), ("changed", changed)];
        changes.map(|(change, count)| (Some(("change", change)), count as f64)).to_vec()
    }),
];

fn one(value: Option<f64>) -> Vec<Sample> {
    value.into_iter().map(|value| (None, value)).collect()
}

fn by(label: &'static str, counts: &[(&'static str, usize)]) -> Vec<Sample> {
    counts.iter().map(|&(value, count)| (Some((label, value)), count as f64)).collect()
}

/// All figures of these zones in the Prometheus text format. Cost: some fifteen lines a zone.
pub fn render(zones: &[ZoneFigures]) -> String {
    let mut text = String::new();
    for (name, kind, help, samples) in METRICS {
        line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        for zone in zones {
            let [source, apex, id] = [&zone.source, &zone.zone, &zone.id].map(|label| escaped(label));
            for (label, value) in samples(zone) {
                let label = label.map_or_else(String::new, |(name, value)| format!(",{name}=\"{value}\""));
                line(
                    &mut text,
                    format_args!("{name}{{source=\"{source}\",zone=\"{apex}\",id=\"{id}\"{label}}} {value}"),
                );
            }
        }
        text.push('\n');
    }
    text
}

fn line(text: &mut String, line: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(id: &str) -> ZoneFigures {
        ZoneFigures {
            source: "s\"".into(),
            zone: r"a\.b.test.".into(),
            id: id.into(),
            age: Some(Duration::from_secs(7)),
            refresh: Duration::from_secs(60),
            counts: vec![("records", 3), ("aliases", 1)],
            skipped: vec![("bad_ttl", 2)],
            imports: ZoneTally { throttles: 1, changed: 5, ..ZoneTally::default() },
        }
    }

    #[test]
    fn a_zone_has_all_its_figures_once_it_has_them() {
        let text = render(&[zone("Z1"), ZoneFigures { age: None, ..zone("Z2") }]);
        let labels = r#"{source="s\"",zone="a\\.b.test.",id="Z1""#;
        for line in [
            format!("zonelet_import_success_age_seconds{labels}}} 7"),
            format!("zonelet_import_zone_records{labels},kind=\"aliases\"}} 1"),
            format!("zonelet_import_zone_skipped_records{labels},reason=\"bad_ttl\"}} 2"),
            format!("zonelet_import_zone_throttles_total{labels}}} 1"),
            format!("zonelet_import_zone_changed_rrsets_total{labels},change=\"changed\"}} 5"),
            format!("zonelet_import_zone_last_calls{labels}}} 0"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("NaN") && !text.contains("last_fetch_seconds{"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with(SUCCESS_AGE)).count(), 1);
    }

    #[test]
    fn each_name_stands_in_one_block() {
        let text = render(&[zone("Z1"), zone("Z2")]);
        for (name, ..) in METRICS {
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
        }
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.split_once('{').map(|(name, _)| name)).collect();
        let blocks = names.chunk_by(|a, b| a == b).count();
        assert_eq!(blocks, names.iter().collect::<std::collections::BTreeSet<_>>().len());
    }
}
