//! One question put to the upstreams of its domain, until one answers or the time is over.
//!
//! At most `max_sends` queries leave, over all upstreams together. What has been sent stays valid:
//! a late reply to the first try is as good as one to the last. An upstream that fails is left for
//! the next one at once; silence is waited out. What replies lead to stands in `judging`, what
//! silence leads to in `waiting`.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::candidate::{Candidate, Candidates, candidates, unreachable};
use super::head::{FIRST, Head, Heard};
use super::hedge::Hedge;
use super::pending::{Event, Place};
use super::server::Upstream;
use super::verdict::{Fault, verdict};
use super::waiting::Timer;
use super::{Ask, ExchangeError, Forwarder, Route, Signs};
use crate::wire::{Learned, Name, Rtype};

/// A question under way.
pub(super) struct Exchange<'a> {
    pub(super) forwarder: &'a Forwarder,
    pub(super) ask: &'a Ask,
    pub(super) route: &'a Arc<Route>,
    pub(super) question: Arc<(Name, Rtype)>,
    pub(super) candidates: Vec<Candidate>,
    /// Dropped with the exchange: until then late replies find it.
    pub(super) places: Vec<Place>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) streams: JoinSet<(usize, io::Result<Vec<u8>>)>,
    pub(super) sends: u32,
    pub(super) started: Instant,
    pub(super) next_at: Option<Instant>,
    pub(super) hedge_at: Option<Instant>,
    pub(super) hedge: Hedge,
    /// When silence alone ends the exchange.
    pub(super) quiet_at: Option<Instant>,
    pub(super) fail_over: bool,
}

/// Puts `ask` to the upstreams of `route`.
pub(super) async fn exchange(
    forwarder: &Forwarder,
    ask: &Ask,
    route: &Arc<Route>,
) -> Result<Learned, ExchangeError> {
    let found = forwarder.loops.subscribe();
    let Candidates { all, trials } = candidates(route, ask.qname.as_ref(), None, forwarder.clock.now())?;
    trials.iter().for_each(|upstream| forwarder.try_out(ask, route, upstream));
    let (sender, events) = mpsc::channel(route.max_events());
    let mut exchange = Exchange::new(forwarder, ask, route, all, sender);
    exchange.send_next().await;
    exchange.candidates.iter().take(1).for_each(|first| first.upstream.hedges.earn());
    exchange.plan_hedge();
    exchange.run(events, found).await
}

/// Goes on with `ask`, whose first query has been sent already.
pub(super) async fn resume(
    forwarder: &Forwarder,
    ask: &Ask,
    head: &Head,
    heard: Heard,
) -> Result<Learned, ExchangeError> {
    let (route, now, found) = (&head.route, forwarder.clock.now(), forwarder.loops.subscribe());
    let mut others = Vec::new();
    if let Ok(Candidates { all, trials }) = candidates(route, ask.qname.as_ref(), Some(head.upstream()), now)
    {
        trials.iter().for_each(|upstream| forwarder.try_out(ask, &head.route, upstream));
        others = all;
    }
    others.retain(|c| !Arc::ptr_eq(&c.upstream, head.upstream()));
    let first = Candidate::asked(head.upstream(), Instant::from_std(head.started), head.mark, now);
    others.insert(FIRST, first);
    let mut exchange = Exchange::new(forwarder, ask, route, others, heard.sender);
    exchange.sends = 1;
    exchange.begin_at(Instant::from_std(head.started));
    exchange.next_at = Some(exchange.started + route.first_patience());
    exchange.plan_hedge();
    if head.upstream().isolation.covers(ask.qname.as_ref(), now) {
        exchange.fail(FIRST, Fault::looping(head.upstream()));
        exchange.send_next().await;
    }
    exchange.run(heard.receiver, found).await
}

/// Tries out an upstream whose breaker is open by one query for `ask`, which others answer.
pub(super) async fn try_out(forwarder: Arc<Forwarder>, ask: Ask, route: Arc<Route>, upstream: Arc<Upstream>) {
    let ask = Ask { signs: Arc::new(Signs::default()), ..ask };
    let candidate = Candidate { is_trial: true, ..Candidate::new(&upstream, forwarder.clock.now()) };
    let (sender, events) = mpsc::channel(route.max_events());
    let mut exchange = Exchange::new(&forwarder, &ask, &route, vec![candidate], sender);
    // Nobody waits for it, and an upstream may be slow at first.
    exchange.quiet_at = None;
    exchange.send_next().await;
    let outcome = exchange.run(events, forwarder.loops.subscribe()).await;
    tracing::debug!(%upstream, answers = outcome.is_ok(), "tried an upstream that kept failing");
}

impl<'a> Exchange<'a> {
    fn new(
        forwarder: &'a Forwarder,
        ask: &'a Ask,
        route: &'a Arc<Route>,
        candidates: Vec<Candidate>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let started = Instant::now();
        Self {
            forwarder,
            ask,
            route,
            question: Arc::new((ask.qname.clone(), ask.qtype)),
            candidates,
            places: Vec::new(),
            events,
            streams: JoinSet::new(),
            sends: 0,
            started,
            next_at: None,
            hedge_at: None,
            hedge: Hedge::Ahead,
            quiet_at: Some(started + route.silence),
            fail_over: false,
        }
    }
}

impl Exchange<'_> {
    fn begin_at(&mut self, started: Instant) {
        self.started = started;
        self.quiet_at = Some(started + self.route.silence);
    }

    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut found: watch::Receiver<u64>,
    ) -> Result<Learned, ExchangeError> {
        let ask = self.ask;
        while self.candidates.iter().any(Candidate::is_awaited) {
            let (timer, until) = self.next_timer();
            let learned = tokio::select! {
                biased;
                () = ask.signs.changed() => None,
                Ok(()) = found.changed() => self.leave_looping(),
                Some(event) = events.recv() => self.on_event(event),
                Some(Ok((index, result))) = self.streams.join_next() => self.on_stream(index, result),
                () = sleep_until(until) => {
                    self.on_timer(timer).await;
                    None
                }
            };
            if let Some(upstream) = ask.signs.looped() {
                self.leave(upstream);
            }
            if let Some((index, learned)) = learned {
                self.count_hedge(Some(index));
                return Ok(learned);
            }
            if std::mem::take(&mut self.fail_over) && self.candidates.iter().any(Candidate::is_untried) {
                self.send_next().await;
            }
        }
        self.count_hedge(None);
        // Breakers may have opened since the candidates were chosen: then nobody was asked, and nobody failed.
        match self.candidates.iter().all(|candidate| candidate.fault.is_none()) {
            true => Err(unreachable(self.route)),
            false => Err(verdict(&self.candidates)),
        }
    }

    async fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Hedge => self.on_late().await,
            Timer::Patience => self.on_silence().await,
            Timer::Quiet => self.on_quiet(),
            Timer::Deadline => self.give_up(),
        }
    }

    /// Sends the next query, to the upstream that is next; none if none may be sent.
    pub(super) async fn send_next(&mut self) {
        self.next_at = None;
        while self.sends < self.route.max_sends {
            let Some(index) = self.pick() else {
                // A suspected loop: what has been asked is asked again once that is settled.
                let awaited = self.candidates.iter().filter(|c| c.is_awaited() && !c.over_tcp);
                self.next_at = awaited.filter_map(|c| c.upstream.isolation.round_ends()).min();
                return;
            };
            if !self.pay(index).await {
                // What was sent before may still be answered.
                if self.candidates.get(index).is_some_and(Candidate::is_awaited) {
                    return;
                }
                self.refuse(index);
                continue;
            }
            match self.send(index).await {
                Ok(()) => {
                    self.next_at = Some(self.patience());
                    return;
                }
                Err(fault) => self.fail(index, fault),
            }
        }
    }

    /// The upstream least often asked, in order of preference, that may be asked now.
    fn pick(&self) -> Option<usize> {
        let may = |c: &Candidate| {
            let breaker = &c.upstream.breaker;
            let open =
                if c.is_trial { c.tries > 0 } else { !breaker.is_closed() && !breaker.is_last_resort() };
            let again = c.tries > 0 && c.upstream.isolation.round_ends().is_some();
            c.fault.is_none() && !c.over_tcp && !open && !again
        };
        let open = self.candidates.iter().enumerate().filter(|(_, c)| may(c));
        open.min_by_key(|(index, c)| (c.tries, *index)).map(|(index, _)| index)
    }

    /// How long the query just sent is waited for before the next: 15 % of the whole time, after
    /// the second to 37.5 % of it, then another quarter each. As long as there is somebody who has not
    /// been asked, 15 % each: all must have had their time when silence ends the exchange.
    fn patience(&self) -> Instant {
        let whole = self.route.timeout;
        let step = self.route.first_patience();
        let has_untried = self.candidates.iter().any(Candidate::is_untried);
        let slot = match self.sends {
            0 | 1 => step,
            n if has_untried => step * n,
            n => whole.mul_f64(0.375 + 0.25 * f64::from(n - 2)),
        };
        (self.started + slot).max(Instant::now() + step)
    }
}
