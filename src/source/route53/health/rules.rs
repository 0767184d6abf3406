//! What a check's settings make of what was measured.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_route53::types::{HealthCheckConfig, HealthCheckType};

use crate::zone::State;

/// Calculated checks are followed so deep; what lies deeper counts as unknown.
pub const MAX_DEPTH: usize = 8;

/// What of a check's settings bears on its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// It is not carried out, and passes.
    pub is_disabled: bool,
    /// It passes where it would fail, and fails where it would pass.
    pub is_inverted: bool,
    /// It follows other checks.
    pub calculation: Option<Calculation>,
}

/// The checks that another one follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calculation {
    /// So many of the children must pass.
    pub threshold: usize,
    /// Their ids.
    pub children: Vec<Box<str>>,
}

/// What is known of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Never `Unknown`: where nobody has said there is no reading.
    pub state: State,
    /// How old the news is.
    pub age: Duration,
}

impl Check {
    /// Reads the API's shape.
    pub fn of(config: &HealthCheckConfig) -> Self {
        let is_calculated = *config.r#type() == HealthCheckType::Calculated;
        // Without a threshold there is nothing to calculate with: the metric alone decides.
        let threshold = config.health_threshold().filter(|_| is_calculated);
        let calculation = threshold.map(|threshold| Calculation {
            threshold: usize::try_from(threshold).unwrap_or(0),
            children: config.child_health_checks().iter().map(|id| Box::from(id.as_str())).collect(),
        });
        Self {
            is_disabled: config.disabled().unwrap_or(false),
            is_inverted: config.inverted().unwrap_or(false),
            calculation,
        }
    }

    /// The state that the settings alone decide, if they do.
    pub fn fixed(&self) -> Option<State> {
        if self.is_disabled {
            // AWS names the two together as the way to take something out of service.
            return Some(if self.is_inverted { State::Unhealthy } else { State::Healthy });
        }
        let Calculation { threshold, children } = self.calculation.as_ref()?;
        match *threshold {
            0 => Some(State::Healthy),
            threshold if threshold > children.len() => Some(State::Unhealthy),
            _ => None,
        }
    }

    /// What was measured, as Route 53 uses it: the one place where `Inverted` counts.
    ///
    /// AWS words `HealthCheckStatus` as its assessment of the *endpoint*, and does not say whether
    /// `Inverted` is in it. It is taken by its word here, as not inverted. Should that turn out
    /// wrong, `metric` has to undo it before this, since what is calculated from children is not.
    fn settle(&self, measured: Reading) -> Reading {
        let state = match measured.state {
            State::Healthy if self.is_inverted => State::Unhealthy,
            State::Unhealthy if self.is_inverted => State::Healthy,
            other => other,
        };
        Reading { state, ..measured }
    }
}

/// Checks and readings put together.
pub struct Picture<'a, F> {
    checks: F,
    readings: &'a HashMap<Box<str>, Reading>,
    /// What came out for each check; `None` also while one is being worked out, which is what ends
    /// a circle of calculated checks.
    found: HashMap<Box<str>, Option<Reading>>,
}

impl<'a, F: Fn(&str) -> Option<&'a Check>> Picture<'a, F> {
    /// `checks` gives the settings of a check; without any it is taken as a plain one.
    pub fn new(checks: F, readings: &'a HashMap<Box<str>, Reading>) -> Self {
        Self { checks, readings, found: HashMap::new() }
    }

    /// The state of a check, `None` while nobody knows. Each check is worked out once.
    pub fn state(&mut self, id: &str) -> Option<Reading> {
        self.state_at(id, 0)
    }

    fn state_at(&mut self, id: &str, depth: usize) -> Option<Reading> {
        if let Some(&found) = self.found.get(id) {
            return found;
        }
        self.found.insert(id.into(), None);
        let reading = self.read(id, depth);
        self.found.insert(id.into(), reading);
        reading
    }

    fn read(&mut self, id: &str, depth: usize) -> Option<Reading> {
        let Some(check) = (self.checks)(id) else { return self.readings.get(id).copied() };
        if let Some(state) = check.fixed() {
            return Some(Reading { state, age: Duration::ZERO });
        }
        let measured = match (self.readings.get(id), &check.calculation) {
            (Some(reading), _) => *reading,
            (None, Some(calculation)) if depth + 1 < MAX_DEPTH => self.calculate(calculation, depth)?,
            _ => return None,
        };
        Some(check.settle(measured))
    }

    /// What the children make of it: decided as soon as the unknown ones cannot change it.
    fn calculate(&mut self, calculation: &Calculation, depth: usize) -> Option<Reading> {
        let (mut healthy, mut unknown, mut age) = (0, 0, Duration::ZERO);
        for child in &calculation.children {
            match self.state_at(child, depth + 1) {
                Some(reading) => {
                    healthy += usize::from(reading.state == State::Healthy);
                    age = age.max(reading.age);
                }
                None => unknown += 1,
            }
        }
        if healthy >= calculation.threshold {
            Some(Reading { state: State::Healthy, age })
        } else if healthy + unknown < calculation.threshold {
            Some(Reading { state: State::Unhealthy, age })
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
