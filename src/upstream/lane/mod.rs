//! A thread's own way to the upstreams: it sends a query itself and reads the reply itself.
//!
//! Only the usual case is settled here: one query over UDP to the first upstream, and a reply that
//! answers it. Everything else is told to the [`Desk`], which has an exchange take over; what comes
//! to the lane's sockets for such a query after that is passed on.
//!
//! A lane belongs to one thread and has no lock.

mod errand;
mod queries;
mod share;
mod sockets;
mod wait;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Forwarder;
use super::head::Head;
use super::pending::What;
use super::server::Upstream;
use super::verdict::is_answer;
use crate::clock::Moment;
use crate::sys::{self, Epoll};
use crate::wire::ask::{self, read_reply};
use crate::wire::learn;

use queries::{Queries, Query, Stage};
use sockets::Sockets;
use wait::Wait;

pub use errand::{Desk, Errand, NotSent};
pub(in crate::upstream) use wait::SHORTEST;

/// Longer datagrams are cut, and then refused as damaged; we announce 1232 bytes.
const MAX_DATAGRAM: usize = 4096;
/// Queries of one lane that may wait for replies, those included that an exchange has taken over.
const MAX_QUERIES: usize = 16_384;
/// What the watched socket is reported as.
const WATCHED: u64 = u64::MAX;

/// One thread's sockets to upstreams, and the queries that wait on them.
#[derive(Debug)]
pub struct Lane {
    epoll: Epoll,
    forwarder: Arc<Forwarder>,
    sockets: Sockets,
    queries: Queries,
    buffer: Vec<u8>,
    message: Vec<u8>,
    now: Instant,
    /// The same on the clock of lifetimes.
    moment: Moment,
    /// The routes that the sockets were last held against.
    generation: u64,
}

impl Lane {
    /// A lane without sockets; the upstreams' share of each lane gets smaller by it.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(forwarder: Arc<Forwarder>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        forwarder.lanes().fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            epoll,
            generation: forwarder.generation(),
            forwarder,
            sockets: Sockets::default(),
            queries: Queries::new(),
            buffer: vec![0; MAX_DATAGRAM],
            message: Vec::with_capacity(ask::MAX_QUERY),
            now: Instant::now(),
            moment: Moment::default(),
        })
    }

    /// Has [`Lane::wait`] wait for this socket, too.
    ///
    /// # Errors
    /// Memory is short, or the lane watches a socket already.
    pub fn watch(&self, socket: &impl AsFd) -> io::Result<()> {
        self.epoll.add(socket, WATCHED)
    }

    /// Watches the socket no more.
    ///
    /// # Errors
    /// It was not watched.
    pub fn unwatch(&self, socket: &impl AsFd) -> io::Result<()> {
        self.epoll.remove(socket)
    }

    /// Whether no reply is waited for. Then there is no deadline either.
    pub fn is_idle(&self) -> bool {
        self.queries.len() == 0
    }

    /// The time of what is sent next; looked at anew by [`Lane::refresh`] and [`Lane::wait`].
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The same on the clock of lifetimes.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    fn look_at_time(&mut self) {
        self.now = Instant::now();
        self.moment = self.forwarder.clock.now();
    }

    /// Looks at the time, and closes the sockets of upstreams that are gone. Once a batch.
    pub fn refresh(&mut self) {
        self.look_at_time();
        let generation = self.forwarder.generation();
        if std::mem::replace(&mut self.generation, generation) != generation {
            let upstreams = self.forwarder.all_upstreams();
            self.sockets.retain(|upstream| upstreams.iter().any(|u| Arc::ptr_eq(u, upstream)));
        }
    }

    /// Sends the query of an errand to the upstream at the head of its exchange.
    ///
    /// # Errors
    /// [`NotSent`] and the errand, which is then not known to the lane.
    pub fn send(&mut self, head: &Head, errand: Errand) -> Result<(), (NotSent, Errand)> {
        let (number, id) = match self.try_send(head.upstream(), &errand) {
            Ok(place) => place,
            Err(why) => return Err((why, errand)),
        };
        head.upstream().hedges.earn();
        let (wait, alone) = Wait::of(head.hedges_after(), head.most(), head.patience());
        let query = Query {
            errand,
            socket: number,
            id,
            stage: Stage::Quick,
            wait,
            sent: head.started(),
            until: head.started() + alone,
            timeout: head.timeout(),
            told_mismatch: false,
            told_error: false,
        };
        let query = self.queries.insert(query);
        if let Some(sock) = self.sockets.get_mut(number) {
            sock.join(id, query);
        }
        Ok(())
    }

    /// Sends a query. Returns the socket it left by and its id there.
    fn try_send(&mut self, upstream: &Arc<Upstream>, errand: &Errand) -> Result<(usize, u16), NotSent> {
        if self.queries.len() >= MAX_QUERIES {
            return Err(NotSent::NoRoom);
        }
        let share = self.forwarder.share(upstream);
        let place = self.sockets.place(upstream, share, self.now, &self.epoll);
        let (number, id) = place.ok_or(NotSent::NoRoom)?;
        // Past the packet budget an exchange waits for its turn, or is told that there is none.
        if !upstream.budget.take(1, self.moment) {
            return Err(NotSent::NoRoom);
        }
        self.write(upstream, errand, id);
        let sock = self.sockets.get(number).ok_or(NotSent::NoRoom)?;
        upstream.metrics.udp_sends.increment(1);
        // The error of an earlier datagram, which the kernel reports now, is swallowed once.
        if sys::send(&sock.socket, &self.message).is_err() {
            sys::send(&sock.socket, &self.message).map_err(|error| NotSent::Network(error.kind()))?;
        }
        if let Some(tap) = self.forwarder.tap(upstream, false) {
            tap.asked(&self.message, None);
        }
        Ok((number, id))
    }

    fn write(&mut self, upstream: &Upstream, errand: &Errand, id: u16) {
        let (qname, qtype) = (errand.question.qname(), errand.question.qtype());
        let stamp =
            upstream.takes_marker().then(|| self.forwarder.stamp(qname, qtype, upstream, self.moment));
        errand.write(id, upstream.takes_edns(self.moment), stamp.as_ref(), &mut self.message);
    }

    /// Waits until the watched socket has something, or something has come of what was sent, which
    /// `desk` is told, at the latest until the next deadline. Returns whether the watched socket
    /// is to be read.
    ///
    /// # Errors
    /// The kernel's, for no known reason; deadlines are kept all the same.
    pub fn wait(&mut self, desk: &impl Desk) -> io::Result<bool> {
        let limit = self.queries.next_deadline().map(|until| until.saturating_duration_since(self.now));
        let got = self.epoll.wait(limit);
        self.look_at_time();
        let mut is_watched_ready = false;
        for i in 0..*got.as_ref().unwrap_or(&0) {
            match self.epoll.number(i) {
                Some(WATCHED) => is_watched_ready = true,
                Some(number) => self.read(number as usize, desk),
                None => {}
            }
        }
        self.expire(self.now, desk);
        got.map(|_| is_watched_ready)
    }

    /// Reads one datagram. If there are more the socket is reported again.
    fn read(&mut self, number: usize, desk: &impl Desk) {
        let Some(sock) = self.sockets.get(number) else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        match sys::recv(&sock.socket, &mut buffer) {
            Ok(len) => self.deliver(number, buffer.get(..len).unwrap_or_default(), desk),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                let waiting = sock.queries();
                waiting.into_iter().for_each(|query| self.tell_error(query, error.kind(), desk));
            }
        }
        self.buffer = buffer;
    }

    /// Hands a datagram to the query it answers. What answers none is counted, and those it may
    /// have been aimed at are warned.
    fn deliver(&mut self, number: usize, message: &[u8], desk: &impl Desk) {
        let Some(sock) = self.sockets.get_mut(number) else { return };
        sock.note_heard();
        let id = message.first_chunk().map(|&bytes| u16::from_be_bytes(bytes));
        if let Some(query) = id.and_then(|id| sock.query(id)) {
            return self.take(query, message, desk);
        }
        if id.is_some_and(|id| sock.has_finished(id)) {
            return;
        }
        sock.upstream.metrics.mismatches.increment(1);
        if id.is_some() {
            let waiting = sock.queries();
            waiting.into_iter().for_each(|query| self.tell_mismatch(query, desk));
        }
    }

    /// Takes a datagram with the id of a query.
    fn take(&mut self, number: usize, message: &[u8], desk: &impl Desk) {
        let Some(query) = self.queries.get(number) else { return };
        let (qname, qtype) = (query.errand.question.qname(), query.errand.question.qtype());
        let Some(reply) = read_reply(message, qname, qtype) else {
            if let Some(sock) = self.sockets.get(query.socket) {
                sock.upstream.metrics.mismatches.increment(1);
            }
            return self.tell_mismatch(number, desk);
        };
        let is_usual = query.stage == Stage::Quick && !reply.truncated && is_answer(reply.rcode);
        let learned = is_usual.then(|| learn(message, qname, qtype, query.errand.dnssec_ok));
        let learned = learned.and_then(Result::ok).filter(|learned| is_answer(learned.rcode));
        if let (Some(_), Some(sock)) = (&learned, self.sockets.get(query.socket)) {
            let took = self.now.saturating_duration_since(query.sent);
            sock.upstream.note_success(took, self.moment);
            if let Some(tap) = self.forwarder.tap(&sock.upstream, false) {
                tap.replied(message, took);
                tap.answered(qname, qtype, took);
            }
        }
        let upstream = self.sockets.get(query.socket).map(|sock| Arc::clone(&sock.upstream));
        let Some(query) = self.finish(number) else { return };
        match learned {
            Some(learned) => desk.answered(&query.errand, learned, message, self.moment),
            None => {
                let is_awaited = desk.unusual(&query.errand, Some(What::Reply(message.to_vec())));
                // Too late for its question, but the upstream is there.
                match upstream.filter(|_| !is_awaited) {
                    Some(upstream) if is_answer(reply.rcode) => upstream.note_late_answer(),
                    Some(upstream) => upstream.breaker.note_life(),
                    None => {}
                }
            }
        }
    }

    fn tell_mismatch(&mut self, number: usize, desk: &impl Desk) {
        let Some(query) = self.queries.get_mut(number) else { return };
        if !std::mem::replace(&mut query.told_mismatch, true) {
            self.hand_over(number, Some(What::Mismatch), desk);
        }
    }

    fn tell_error(&mut self, number: usize, kind: io::ErrorKind, desk: &impl Desk) {
        let Some(query) = self.queries.get_mut(number) else { return };
        if !std::mem::replace(&mut query.told_error, true) {
            self.hand_over(number, Some(What::Io(kind)), desk);
        }
    }

    fn hand_over(&mut self, number: usize, what: Option<What>, desk: &impl Desk) {
        let Some(query) = self.queries.get(number) else { return };
        if desk.unusual(&query.errand, what) {
            self.queries.hand_over(number, self.now);
        } else {
            self.finish(number);
        }
    }

    fn finish(&mut self, number: usize) -> Option<Query> {
        let query = self.queries.remove(number)?;
        self.sockets.forget(query.socket, query.id);
        Some(query)
    }

    /// Ends the stages that have lasted long enough at `now`.
    fn expire(&mut self, now: Instant, desk: &impl Desk) {
        while let Some((number, stage)) = self.queries.expired(now) {
            self.note_silence(number, now);
            match stage {
                Stage::Quick => self.hand_over(number, None, desk),
                Stage::Handed => drop(self.finish(number)),
            }
        }
    }

    /// A port by which nothing comes may be cut off while others are not: it is given up after one
    /// whole patience, or two late answers in a row.
    fn note_silence(&mut self, number: usize, now: Instant) {
        let Some(query) = self.queries.get(number) else { return };
        let weight = if query.is_waited_for_whole() { 2 } else { 1 };
        if let Some(sock) = self.sockets.get_mut(query.socket) {
            sock.note_silence(weight, now);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.forwarder.lanes().fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(super) mod tests;
