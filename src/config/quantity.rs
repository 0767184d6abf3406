//! Values with units: times, sizes, rates.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::read::Item;
use super::tree::Value;

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const RATES: [(&str, f64); 3] = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Units people write, and what they mean by them.
const HABITS: [(&str, &str); 16] = [
    ("sec", "s"),
    ("secs", "s"),
    ("seconds", "s"),
    ("S", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minutes", "m"),
    ("hours", "h"),
    ("days", "d"),
    ("b", "B"),
    ("K", "KiB"),
    ("Ki", "KiB"),
    ("M", "MiB"),
    ("Mi", "MiB"),
    ("G", "GiB"),
    ("Gi", "GiB"),
];

impl Item<'_> {
    /// A time such as `"30s"`, in whole `ms`, `s`, `m`, `h` or `d`.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value = Duration::from_millis(self.quantity("a time", "30s", "s", &TIMES)?);
        if range.contains(&value) {
            return Some(value);
        }
        let what = match value.is_zero() {
            true => "must be above zero".to_owned(),
            false => format!("must be between {} and {}", time_text(*range.start()), time_text(*range.end())),
        };
        self.reject(what, None);
        None
    }

    /// A size such as `"64MiB"`, in bytes.
    pub fn bytes(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.quantity("a size", "64MiB", "B", &SIZES)?;
        if range.contains(&value) {
            return Some(value);
        }
        let what = match value {
            0 => "must be above zero".to_owned(),
            _ => format!("must be between {} and {}", size_text(*range.start()), size_text(*range.end())),
        };
        self.reject(what, None);
        None
    }

    /// A rate such as `"1/s"`, `"0.5/s"` or `"30/m"`, as events per second within `range`.
    pub fn rate(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let text = self.with_unit("a rate", "1/s", "/s")?;
        let parsed = text.split_once('/').and_then(|(number, unit)| {
            let (_, seconds) = RATES.iter().find(|(name, _)| *name == unit.trim())?;
            Some(number.trim().parse::<f64>().ok().filter(|n| n.is_finite())? / seconds)
        });
        match parsed {
            Some(rate) if range.contains(&rate) => return Some(rate),
            Some(0.0) => self.reject("must be above zero", None),
            Some(_) => {
                self.reject(format!("must be between {}/s and {}/s", range.start(), range.end()), None)
            }
            None => self.reject(
                format!("{text:?} is not a rate"),
                Some("write a number and a unit out of /s, /m, /h: \"1/s\"".to_owned()),
            ),
        }
        None
    }

    fn quantity(&self, noun: &str, example: &str, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
        let text = self.with_unit(noun, example, unit)?.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = units.iter().find(|(name, _)| *name == unit.trim()).map(|&(_, factor)| factor);
        match (number.parse::<u64>(), factor) {
            (Ok(number), Some(factor)) => {
                // What overflows is out of every range as well.
                return Some(number.saturating_mul(factor));
            }
            (Ok(0), None) if unit.is_empty() => return Some(0),
            _ => {}
        }
        self.reject(format!("{text:?} is not {noun}"), Some(remedy(number, unit.trim(), example, units)));
        None
    }

    /// The text of a value that must carry a unit.
    fn with_unit(&self, noun: &str, example: &str, unit: &str) -> Option<&str> {
        if let Some(number) = self.bare_number() {
            let fix = if number >= 0 {
                format!("write \"{number}{unit}\"")
            } else {
                format!("write \"{example}\"")
            };
            self.reject(format!("expected {noun} with a unit, found an integer"), Some(fix));
            return None;
        }
        self.text()
    }

    fn bare_number(&self) -> Option<i64> {
        match self.value() {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

fn remedy(number: &str, unit: &str, example: &str, units: &[(&str, u64)]) -> String {
    let meant = HABITS.iter().find(|(habit, _)| *habit == unit).map(|&(_, unit)| unit);
    let close = units.iter().map(|&(name, _)| name).find(|name| name.eq_ignore_ascii_case(unit));
    let decimal = unit.len() == 2 && unit.ends_with(['B', 'b']);
    let decimal = units.iter().map(|&(name, _)| name).find(|n| decimal && n.get(..1) == unit.get(..1));
    match meant.filter(|m| units.iter().any(|(name, _)| name == m)).or(close).or(decimal) {
        Some(unit) if !number.is_empty() => format!("write \"{number}{unit}\""),
        _ => {
            let names: Vec<&str> = units.iter().map(|&(name, _)| name).collect();
            format!("write a whole number and a unit out of {}: \"{example}\"", names.join(", "))
        }
    }
}

/// A time in the largest unit that divides it.
pub(super) fn time_text(time: Duration) -> String {
    in_units(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

/// A size in the largest unit that divides it.
pub(super) fn size_text(bytes: u64) -> String {
    in_units(bytes, &SIZES)
}

fn in_units(value: u64, units: &[(&str, u64)]) -> String {
    let best = units.iter().rev().find(|&&(_, factor)| value != 0 && value.is_multiple_of(factor));
    let (name, factor) = best.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{name}", value / factor)
}
