//! How much is told of what is turned away: a flood of it must not blind those who watch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of what is turned away so many a second are told of, or as many as the query log has lines.
const MOST: u32 = 1000;
/// The lower half counts, the upper half says in which second.
const SECOND: u32 = 32;

/// What may be told of in a second of which `lines` may be logged.
pub(super) fn most(lines: f64) -> u32 {
    MOST.max(lines.ceil() as u32)
}

/// So many in each second of the clock, whoever comes first. What comes too late costs a load.
#[derive(Debug, Default)]
pub(super) struct Ration(AtomicU64);

impl Ration {
    /// Whether one more may be told of that came at `at`.
    pub fn take(&self, at: Duration, most: u32) -> bool {
        let second = u64::from(at.as_secs() as u32);
        let spend = |state: u64| {
            // Threads do not look at the clock at once: who is behind spends of the second that has begun.
            if state >> SECOND < second {
                return (most > 0).then_some(second << SECOND | 1);
            }
            (state as u32).lt(&most).then(|| state + 1)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_ration_and_none_is_saved_or_spent_twice() {
        let ration = Ration::default();
        let taken = |millis: u64| (0..50).filter(|_| ration.take(Duration::from_millis(millis), 7)).count();
        assert_eq!([taken(0), taken(999), taken(1000)], [7, 0, 7]);
        assert_eq!(
            [taken(60_000), taken(59_000), taken(60_999)],
            [7, 0, 0],
            "who is behind gets none of its own"
        );
        assert_eq!([most(100.0), most(0.5), most(100_000.0)], [1000, 1000, 100_000]);
    }

    #[test]
    fn several_threads_share_it() {
        let ration = Ration::default();
        let take = || (0..10_000).filter(|_| ration.take(Duration::from_secs(3), 1000)).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
