//! How often a source is asked: the effective refresh, backoff and jitter.

use std::time::Duration;

use tokio::time::Instant;

use super::SourcePolicy;

/// No interval is shorter, whatever the settings say.
const SHORTEST: Duration = Duration::from_secs(1);
/// No interval is longer, so that a tiny budget still shows in a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How far throttling stretches the effective refresh.
const MAX_STRETCH: u32 = 16;
/// Ceiling of the first backoff, doubled for each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Ceiling of every backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Even a lucky draw waits this long.
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// What one source can bear.
#[derive(Debug)]
pub(super) struct Pace {
    refresh: Duration,
    calls_per_second: Option<f64>,
    stretch: u32,
    changed: Option<Instant>,
}

impl Pace {
    pub fn new(policy: &SourcePolicy) -> Self {
        Self {
            refresh: policy.refresh.clamp(SHORTEST, LONGEST),
            calls_per_second: policy.calls_per_second,
            stretch: 1,
            changed: None,
        }
    }

    /// How often each zone is really fetched when one round of the source takes `calls` calls.
    pub fn effective(&self, calls: u64) -> Duration {
        (self.affordable(calls) * self.stretch).min(LONGEST)
    }

    /// The source throttled us: asks half as often, at most once each interval so that the zones
    /// of one round count as one.
    pub fn throttled(&mut self, now: Instant, calls: u64) {
        if self.rested(now, self.affordable(calls) / 2) {
            self.stretch = (self.stretch * 2).min(MAX_STRETCH);
            self.changed = Some(now);
        }
    }

    /// A call went well: after one whole interval of those, asks twice as often again.
    pub fn went_well(&mut self, now: Instant, calls: u64) {
        if self.stretch > 1 && self.rested(now, self.effective(calls)) {
            self.stretch /= 2;
            self.changed = Some(now);
        }
    }

    fn affordable(&self, calls: u64) -> Duration {
        let round = match self.calls_per_second {
            Some(rate) if rate > 0.0 => (calls as f64 / rate).min(LONGEST.as_secs_f64()),
            _ => 0.0,
        };
        self.refresh.max(Duration::from_secs_f64(round))
    }

    fn rested(&self, now: Instant, span: Duration) -> bool {
        self.changed.is_none_or(|at| now.saturating_duration_since(at) >= span)
    }
}

/// The wait after the `failures`th failure in a row: anything up to a ceiling that doubles from
/// 1 s to 5 min (full jitter), so that many zones and many processes do not come back together.
pub(super) fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let ceiling = (FIRST_BACKOFF * (1 << doublings)).min(MAX_BACKOFF);
    jitter(ceiling, 0.0, 1.0).max(MIN_BACKOFF)
}

/// A span drawn from `low` to `high` times `span`.
pub(super) fn jitter(span: Duration, low: f64, high: f64) -> Duration {
    span.mul_f64(rand::random_range(low..=high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(refresh: u64, rate: Option<f64>) -> Pace {
        Pace::new(&SourcePolicy {
            refresh: Duration::from_secs(refresh),
            calls_per_second: rate,
            ..SourcePolicy::default()
        })
    }

    #[test]
    fn the_effective_refresh_is_what_the_budget_allows() {
        assert_eq!(pace(60, Some(1.0)).effective(10), Duration::from_secs(60));
        assert_eq!(pace(60, Some(1.0)).effective(340), Duration::from_secs(340));
        assert_eq!(pace(60, Some(0.5)).effective(100), Duration::from_secs(200));
        assert_eq!(pace(60, None).effective(1_000_000), Duration::from_secs(60));
        assert_eq!(pace(60, Some(0.0)).effective(10), Duration::from_secs(60));
        assert_eq!(pace(0, None).effective(0), SHORTEST);
        assert_eq!(pace(60, Some(1e-30)).effective(u64::MAX), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_stretches_the_refresh_and_a_quiet_round_shrinks_it_again() {
        let mut pace = pace(60, None);
        for _ in 0..5 {
            pace.throttled(Instant::now(), 1);
        }
        assert_eq!(pace.effective(1), Duration::from_secs(120), "one round counts once");
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(60)).await;
            pace.throttled(Instant::now(), 1);
        }
        assert_eq!(pace.effective(1), Duration::from_secs(60 * 16));
        pace.went_well(Instant::now(), 1);
        assert_eq!(pace.effective(1), Duration::from_secs(60 * 16));
        tokio::time::advance(Duration::from_secs(60 * 16)).await;
        pace.went_well(Instant::now(), 1);
        assert_eq!(pace.effective(1), Duration::from_secs(60 * 8));
    }

    #[test]
    fn backoff_is_drawn_below_a_ceiling_that_doubles_to_five_minutes() {
        for failures in [1, 2, 5, 9, 10, 1000, u32::MAX] {
            let ceiling = Duration::from_secs(1 << failures.saturating_sub(1).min(16)).min(MAX_BACKOFF);
            let draws: Vec<_> = (0..200).map(|_| backoff(failures)).collect();
            assert!(draws.iter().all(|d| (MIN_BACKOFF..=ceiling).contains(d)));
            assert!(draws.iter().any(|d| *d != draws[0]), "not jittered");
        }
    }
}
