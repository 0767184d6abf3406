//! Time: one monotonic clock for every age and deadline, hand-driven in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Where a real clock begins: what was learned before, by another process, has a moment, too.
const HEAD_START_MS: u64 = 30 * 86_400_000;

/// A moment on zonelet's monotonic clock, in milliseconds; a real one begins thirty days in.
///
/// Steps of the wall clock never show here, so TTLs and ages are right across them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// Later than all others.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment that lies `millis` after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`, zero when `earlier` is later than this.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since `earlier`, zero when `earlier` is later than this.
    pub fn secs_since(self, earlier: Moment) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0) / 1000).unwrap_or(u32::MAX)
    }

    /// The moment `span` before this one, at the earliest the clock's start.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment moved by `span`.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The clock a room is given. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Real(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's monotonic clock, starting now.
    pub fn real() -> Self {
        Self(Kind::Real(Instant::now()))
    }

    /// A clock that moves only by [`Clock::advance`].
    pub fn manual() -> Self {
        Self(Kind::Manual(Arc::new(AtomicU64::new(0))))
    }

    /// The moment now. Cost: one vDSO call, about 23 ns; workers ask once a batch.
    pub fn now(&self) -> Moment {
        match &self.0 {
            Kind::Real(start) => {
                let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                Moment(millis.saturating_add(HEAD_START_MS))
            }
            Kind::Manual(millis) => Moment(millis.load(Ordering::Relaxed)),
        }
    }

    /// What [`Clock::now`] shows, as fine as it comes: for durations that people read.
    pub fn precise(&self) -> Duration {
        match &self.0 {
            Kind::Real(start) => start.elapsed().saturating_add(Duration::from_millis(HEAD_START_MS)),
            Kind::Manual(millis) => Duration::from_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// How long ago the clock was made.
    pub fn running(&self) -> Duration {
        match &self.0 {
            Kind::Real(start) => start.elapsed(),
            Kind::Manual(millis) => Duration::from_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock on; a real one is left alone.
    pub fn advance(&self, span: Duration) {
        if let Kind::Manual(millis) = &self.0 {
            millis.fetch_add(u64::try_from(span.as_millis()).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// The wall clock, only for ages that must outlive the process (state files) and for logs.
    pub fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_finely_is_what_is_shown() {
        let clock = Clock::real();
        let (before, fine, after) = (clock.now(), clock.precise().as_millis() as u64, clock.now());
        assert!((before.as_millis()..=after.as_millis()).contains(&fine));
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual();
        let shared = clock.clone();
        let start = clock.now();
        shared.advance(Duration::from_millis(2500));
        assert_eq!(clock.now().secs_since(start), 2);
        assert_eq!(start.since(clock.now()), Duration::ZERO);
        assert_eq!(start.after(Duration::from_secs(2)).as_millis(), 2000);
        assert_eq!(clock.now().before(Duration::from_secs(2)).as_millis(), 500);
        assert_eq!(start.before(Duration::from_secs(2)), start);
    }
}
