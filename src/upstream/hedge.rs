//! Second queries beside late ones: how many may be sent, and how late is late.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A second query is one in twenty at most.
const PRICE: u32 = 20;
/// So many may be sent in a row after a quiet time.
const MAX_SAVED: u32 = 10 * PRICE;
/// Before this no answer is late.
pub(super) const SOONEST: Duration = Duration::from_millis(50);

/// What may be spent on second queries beside those to one upstream.
#[derive(Debug)]
pub(super) struct Hedges {
    saved: AtomicU32,
}

impl Default for Hedges {
    fn default() -> Self {
        Self { saved: AtomicU32::new(MAX_SAVED) }
    }
}

impl Hedges {
    /// A first query is sent. Cost: a load, and an addition after a hedge.
    pub(super) fn earn(&self) {
        if self.saved.load(Relaxed) < MAX_SAVED {
            self.saved.fetch_add(1, Relaxed);
        }
    }

    /// Whether one can be paid.
    pub(super) fn is_affordable(&self) -> bool {
        self.saved.load(Relaxed) >= PRICE
    }

    /// Pays one, if it can.
    pub(super) fn pay(&self) -> bool {
        self.saved.fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(PRICE)).is_ok()
    }
}

/// What came of a second query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hedge {
    /// It was sent for the candidate of this number.
    Sent(usize),
    /// None was, or none may be sent any more.
    Over,
    /// None yet.
    Ahead,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_queries_are_one_in_twenty_but_for_a_few() {
        let hedges = Hedges::default();
        let mut paid = 0;
        for _ in 0..10_000 {
            hedges.earn();
            paid += u32::from(hedges.is_affordable() && hedges.pay());
        }
        assert!((500..=510).contains(&paid), "{paid}");
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let hedges = Hedges::default();
        (0..100_000).for_each(|_| hedges.earn());
        assert_eq!((0..100).filter(|_| hedges.pay()).count(), 10);
    }
}
