//! One question in flight: who brings the answer, and who waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::answer::miss::few::Few;
use crate::answer::miss::{Done, Fetched, Want};
use crate::cache::CacheKey;
use crate::clock::Moment;
use crate::upstream::{Head, Heard, Line, Question, Signs, Stamps};

/// What else tells flights for one name and type apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::answer::miss) struct Kind {
    pub(in crate::answer::miss) dnssec_ok: bool,
    pub(in crate::answer::miss) checking_disabled: bool,
    /// Stamps in the marker of the first who asked, as far as anybody knows forged ones.
    pub(in crate::answer::miss) hops: usize,
}

impl Kind {
    /// Whether one who asks in this way may wait for a flight of the kind `other`: never for one
    /// with a longer marker, or a forger could have it refused further on for everybody.
    pub(super) fn may_join(self, other: Kind) -> bool {
        self.is_answered_by(other) && self.hops >= other.hops
    }

    /// What an answer of this kind is found by in the cache.
    pub(in crate::answer::miss) fn key(self, question: &Question) -> CacheKey<'_> {
        CacheKey {
            qname: question.qname(),
            qtype: question.qtype(),
            dnssec_ok: self.dnssec_ok,
            checking_disabled: self.checking_disabled,
        }
    }

    /// Whether what answers the kind `other` answers this one.
    pub(super) fn is_answered_by(self, other: Kind) -> bool {
        self.dnssec_ok == other.dnssec_ok && self.checking_disabled == other.checking_disabled
    }
}

/// One who waits.
pub(in crate::answer::miss) struct Waiter {
    pub(in crate::answer::miss) must_exist: bool,
    /// What it asks by itself if the flight it waits for brings an answer: it asked with another
    /// DO or CD, and was let in only because it may be the question come back.
    pub(in crate::answer::miss) again: Option<Box<(Want, Stamps)>>,
    /// Never contended: the lock only makes what is called once fit for a shared map.
    done: Mutex<Box<dyn Done>>,
}

impl Waiter {
    pub(in crate::answer::miss) fn new(must_exist: bool, done: Box<dyn Done>) -> Self {
        Self { must_exist, again: None, done: Mutex::new(done) }
    }

    pub(in crate::answer::miss) fn into_done(self) -> Box<dyn Done> {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::answer::miss) fn tell(self, fetched: Fetched, now: Moment) {
        self.into_done().told(fetched, now);
    }
}

/// A question being asked, and who waits for it.
pub(in crate::answer::miss) struct Flight {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) course: Course,
    /// Somebody who waited for it knows that the name exists: it stays so when they are gone.
    pub(in crate::answer::miss) must_exist: bool,
    pub(in crate::answer::miss) waiters: Few<Waiter>,
}

/// Who brings the answer.
pub(super) enum Course {
    /// A lane, which has sent the head of an exchange, and for the moment nobody else.
    Quick {
        head: Head,
        /// Somebody else asks the same.
        is_joined: bool,
    },
    /// An exchange.
    Exchange {
        signs: Arc<Signs>,
        /// Where the lane that began it passes on what still comes.
        line: Option<Line>,
    },
}

impl Course {
    /// Notes that somebody else asks the same.
    pub(super) fn join(&mut self) {
        match self {
            Self::Quick { is_joined, .. } => *is_joined = true,
            Self::Exchange { signs, .. } => signs.join(),
        }
    }
}

/// What an exchange begins with that takes over from a lane.
pub(in crate::answer::miss) struct Takeover {
    pub(in crate::answer::miss) number: u64,
    pub(in crate::answer::miss) kind: Kind,
    pub(in crate::answer::miss) signs: Arc<Signs>,
    pub(in crate::answer::miss) head: Head,
    pub(in crate::answer::miss) heard: Heard,
}

impl Flight {
    /// Has an exchange go on where a lane has begun. `None`: one does so already.
    pub(super) fn take_over(&mut self) -> Option<(Takeover, Line)> {
        let Course::Quick { head, is_joined } = &self.course else { return None };
        let (signs, head) = (Arc::new(Signs::default()), head.clone());
        if *is_joined {
            signs.join();
        }
        let (line, heard) = head.line();
        self.course = Course::Exchange { signs: Arc::clone(&signs), line: Some(line.clone()) };
        Some((Takeover { number: self.number, kind: self.kind, signs, head, heard }, line))
    }
}
