//! The questions in flight, and who waits for each.
//!
//! One lock covers all flights of a name and type. It is held for a lookup in the cache at most,
//! never while waiting, and the cache does not know of it.

mod flight;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use super::few::Few;
use super::{Fetched, Want};
use crate::upstream::{Head, Line, Question, Signs, Stamps};
use crate::wire::Prehashed;

use flight::Course;

pub(super) use flight::{Flight, Kind, Takeover, Waiter};

/// Where one who asks ends up.
pub(super) enum Seat {
    /// Among those who wait already.
    Joined(Option<Takeover>),
    /// The answer is there after all.
    Known(Waiter, Fetched),
    /// Too many wait already.
    Full(Waiter),
    /// First: the flight is to be started.
    Started {
        number: u64,
        /// For the exchange; `None` where a lane is to begin.
        signs: Option<Arc<Signs>>,
        /// The same is being asked in another way already.
        shared: bool,
    },
}

impl Seat {
    /// Whether the same question is in flight for another asker, too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Joined(_) | Self::Full(_) | Self::Started { shared: true, .. })
    }
}

/// One who asks, and how.
pub(super) struct Applicant<A> {
    pub(super) kind: Kind,
    pub(super) waiter: Waiter,
    /// Set where it may be the question itself, sent back by an upstream that has changed its flags:
    /// it waits for it whatever its kind. Makes what is asked in the end if it was not.
    pub(super) returns: Option<A>,
    /// Set where a lane is to begin.
    pub(super) head: Option<Head>,
    /// What had been fetched when the cache was last found without an answer.
    pub(super) seen: Option<Landed>,
}

/// How a lane's flight stands.
pub(super) enum Standing {
    /// Nobody waits for it any more.
    Gone,
    /// An exchange has taken over.
    Handed(Line),
    /// An exchange is to take over now.
    Begins(Takeover, Line),
}

/// The questions in flight.
#[derive(Default)]
pub(super) struct Flights {
    by_question: DashMap<Question, Few<Flight>, Prehashed>,
    numbers: AtomicU64,
    /// Counted when what was brought is in the cache, and the flight is still there.
    landed: AtomicU64,
}

/// How many questions have been answered: as long as it is the same, nothing new is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed(u64);

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("questions", &self.by_question.len()).finish()
    }
}

impl Flights {
    /// What has been fetched by now.
    pub(super) fn landed(&self) -> Landed {
        Landed(self.landed.load(Ordering::Acquire))
    }

    /// Whether a question is being asked, whatever its flags.
    pub(super) fn is_asked(&self, question: &Question) -> bool {
        self.by_question.contains_key(question)
    }

    /// Finds one who asks a seat.
    pub(super) fn seat<A: FnOnce() -> Box<(Want, Stamps)>>(
        &self,
        question: &Question,
        applicant: Applicant<A>,
        max_waiters: usize,
        known: impl FnOnce() -> Option<Fetched>,
    ) -> Seat {
        let Applicant { kind, mut waiter, returns, head, seen } = applicant;
        let mut place = self.by_question.entry(question.clone()).or_default();
        let flights = place.value_mut();
        let shared = !flights.is_empty();
        flights.iter_mut().for_each(|f| f.course.join());
        let joins = |f: &&mut Flight| returns.is_some() || kind.may_join(f.kind);
        if let Some(flight) = flights.iter_mut().find(joins) {
            if flight.waiters.len() >= max_waiters {
                return Seat::Full(waiter);
            }
            // It may be a loop: an exchange hears at once when that is found out.
            let taken_over = if returns.is_some() { flight.take_over() } else { None };
            waiter.again = returns.filter(|_| !kind.is_answered_by(flight.kind)).map(|again| again());
            flight.must_exist |= waiter.must_exist;
            flight.waiters.push(waiter);
            return Seat::Joined(taken_over.map(|(takeover, _)| takeover));
        }
        // A flight of this question that has ended since was counted before it left its place here.
        let may_be_known = seen.is_none_or(|seen| seen != self.landed());
        if let Some(fetched) = may_be_known.then(known).flatten() {
            drop(place);
            self.by_question.remove_if(question, |_, flights| flights.is_empty());
            return Seat::Known(waiter, fetched);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (course, signs) = begin(head, shared);
        let must_exist = waiter.must_exist;
        flights.push(Flight { number, kind, course, must_exist, waiters: Few::of(waiter) });
        Seat::Started { number, signs, shared }
    }

    /// Takes a flight out once `keep`, still under the lock, has put away what it brought.
    pub(super) fn land(
        &self,
        question: &Question,
        number: u64,
        keep: impl FnOnce(&Flight),
    ) -> Option<Flight> {
        self.land_if(question, number, |flight| {
            keep(flight);
            Ok(())
        })
        .ok()
    }

    /// The same for what a lane brings, who does not land a flight that an exchange has taken over.
    ///
    /// # Errors
    /// The way to tell that exchange; `None` for a flight that is gone.
    pub(super) fn land_quick(
        &self,
        question: &Question,
        number: u64,
        keep: impl FnOnce(&Flight),
    ) -> Result<Flight, Option<Line>> {
        self.land_if(question, number, |flight| match &flight.course {
            Course::Exchange { line, .. } => Err(line.clone()),
            Course::Quick { .. } => {
                keep(flight);
                Ok(())
            }
        })
    }

    fn land_if(
        &self,
        question: &Question,
        number: u64,
        may: impl FnOnce(&Flight) -> Result<(), Option<Line>>,
    ) -> Result<Flight, Option<Line>> {
        let mut landed = Err(None);
        self.by_question.remove_if_mut(question, |_, flights| {
            landed = self.take(flights, number, may);
            flights.is_empty()
        });
        landed
    }

    fn take(
        &self,
        flights: &mut Few<Flight>,
        number: u64,
        may: impl FnOnce(&Flight) -> Result<(), Option<Line>>,
    ) -> Result<Flight, Option<Line>> {
        may(flights.iter().find(|f| f.number == number).ok_or(None)?)?;
        self.landed.fetch_add(1, Ordering::Release);
        flights.take(|f| f.number == number).ok_or(None)
    }

    /// Takes out those who wait for a flight, as far as `may` says, and leaves it in the air. Who waits with a
    /// question of another kind stays.
    pub(super) fn release(
        &self,
        question: &Question,
        number: u64,
        may: impl Fn(&Waiter) -> bool,
    ) -> Vec<Waiter> {
        let Some(mut flights) = self.by_question.get_mut(question) else { return Vec::new() };
        let Some(flight) = flights.iter_mut().find(|f| f.number == number) else { return Vec::new() };
        let waiters = std::mem::take(&mut flight.waiters).into_iter();
        let (released, kept): (Vec<_>, Vec<_>) = waiters.partition(|w| w.again.is_none() && may(w));
        kept.into_iter().for_each(|waiter| flight.waiters.push(waiter));
        released
    }

    /// How the flight that a lane has begun stands, after which it is an exchange's.
    pub(super) fn hand_over(&self, question: &Question, number: u64) -> Standing {
        let Some(mut flights) = self.by_question.get_mut(question) else { return Standing::Gone };
        let Some(flight) = flights.iter_mut().find(|f| f.number == number) else { return Standing::Gone };
        match flight.take_over() {
            Some((takeover, line)) => Standing::Begins(takeover, line),
            None => match &flight.course {
                Course::Exchange { line: Some(line), .. } => Standing::Handed(line.clone()),
                _ => Standing::Gone,
            },
        }
    }

    /// Tells all flights of a question that it has come back through `upstream`. Returns those that
    /// lanes have begun, which exchanges are to go on with: there may be others to ask.
    pub(super) fn come_back(&self, question: &Question, upstream: &str) -> Vec<Takeover> {
        let Some(mut flights) = self.by_question.get_mut(question) else { return Vec::new() };
        let mut taken_over = Vec::new();
        for flight in flights.iter_mut() {
            taken_over.extend(flight.take_over().map(|(takeover, _)| takeover));
            if let Course::Exchange { signs, .. } = &flight.course {
                signs.come_back(upstream);
            }
        }
        taken_over
    }
}

/// The course of a new flight, and for an exchange the signs it is to look at.
fn begin(head: Option<Head>, shared: bool) -> (Course, Option<Arc<Signs>>) {
    if let Some(head) = head {
        return (Course::Quick { head, is_joined: shared }, None);
    }
    let signs = Arc::new(Signs::default());
    if shared {
        signs.join();
    }
    (Course::Exchange { signs: Arc::clone(&signs), line: None }, Some(signs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Name, Rtype};

    fn kind(dnssec_ok: bool, hops: usize) -> Kind {
        Kind { dnssec_ok, checking_disabled: false, hops }
    }

    fn seat(flights: &Flights, kind: Kind, is_returning: bool, max: usize) -> Seat {
        let waiter = Waiter::new(false, Box::new(|_: Fetched| ()));
        let want = crate::answer::miss::Want {
            question: question(),
            dnssec_ok: false,
            checking_disabled: false,
            must_exist: false,
            client: ([192, 0, 2, 1], 1).into(),
            marker: None,
            was_in_use: false,
            renews: false,
        };
        let returns = is_returning.then_some(|| Box::new((want, Stamps::default())));
        flights.seat(&question(), Applicant { kind, waiter, returns, head: None, seen: None }, max, || None)
    }

    fn question() -> Question {
        let qname: Name = "a.test".parse().unwrap();
        Question::new(qname.as_ref(), Rtype::A)
    }

    #[test]
    fn who_has_a_shorter_marker_never_waits_for_a_longer_one() {
        let flights = Flights::default();
        assert!(matches!(seat(&flights, kind(false, 2), false, 9), Seat::Started { shared: false, .. }));
        assert!(matches!(seat(&flights, kind(false, 2), false, 9), Seat::Joined(None)));
        assert!(matches!(seat(&flights, kind(false, 3), false, 9), Seat::Joined(None)));
        assert!(matches!(seat(&flights, kind(false, 0), false, 9), Seat::Started { shared: true, .. }));
    }

    #[test]
    fn what_an_upstream_sends_back_waits_for_any_flight_of_its_question() {
        let flights = Flights::default();
        seat(&flights, kind(false, 0), false, 9);
        assert!(matches!(seat(&flights, kind(true, 0), false, 9), Seat::Started { .. }));
        assert!(matches!(
            seat(&flights, Kind { checking_disabled: true, ..kind(true, 0) }, true, 9),
            Seat::Joined(None)
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
        let Seat::Started { number, .. } = seat(&flights, kind(false, 0), false, 9) else { panic!() };
        seat(&flights, kind(false, 0), false, 9);
        assert!(matches!(flights.land_quick(&question(), number, |_| ()), Err(None)), "an exchange's");
        let flight = flights.land(&question(), number, |_| ()).unwrap();
        assert_eq!(flight.waiters.len(), 2);
        assert!(flights.by_question.is_empty());
        assert!(flights.land(&question(), number, |_| ()).is_none());
    }
}
