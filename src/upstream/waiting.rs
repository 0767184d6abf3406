//! What an exchange does while nothing comes: a second query, the next try, the end.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::breaker::Weight;
use super::budget::Leave;
use super::candidate::Candidate;
use super::choice::Order;
use super::exchange::Exchange;
use super::hedge::Hedge;
use super::verdict::Fault;
use crate::metrics::{HedgeOutcome, UpstreamFault};

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The answer is late.
    Hedge,
    /// The query sent last is waited for no longer before another is sent.
    Patience,
    /// Nothing but silence for too long.
    Quiet,
    /// The time is over.
    Deadline,
}

impl Exchange<'_> {
    /// What is next if nothing comes, and when.
    pub(super) fn next_timer(&self) -> (Timer, Instant) {
        let deadline = (Timer::Deadline, self.started + self.route.timeout);
        let timers = [
            (Timer::Deadline, Some(deadline.1)),
            (Timer::Quiet, self.quiet_at),
            (Timer::Patience, self.next_at),
            (Timer::Hedge, self.hedge_at),
        ];
        let set = timers.into_iter().filter_map(|(timer, at)| Some((timer, at?)));
        set.min_by_key(|(_, at)| *at).unwrap_or(deadline)
    }

    /// Sets the time after which the first query is late.
    pub(super) fn plan_hedge(&mut self) {
        let Some(first) = self.candidates.iter().find(|c| c.is_awaited() && !c.is_trial) else { return };
        if self.ask.stamps.hops() == 0 {
            let after = self.route.hedges_after(&first.upstream);
            self.hedge_at = after.map(|after| first.started + after);
        }
    }

    /// The answer is late: a second query may be faster. Not while a loop is thinkable, which would
    /// be fed by it, nor where packets are short.
    pub(super) async fn on_late(&mut self) {
        self.hedge_at = None;
        let now = self.forwarder.clock.now();
        let is_quiet = self.candidates.iter().all(|c| c.upstream.isolation.is_quiet(now));
        if self.sends != 1 || !is_quiet || self.ask.signs.is_joined() || self.hedge != Hedge::Ahead {
            return;
        }
        let Some(late) = self.candidates.iter().find(|c| c.is_awaited()) else { return };
        let other = self.hedge_elsewhere();
        let second = other.and_then(|index| self.candidates.get(index)).unwrap_or(late);
        let untried = self.candidates.iter().filter(|c| c.is_untried()).count();
        // Not in place of the first query to an upstream that is there for the case of need.
        let spare = (self.sends as usize).saturating_add(untried) < self.route.max_sends as usize;
        let may = other.is_some() || spare && !late.over_tcp && late.upstream.is_over_udp();
        if !may || !second.upstream.has_packets_to_spare(now) || !late.upstream.hedges.pay() {
            return;
        }
        late.upstream.pace.penalise(late.started.elapsed(), now);
        if !second.upstream.budget.take(second.upstream.packets(), now) {
            return;
        }
        let index = other.unwrap_or(self.candidates.len());
        if other.is_none() {
            let again = Candidate { edns: late.edns, ..Candidate::new(&late.upstream, now) };
            self.candidates.push(again);
        }
        self.hedge = Hedge::Sent(index);
        if let Err(fault) = self.send(index).await {
            self.fail(index, fault);
        }
    }

    /// The next upstream, where all are equals; else the same one gets the second query, too, from
    /// another socket.
    fn hedge_elsewhere(&self) -> Option<usize> {
        let untried = |c: &Candidate| c.is_untried() && c.upstream.breaker.is_closed();
        let equals = self.route.order != Order::Sequential;
        self.candidates.iter().position(untried).filter(|_| equals)
    }

    /// Counts what came of the second query, if there was one. `answered`: who has.
    pub(super) fn count_hedge(&mut self, answered: Option<usize>) {
        if let Hedge::Sent(index) = std::mem::replace(&mut self.hedge, Hedge::Over) {
            self.forwarder.metrics.hedged(match answered {
                Some(answered) if answered == index => HedgeOutcome::Won,
                Some(_) => HedgeOutcome::Lost,
                None => HedgeOutcome::Failed,
            });
        }
    }

    /// Waits for the packets of a query to this candidate, a moment at most. Returns whether it may leave.
    pub(super) async fn pay(&mut self, index: usize) -> bool {
        let Some(candidate) = self.candidates.get(index) else { return false };
        let packets = candidate.upstream.packets();
        match candidate.upstream.budget.reserve(packets, self.forwarder.clock.now()) {
            Leave::Now => true,
            Leave::In(wait) => {
                sleep(wait).await;
                true
            }
            Leave::Never => false,
        }
    }

    /// The budget of this candidate's upstream is used up. Where the order of upstreams means
    /// something the ones behind it are no substitute: they may deny what it knows.
    pub(super) fn refuse(&mut self, index: usize) {
        let Some(upstream) = self.candidates.get(index).map(|c| Arc::clone(&c.upstream)) else { return };
        let is_ordered = self.route.order == Order::Sequential;
        for other in 0..self.candidates.len() {
            let untried = self.candidates.get(other).is_some_and(Candidate::is_untried);
            if other == index || is_ordered && untried {
                self.fail(other, Fault::over_budget(&upstream));
            }
        }
    }

    /// The query sent last has not been answered in the usual time.
    pub(super) async fn on_silence(&mut self) {
        let now = self.forwarder.clock.now();
        let joined = self.ask.signs.is_joined();
        // A second query that left a moment ago is not late yet.
        let (step, at) = (self.route.first_patience(), Instant::now());
        let is_late = |c: &&mut Candidate| c.is_awaited() && at >= c.started + step;
        for candidate in self.candidates.iter_mut().filter(is_late) {
            if !std::mem::replace(&mut candidate.late, true) {
                let weight = Weight::Silence(candidate.mark);
                candidate.upstream.note_failure(UpstreamFault::Timeout, weight, now);
            }
            if joined {
                self.forwarder.probe(&candidate.upstream, self.route, self.ask.qname.as_ref());
            }
        }
        self.send_next().await;
    }

    /// Silence has lasted long. Whoever has answered somebody else meanwhile may be waited for: a
    /// slow recursion is no failure. The others will hardly come back within the client's patience.
    pub(super) fn on_quiet(&mut self) {
        self.quiet_at = None;
        // Who was asked a moment ago has its first patience, however long others were silent.
        let step = self.route.first_patience();
        let late =
            self.candidates.iter().filter(|c| c.is_awaited() && c.tries == 1).map(|c| c.started + step);
        if let Some(at) = late.max().filter(|at| *at > Instant::now()) {
            self.quiet_at = Some(at);
            return;
        }
        if self.candidates.iter().filter(|c| c.is_awaited()).all(Candidate::is_silent) {
            // Who was dead may be slow at first. Whoever asked need not wait for that; a trial can.
            for candidate in self.candidates.iter().filter(|c| c.is_awaited() && c.is_trial) {
                self.forwarder.try_out(self.ask, self.route, &candidate.upstream);
            }
            self.give_up();
        }
    }

    /// The time is over: whoever is still awaited has failed.
    pub(super) fn give_up(&mut self) {
        for index in 0..self.candidates.len() {
            if let Some(candidate) = self.candidates.get(index).filter(|c| c.is_awaited()) {
                let fault = Fault::silence(&candidate.upstream);
                self.fail(index, fault);
            }
        }
        // Nobody is asked any more.
        self.sends = self.route.max_sends;
    }
}
