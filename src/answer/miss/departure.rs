//! How a question is taken in and asked: by a lane, by an exchange, or by the one and then the other.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::time::timeout_at;

use super::flights::{Applicant, Kind, Landed, Seat, Standing, Takeover, Waiter};
use super::{Done, Shared, Want};
use crate::clock::Moment;
use crate::metrics::Refusal;
use crate::upstream::{
    Ask, Errand, ExchangeError, Head, Heard, Lane, NotSent, Question, Signs, Stamps, What,
};

/// How a lane may ask a question itself.
pub(super) struct Quick<'a> {
    lane: &'a mut Lane,
    head: Head,
    /// What had been fetched when the cache was found without an answer.
    seen: Option<Landed>,
}

impl Shared {
    /// Takes in a question: `lane` begins with it if it is nothing special.
    pub(super) fn place(
        self: &Arc<Self>,
        want: Want,
        now: Moment,
        stamps: Stamps,
        done: Box<dyn Done>,
        lane: Option<(&mut Lane, Option<Landed>)>,
    ) {
        let started = lane.as_ref().map_or_else(Instant::now, |(lane, _)| lane.now());
        let look = self.forwarder.look(want.question.qname(), want.client.ip(), started, now);
        let scarce = look.head.as_ref().filter(|head| head.is_scarce(now));
        if let Some(spared) = scarce.and_then(|_| self.spared(&want, now)) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return done.told(spared, now);
        }
        let head = look.head.filter(|_| stamps.hops() == 0);
        let head =
            head.and_then(|head| match self.keepings.load().hurry(want.question.qname(), head.patience()) {
                Some(timer) => head.hurried(timer),
                None => Some(head),
            });
        let quick = lane.zip(head);
        let quick = quick.map(|((lane, seen), head)| Quick { lane, head, seen });
        self.seat(want, now, stamps, look.from_upstream, done, quick);
    }

    /// Joins a question in flight, finds the answer after all, or starts asking. What comes
    /// `from_upstream` may be a question of ours, and joins whatever its DO and CD.
    pub(super) fn seat(
        self: &Arc<Self>,
        want: Want,
        now: Moment,
        stamps: Stamps,
        from_upstream: bool,
        done: Box<dyn Done>,
        quick: Option<Quick<'_>>,
    ) {
        let kind = Kind {
            dnssec_ok: want.dnssec_ok,
            checking_disabled: want.checking_disabled,
            hops: stamps.hops(),
        };
        let waiter = Waiter::new(want.must_exist, done);
        let head = quick.as_ref().map(|quick| quick.head.clone());
        let seen = quick.as_ref().and_then(|quick| quick.seen);
        let again = || Box::new((want.clone(), stamps.clone()));
        let applicant = Applicant { kind, waiter, returns: from_upstream.then_some(again), head, seen };
        let max_waiters = self.max_waiters.load(Ordering::Relaxed);
        // Asked under the lock of the question: who lands puts the answer in before it leaves.
        let seat = self.flights.seat(&want.question, applicant, max_waiters, || self.known(&want, now));
        if from_upstream && seat.is_shared() {
            self.forwarder.suspect(want.question.qname(), want.client.ip());
        }
        match seat {
            Seat::Joined(takeover) => {
                self.metrics.coalesced.increment(1);
                takeover.into_iter().for_each(|takeover| self.take_over(&want.question, takeover));
            }
            Seat::Known(waiter, fetched) => self.finish(waiter, fetched, now),
            Seat::Full(waiter) => {
                self.metrics.refused(Refusal::Waiters);
                let text = "too many clients wait for this answer";
                self.finish(waiter, self.refused(&want.key(), want.must_exist, text, now), now);
            }
            Seat::Started { number, signs: Some(signs), .. } => {
                // What would fail at once is not worth a task: in an outage that is every question.
                if let Some(error) = self.forwarder.foreseen(want.question.qname(), now) {
                    return self.land(&want.question, kind, number, Err(error));
                }
                let ask = ask(&want.question, kind, stamps, signs);
                self.fly(want.question, kind, number, ask, None);
            }
            Seat::Started { number, .. } => {
                let Want { question, dnssec_ok, checking_disabled, .. } = want;
                let errand = Errand { question, dnssec_ok, checking_disabled, number };
                if let Some(Quick { lane, head, .. }) = quick {
                    self.send(lane, &head, errand);
                }
            }
        }
    }

    /// Has a lane send the first query.
    fn send(self: &Arc<Self>, lane: &mut Lane, head: &Head, errand: Errand) {
        match lane.send(head, errand) {
            Ok(()) => {}
            Err((NotSent::Network(kind), errand)) => {
                self.hand_over(&errand, Some(What::Io(kind)));
            }
            Err((NotSent::NoRoom, errand)) => {
                if let Standing::Begins(takeover, _) = self.flights.hand_over(&errand.question, errand.number)
                {
                    let Takeover { number, kind, signs, .. } = takeover;
                    let ask = ask(&errand.question, kind, Stamps::default(), signs);
                    self.fly(errand.question, kind, number, ask, None);
                }
            }
        }
    }

    /// Has an exchange answer what a lane has begun, and tells it what has happened to the lane's
    /// query. Returns whether anybody waits for the answer.
    pub(super) fn hand_over(self: &Arc<Self>, errand: &Errand, what: Option<What>) -> bool {
        let line = match self.flights.hand_over(&errand.question, errand.number) {
            Standing::Gone => return false,
            Standing::Handed(line) => line,
            Standing::Begins(takeover, line) => {
                self.take_over(&errand.question, takeover);
                line
            }
        };
        what.is_none_or(|what| line.tell(what))
    }

    pub(super) fn take_over(self: &Arc<Self>, question: &Question, takeover: Takeover) {
        let Takeover { number, kind, signs, head, heard } = takeover;
        // A lane is not given questions that come with stamps.
        let ask = ask(question, kind, Stamps::default(), signs);
        self.fly(question.clone(), kind, number, ask, Some((head, heard)));
    }

    /// Starts an exchange, or goes on with what a lane has begun.
    fn fly(
        self: &Arc<Self>,
        question: Question,
        kind: Kind,
        number: u64,
        ask: Ask,
        begun: Option<(Head, Heard)>,
    ) {
        self.airborne.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { shared: Arc::clone(self), question, kind, number, ask: Some(ask) };
        self.runtime.spawn(landing.fly(begun));
    }
}

fn ask(question: &Question, kind: Kind, stamps: Stamps, signs: Arc<Signs>) -> Ask {
    Ask {
        qname: question.qname().to_owned(),
        qtype: question.qtype(),
        dnssec_ok: kind.dnssec_ok,
        checking_disabled: kind.checking_disabled,
        stamps,
        signs,
    }
}

/// A question being asked. However it ends, those who wait are told.
struct Landing {
    shared: Arc<Shared>,
    question: Question,
    kind: Kind,
    number: u64,
    ask: Option<Ask>,
}

impl Landing {
    async fn fly(mut self, begun: Option<(Head, Heard)>) {
        if let Some(ask) = self.ask.clone() {
            let started = begun.as_ref().map(|(head, _)| tokio::time::Instant::from_std(head.started()));
            let started = started.unwrap_or_else(tokio::time::Instant::now);
            let overdue = started + self.shared.stale_timer(&self.question);
            let forwarder = Arc::clone(&self.shared.forwarder);
            let mut exchange = pin!(async {
                match begun {
                    Some((head, heard)) => forwarder.resume(&ask, &head, heard).await,
                    None => forwarder.exchange(&ask).await,
                }
            });
            let result = match timeout_at(overdue, &mut exchange).await {
                Ok(result) => result,
                Err(_) => {
                    self.shared.overdue(&self.question, self.kind, self.number);
                    exchange.await
                }
            };
            self.ask = None;
            self.shared.land(&self.question, self.kind, self.number, result);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.airborne.fetch_sub(1, Ordering::Relaxed);
        if self.ask.take().is_some() {
            self.shared.land(&self.question, self.kind, self.number, Err(ExchangeError::Stopped));
        }
    }
}
