//! What is wrong with a configuration: every problem with its place, key and remedy.

use std::fmt;
use std::sync::Arc;

/// Where a value was written. Orders as a reader meets them: the file from top to bottom, then
/// the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: the built-in defaults alone.
    Defaults,
    /// A file as a whole.
    File(Arc<str>),
    /// A position in a file.
    Position {
        /// The file's path as it was given.
        file: Arc<str>,
        /// Counted from one.
        line: usize,
        /// In characters, counted from one.
        column: usize,
    },
    /// An environment variable.
    Variable(Arc<str>),
}

impl Place {
    /// The line, where there is one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Position { line, .. } => Some(*line),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File(file) => f.write_str(file),
            Self::Position { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong, or unwise, about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The path of the key, `server.listen`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, in the order of [`Place`]; never empty.
///
/// Displays as one line for each problem: `file:line:column: key: what is wrong; the remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// These; `None` when there is none.
    pub fn of(problems: &[Problem]) -> Option<Self> {
        Self::from_vec(problems.to_vec())
    }

    /// Sorts `problems` and drops repetitions; `None` when there is none.
    pub(super) fn from_vec(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() { None } else { Some(Self(problems)) }
    }

    /// The problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // there is always one
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known word closest to `word`, if one is close enough to be what was meant.
///
/// Distance is counted in inserted, deleted, replaced and swapped neighbouring characters; up to a
/// third of the word may differ. Cost: length × length for each candidate, words cut at 64.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().take(64).count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let replaced = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["listen", "workers", "access"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("lsiten", known), Some("listen"));
        assert_eq!(nearest("Workers", known), Some("workers"));
        assert_eq!(nearest("worker", known), Some("workers"));
        assert_eq!(nearest("sockets", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }

    #[test]
    fn a_problem_reads_as_place_key_fault_and_remedy() {
        let place = Place::Position { file: "config.toml".into(), line: 3, column: 7 };
        let problem = Problem {
            place,
            key: "server.listen".into(),
            what: "no port".into(),
            fix: Some("write \"127.0.0.1:53\"".into()),
        };
        assert_eq!(problem.to_string(), "config.toml:3:7: server.listen: no port; write \"127.0.0.1:53\"");
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_and_then_the_environment() {
        let at = |line| Place::Position { file: "c".into(), line, column: 1 };
        let problem = |place| Problem { place, key: String::new(), what: "x".into(), fix: None };
        let all =
            vec![problem(Place::Variable("Z".into())), problem(at(10)), problem(at(2)), problem(at(10))];
        let sorted = Problems::from_vec(all).unwrap();
        let places: Vec<String> = sorted.iter().map(|p| p.place.to_string()).collect();
        assert_eq!(places, ["c:2:1", "c:10:1", "Z"]);
        assert!(Problems::from_vec(Vec::new()).is_none());
    }
}
