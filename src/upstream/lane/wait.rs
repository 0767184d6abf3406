//! How long a lane waits for a reply alone.

use std::time::Duration;

/// After what time an answer may be late; the last stands for the whole first patience.
const WAITS: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
/// Queries with the same wait stand in one line, in which deadlines come in order; those handed over
/// in another.
pub(super) const LINES: usize = WAITS.len() + 2;

/// How long a query is waited for alone, as the number of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(u8);

impl Wait {
    /// The whole first patience.
    pub(super) const WHOLE: Self = Self(WAITS.len() as u8);

    /// The wait for an answer that is late `after` some time, and how long it is: that time or a
    /// little more, at most `patience`.
    pub(super) fn of(after: Option<Duration>, patience: Duration) -> (Self, Duration) {
        let number = after.and_then(|after| WAITS.iter().position(|wait| after <= *wait));
        match number.and_then(|number| Some((number, *WAITS.get(number)?))) {
            Some((number, wait)) if wait < patience => (Self(number as u8), wait),
            _ => (Self::WHOLE, patience),
        }
    }

    /// The number of its line.
    pub(super) fn line(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_as_long_as_an_answer_is_not_late_and_never_longer_than_the_patience() {
        let millis = Duration::from_millis;
        let wait = |after: Option<u64>, patience| Wait::of(after.map(millis), millis(patience));
        assert_eq!(wait(Some(50), 600), (Wait(0), millis(50)));
        assert_eq!(wait(Some(51), 600), (Wait(1), millis(100)));
        assert_eq!(wait(Some(330), 600), (Wait(3), millis(400)));
        assert_eq!(wait(Some(500), 600), (Wait::WHOLE, millis(600)));
        assert_eq!(wait(Some(60), 100), (Wait::WHOLE, millis(100)));
        assert_eq!(wait(None, 600), (Wait::WHOLE, millis(600)));
    }
}
