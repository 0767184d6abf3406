//! Responses that a TCP client has yet to take, within a budget over all connections.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::framing::prefix;
use super::stream::Stream;
use crate::answer::{Asker, Reply};
use crate::metrics::ServerMetrics;
use crate::wire::finished::Extras;

/// Bytes that may wait for TCP clients, over all connections. A response beyond it ends the
/// connection it is for. Slow readers alone come here: what a client's socket takes at once is
/// never charged.
const QUEUED_MAX: usize = 16 << 20;

/// The bytes that may wait.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: Arc<Semaphore>,
    metrics: Arc<ServerMetrics>,
}

impl Budget {
    /// The whole budget of one server.
    pub fn new(metrics: Arc<ServerMetrics>) -> Self {
        Self { left: Arc::new(Semaphore::new(QUEUED_MAX)), metrics }
    }

    fn charge(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.left).try_acquire_many_owned(bytes).ok()
    }
}

/// Bytes that wait, charged to the budget while they exist.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Box<[u8]>,
    metrics: Arc<ServerMetrics>,
    _charge: OwnedSemaphorePermit,
}

impl Piece {
    /// Keeps a copy of `parts`, one behind the other. `None`: the budget is used up.
    pub fn new(parts: &[&[u8]], budget: &Budget) -> Option<Self> {
        let charge = budget.charge(parts.iter().map(|part| part.len()).sum())?;
        let bytes = parts.concat().into_boxed_slice();
        budget.metrics.tcp_queued(bytes.len());
        Some(Self { bytes, metrics: Arc::clone(&budget.metrics), _charge: charge })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.metrics.tcp_unqueued(self.bytes.len());
    }
}

/// What waits for one client, in the order it is sent.
#[derive(Debug)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    sent: usize,
    /// The stream has taken bytes that the socket has yet to take.
    is_held: bool,
    since: Instant,
}

impl Outbox {
    /// Nothing waits.
    pub fn new(now: Instant) -> Self {
        Self { pieces: VecDeque::new(), sent: 0, is_held: false, since: now }
    }

    /// Whether the client has taken everything.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && !self.is_held
    }

    /// Since when the client has been taking the piece in front.
    pub fn since(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.since)
    }

    /// Puts `piece` behind the others.
    pub fn push(&mut self, piece: Piece, now: Instant) {
        if self.is_empty() {
            self.since = now;
        }
        self.pieces.push_back(piece);
    }

    /// Sends as much as the socket takes now.
    ///
    /// # Errors
    /// The connection's: it is gone.
    pub fn flush(&mut self, stream: &mut impl Stream, now: Instant) -> io::Result<()> {
        if self.is_held {
            self.is_held = !stream.try_flush()?;
        }
        while let Some(front) = self.pieces.front() {
            let rest = front.bytes.get(self.sent..).unwrap_or_default();
            let sent = write_now(stream, rest)?;
            self.sent += sent;
            if sent < rest.len() {
                break;
            }
            self.pieces.pop_front();
            self.sent = 0;
            self.since = now;
        }
        if self.pieces.is_empty() {
            self.pieces.shrink_to(1);
        }
        self.settle(stream, || now)
    }

    /// Sees to what the stream itself holds: it counts as not taken.
    ///
    /// # Errors
    /// The connection's: it is gone.
    pub fn settle(&mut self, stream: &mut impl Stream, now: impl FnOnce() -> Instant) -> io::Result<()> {
        let was_empty = self.is_empty();
        self.is_held = !stream.try_flush()?;
        if was_empty && self.is_held {
            self.since = now();
        }
        Ok(())
    }
}

/// Writes what the socket takes without waiting, and says how much that was.
///
/// # Errors
/// The connection's: it is gone.
pub(super) fn write_now(stream: &mut impl Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match stream.try_write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => done += sent,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// What became of a query that had to be fetched.
#[derive(Debug)]
pub(super) enum Late {
    /// Its response, framed.
    Response(Piece),
    /// There will be none.
    Nothing,
    /// There was no room for its response.
    NoRoom,
}

/// The way back to a connection. Whoever drops it unused frees its place all the same.
pub(super) struct TcpReply {
    late: mpsc::Sender<Late>,
    budget: Budget,
    /// What is added to the response.
    extras: Extras,
    is_sent: AtomicBool,
}

impl TcpReply {
    /// A way back through `late`, which has room for one message of each query in flight.
    pub fn new(late: mpsc::Sender<Late>, budget: Budget, extras: Extras) -> Self {
        Self { late, budget, extras, is_sent: AtomicBool::new(false) }
    }
}

impl Reply for TcpReply {
    fn send(&self, _: &Asker, response: &[u8]) {
        if self.is_sent.swap(true, Ordering::Relaxed) {
            return;
        }
        let response = &*self.extras.added(response);
        let late = match prefix(response.len()) {
            Some(_) if self.late.is_closed() => Late::Nothing,
            Some(prefix) => {
                Piece::new(&[&prefix, response], &self.budget).map_or(Late::NoRoom, Late::Response)
            }
            None => Late::Nothing,
        };
        // Fails only when the connection is gone.
        let _ = self.late.try_send(late);
    }
}

impl Drop for TcpReply {
    fn drop(&mut self) {
        if !*self.is_sent.get_mut() {
            let _ = self.late.try_send(Late::Nothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Transport;

    fn budget() -> (Budget, Arc<ServerMetrics>) {
        let metrics = Arc::new(ServerMetrics::default());
        (Budget::new(Arc::clone(&metrics)), metrics)
    }

    fn asker() -> Asker {
        Asker::new(([192, 0, 2, 1], 9).into(), Transport::Tcp)
    }

    #[test]
    fn what_waits_is_charged_until_it_is_gone() {
        let (budget, metrics) = budget();
        let big = vec![0; 65535];
        let mut pieces = Vec::new();
        while let Some(piece) = Piece::new(&[&[0, 0], &big], &budget) {
            pieces.push(piece);
        }
        assert_eq!(pieces.len(), QUEUED_MAX / 65537);
        assert_eq!(metrics.queued_bytes(), (pieces.len() * 65537) as u64);
        pieces.pop();
        assert!(Piece::new(&[&big], &budget).is_some());
        drop(pieces);
        assert_eq!(metrics.queued_bytes(), 0);
        assert_eq!(budget.left.available_permits(), QUEUED_MAX);
    }

    #[test]
    fn every_reply_sends_exactly_one_message_used_or_not() {
        let (budget, _) = budget();
        let (sender, mut late) = mpsc::channel(8);
        let reply = || TcpReply::new(sender.clone(), budget.clone(), Extras::default());
        reply().send(&asker(), b"abc");
        reply().send(&asker(), b"");
        reply().send(&asker(), &vec![0; 65536]);
        drop(reply());
        assert!(matches!(late.try_recv(), Ok(Late::Response(piece)) if *piece.bytes == *b"\0\x03abc"));
        assert!((0..3).all(|_| matches!(late.try_recv(), Ok(Late::Nothing))));
        assert!(late.try_recv().is_err());
    }

    #[test]
    fn a_response_without_room_is_reported_and_not_kept() {
        let (budget, metrics) = budget();
        let _all = budget.charge(QUEUED_MAX);
        let (sender, mut late) = mpsc::channel(1);
        TcpReply::new(sender, budget, Extras::default()).send(&asker(), b"abc");
        assert!(matches!(late.try_recv(), Ok(Late::NoRoom)));
        assert_eq!(metrics.queued_bytes(), 0);
    }
}
