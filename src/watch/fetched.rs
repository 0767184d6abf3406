//! Who has answered the questions that were put to upstreams a moment ago, for the query log.
//!
//! A few places, each the last answer of the questions that fall to it: whoever waited for an answer looks here on
//! the same thread, microseconds after it has come. What another question has overwritten meanwhile is not named.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// Places, a power of two.
const PLACES: usize = 256;

/// The upstream that has answered a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Its name.
    pub upstream: Arc<str>,
    /// How long it took for it.
    pub took: Duration,
}

#[derive(Debug)]
struct Answer {
    question: u64,
    at: Duration,
    by: By,
}

/// The last answers.
#[derive(Debug)]
pub(super) struct Fetched(Box<[Mutex<Option<Answer>>]>);

impl Fetched {
    /// None yet.
    pub fn new() -> Self {
        Self((0..PLACES).map(|_| Mutex::default()).collect())
    }

    /// Notes who has answered a question, known by its hash, at a time on the clock. Waits for nobody.
    pub fn note(&self, question: u64, by: By, at: Duration) {
        match self.place(question).map(Mutex::try_lock) {
            Some(Ok(mut place)) => *place = Some(Answer { question, at, by }),
            Some(Err(TryLockError::Poisoned(place))) => {
                *place.into_inner() = Some(Answer { question, at, by });
            }
            Some(Err(TryLockError::WouldBlock)) | None => {}
        }
    }

    /// Who has answered it since a time on the clock.
    pub fn find(&self, question: u64, since: Duration) -> Option<By> {
        let place = self.place(question)?.lock().unwrap_or_else(PoisonError::into_inner);
        place
            .as_ref()
            .filter(|answer| answer.question == question && answer.at >= since)
            .map(|a| a.by.clone())
    }

    fn place(&self, question: u64) -> Option<&Mutex<Option<Answer>>> {
        self.0.get((question >> 32) as usize % PLACES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_by_who_asked_before_it_came_and_by_nobody_else() {
        let fetched = Fetched::new();
        let by = |upstream: &str| By { upstream: upstream.into(), took: Duration::from_millis(7) };
        let at = Duration::from_millis;
        fetched.note(5 << 32, by("10.0.0.2"), at(100));
        assert_eq!(fetched.find(5 << 32, at(90)), Some(by("10.0.0.2")));
        assert_eq!(fetched.find(5 << 32, at(101)), None, "an answer to somebody before");
        assert_eq!(fetched.find((5 << 32) + 1, at(90)), None, "another question of the same place");
        fetched.note((5 << 32) + 1, by("10.0.0.3"), at(110));
        assert_eq!(fetched.find(5 << 32, at(90)), None, "overwritten");
        assert_eq!(fetched.find((5 << 32) + 1, at(90)), Some(by("10.0.0.3")));
    }
}
