//! Hints that a zone, or the set of zones, has changed: how soon they are followed.
//!
//! Whoever can write to the place where hints come from could otherwise spend the whole budget on
//! one zone: two imports that hints ask for lie apart by twice the time that the zone's calls take
//! of the budget, so that at least half of it is left for the others.

use std::time::Duration;

use tokio::time::Instant;

use super::desk::Desk;
use crate::source::ZoneId;

/// Two imports of one zone that hints ask for lie at least this far apart.
const GAP: Duration = Duration::from_secs(5);

impl Desk {
    /// Imports zone `id` sooner, but not sooner than hints may. False when there is nothing to
    /// import.
    pub fn hint(&mut self, id: &ZoneId, now: Instant) -> bool {
        let calls = self.zones.get(id).map_or(0, |entry| entry.calls);
        let gap = self.gap(u64::from(calls));
        let Some(entry) = self.zones.get_mut(id).filter(|z| z.is_readable()) else {
            return false;
        };
        entry.said_changed.get_or_insert(now);
        let at = next(&mut entry.hinted, gap, now);
        if entry.running {
            // An import that began before the hint may have missed the change.
            if !entry.again {
                (entry.again, entry.again_at) = (true, Some(at));
            }
            return true;
        }
        let at = entry.not_before.map_or(at, |bound| bound.max(at));
        if self.schedule.due(id).is_none_or(|due| at < due) {
            self.schedule.set(id, at);
        }
        true
    }

    /// Looks for zones sooner, but not sooner than hints may.
    pub fn hint_discovery(&mut self, now: Instant) {
        let gap = self.gap(1);
        let at = next(&mut self.discovery.hinted, gap, now);
        self.rediscover_at(at, now);
    }

    /// A source without a budget (a file that changed) is asked at once.
    fn gap(&self, calls: u64) -> Duration {
        match self.policy.calls_per_second {
            Some(rate) if rate > 0.0 => {
                let longest = self.effective();
                let spent = (2.0 * calls as f64 / rate).min(longest.as_secs_f64());
                Duration::from_secs_f64(spent).max(GAP)
            }
            _ => Duration::ZERO,
        }
    }
}

/// When a hint is followed: one that is waited for already covers this one too.
fn next(hinted: &mut Option<Instant>, gap: Duration, now: Instant) -> Instant {
    let at = match *hinted {
        Some(planned) if planned > now => planned,
        Some(last) => now.max(last + gap),
        None => now,
    };
    *hinted = Some(at);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hints_are_followed_at_once_and_then_gap_by_gap() {
        let (start, gap, mut hinted) = (Instant::now(), Duration::from_secs(5), None);
        let mut at = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            (next(&mut hinted, gap, now) - start).as_secs()
        };
        assert_eq!((at(0), at(0), at(4)), (0, 5, 5));
        assert_eq!((at(5), at(9)), (10, 10), "at 5 the second import has begun");
        assert_eq!(at(100), 100);
    }
}
