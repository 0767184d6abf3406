//! Histograms of seconds that cost two additions a sample, however many there are.
//!
//! The exporter's own keep every sample until somebody sorts them: at a hundred thousand answers a
//! second that is megabytes, and a sort of them. Here a sample goes into its bucket at once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::export::SECONDS;

/// All histograms: name and label values as they are rendered.
static ALL: Mutex<BTreeMap<(&str, String), Arc<Latency>>> = Mutex::new(BTreeMap::new());

/// What a histogram says, by its name.
static HELP: Mutex<BTreeMap<&str, &str>> = Mutex::new(BTreeMap::new());

/// The samples of one series.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Latency {
    /// Samples up to each bound of [`SECONDS`], but above the one before; the last have no bound.
    buckets: [AtomicU64; SECONDS.len() + 1],
    nanos: AtomicU64,
}

impl Latency {
    /// The cells of `name{label="value"}`, the same at each call.
    pub fn register(name: &'static str, help: &'static str, label: &str, value: &str) -> Arc<Self> {
        HELP.lock().unwrap_or_else(PoisonError::into_inner).insert(name, help);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((name, format!("{label}=\"{}\"", escaped(value)))).or_default())
    }

    /// The upper bounds of the buckets, in seconds.
    pub const BOUNDS: [f64; SECONDS.len()] = SECONDS;

    /// Samples up to each of [`Latency::BOUNDS`], but above the one before; the last have no bound.
    pub fn buckets(&self) -> Vec<u64> {
        self.buckets.iter().map(|cell| cell.load(Relaxed)).collect()
    }

    /// The cells of `name{label="value"}` where they were registered.
    pub fn find(name: &'static str, label: &str, value: &str) -> Option<Arc<Self>> {
        let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(name, format!("{label}=\"{}\"", escaped(value)))).map(Arc::clone)
    }

    /// Counts a sample.
    pub fn record(&self, span: Duration) {
        let seconds = span.as_secs_f64();
        let bucket = SECONDS.iter().position(|&bound| seconds <= bound).unwrap_or(SECONDS.len());
        if let Some(cell) = self.buckets.get(bucket) {
            cell.fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn render_into(&self, name: &str, label: &str, text: &mut String) {
        let mut count = 0;
        let bounds = SECONDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (cell, bound) in self.buckets.iter().zip(bounds) {
            count += cell.load(Relaxed);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}_bucket{{{label},le=\"{bound}\"}} {count}");
        }
        let sum = Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{{label}}} {sum}\n{name}_count{{{label}}} {count}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Appends all of them in the Prometheus text format.
pub(super) fn render_into(text: &mut String) {
    let help = HELP.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (name, help) in help {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for ((_, label), latency) in all.iter().filter(|((n, _), _)| *n == name) {
            latency.render_into(name, label, text);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted_up_to_each_bound_and_the_sum_is_theirs() {
        let register = || Latency::register("zonelet_test_answer_seconds", "Time.", "upstream", "a\"b");
        for millis in [0, 5, 6, 90_000] {
            register().record(Duration::from_millis(millis));
        }
        let found = Latency::find("zonelet_test_answer_seconds", "upstream", "a\"b").unwrap();
        assert_eq!(
            (found.buckets().iter().sum::<u64>(), found.buckets().len()),
            (4, Latency::BOUNDS.len() + 1)
        );
        assert!(Latency::find("zonelet_test_answer_seconds", "upstream", "b").is_none());
        let mut text = String::new();
        render_into(&mut text);
        for line in [
            "# TYPE zonelet_test_answer_seconds histogram",
            "zonelet_test_answer_seconds_bucket{upstream=\"a\\\"b\",le=\"0.0002\"} 1",
            "zonelet_test_answer_seconds_bucket{upstream=\"a\\\"b\",le=\"0.005\"} 2",
            "zonelet_test_answer_seconds_bucket{upstream=\"a\\\"b\",le=\"0.01\"} 3",
            "zonelet_test_answer_seconds_bucket{upstream=\"a\\\"b\",le=\"60\"} 3",
            "zonelet_test_answer_seconds_bucket{upstream=\"a\\\"b\",le=\"+Inf\"} 4",
            "zonelet_test_answer_seconds_sum{upstream=\"a\\\"b\"} 90.011",
            "zonelet_test_answer_seconds_count{upstream=\"a\\\"b\"} 4",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
    }
}
