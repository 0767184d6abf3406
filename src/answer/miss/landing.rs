//! How a question ends: what was brought is kept, and all who wait are told.

use std::sync::Arc;
use std::time::Duration;

use super::flights::{Flight, Kind};
use super::{Fetched, Shared, failure};
use crate::answer::settings::Keeping;
use crate::cache::CacheKey;
use crate::clock::Moment;
use crate::upstream::{Errand, ExchangeError, Memory, Question, What};
use crate::wire::Learned;

impl Shared {
    /// Ends a flight: what it brought is kept, and all who wait for it are told.
    pub(super) fn land(
        self: &Arc<Self>,
        question: &Question,
        kind: Kind,
        number: u64,
        result: Result<Learned, ExchangeError>,
    ) {
        let (now, mut outcome) = (self.clock.now(), None);
        let flight = self.flights.land(question, number, |flight| {
            outcome = Some(self.keep(question, kind, flight, result, now));
        });
        if let (Some(flight), Some(outcome)) = (flight, outcome) {
            self.tell_all(flight, outcome, now);
        }
    }

    /// Ends a flight with what a lane brought, or tells the exchange that has taken over.
    pub(super) fn land_quick(
        self: &Arc<Self>,
        errand: &Errand,
        learned: Learned,
        message: &[u8],
        now: Moment,
    ) {
        let (dnssec_ok, checking_disabled) = (errand.dnssec_ok, errand.checking_disabled);
        let kind = Kind { dnssec_ok, checking_disabled, hops: 0 };
        let mut outcome = None;
        let flight = self.flights.land_quick(&errand.question, errand.number, |flight| {
            outcome = Some(self.keep(&errand.question, kind, flight, Ok(learned), now));
        });
        match (flight, outcome) {
            (Ok(flight), Some(outcome)) => self.tell_all(flight, outcome, now),
            (Err(Some(line)), _) => {
                line.tell(What::Reply(message.to_vec()));
            }
            _ => {}
        }
    }

    fn tell_all(
        self: &Arc<Self>,
        flight: Flight,
        (fetched, denied): (Fetched, Option<Fetched>),
        now: Moment,
    ) {
        let (mut left, mut fetched) = (flight.waiters.len(), Some(fetched));
        for mut waiter in flight.waiters {
            left -= 1;
            // Mostly one waits, who gets it without a copy.
            let fetched = if left == 0 { fetched.take() } else { fetched.clone() };
            let Some(fetched) = fetched else { break };
            if let Some(again) = waiter.again.take() {
                let (want, stamps) = *again;
                match &fetched {
                    // It has been answered, so it was no loop: a client on the upstream's host.
                    Fetched::Entry(_) => {
                        self.seat(want, now, stamps, false, waiter.into_done(), None);
                        continue;
                    }
                    // What stands in for one kind is not of the other.
                    Fetched::Stale(_, failure) => {
                        let own = self.instead(&want.key(), want.must_exist, Arc::clone(failure), now);
                        self.finish(waiter, own, now);
                        continue;
                    }
                    Fetched::Failed(_) => {}
                }
            }
            let denied = denied.as_ref().filter(|_| waiter.must_exist).cloned();
            self.finish(waiter, denied.unwrap_or(fetched), now);
        }
    }

    /// Holds lifetimes down to what the domain's rules allow.
    fn cap(&self, key: &CacheKey<'_>, learned: &mut Learned) {
        let keepings = self.keepings.load();
        let Keeping { max_ttl, max_negative_ttl, .. } = keepings.find(key.qname);
        let seconds = |span: &Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        if seconds(max_ttl.min(max_negative_ttl)) < u32::MAX {
            learned.cap_ttls(seconds(max_ttl), seconds(max_negative_ttl));
        }
    }

    /// The answer, unless it leads a name to private addresses that is protected from that. A name that a zone
    /// here holds is the operator's own.
    fn screened(&self, question: &Question, flight: &Flight, learned: Learned) -> Learned {
        let protected = self.protected.load();
        let Some(protected) = protected.as_ref() else { return learned };
        if flight.must_exist {
            return learned;
        }
        let withheld = protected.screen(question.qname(), &learned);
        if withheld.is_some() {
            self.metrics.withheld.increment(1);
        }
        withheld.unwrap_or(learned)
    }

    /// Keeps what a flight brought. Returns it, and what those get to whom it cannot be true.
    fn keep(
        &self,
        question: &Question,
        kind: Kind,
        flight: &Flight,
        result: Result<Learned, ExchangeError>,
        now: Moment,
    ) -> (Fetched, Option<Fetched>) {
        let key = kind.key(question);
        let result = result.map(|learned| self.screened(question, flight, learned));
        match result {
            Ok(mut learned) => {
                if let Some(kept) = self.doubts(&key, &learned, now) {
                    return (kept, None);
                }
                self.cap(&key, &mut learned);
                if learned.denies_qname() && flight.must_exist {
                    let denied = failure("the upstream denies a name that a zone here holds");
                    let denied = self.cache.remember_failure(&key, denied, now);
                    let denied = self.instead(&key, true, denied, now);
                    return (Fetched::Entry(self.cache.entry(&key, learned, now)), Some(denied));
                }
                (Fetched::Entry(self.cache.insert(&key, learned, now)), None)
            }
            Err(error) => {
                tracing::debug!(qname = %question.qname(), qtype = %question.qtype(), %error, "no answer");
                let memory = if may_be_forged(kind, &error) { Memory::None } else { error.memory() };
                self.failed(&key, error.failure(), (memory, flight.must_exist), now)
            }
        }
    }
}

/// Whether the failure may come of a forged marker: it then is nobody else's.
fn may_be_forged(kind: Kind, error: &ExchangeError) -> bool {
    kind.hops > 0 && matches!(error, ExchangeError::Failed { refused: true, .. })
}
