//! One health check or probe: its state, and how sure that is.

use std::time::Duration;

use tokio::time::Instant;

use crate::import::settings::ProbePolicy;
use crate::zone::State;

/// What is known of one of them.
#[derive(Debug, Default)]
pub(super) struct Known {
    state: State,
    /// The state counts until then; `None` for ever.
    until: Option<Instant>,
    /// Results in a row that contradict the state.
    contrary: u32,
}

impl Known {
    pub fn state(&self) -> State {
        self.state
    }

    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Takes a state that the origin was `seen` to say, which counts for `max_age`.
    pub fn seen(&mut self, state: State, seen: Instant, max_age: Duration) {
        let until = (state != State::Unknown).then(|| seen + max_age);
        // News may come late, in any order.
        if self.until.is_none_or(|standing| until.is_some_and(|until| until >= standing)) {
            (self.state, self.until) = (state, until);
        }
    }

    /// Takes the result of a probe. The first decides; later ones only several in a row.
    pub fn probed(&mut self, is_well: bool, policy: &ProbePolicy) {
        let (says, needed) = match is_well {
            true => (State::Healthy, policy.rise),
            false => (State::Unhealthy, policy.fall),
        };
        self.contrary = if says == self.state { 0 } else { self.contrary.saturating_add(1) };
        if self.state == State::Unknown || self.contrary >= needed {
            (self.state, self.contrary) = (says, 0);
        }
    }

    /// Lets a state go that is too old.
    pub fn expire(&mut self, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
            (self.state, self.until) = (State::Unknown, None);
        }
    }
}
