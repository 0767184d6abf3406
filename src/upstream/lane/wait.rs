//! How long a lane waits for a reply alone.

use std::time::Duration;

/// The waits that are shorter than the whole first patience.
const WAITS: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
const LONGEST: Duration = WAITS[WAITS.len() - 1];
/// Who is in a greater hurry than this is none for a lane.
pub(in crate::upstream) const SHORTEST: Duration = WAITS[0];
/// Queries with the same wait stand in one line, in which deadlines come in order; those handed over
/// in another.
pub(super) const LINES: usize = WAITS.len() + 2;

/// How long a query is waited for alone, as the number of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(u8);

impl Wait {
    /// The whole first patience.
    pub(super) const WHOLE: Self = Self(WAITS.len() as u8);

    /// The wait for an answer that is late after `late` and of no use after `most`, and how long it is: `late`
    /// or a little more, but no longer than `patience` and `most`.
    ///
    /// Where `most` counts, it is `most` or a shorter wait: there are few waits, however many times the domains
    /// have, and the exchange to which the query is handed over then keeps to those exactly.
    pub(super) fn of(late: Option<Duration>, most: Duration, patience: Duration) -> (Self, Duration) {
        let whole = (Self::WHOLE, patience.min(most));
        let alone =
            if most < patience && most <= LONGEST { Self::up_to(most).unwrap_or(whole) } else { whole };
        let number = late.and_then(|late| WAITS.iter().position(|wait| late <= *wait));
        let second = number.and_then(|number| Self(number as u8).fixed());
        second.filter(|(_, wait)| *wait < alone.1).unwrap_or(alone)
    }

    /// The longest wait of at most this.
    fn up_to(most: Duration) -> Option<(Self, Duration)> {
        Self(WAITS.iter().rposition(|wait| *wait <= most)? as u8).fixed()
    }

    fn fixed(self) -> Option<(Self, Duration)> {
        Some((self, *WAITS.get(self.line())?))
    }

    /// The next shorter wait, and how long it is; `None` for the shortest.
    pub(super) fn shorter(self) -> Option<(Self, Duration)> {
        Self(self.0.checked_sub(1)?).fixed()
    }

    /// The number of its line.
    pub(super) fn line(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(late: Option<u64>, most: u64, patience: u64) -> (u8, u64) {
        let millis = Duration::from_millis;
        let (wait, span) = Wait::of(late.map(millis), millis(most), millis(patience));
        (wait.0, span.as_millis() as u64)
    }

    #[test]
    fn a_wait_is_as_long_as_an_answer_is_not_late_and_never_longer_than_the_patience() {
        let wait = |late, patience| wait(late, u64::MAX, patience);
        assert_eq!(wait(Some(50), 600), (1, 50));
        assert_eq!(wait(Some(51), 600), (2, 100));
        assert_eq!(wait(Some(330), 600), (4, 400));
        assert_eq!(wait(Some(500), 600), (5, 600));
        assert_eq!(wait(Some(60), 100), (5, 100));
        assert_eq!(wait(None, 600), (5, 600));
    }

    #[test]
    fn a_wait_is_over_when_an_answer_is_of_no_use_any_more() {
        assert_eq!(wait(None, 599, 600), (5, 599));
        assert_eq!(wait(None, 400, 600), (4, 400));
        assert_eq!(wait(None, 399, 600), (3, 200));
        assert_eq!(wait(None, 49, 600), (0, 10));
        assert_eq!(wait(Some(50), 300, 600), (1, 50));
        assert_eq!(wait(Some(330), 300, 600), (3, 200));
        assert_eq!(wait(None, 70, 75), (1, 50));
        assert_eq!(wait(None, 7, 8), (5, 7), "however short the patience");
    }

    #[test]
    fn every_wait_has_a_shorter_one_but_the_shortest() {
        let mut waits = vec![Wait::WHOLE];
        while let Some((shorter, span)) = waits.last().and_then(|wait| wait.shorter()) {
            assert_eq!(WAITS[shorter.line()], span);
            waits.push(shorter);
        }
        assert_eq!(waits.len(), LINES - 1);
    }
}
