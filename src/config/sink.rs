//! Gathers what is wrong, what is unwise, and which keys there are, while sections are read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::problem::{Place, Problem, Problems, nearest};

/// Collects problems, warnings and the keys there are, while sections are read.
#[derive(Debug, Default)]
pub(super) struct Sink {
    syntax: Vec<Problem>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    faults: RefCell<Vec<Problem>>,
    known: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
}

/// What reading has found beside a configuration that can be used.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What is unwise.
    pub warnings: Vec<Problem>,
    /// What lies outside and keeps a part from working.
    pub faults: Vec<Problem>,
}

/// A key that no section asked for. Explained at the end, when all keys there are have been seen.
#[derive(Debug)]
pub(super) struct Unknown {
    pub place: Place,
    /// The path of the key.
    pub path: String,
    /// The path of its section, list indices left out.
    pub schema: String,
    pub key: String,
}

impl Sink {
    /// Takes what is wrong with the text as such, the first of each line. What was read from
    /// those lines is a guess, so their other problems are not reported.
    pub fn with_syntax(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup_by_key(|problem| problem.place.line());
        Self { syntax: problems, ..Self::default() }
    }

    pub fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub fn warning(&self, problem: Problem) {
        self.warnings.borrow_mut().push(problem);
    }

    /// Takes what is wrong outside of the text: the configuration is used all the same.
    #[cfg(feature = "tls")]
    pub fn fault(&self, problem: Problem) {
        self.faults.borrow_mut().push(problem);
    }

    pub fn unknown(&self, key: Unknown) {
        self.unknown.borrow_mut().push(key);
    }

    /// Notes that there is a key at `path`.
    pub fn know(&self, path: String) {
        self.known.borrow_mut().insert(path);
    }

    /// The path of every key that was asked for so far, list indices left out.
    pub fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    /// Ends the reading: all problems, or else what was found beside.
    pub fn finish(self) -> Result<Findings, Problems> {
        for unknown in self.unknown.take() {
            let problem = unknown.explain(&self.known.borrow());
            self.problem(problem);
        }
        let mut problems = self.problems.into_inner();
        problems.retain(|p| {
            p.place.line().is_none() || self.syntax.iter().all(|s| s.place.line() != p.place.line())
        });
        problems.extend(self.syntax);
        let (mut warnings, mut faults) = (self.warnings.into_inner(), self.faults.into_inner());
        if !problems.is_empty() {
            // Whoever mends the text wants to know all.
            problems.append(&mut faults);
        }
        match Problems::from_vec(problems) {
            Some(problems) => Err(problems),
            None => {
                warnings.sort();
                faults.sort();
                Ok(Findings { warnings, faults })
            }
        }
    }
}

impl Unknown {
    fn explain(self, known: &BTreeSet<String>) -> Problem {
        let siblings = known.iter().filter_map(|path| match path.rsplit_once('.') {
            Some((section, key)) => (section == self.schema).then_some(key),
            None => self.schema.is_empty().then_some(path.as_str()),
        });
        let elsewhere = || {
            let home = known.iter().find(|path| path.rsplit_once('.').is_some_and(|(_, k)| k == self.key));
            home.and_then(|path| path.rsplit_once('.'))
                .map(|(section, _)| format!("it belongs in [{section}]"))
        };
        let fix = nearest(&self.key, siblings).map(|key| format!("did you mean `{key}`?")).or_else(elsewhere);
        Problem { place: self.place, key: self.path, what: "unknown key".to_owned(), fix }
    }
}
