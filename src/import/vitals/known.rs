//! One health check or probe: its state, and how sure that is.

use std::time::Duration;

use tokio::time::Instant;

use crate::import::settings::ProbePolicy;
use crate::zone::State;

/// What is known of one of them.
#[derive(Debug, Default)]
pub(super) struct Known {
    state: State,
    /// As of when the origin said so; `None` where probes say it, which counts for ever.
    seen: Option<Instant>,
    /// Results in a row that contradict the state.
    contrary: u32,
}

impl Known {
    pub fn state(&self) -> State {
        self.state
    }

    /// Until when the state counts, as long as that is for `max_age`.
    pub fn until(&self, max_age: Duration) -> Option<Instant> {
        self.seen.map(|seen| seen + max_age)
    }

    /// Takes what the origin says as of `seen`.
    pub fn seen(&mut self, state: State, seen: Instant) {
        (self.state, self.seen) = (state, (state != State::Unknown).then_some(seen));
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
    pub fn expire(&mut self, now: Instant, max_age: Duration) {
        if self.until(max_age).is_some_and(|until| until <= now) {
            (self.state, self.seen) = (State::Unknown, None);
        }
    }
}
