//! Since when a connection has nothing to do, or its client takes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::metrics::CloseReason;
use crate::server::outbox::Piece;
use crate::server::tcp::Limits;

/// What goes on on one connection.
pub(super) struct Activity(Mutex<State>);

struct State {
    /// Requests that have no response yet.
    requests: usize,
    /// Responses that are not with the kernel yet.
    untaken: usize,
    /// When either changed last.
    since: Instant,
    /// Since when the connection takes no bytes.
    blocked: Option<Instant>,
}

/// Longer than any deadline that matters, and no overflow.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Activity {
    /// Nothing goes on.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(State { requests: 0, untaken: 0, since: now, blocked: None }))
    }

    /// A request; it goes on for as long as what is returned lives.
    pub fn request(self: &Arc<Self>) -> UnderWay {
        self.state().requests += 1;
        UnderWay(Arc::clone(self))
    }

    /// A response, which has been taken when it is dropped.
    pub fn response(self: &Arc<Self>, piece: Piece) -> Untaken {
        let mut state = self.state();
        if state.untaken == 0 {
            state.since = Instant::now();
        }
        state.untaken += 1;
        Untaken { piece, activity: Arc::clone(self) }
    }

    /// Something else must happen until then, or the connection ends for that reason.
    pub fn deadline(&self, limits: &Limits) -> (Instant, CloseReason) {
        let state = self.state();
        if let Some(blocked) = state.blocked {
            return (blocked + limits.stall, CloseReason::SlowReader);
        }
        match (state.untaken, state.requests) {
            (0, 0) => (state.since + limits.idle, CloseReason::Idle),
            // Requests have time-outs of their own.
            (0, _) => (state.since + FAR, CloseReason::Idle),
            _ => (state.since + limits.stall, CloseReason::SlowReader),
        }
    }

    /// Notes whether the connection has just taken bytes, or would not.
    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        let mut state = self.state();
        if written.is_ready() {
            state.blocked = None;
        } else {
            state.blocked.get_or_insert_with(Instant::now);
        }
        written
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of which is known since when it takes no bytes.
pub(super) struct Watched<S> {
    /// Used here alone as long as this lives; whoever gave it has it back then.
    pub stream: Arc<Mutex<S>>,
    pub activity: Arc<Activity>,
}

impl<S> Watched<S> {
    fn stream(&self) -> MutexGuard<'_, S> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream()).poll_write(cx, bytes);
        self.activity.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream()).poll_write_vectored(cx, bytes);
        self.activity.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream()).poll_flush(cx);
        self.activity.note(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut *self.stream()).poll_shutdown(cx);
        self.activity.note(shut)
    }
}

/// A request that has no response yet.
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests = state.requests.saturating_sub(1);
        if state.untaken == 0 {
            state.since = Instant::now();
        }
    }
}

/// The bytes of a response; the HTTP library drops them when they are written.
pub(super) struct Untaken {
    piece: Piece,
    activity: Arc<Activity>,
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        self.piece.as_ref()
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.untaken = state.untaken.saturating_sub(1);
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::outbox::Budget;

    #[tokio::test(start_paused = true)]
    async fn the_clock_runs_while_nothing_is_asked_or_nothing_is_taken() {
        let limits = Limits::of(&crate::server::Settings::default());
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start));
        let left = || {
            let (deadline, reason) = activity.deadline(&limits);
            (deadline - Instant::now(), reason)
        };
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(left(), (limits.idle - Duration::from_secs(2), CloseReason::Idle));
        let request = activity.request();
        assert!(left().0 > Duration::from_secs(1000), "what is under way is not idle");
        let piece = || Piece::new(&[b"response"], &Budget::new(Arc::default())).unwrap();
        let (one, other) = (activity.response(piece()), activity.response(piece()));
        drop(request);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(left(), (limits.stall - Duration::from_secs(1), CloseReason::SlowReader));
        drop(one);
        assert_eq!(left(), (limits.stall, CloseReason::SlowReader), "some has been taken");
        drop(other);
        assert_eq!(left(), (limits.idle, CloseReason::Idle));
        let _ = activity.note(Poll::<()>::Pending);
        tokio::time::advance(Duration::from_secs(1)).await;
        let _ = activity.note(Poll::<()>::Pending);
        assert_eq!(left(), (limits.stall - Duration::from_secs(1), CloseReason::SlowReader));
        let _ = activity.note(Poll::Ready(()));
        assert_eq!(left().1, CloseReason::Idle);
    }
}
