//! What trying a source out, for `zonelet check --online`, has found.

use std::fmt;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: a permission, a role, a zone.
    pub what: String,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub text: String,
}

/// What came of trying something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Works,
    /// It is as it is, and nothing depends on it.
    Noted,
    /// Something that this configuration needs does not work.
    Fails,
}

impl Finding {
    /// Something that works.
    pub fn works(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Works, text: text.into() }
    }

    /// Something to know.
    pub fn noted(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Noted, text: text.into() }
    }

    /// Something that does not work.
    pub fn fails(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Fails, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Works => "ok",
            Outcome::Noted => "note",
            Outcome::Fails => "FAIL",
        };
        write!(f, "{mark:4}  {}: {}", self.what, self.text)
    }
}
