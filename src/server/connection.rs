//! One TCP connection (RFC 7766), TLS on top of it or not: queries are read ahead and answered out of order.
//!
//! What can be answered at once is, many queries with one write; the others come back through a
//! channel when they come. Reading stops while too many are in flight or the client does not take
//! its responses, so what a connection holds is bounded, and small while it is idle.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::framing::Framing;
use super::outbox::{Late, Outbox};
use super::stream::Stream;
use super::tcp::{Limits, Shared};
use crate::answer::Responder;
use crate::metrics::CloseReason;
use crate::sys;

/// A connection and its queries.
pub(super) struct Connection<R, S> {
    pub(super) stream: S,
    pub(super) client: SocketAddr,
    pub(super) shared: Arc<Shared<R>>,
    /// Those in force when it was accepted.
    pub(super) limits: Limits,
    pub(super) framing: Framing,
    /// Read and not answered: the begin of a query, or many queries while `is_held_up`.
    pub(super) held: Vec<u8>,
    /// There are whole queries in `held`, read when there was no room for them.
    pub(super) is_held_up: bool,
    late: mpsc::Receiver<Late>,
    pub(super) way_back: mpsc::Sender<Late>,
    pub(super) in_flight: usize,
    pub(super) outbox: Outbox,
    /// Bytes that had arrived when the drain began and have yet to be read.
    pub(super) arrived: Option<usize>,
    /// Why nothing more is read, once that is so.
    pub(super) ended: Option<CloseReason>,
    pub(super) idle_since: Instant,
    /// When the query that is not yet whole was begun.
    pub(super) begun: Option<Instant>,
}

impl<R: Responder, S: Stream> Connection<R, S> {
    /// A connection that nothing has been read from.
    pub fn new(stream: S, client: SocketAddr, limits: Limits, shared: Arc<Shared<R>>) -> Self {
        let (way_back, late) = mpsc::channel(limits.in_flight);
        let now = Instant::now();
        Self {
            stream,
            client,
            shared,
            limits,
            framing: Framing::default(),
            held: Vec::new(),
            is_held_up: false,
            late,
            way_back,
            in_flight: 0,
            outbox: Outbox::new(now),
            arrived: None,
            ended: None,
            idle_since: now,
            begun: None,
        }
    }

    /// Serves the client until one side ends it.
    pub async fn run(mut self) -> CloseReason {
        match self.serve().await {
            Ok(reason) => {
                self.close();
                reason
            }
            Err(reason) => reason,
        }
    }

    /// `Ok`: every query read is answered. `Err`: cut off.
    async fn serve(&mut self) -> Result<CloseReason, CloseReason> {
        let shared = Arc::clone(&self.shared);
        let mut drain = pin!(shared.lifeline.drain.cancelled());
        let mut cut = pin!(shared.lifeline.cut.cancelled());
        let mut timer = pin!(sleep_until(self.idle_since + self.limits.idle));
        loop {
            tokio::task::consume_budget().await;
            if let Some(reason) = self.finished() {
                return Ok(reason);
            }
            if self.go_on()? {
                continue;
            }
            let limit = self.limit();
            if let Some((deadline, _)) = limit.filter(|(deadline, _)| *deadline != timer.deadline()) {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                () = &mut cut => return Err(CloseReason::Cut),
                () = &mut drain, if self.arrived.is_none() => self.begin_drain(),
                Some(late) = self.late.recv() => self.take(late)?,
                ready = self.stream.socket().writable(), if !self.outbox.is_empty() => {
                    ready.map_err(|_| CloseReason::Reset)?;
                    self.flush()?;
                }
                ready = self.stream.readable(), if self.may_read() => {
                    ready.map_err(|_| CloseReason::Reset)?;
                    self.read_and_answer()?;
                }
                () = &mut timer, if limit.is_some() => match limit {
                    Some((_, CloseReason::Idle)) => return Ok(CloseReason::Idle),
                    Some((_, reason)) => return Err(reason),
                    None => {}
                },
            }
        }
    }

    /// Why the connection is over, once every query read is answered and taken.
    fn finished(&self) -> Option<CloseReason> {
        let is_done = self.in_flight == 0 && self.outbox.is_empty() && !self.is_held_up;
        self.ended.filter(|_| is_done)
    }

    /// Does what waits for no event, if there is something: queries that were held back and now
    /// have room, and, in a drain, bytes that had arrived.
    fn go_on(&mut self) -> Result<bool, CloseReason> {
        if self.is_held_up && self.has_room() {
            self.answer_held()?;
        } else if self.arrived.is_some() && self.may_read() {
            self.read_and_answer()?;
        } else {
            return Ok(false);
        }
        if self.shared.lifeline.cut.is_cancelled() { Err(CloseReason::Cut) } else { Ok(true) }
    }

    /// What the connection waits for must come until then, or it ends for that reason.
    fn limit(&self) -> Option<(Instant, CloseReason)> {
        if let Some(since) = self.outbox.since() {
            return Some((since + self.limits.stall, CloseReason::SlowReader));
        }
        match self.begun.filter(|_| self.may_read()) {
            Some(begun) => Some((begun + self.limits.stall, CloseReason::SlowQuery)),
            None if self.in_flight == 0 => Some((self.idle_since + self.limits.idle, CloseReason::Idle)),
            None => None,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < self.limits.in_flight && self.outbox.is_empty()
    }

    fn may_read(&self) -> bool {
        self.ended.is_none() && !self.is_held_up && self.has_room()
    }

    /// From here on only what has already arrived is read.
    fn begin_drain(&mut self) {
        self.arrived = Some(sys::readable_bytes(self.stream.socket()).unwrap_or(0));
    }

    /// A late response: it goes out at once if the client takes it.
    fn take(&mut self, late: Late) -> Result<(), CloseReason> {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.restart_clocks();
        match late {
            Late::Response(piece) => self.outbox.push(piece, self.idle_since),
            Late::Nothing => return Ok(()),
            Late::NoRoom => return Err(CloseReason::Memory),
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), CloseReason> {
        self.outbox.flush(&mut self.stream, Instant::now()).map_err(|_| CloseReason::Reset)?;
        if self.outbox.is_empty() {
            self.restart_clocks();
        }
        Ok(())
    }

    /// The client is not held to account for the time in which nothing was read from it.
    fn restart_clocks(&mut self) {
        self.idle_since = Instant::now();
        self.begun = self.begun.map(|_| self.idle_since);
    }
}
