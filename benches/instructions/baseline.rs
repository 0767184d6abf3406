//! The counts that are checked in: a line for each path, instructions a query.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// How far above the baseline a count may lie, percent.
pub const TOLERANCE: f64 = 5.0;
/// From how far below the baseline on it is worth lowering, percent.
const SLACK: f64 = 2.0;

/// Instructions a query, by path.
pub type Counts = BTreeMap<String, f64>;

/// How a count compares with its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// More than the tolerance above the baseline.
    Dearer,
    /// Within the tolerance.
    Level,
    /// So far below that the baseline no longer holds it.
    Cheaper,
    /// Nothing to compare it with.
    New,
    /// In the baseline, but not counted.
    Gone,
}

impl Verdict {
    fn of(before: f64, now: f64) -> Self {
        match percent(before, now) {
            change if change > TOLERANCE => Self::Dearer,
            change if change < -SLACK => Self::Cheaper,
            _ => Self::Level,
        }
    }

    /// Whether the gate stays shut. Paths that come or go must do so in the baseline too.
    pub fn fails(self) -> bool {
        !matches!(self, Self::Level | Self::Cheaper)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dearer => "DEARER: past the tolerance",
            Self::Level => "",
            Self::Cheaper => "cheaper: lower the baseline",
            Self::New => "NEW: not in the baseline",
            Self::Gone => "GONE: in the baseline only",
        })
    }
}

/// A checked-in baseline.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    /// The compiler it was counted with, as `rustc --version` says it.
    pub compiler: String,
    pub counts: Counts,
}

impl Baseline {
    /// Reads what [`Baseline::render`] writes; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut baseline = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(' ')?;
            match key {
                "compiler" => baseline.compiler = value.trim().into(),
                path => drop(baseline.counts.insert(path.into(), value.trim().parse().ok()?)),
            }
        }
        Some(baseline)
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = String::from(
            "# Instructions a query, counted under callgrind; benches/README.md says how to write them anew.\n\
             # A raised count carries its reason in the commit that raises it.\n",
        );
        let _ = writeln!(text, "compiler {}", self.compiler);
        for (path, count) in &self.counts {
            let _ = writeln!(text, "{path:20} {count:8.1}");
        }
        text
    }

    /// A verdict on each path of either side, and the table that shows them.
    pub fn compare(&self, counts: &Counts) -> (Vec<Verdict>, String) {
        let paths: BTreeMap<&String, ()> =
            self.counts.keys().chain(counts.keys()).map(|key| (key, ())).collect();
        let mut table = format!("{:20} {:>9} {:>9} {:>8}\n", "path", "baseline", "now", "change");
        let verdicts = paths.into_keys().map(|path| {
            let (before, now) = (self.counts.get(path), counts.get(path));
            let verdict = match (before, now) {
                (Some(&before), Some(&now)) => Verdict::of(before, now),
                (None, _) => Verdict::New,
                (Some(_), None) => Verdict::Gone,
            };
            let count = |count: Option<&f64>| count.map_or("-".into(), |count| format!("{count:.1}"));
            let change = before.zip(now).map_or("-".into(), |(&a, &b)| format!("{:+.1} %", percent(a, b)));
            let line = format!("{path:20} {:>9} {:>9} {change:>8}  {verdict}", count(before), count(now));
            let _ = writeln!(table, "{}", line.trim_end());
            verdict
        });
        (verdicts.collect(), table)
    }
}

fn percent(before: f64, now: f64) -> f64 {
    (now / before - 1.0) * 100.0
}
