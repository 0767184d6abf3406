//! The questions in flight, and who waits for each.
//!
//! One lock covers all flights of a name and type. It is held for a lookup in the cache at most,
//! never while waiting, and the cache does not know of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;

use super::{Done, Fetched, Want};
use crate::upstream::{Signs, Stamps};
use crate::wire::{Name, Rtype};

/// What else tells flights for one name and type apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) dnssec_ok: bool,
    pub(super) checking_disabled: bool,
    /// Stamps in the marker of the first who asked, as far as anybody knows forged ones.
    pub(super) hops: usize,
}

impl Kind {
    /// Whether one who asks in this way may wait for a flight of the kind `other`: never for one
    /// with a longer marker, or a forger could have it refused further on for everybody.
    fn may_join(self, other: Kind) -> bool {
        self.is_answered_by(other) && self.hops >= other.hops
    }

    /// Whether what answers the kind `other` answers this one.
    fn is_answered_by(self, other: Kind) -> bool {
        self.dnssec_ok == other.dnssec_ok && self.checking_disabled == other.checking_disabled
    }
}

/// One who waits.
pub(super) struct Waiter {
    pub(super) must_exist: bool,
    /// What it asks by itself if the flight it waits for brings an answer: it asked with another
    /// DO or CD, and was let in only because it may be the question come back.
    pub(super) again: Option<Box<(Want, Stamps)>>,
    /// Never contended: the lock only makes what is called once fit for a shared map.
    done: Mutex<Done>,
}

impl Waiter {
    pub(super) fn new(must_exist: bool, done: Done) -> Self {
        Self { must_exist, again: None, done: Mutex::new(done) }
    }

    /// The same, with what to ask if it had to wait for another kind of question.
    pub(super) fn with_again(self, again: Option<Box<(Want, Stamps)>>) -> Self {
        Self { again, ..self }
    }

    pub(super) fn into_done(self) -> Done {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(self, fetched: Fetched) {
        self.into_done()(fetched);
    }
}

/// A question being asked, and who waits for it.
pub(super) struct Flight {
    number: u64,
    kind: Kind,
    signs: Arc<Signs>,
    pub(super) waiters: Vec<Waiter>,
}

/// Where one who asks ends up.
pub(super) enum Seat {
    /// Among those who wait already.
    Joined,
    /// The answer is there after all.
    Known(Waiter, Fetched),
    /// Too many wait already.
    Full(Waiter),
    /// First: the flight is to be started.
    Started {
        number: u64,
        signs: Arc<Signs>,
        /// The same is being asked in another way already.
        shared: bool,
    },
}

impl Seat {
    /// Whether the same question is in flight for another asker, too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Joined | Self::Full(_) | Self::Started { shared: true, .. })
    }
}

/// The questions in flight.
#[derive(Default)]
pub(super) struct Flights {
    by_question: DashMap<(Name, Rtype), Vec<Flight>>,
    numbers: AtomicU64,
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("questions", &self.by_question.len()).finish()
    }
}

impl Flights {
    /// Finds one who asks a seat. `returning`: it may be the question itself, sent back by an
    /// upstream that has changed its flags, and waits for it whatever its kind.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn seat(
        &self,
        qname: &Name,
        qtype: Rtype,
        kind: Kind,
        returning: bool,
        max_waiters: usize,
        mut waiter: Waiter,
        known: impl FnOnce() -> Option<Fetched>,
    ) -> Seat {
        let mut place = self.by_question.entry((qname.clone(), qtype)).or_default();
        let flights = place.value_mut();
        let shared = !flights.is_empty();
        flights.iter().for_each(|f| f.signs.join());
        let joins = |f: &&mut Flight| returning || kind.may_join(f.kind);
        if let Some(flight) = flights.iter_mut().find(joins) {
            if flight.waiters.len() >= max_waiters {
                return Seat::Full(waiter);
            }
            if kind.is_answered_by(flight.kind) {
                waiter.again = None;
            }
            flight.waiters.push(waiter);
            return Seat::Joined;
        }
        if let Some(fetched) = known() {
            drop(place);
            self.by_question.remove_if(&(qname.clone(), qtype), |_, flights| flights.is_empty());
            return Seat::Known(waiter, fetched);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let signs = Arc::new(Signs::default());
        if shared {
            signs.join();
        }
        waiter.again = None;
        flights.push(Flight { number, kind, signs: Arc::clone(&signs), waiters: vec![waiter] });
        Seat::Started { number, signs, shared }
    }

    /// Takes a flight out once `keep`, still under the lock, has put away what it brought.
    pub(super) fn land(
        &self,
        qname: &Name,
        qtype: Rtype,
        number: u64,
        keep: impl FnOnce(&Flight),
    ) -> Option<Flight> {
        let Place::Occupied(mut place) = self.by_question.entry((qname.clone(), qtype)) else {
            return None;
        };
        let index = place.get().iter().position(|f| f.number == number)?;
        let flight = place.get_mut().swap_remove(index);
        keep(&flight);
        if place.get().is_empty() {
            place.remove();
        }
        Some(flight)
    }

    /// Tells all flights of a question that it has come back through `upstream`.
    pub(super) fn come_back(&self, qname: &Name, qtype: Rtype, upstream: &str) {
        if let Some(flights) = self.by_question.get(&(qname.clone(), qtype)) {
            flights.iter().for_each(|f| f.signs.come_back(upstream));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(dnssec_ok: bool, hops: usize) -> Kind {
        Kind { dnssec_ok, checking_disabled: false, hops }
    }

    fn seat(flights: &Flights, kind: Kind, returning: bool, max: usize) -> Seat {
        let waiter = Waiter::new(false, Box::new(|_| ()));
        let qname = "a.test".parse().unwrap();
        flights.seat(&qname, Rtype::A, kind, returning, max, waiter, || None)
    }

    #[test]
    fn who_has_a_shorter_marker_never_waits_for_a_longer_one() {
        let flights = Flights::default();
        assert!(matches!(seat(&flights, kind(false, 2), false, 9), Seat::Started { shared: false, .. }));
        assert!(matches!(seat(&flights, kind(false, 2), false, 9), Seat::Joined));
        assert!(matches!(seat(&flights, kind(false, 3), false, 9), Seat::Joined));
        assert!(matches!(seat(&flights, kind(false, 0), false, 9), Seat::Started { shared: true, .. }));
    }

    #[test]
    fn what_an_upstream_sends_back_waits_for_any_flight_of_its_question() {
        let flights = Flights::default();
        seat(&flights, kind(false, 0), false, 9);
        assert!(matches!(seat(&flights, kind(true, 0), false, 9), Seat::Started { .. }));
        assert!(matches!(
            seat(&flights, Kind { checking_disabled: true, ..kind(true, 0) }, true, 9),
            Seat::Joined
        ));
    }

    #[test]
    fn those_who_wait_for_one_question_are_bounded() {
        let flights = Flights::default();
        for _ in 0..3 {
            assert!(!matches!(seat(&flights, kind(false, 0), false, 3), Seat::Full(_)));
        }
        assert!(matches!(seat(&flights, kind(false, 0), false, 3), Seat::Full(_)));
    }

    #[test]
    fn nothing_is_left_of_a_question_that_has_landed() {
        let flights = Flights::default();
        let qname: Name = "a.test".parse().unwrap();
        let Seat::Started { number, .. } = seat(&flights, kind(false, 0), false, 9) else { panic!() };
        seat(&flights, kind(false, 0), false, 9);
        let flight = flights.land(&qname, Rtype::A, number, |_| ()).unwrap();
        assert_eq!(flight.waiters.len(), 2);
        assert!(flights.by_question.is_empty());
        assert!(flights.land(&qname, Rtype::A, number, |_| ()).is_none());
    }
}
