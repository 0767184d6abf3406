//! How fast an upstream answers: smoothed, usually, and at worst but for one in twenty.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Moment;

/// The smoothed latency of who was not asked halves in this time, so that it is asked again.
const HALVES: u64 = 10_000;
/// The usual latency moves at most this often, by a five-hundredth: it follows within a minute.
const USUAL_EVERY: u64 = 100;
/// What an error code or a dead network weighs: neither may look fast.
pub(super) const PENALTY: Duration = Duration::from_secs(1);

/// The latencies of one upstream, in microseconds. Two threads may overwrite each other's sample.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// An eighth of each sample; 0 before the first.
    smoothed: AtomicU32,
    /// Over a minute or so.
    usual: AtomicU32,
    /// One in twenty takes longer.
    p95: AtomicU32,
    sampled_at: AtomicU64,
    usual_at: AtomicU64,
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX).max(1)
}

fn towards(from: u32, to: u32, part: u32) -> u32 {
    let step = i64::from(to).wrapping_sub(i64::from(from)) / i64::from(part);
    u32::try_from(i64::from(from) + step).unwrap_or(u32::MAX).max(1)
}

impl Pace {
    /// Takes in the time to an answer: the first one of each millisecond, which is sample enough.
    pub(super) fn sample(&self, span: Duration, now: Moment) {
        let smoothed = self.smoothed.load(Relaxed);
        let now = now.as_millis();
        if smoothed != 0 && self.sampled_at.load(Relaxed) == now {
            return;
        }
        self.sampled_at.store(now, Relaxed);
        let sample = micros(span);
        if smoothed == 0 {
            self.smoothed.store(sample, Relaxed);
            self.p95.store(sample.saturating_mul(2), Relaxed);
        } else {
            self.smoothed.store(towards(smoothed, sample, 8), Relaxed);
            self.p95.store(quantile(self.p95.load(Relaxed), sample), Relaxed);
        }
        let usual = self.usual.load(Relaxed);
        if usual == 0 || now.saturating_sub(self.usual_at.load(Relaxed)) >= USUAL_EVERY {
            self.usual_at.store(now, Relaxed);
            self.usual.store(if usual == 0 { sample } else { towards(usual, sample, 512) }, Relaxed);
        }
    }

    /// Takes in that there was no answer within `span`. What is usual does not change by it.
    pub(super) fn penalise(&self, span: Duration, now: Moment) {
        let (smoothed, sample) = (self.smoothed.load(Relaxed), micros(span));
        if sample > smoothed {
            self.sampled_at.store(now.as_millis(), Relaxed);
            self.smoothed.store(if smoothed == 0 { sample } else { towards(smoothed, sample, 4) }, Relaxed);
        }
    }

    /// What upstreams are compared by, the least is best: microseconds, 0 for who was never asked.
    pub(super) fn score(&self, now: Moment) -> u32 {
        let idle = now.as_millis().saturating_sub(self.sampled_at.load(Relaxed)) / HALVES;
        self.smoothed.load(Relaxed) >> idle.min(31)
    }

    /// The smoothed latency; `None` before the first answer.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        let micros = self.smoothed.load(Relaxed);
        (micros != 0).then(|| Duration::from_micros(micros.into()))
    }

    /// After what time an answer is late: one in twenty takes longer.
    pub(super) fn late_after(&self) -> Duration {
        Duration::from_micros(self.p95.load(Relaxed).into())
    }

    /// How far it is from slow: 100 up to one and a half times the usual latency, 0 from three
    /// times on. Differences below 5 ms do not count, and what was long ago counts less: who has nothing to do
    /// but spare work would never be seen to have become faster.
    pub(super) fn ease(&self, now: Moment) -> u32 {
        let (latency, usual) = (self.score(now), self.usual.load(Relaxed));
        if usual == 0 {
            return if latency == 0 { 100 } else { 0 };
        }
        if latency.saturating_sub(usual) < 5_000 {
            return 100;
        }
        let percent = u64::from(latency) * 100 / u64::from(usual);
        u32::try_from(300_u64.saturating_sub(percent) * 100 / 150).unwrap_or(100).min(100)
    }
}

/// Moves an estimate of the 95th percentile: a step of 19 parts up or of one down, in balance
/// where one sample in twenty is above it.
fn quantile(estimate: u32, sample: u32) -> u32 {
    let step = estimate / 160 + 5;
    if sample > estimate { estimate.saturating_add(19 * step) } else { estimate.saturating_sub(step).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn fed(samples: impl IntoIterator<Item = u64>) -> (Pace, Moment) {
        let (pace, mut now) = (Pace::default(), Moment::default());
        for sample in samples {
            now = now.after(millis(10));
            pace.sample(millis(sample), now);
        }
        (pace, now)
    }

    #[test]
    fn the_smoothed_latency_follows_within_some_twenty_answers() {
        let (pace, now) = fed([10; 5]);
        assert_eq!(pace.smoothed(), Some(millis(10)));
        for i in 1..=24 {
            pace.sample(millis(100), now.after(millis(i)));
        }
        let smoothed = pace.smoothed().unwrap();
        assert!(smoothed > millis(90) && smoothed < millis(100), "{smoothed:?}");
    }

    #[test]
    fn who_is_not_asked_gets_a_better_score_with_time() {
        let (pace, now) = fed([80]);
        assert_eq!(pace.score(now), 80_000);
        assert_eq!(pace.score(now.after(Duration::from_secs(10))), 40_000);
        assert_eq!(pace.score(now.after(Duration::from_secs(60))), 1250);
        assert_eq!(pace.score(now.after(Duration::from_secs(86_400))), 0);
        assert_eq!(Pace::default().score(now), 0, "never asked: it is tried first");
    }

    #[test]
    fn a_failure_never_makes_an_upstream_look_faster() {
        let (pace, now) = fed([400]);
        pace.penalise(millis(50), now);
        assert_eq!(pace.smoothed(), Some(millis(400)));
        pace.penalise(PENALTY, now);
        assert_eq!(pace.smoothed(), Some(millis(550)));
        let unknown = Pace::default();
        unknown.penalise(PENALTY, now);
        assert_eq!(unknown.score(now), 1_000_000);
    }

    #[test]
    fn one_answer_in_twenty_is_late() {
        // 1..=100 ms in a scattered order: the 95th percentile is 95 ms.
        let (pace, _) = fed((0..20_000).map(|i| i * 37 % 100 + 1));
        let late = pace.late_after();
        assert!(late > millis(85) && late < millis(100), "{late:?}");
    }

    #[test]
    fn there_is_no_ease_while_it_is_far_slower_than_usual() {
        assert_eq!(Pace::default().ease(Moment::default()), 100);
        let (pace, mut now) = fed([20; 100]);
        assert_eq!(pace.ease(now), 100);
        for _ in 0..60 {
            now = now.after(millis(10));
            pace.sample(millis(200), now);
        }
        assert_eq!(pace.ease(now), 0);
        let (near, now) = fed([1; 100]);
        near.sample(millis(4), now.after(millis(1)));
        assert_eq!(near.ease(now), 100, "milliseconds are nothing");
    }

    #[test]
    fn ease_comes_back_while_nothing_is_asked() {
        let (pace, now) = fed(std::iter::repeat_n(20, 100).chain([400; 30]));
        let after = |seconds| pace.ease(now.after(Duration::from_secs(seconds)));
        assert_eq!((after(0), after(9)), (0, 0));
        assert!(after(50) == 100, "{}", after(50));
        let unanswered = Pace::default();
        unanswered.penalise(PENALTY, now);
        assert_eq!(unanswered.ease(now), 0);
        assert_eq!(unanswered.ease(now.after(Duration::from_secs(300))), 100);
    }
}
