//! One question put to the upstreams of its domain, until one answers or the time is over.
//!
//! At most `max_sends` queries leave, over all upstreams together. What has been sent stays valid:
//! a late reply to the first try is as good as one to the last. An upstream that fails is left for
//! the next one at once; silence is waited out.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::candidate::{Candidate, candidates};
use super::head::{FIRST, Head, Heard};
use super::pending::{Event, Place, What};
use super::verdict::{Fault, is_answer, verdict};
use super::{Ask, ExchangeError, Forwarder, Route};
use crate::metrics::UpstreamFault;
use crate::wire::ask::read_reply;
use crate::wire::{Learned, Name, Rcode, Rtype, learn};

/// A question under way.
pub(super) struct Exchange<'a> {
    pub(super) forwarder: &'a Forwarder,
    pub(super) ask: &'a Ask,
    route: &'a Route,
    pub(super) question: Arc<(Name, Rtype)>,
    pub(super) candidates: Vec<Candidate>,
    /// Dropped with the exchange: until then late replies find it.
    pub(super) places: Vec<Place>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) streams: JoinSet<(usize, io::Result<Vec<u8>>)>,
    pub(super) sends: u32,
    started: Instant,
    next_at: Option<Instant>,
    fail_over: bool,
}

/// Puts `ask` to the upstreams of `route`.
pub(super) async fn exchange(
    forwarder: &Forwarder,
    ask: &Ask,
    route: &Route,
) -> Result<Learned, ExchangeError> {
    let found = forwarder.loops.subscribe();
    let candidates = candidates(route, ask.qname.as_ref(), forwarder.clock.now())?;
    let (sender, events) = mpsc::channel(route.max_events());
    let mut exchange = Exchange::new(forwarder, ask, route, candidates, sender);
    exchange.send_next().await;
    exchange.run(events, found).await
}

/// Goes on with `ask`, whose first query has been sent already.
pub(super) async fn resume(
    forwarder: &Forwarder,
    ask: &Ask,
    head: &Head,
    heard: Heard,
) -> Result<Learned, ExchangeError> {
    let (route, now, found) = (&*head.route, forwarder.clock.now(), forwarder.loops.subscribe());
    let mut others = candidates(route, ask.qname.as_ref(), now).unwrap_or_default();
    others.retain(|c| !Arc::ptr_eq(&c.upstream, head.upstream()));
    let first = Candidate::asked(head.upstream(), Instant::from_std(head.started));
    others.insert(FIRST, first);
    let mut exchange = Exchange::new(forwarder, ask, route, others, heard.sender);
    exchange.sends = 1;
    exchange.started = Instant::from_std(head.started);
    exchange.next_at = Some(exchange.started + route.first_patience());
    if head.upstream().isolation.covers(ask.qname.as_ref(), now) {
        exchange.fail(FIRST, Fault::looping(head.upstream()));
        exchange.send_next().await;
    }
    exchange.run(heard.receiver, found).await
}

impl<'a> Exchange<'a> {
    fn new(
        forwarder: &'a Forwarder,
        ask: &'a Ask,
        route: &'a Route,
        candidates: Vec<Candidate>,
        events: mpsc::Sender<Event>,
    ) -> Self {
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
            started: Instant::now(),
            next_at: None,
            fail_over: false,
        }
    }
}

impl Exchange<'_> {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut found: watch::Receiver<u64>,
    ) -> Result<Learned, ExchangeError> {
        let (ask, deadline) = (self.ask, self.started + self.route.timeout);
        while self.candidates.iter().any(Candidate::is_awaited) {
            let timer = self.next_at.unwrap_or(deadline).min(deadline);
            let learned = tokio::select! {
                biased;
                () = ask.signs.changed() => None,
                Ok(()) = found.changed() => self.leave_looping(),
                Some(event) = events.recv() => self.on_event(event),
                Some(Ok((index, result))) = self.streams.join_next() => self.on_stream(index, result),
                () = sleep_until(timer) => {
                    if timer == deadline {
                        self.give_up();
                        break;
                    }
                    self.on_silence().await;
                    None
                }
            };
            if let Some(upstream) = ask.signs.looped() {
                return Err(ExchangeError::Looping { upstream: upstream.into(), known: false });
            }
            if let Some(learned) = learned {
                return Ok(learned);
            }
            if std::mem::take(&mut self.fail_over) && self.candidates.iter().any(Candidate::is_untried) {
                self.send_next().await;
            }
        }
        Err(verdict(&self.candidates))
    }

    /// Sends the next query, to the upstream that is next; none if none may be sent.
    async fn send_next(&mut self) {
        self.next_at = None;
        while self.sends < self.route.max_sends {
            let Some(index) = self.pick() else {
                // A suspected loop: what has been asked is asked again once that is settled.
                let awaited = self.candidates.iter().filter(|c| c.is_awaited() && !c.over_tcp);
                self.next_at = awaited.filter_map(|c| c.upstream.isolation.round_ends()).min();
                return;
            };
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
            c.fault.is_none() && !c.over_tcp && (c.tries == 0 || c.upstream.isolation.round_ends().is_none())
        };
        let open = self.candidates.iter().enumerate().filter(|(_, c)| may(c));
        open.min_by_key(|(index, c)| (c.tries, *index)).map(|(index, _)| index)
    }

    /// How long the query just sent is waited for before the next: 15 % of the whole time, after
    /// the second to 37.5 % of it, then another quarter each.
    fn patience(&self) -> Instant {
        let whole = self.route.timeout;
        let step = self.route.first_patience();
        let slot = match self.sends {
            0 | 1 => step,
            n => whole.mul_f64(0.375 + 0.25 * f64::from(n - 2)),
        };
        (self.started + slot).max(Instant::now() + step)
    }

    fn on_event(&mut self, event: Event) -> Option<Learned> {
        let candidate = self.candidates.get(event.tag)?;
        match event.what {
            What::Reply(message) if !candidate.over_tcp => return self.take(event.tag, &message, false),
            What::Reply(_) => {}
            // Somebody may be guessing: over TCP that is out of reach.
            What::Mismatch => self.ask_over_tcp(event.tag),
            What::Io(_) if candidate.over_tcp => {}
            What::Io(kind) => {
                let fault = Fault::network(&candidate.upstream, &kind.into());
                self.fail(event.tag, fault);
            }
        }
        None
    }

    fn on_stream(&mut self, index: usize, result: io::Result<Vec<u8>>) -> Option<Learned> {
        let upstream = &self.candidates.get(index)?.upstream;
        match result {
            Ok(message) => self.take(index, &message, true),
            Err(error) => {
                let fault = Fault::stream(upstream, &error);
                self.fail(index, fault);
                None
            }
        }
    }

    /// Takes a response: the answer, or what else it leads to.
    fn take(&mut self, index: usize, message: &[u8], over_tcp: bool) -> Option<Learned> {
        let ask = self.ask;
        let reply = read_reply(message, ask.qname.as_ref(), ask.qtype)?;
        if reply.truncated && !over_tcp {
            self.ask_over_tcp(index);
            return None;
        }
        if self.try_without_edns(index, reply.rcode) {
            return None;
        }
        let candidate = self.candidates.get(index)?;
        let upstream = Arc::clone(&candidate.upstream);
        let fault = match learn(message, ask.qname.as_ref(), ask.qtype, ask.dnssec_ok) {
            _ if reply.truncated => Fault::malformed(&upstream, "a truncated response over TCP"),
            Ok(learned) if is_answer(learned.rcode) => {
                upstream.note_success(candidate.started.elapsed());
                return Some(learned);
            }
            Ok(learned) => Fault::rcode(&upstream, learned.rcode, learned.ede),
            Err(_) if !is_answer(reply.rcode) => Fault::rcode(&upstream, reply.rcode, None),
            Err(malformed) => Fault::malformed(&upstream, &malformed.to_string()),
        };
        self.fail(index, fault);
        None
    }

    /// An old server may not understand our OPT; then it is asked again without
    /// (RFC 6891 §6.2.2), unless signatures are wanted, which need it.
    fn try_without_edns(&mut self, index: usize, rcode: Rcode) -> bool {
        let may = self.sends < self.route.max_sends && !self.ask.dnssec_ok;
        let Some(candidate) = self.candidates.get_mut(index) else { return false };
        if !may || ![Rcode::FORMERR, Rcode::NOTIMP].contains(&rcode) || !candidate.edns {
            return false;
        }
        candidate.edns = false;
        candidate.over_tcp = false;
        candidate.tries = 0;
        self.fail_over = true;
        true
    }

    /// The query sent last has not been answered in the usual time.
    async fn on_silence(&mut self) {
        let now = self.forwarder.clock.now();
        let joined = self.ask.signs.is_joined();
        for candidate in self.candidates.iter_mut().filter(|c| c.is_awaited()) {
            if !std::mem::replace(&mut candidate.late, true) {
                candidate.upstream.note_failure(UpstreamFault::Timeout, true, now);
            }
            if joined {
                self.forwarder.probe(&candidate.upstream, self.route, self.ask.qname.as_ref());
            }
        }
        self.send_next().await;
    }

    /// A loop has been found: leaves the upstreams that it concerns.
    fn leave_looping(&mut self) -> Option<Learned> {
        let now = self.forwarder.clock.now();
        for index in 0..self.candidates.len() {
            let Some(candidate) = self.candidates.get(index) else { continue };
            if candidate.fault.is_none() && candidate.upstream.isolation.covers(self.ask.qname.as_ref(), now)
            {
                let fault = Fault::looping(&candidate.upstream);
                self.fail(index, fault);
            }
        }
        None
    }

    /// The time is over: whoever is still awaited has failed.
    fn give_up(&mut self) {
        for index in 0..self.candidates.len() {
            if let Some(candidate) = self.candidates.get(index).filter(|c| c.is_awaited()) {
                let fault = Fault::silence(&candidate.upstream);
                self.fail(index, fault);
            }
        }
    }

    /// Notes that an upstream has failed this question, and that the next may be asked at once.
    fn fail(&mut self, index: usize, fault: Fault) {
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        // A marked question may be a forged one: what it is answered is not held against anybody.
        let marked = self.ask.stamps.hops() > 0 && fault.kind == UpstreamFault::Rcode;
        let counts = !marked && !candidate.late && fault.kind != UpstreamFault::Loop;
        if !(candidate.late && fault.kind == UpstreamFault::Timeout) {
            candidate.upstream.note_failure(fault.kind, counts, self.forwarder.clock.now());
        }
        candidate.fault = Some(fault);
        self.fail_over = true;
    }
}
