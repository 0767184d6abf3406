//! Whether an upstream is asked at all: not while it keeps failing, but for a trial now and then.
//!
//! Plain cells without a lock; what a race between two threads loses is one failure in a row.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Moment;

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 3;
/// From its opening to the first trial; doubles from trial to trial (RFC 9520 §3.2 in spirit).
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest time between two trials while others answer.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The same while no other is left: names fail until it is noticed that it is back.
const MAX_WAIT_ALONE: Duration = Duration::from_secs(5);

/// What had come from an upstream when a query was sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    replies: u32,
    silences: u32,
}

/// What a failure says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nothing.
    None,
    /// Nothing came, or the network says that nobody is there. All queries that were under way
    /// together have met the same silence, which counts once; none if anything has come since.
    Silence(Mark),
    /// It is there and gives no answer. It may be the names' fault: see [`Breaker::is_last_resort`].
    Reply,
}

/// The breaker of one upstream.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    failures: AtomicU32,
    /// Everything that was a response to a query.
    replies: AtomicU32,
    /// Silences that counted.
    silences: AtomicU32,
    /// When it is tried next, in milliseconds on the clock; 0 while it is closed.
    trial_at: AtomicU64,
    /// When the last trial was, or the opening.
    tried_at: AtomicU64,
    /// Since it opened.
    trials: AtomicU32,
    /// Silences that counted since the last response.
    mute: AtomicU32,
}

impl Breaker {
    /// To be kept with a query that is sent now.
    pub(super) fn mark(&self) -> Mark {
        Mark { replies: self.replies.load(Relaxed), silences: self.silences.load(Relaxed) }
    }

    /// Whether anything has come from the upstream since: a slow answer may be on its way.
    pub(super) fn is_heard_since(&self, mark: Mark) -> bool {
        self.replies.load(Relaxed) != mark.replies
    }

    /// Whether it is asked like any other. Cost: a load.
    pub(super) fn is_closed(&self) -> bool {
        self.trial_at.load(Relaxed) == 0
    }

    /// Whether it may be asked where no other is left: it responds, if with error codes or too late. Those
    /// are mostly about names and not about the server, so nobody is refused for them unasked. Only a
    /// row of silences ends that.
    pub(super) fn is_last_resort(&self) -> bool {
        !self.is_closed() && self.mute.load(Relaxed) < MAX_FAILURES
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// When it was tried last, or opened.
    pub(super) fn tried_at(&self) -> u64 {
        self.tried_at.load(Relaxed)
    }

    /// How long it is to the next trial where others answer; `None` while it is closed.
    pub(super) fn trial_in(&self, now: Moment) -> Option<Duration> {
        let at = self.trial_at.load(Relaxed);
        (at != 0).then(|| Moment::from_millis(at).since(now))
    }

    /// Whether a trial is due. `alone`: no other upstream is closed.
    pub(super) fn is_due(&self, alone: bool, now: Moment) -> bool {
        let at = self.trial_at.load(Relaxed);
        if at == 0 {
            return false;
        }
        let soonest = Moment::from_millis(self.tried_at.load(Relaxed)).after(MAX_WAIT_ALONE).as_millis();
        now.as_millis() >= if alone { at.min(soonest) } else { at }
    }

    /// Takes the trial that is due, if nobody else has: who gets it sends one query.
    pub(super) fn claim_trial(&self, alone: bool, now: Moment) -> bool {
        let at = self.trial_at.load(Relaxed);
        if at == 0 || !self.is_due(alone, now) {
            return false;
        }
        let trials = self.trials.load(Relaxed).saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << trials.min(5)).min(MAX_WAIT);
        let next = now.after(wait).as_millis();
        if self.trial_at.compare_exchange(at, next, Relaxed, Relaxed).is_err() {
            return false;
        }
        self.trials.store(trials, Relaxed);
        self.tried_at.store(now.as_millis(), Relaxed);
        true
    }

    /// A response has come in time, whatever it says.
    pub(super) fn note_reply(&self) {
        self.replies.fetch_add(1, Relaxed);
        self.note_life();
    }

    /// A response has come too late for its question, and is none to it: whoever it is from lives, and is asked
    /// where there is no other. What has failed has failed all the same: a closed breaker is no further from
    /// opening by it, nor an open one closed.
    pub(super) fn note_life(&self) {
        if self.mute.load(Relaxed) != 0 {
            self.mute.store(0, Relaxed);
        }
    }

    /// An answer has come. Returns whether this closes the breaker.
    pub(super) fn note_success(&self) -> bool {
        self.replies.fetch_add(1, Relaxed);
        // Silences are failures, too.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.mute.store(0, Relaxed);
        }
        !self.is_closed() && self.trial_at.swap(0, Relaxed) != 0
    }

    /// The upstream has failed. Returns whether this opens the breaker.
    pub(super) fn note_failure(&self, weight: Weight, now: Moment) -> bool {
        match weight {
            Weight::None => return false,
            Weight::Silence(mark) => {
                let next = mark.silences.wrapping_add(1);
                let counts = !self.is_heard_since(mark)
                    && self.silences.compare_exchange(mark.silences, next, Relaxed, Relaxed).is_ok();
                if !counts {
                    return false;
                }
                self.mute.fetch_add(1, Relaxed);
            }
            Weight::Reply => self.mute.store(0, Relaxed),
        }
        let failures = self.failures.load(Relaxed).saturating_add(1);
        self.failures.store(failures, Relaxed);
        failures >= MAX_FAILURES && self.open(now)
    }

    fn open(&self, now: Moment) -> bool {
        let first = now.after(FIRST_WAIT).as_millis();
        let opened = self.trial_at.compare_exchange(0, first, Relaxed, Relaxed).is_ok();
        if opened {
            self.trials.store(0, Relaxed);
            self.tried_at.store(now.as_millis(), Relaxed);
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn opened(weight: impl Fn(&Breaker) -> Weight) -> Breaker {
        let breaker = Breaker::default();
        let opens: Vec<bool> = (0..3).map(|_| breaker.note_failure(weight(&breaker), at(0))).collect();
        assert_eq!(opens, [false, false, true]);
        breaker
    }

    fn silence(breaker: &Breaker) -> Weight {
        Weight::Silence(breaker.mark())
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_one_answer_closes_it() {
        let breaker = opened(silence);
        assert!(!breaker.is_closed() && !breaker.is_last_resort());
        assert!(breaker.note_success() && breaker.is_closed());
        assert!(!breaker.note_success());
        for _ in 0..2 {
            assert!(!breaker.note_failure(silence(&breaker), at(0)));
        }
        breaker.note_success();
        assert!(!breaker.note_failure(silence(&breaker), at(0)), "in a row");
    }

    #[test]
    fn queries_under_way_together_meet_one_silence() {
        let breaker = Breaker::default();
        let sent = breaker.mark();
        for _ in 0..100 {
            assert!(!breaker.note_failure(Weight::Silence(sent), at(600)));
        }
        assert_eq!(breaker.failures(), 1);
    }

    #[test]
    fn who_has_answered_others_meanwhile_is_not_silent() {
        let breaker = Breaker::default();
        let sent = breaker.mark();
        assert!(!breaker.is_heard_since(sent));
        breaker.note_reply();
        assert!(breaker.is_heard_since(sent));
        breaker.note_failure(Weight::Silence(sent), at(600));
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn one_trial_at_a_time_and_each_wait_is_twice_the_one_before() {
        let breaker = opened(silence);
        let mut trials = Vec::new();
        for millis in (0..130_000).step_by(100) {
            if breaker.claim_trial(false, at(millis)) {
                assert!(!breaker.claim_trial(false, at(millis)), "somebody else has it");
                trials.push(millis / 1000);
            }
        }
        assert_eq!(trials, [1, 3, 7, 15, 31, 61, 91, 121]);
    }

    #[test]
    fn the_last_upstream_is_tried_more_often() {
        let breaker = opened(silence);
        let trials: Vec<u64> = (0..30).filter(|s| breaker.claim_trial(true, at(s * 1000))).collect();
        assert_eq!(trials, [1, 3, 7, 12, 17, 22, 27]);
    }

    #[test]
    fn waits_begin_anew_when_it_opens_again() {
        let breaker = opened(silence);
        assert!(breaker.claim_trial(false, at(1000)) && breaker.claim_trial(false, at(3000)));
        breaker.note_success();
        assert!(!breaker.claim_trial(false, at(60_000)));
        for _ in 0..3 {
            breaker.note_failure(silence(&breaker), at(100_000));
        }
        assert_eq!(breaker.trial_in(at(100_000)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn who_answers_with_errors_is_a_last_resort_until_it_falls_silent() {
        let breaker = opened(|_| Weight::Reply);
        assert!(!breaker.is_closed() && breaker.is_last_resort());
        for mute in 1..=3 {
            assert!(breaker.is_last_resort());
            breaker.note_failure(silence(&breaker), at(5));
            breaker.note_failure(Weight::None, at(5));
            assert_eq!(breaker.failures(), 3 + mute);
        }
        assert!(!breaker.is_last_resort());
        breaker.note_reply();
        assert!(!breaker.is_closed() && breaker.is_last_resort(), "it speaks, but has answered nothing");
    }

    #[test]
    fn late_error_codes_make_a_row_of_silences_one_of_errors() {
        let breaker = Breaker::default();
        let opens: Vec<bool> = (0..3)
            .map(|_| {
                let silence = silence(&breaker);
                breaker.note_life();
                breaker.note_failure(silence, at(0))
            })
            .collect();
        breaker.note_life();
        assert_eq!(opens, [false, false, true], "each has failed its question, which others answer sooner");
        assert!(breaker.is_last_resort(), "who has no other goes on asking it");
    }
}
