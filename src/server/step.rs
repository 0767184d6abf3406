//! One step of a TCP connection: bytes in, the responses that are ready out.
//!
//! Buffers for reading and answering belong to the thread, not to the connection, since a step
//! never waits.

use std::cell::RefCell;
use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;

use socket2::SockRef;
use tokio::time::Instant;

use super::connection::Connection;
use super::framing::prefix;
use super::outbox::{Piece, TcpReply, write_now};
use super::stream::Stream;
use crate::answer::{Asker, Disposition, PendingQuery, Responder};
use crate::metrics::CloseReason;
use crate::wire::finished::{Asked, Extras};

/// Bytes read at a time, and the most a connection holds: above the longest query with its prefix.
const INPUT: usize = 8192;

/// The longest response with its prefix.
const FRAME_MAX: usize = 2 + 65535;

/// Room for responses: one more always fits behind less than one.
const OUTPUT: usize = 2 * FRAME_MAX;

/// A message shorter than this has no DNS header.
const HEADER: usize = 12;

/// Reads of what a client goes on sending when its connection closes.
const LAST_READS: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; INPUT].into_boxed_slice(),
        output: vec![0; OUTPUT].into_boxed_slice(),
    });
}

/// A thread's buffers.
struct Scratch {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

/// Queries of one step that have to be fetched.
type Misses = Vec<(Box<PendingQuery>, TcpReply)>;

impl<R: Responder, S: Stream> Connection<R, S> {
    /// Reads once, and answers what is whole.
    pub(super) fn read_and_answer(&mut self) -> Result<(), CloseReason> {
        self.step(|connection, input| connection.fill(input))
    }

    /// Answers queries that there was no room for when they were read.
    pub(super) fn answer_held(&mut self) -> Result<(), CloseReason> {
        self.step(|connection, input| Ok(connection.unhold(input)))
    }

    fn step(
        &mut self,
        fill: impl FnOnce(&mut Self, &mut [u8]) -> Result<usize, CloseReason>,
    ) -> Result<(), CloseReason> {
        let mut misses = Misses::new();
        SCRATCH.with_borrow_mut(|Scratch { input, output }| {
            let len = fill(self, input)?;
            let mut input = input.get(..len).unwrap_or_default();
            let took = self.answer_all(&mut input, output, &mut misses)?;
            self.hold(input, took);
            Ok(())
        })?;
        for (pending, reply) in misses {
            self.shared.responder.submit(pending, Arc::new(reply));
        }
        Ok(())
    }

    /// Puts what is held into `input`, and says how much that is.
    fn unhold(&mut self, input: &mut [u8]) -> usize {
        let held = std::mem::take(&mut self.held);
        match input.get_mut(..held.len()) {
            Some(front) => front.copy_from_slice(&held),
            None => return 0,
        }
        held.len()
    }

    /// Puts what is held, and behind it what the socket has, into `input`.
    fn fill(&mut self, input: &mut [u8]) -> Result<usize, CloseReason> {
        let held = self.unhold(input);
        match self.stream.try_read(input.get_mut(held..).unwrap_or_default(), &mut self.arrived) {
            Ok(0) => self.ended = Some(CloseReason::Client),
            Ok(read) => return Ok(held + read),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && self.arrived.is_some() => {
                self.ended = Some(CloseReason::Drain);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return Err(CloseReason::Reset),
        }
        Ok(held)
    }

    /// Keeps what was not answered, and starts or stops the clock of a query that is not whole.
    fn hold(&mut self, rest: &[u8], took: bool) {
        self.held = rest.to_vec();
        let is_partial = !self.is_held_up && (!rest.is_empty() || self.framing.is_skipping());
        if took || !is_partial {
            self.begun = None;
        }
        if is_partial {
            self.begun.get_or_insert_with(Instant::now);
        }
    }

    /// Answers the whole queries in `input` while there is room, and says if there were any.
    fn answer_all(
        &mut self,
        input: &mut &[u8],
        output: &mut [u8],
        misses: &mut Misses,
    ) -> Result<bool, CloseReason> {
        let view = self.shared.responder.view();
        let (mut filled, mut took) = (0, false);
        while self.has_room() {
            let Some(query) = self.framing.next(input) else { break };
            took = true;
            filled = self.answer_one(&view, query, output, filled, misses);
            if self.ended == Some(CloseReason::NotDns) {
                *input = &[];
            }
            if filled > FRAME_MAX {
                self.write(output.get(..filled).unwrap_or_default())?;
                filled = 0;
            }
        }
        drop(view);
        self.write(output.get(..filled).unwrap_or_default())?;
        self.is_held_up = self.framing.clone().next(&mut { *input }).is_some();
        Ok(took)
    }

    /// Answers one query behind the `filled` bytes of `output`, and returns how many there are then.
    fn answer_one(
        &mut self,
        view: &R::View,
        query: &[u8],
        output: &mut [u8],
        filled: usize,
        misses: &mut Misses,
    ) -> usize {
        let asker = Asker::new(self.client, S::TRANSPORT);
        let Some(out) = output.get_mut(filled + 2..) else { return filled };
        let extras = self.extras(query);
        match self.shared.responder.answer(view, query, asker, out, &self.shared.tally) {
            Disposition::Respond(len) => {
                self.idle_since = Instant::now();
                let len = extras.add(out, len);
                return framed(output, filled, len);
            }
            Disposition::Forward(pending) => {
                self.idle_since = Instant::now();
                self.in_flight += 1;
                let reply = TcpReply::new(self.way_back.clone(), self.shared.budget.clone(), extras);
                misses.push((pending, reply));
            }
            Disposition::Drop if query.len() < HEADER => self.ended = Some(CloseReason::NotDns),
            Disposition::Drop => {}
        }
        filled
    }

    /// What the response to `query` gets beside what it says: padding where nobody can look into it, and for who asks the
    /// time for which the connection may be idle (RFC 7828 §3.3.2). Nobody is told that who has not asked.
    fn extras(&self, query: &[u8]) -> Extras {
        let asked = Asked::of(query);
        Extras {
            pads: asked.padding && S::TRANSPORT.is_encrypted(),
            keepalive: asked.keepalive.then(|| self.shared.idle_to_tell(&self.limits)),
        }
    }

    /// Writes what the client takes now and keeps the rest.
    fn write(&mut self, responses: &[u8]) -> Result<(), CloseReason> {
        let sent = write_now(&mut self.stream, responses).map_err(|_| CloseReason::Reset)?;
        let rest = responses.get(sent..).unwrap_or_default();
        if !rest.is_empty() {
            let piece = Piece::new(&[rest], &self.shared.budget).ok_or(CloseReason::Memory)?;
            self.outbox.push(piece, Instant::now());
        }
        self.outbox.settle(&mut self.stream, Instant::now).map_err(|_| CloseReason::Reset)
    }

    /// Ends the connection so that the client reads its last responses: bytes of it that nobody
    /// has read would make the kernel send a reset, which overtakes them.
    pub(super) fn close(&mut self) {
        self.stream.say_goodbye();
        let socket = SockRef::from(self.stream.socket());
        if socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..LAST_READS {
                if !(&*socket).read(&mut scratch.input).is_ok_and(|read| read > 0) {
                    break;
                }
            }
        });
    }
}

/// Puts the length before the response that was written two bytes behind `filled`, and returns
/// where it ends. A length that no message can have leaves the response out.
fn framed(output: &mut [u8], filled: usize, len: usize) -> usize {
    let place = output.get_mut(filled..).and_then(|rest| rest.get_mut(..len.saturating_add(2)));
    match (place, prefix(len)) {
        (Some([high, low, ..]), Some(prefix)) => {
            [*high, *low] = prefix;
            filled + 2 + len
        }
        _ => filled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_gets_its_length_and_an_impossible_one_is_left_out() {
        let mut output = vec![7; OUTPUT];
        assert_eq!(framed(&mut output, 0, 300), 302);
        assert_eq!(output[..3], [1, 44, 7]);
        assert_eq!(framed(&mut output, 302, 65535), 302 + FRAME_MAX);
        for len in [0, 65536, usize::MAX] {
            assert_eq!(framed(&mut output, 302, len), 302);
        }
        assert_eq!(framed(&mut output, FRAME_MAX + 1, 65535), FRAME_MAX + 1, "no room behind");
    }
}
