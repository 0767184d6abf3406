//! What an exchange makes of what comes: the answer, another way, or a fault.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::breaker::Weight;
use super::budget::Leave;
use super::candidate::Candidate;
use super::choice::Order;
use super::exchange::Exchange;
use super::pending::{Event, What};
use super::verdict::{Fault, is_answer};
use crate::metrics::UpstreamFault;
use crate::wire::ask::read_reply;
use crate::wire::{Learned, Rcode, learn};

/// An answer, and the candidate that gave it.
type Answer = (usize, Learned);

impl Exchange<'_> {
    pub(super) fn on_event(&mut self, event: Event) -> Option<Answer> {
        let candidate = self.candidates.get(event.tag)?;
        match event.what {
            What::Reply(message) if !candidate.over_tcp => return self.take(event.tag, &message, false),
            What::Reply(_) => {}
            // Somebody may be guessing: over TCP that is out of reach.
            What::Mismatch => self.go_to_tcp(event.tag),
            What::Io(_) if candidate.over_tcp => {}
            What::Io(kind) => {
                let fault = Fault::network(&candidate.upstream, &kind.into());
                self.fail(event.tag, fault);
            }
        }
        None
    }

    pub(super) fn on_stream(&mut self, index: usize, result: io::Result<Vec<u8>>) -> Option<Answer> {
        let upstream = &self.candidates.get(index)?.upstream;
        // That too many of ours wait is not its fault.
        if result.as_ref().err().is_none_or(|error| error.kind() != io::ErrorKind::QuotaExceeded) {
            upstream.note_tcp(result.is_ok(), self.forwarder.clock.now());
        }
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
    fn take(&mut self, index: usize, message: &[u8], over_tcp: bool) -> Option<Answer> {
        let ask = self.ask;
        let reply = read_reply(message, ask.qname.as_ref(), ask.qtype)?;
        let candidate = self.candidates.get(index)?;
        let (upstream, now) = (Arc::clone(&candidate.upstream), self.forwarder.clock.now());
        upstream.breaker.note_reply();
        if let Some(tap) = self.forwarder.tap(&upstream, over_tcp) {
            tap.replied(message, candidate.streamed.unwrap_or(candidate.started).elapsed());
        }
        if reply.truncated && !over_tcp {
            self.after_truncation(index);
            return None;
        }
        if self.try_without_edns(index, reply.rcode) {
            return None;
        }
        let candidate = self.candidates.get(index)?;
        let fault = match learn(message, ask.qname.as_ref(), ask.qtype, ask.dnssec_ok) {
            _ if reply.truncated => Fault::malformed(&upstream, "a truncated response over TCP"),
            Ok(learned) if is_answer(learned.rcode) => {
                if !candidate.edns && upstream.takes_edns(now) {
                    upstream.note_refuses_edns(now);
                }
                let took = candidate.started.elapsed();
                upstream.note_success(took, now);
                if let Some(tap) = self.forwarder.tap(&upstream, over_tcp) {
                    tap.answered(ask.qname.as_ref(), ask.qtype, took);
                }
                return Some((index, learned));
            }
            Ok(learned) => Fault::rcode(&upstream, learned.rcode, learned.ede),
            Err(_) if !is_answer(reply.rcode) => Fault::rcode(&upstream, reply.rcode, None),
            Err(malformed) => Fault::malformed(&upstream, &malformed.to_string()),
        };
        self.fail(index, fault);
        None
    }

    /// TC: the answer is to be had over TCP (RFC 7766 §5). Where that has failed of late an equal is asked
    /// first. One that only stands behind it in order is none: it may deny what this one has.
    fn after_truncation(&mut self, index: usize) {
        let Some(candidate) = self.candidates.get(index) else { return };
        let has_other = self.route.order != Order::Sequential
            && self.sends < self.route.max_sends
            && self.candidates.iter().any(Candidate::is_untried);
        if has_other && !candidate.upstream.takes_tcp(self.forwarder.clock.now()) {
            let fault = Fault::without_tcp(&candidate.upstream);
            return self.fail(index, fault);
        }
        self.go_to_tcp(index);
    }

    /// Asks over TCP from now on, when the packet budget has room for a connection, if that is soon.
    fn go_to_tcp(&mut self, index: usize) {
        let awaited = self.candidates.get(index).filter(|c| c.is_awaited() && !c.over_tcp);
        let Some(candidate) = awaited else { return };
        let (upstream, now) = (&candidate.upstream, self.forwarder.clock.now());
        match upstream.budget.reserve(upstream.stream_packets(), now) {
            Leave::Now => self.ask_over_tcp(index, Duration::ZERO),
            Leave::In(wait) => self.ask_over_tcp(index, wait),
            Leave::Never => self.refuse(index),
        }
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

    /// A loop has been found: leaves the upstreams that it concerns.
    pub(super) fn leave_looping(&mut self) -> Option<Answer> {
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

    /// The question has come back through an upstream, which is proven: it is nobody to ask. Others may be: what they
    /// send back comes with our stamp, and goes no further.
    pub(super) fn leave(&mut self, looping: &str) {
        let is_it = |c: &Candidate| c.fault.is_none() && c.upstream.to_string() == looping;
        while let Some(index) = self.candidates.iter().position(is_it) {
            let Some(candidate) = self.candidates.get(index) else { return };
            let fault = Fault::looping(&candidate.upstream);
            self.fail(index, fault);
        }
    }

    /// Notes that an upstream has failed this question, and that the next may be asked at once.
    pub(super) fn fail(&mut self, index: usize, fault: Fault) {
        // A marked question may be a forged one: what it is answered is not held against anybody.
        let is_marked = self.ask.stamps.hops() > 0;
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        let is_silence = fault.kind == UpstreamFault::Timeout;
        if !(candidate.late && is_silence) {
            let weight = weight(candidate, fault.kind, is_marked);
            candidate.upstream.note_failure(fault.kind, weight, self.forwarder.clock.now());
        }
        let upstream = Arc::clone(&candidate.upstream);
        candidate.fault = Some(fault.clone());
        self.fail_over = true;
        // What it has said to one of two equal queries it would say to the other.
        if fault.kind == UpstreamFault::Rcode {
            let twins = self.candidates.iter_mut().filter(|c| c.is_awaited());
            twins.filter(|c| Arc::ptr_eq(&c.upstream, &upstream)).for_each(|c| c.fault = Some(fault.clone()));
        }
    }
}

/// What a fault says of the upstream as a whole.
fn weight(candidate: &Candidate, kind: UpstreamFault, is_marked: bool) -> Weight {
    match kind {
        UpstreamFault::Rcode if is_marked => Weight::None,
        UpstreamFault::Rcode | UpstreamFault::Malformed => Weight::Reply,
        // It has answered over UDP that there is more.
        UpstreamFault::Network if candidate.over_tcp && candidate.upstream.is_over_udp() => Weight::None,
        UpstreamFault::Timeout | UpstreamFault::Network | UpstreamFault::Tls => {
            Weight::Silence(candidate.mark)
        }
        UpstreamFault::Loop | UpstreamFault::Busy | UpstreamFault::Budget => Weight::None,
    }
}
