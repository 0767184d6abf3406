//! What is known of the health of that which records lead to.

use std::collections::HashMap;

/// The state of a health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// The states of health checks by their ids.
#[derive(Clone, Debug, Default)]
pub struct Health(HashMap<Box<str>, State>);

impl Health {
    /// The state of a check.
    pub fn state(&self, check: &str) -> State {
        self.0.get(check).copied().unwrap_or_default()
    }
}

impl FromIterator<(Box<str>, State)> for Health {
    fn from_iter<I: IntoIterator<Item = (Box<str>, State)>>(states: I) -> Self {
        Self(states.into_iter().collect())
    }
}
