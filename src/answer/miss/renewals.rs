//! How much may be asked only so that it is known later: so much a second, and nothing while it does no good.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::{Clock, Moment};

/// For how long nothing is renewed after something was not: queries that meet due answers meanwhile are
/// not even looked at.
const PAUSE: Duration = Duration::from_millis(100);

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>;

/// The budget of renewals.
#[derive(Debug)]
pub(super) struct Renewals {
    clock: Clock,
    /// `None`: none are allowed.
    limiter: ArcSwapOption<Limiter>,
    /// Milliseconds.
    paused_until: AtomicU64,
}

impl Renewals {
    /// Allows none before [`Renewals::reload`].
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, limiter: ArcSwapOption::empty(), paused_until: AtomicU64::new(0) }
    }

    /// Allows so many a second from now on.
    pub(super) fn reload(&self, a_second: u32) {
        let limiter = |limit| {
            let clock = Ticks(self.clock.clone());
            Arc::new(RateLimiter::direct_with_clock(Quota::per_second(limit), clock))
        };
        self.limiter.store(NonZeroU32::new(a_second).map(limiter));
    }

    /// Whether it is worth asking for one. Cost: a load.
    pub(super) fn may_be(&self, now: Moment) -> bool {
        now.as_millis() >= self.paused_until.load(Ordering::Relaxed)
    }

    /// Takes one of the budget, if there is one; else none are taken for a moment. `percent` of ease there is
    /// for it: at half the ease one counts for two.
    pub(super) fn take(&self, percent: u32, now: Moment) -> bool {
        let weight = 100_u32.checked_div(percent).and_then(NonZeroU32::new);
        let limiter = self.limiter.load();
        let may = weight
            .zip(limiter.as_ref())
            .is_some_and(|(weight, limiter)| matches!(limiter.check_n(weight), Ok(Ok(()))));
        if !may {
            self.paused_until.store(now.after(PAUSE).as_millis(), Ordering::Relaxed);
        }
        may
    }
}

/// zonelet's clock, for the limiter.
#[derive(Clone, Debug)]
struct Ticks(Clock);

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Duration::from_millis(self.0.now().as_millis()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewals(a_second: u32) -> (Renewals, Clock) {
        let clock = Clock::manual();
        let renewals = Renewals::new(clock.clone());
        renewals.reload(a_second);
        (renewals, clock)
    }

    #[test]
    fn so_many_are_allowed_a_second_and_no_more() {
        let (renewals, clock) = renewals(10);
        let taken = |after| {
            clock.advance(Duration::from_millis(after));
            (0..100).filter(|_| renewals.take(100, clock.now())).count()
        };
        assert_eq!(taken(0), 10);
        assert_eq!(taken(500), 5);
        assert_eq!(taken(60_000), 10, "what was not used is not saved");
    }

    #[test]
    fn upstreams_that_are_not_at_ease_are_asked_less_and_in_the_end_not_at_all() {
        for (percent, of_ten) in [(100, 10), (50, 5), (11, 1), (10, 1), (9, 0), (0, 0)] {
            let (renewals, clock) = renewals(10);
            let taken = (0..100).filter(|_| renewals.take(percent, clock.now())).count();
            assert_eq!(taken, of_ten, "{percent} %");
        }
    }

    #[test]
    fn none_are_looked_at_for_a_moment_after_one_was_refused() {
        let (renewals, _) = renewals(1);
        let at = Moment::from_millis;
        assert!(renewals.take(100, at(0)) && renewals.may_be(at(0)));
        assert!(!renewals.take(100, at(1)) && !renewals.may_be(at(100)) && renewals.may_be(at(101)));
    }

    #[test]
    fn a_budget_of_none_allows_none() {
        let (renewals, _) = renewals(0);
        assert!(!renewals.take(100, Moment::from_millis(10_000)));
        renewals.reload(5);
        assert!(renewals.take(100, Moment::from_millis(10_000)));
    }
}
