//! Time driven by hand, for tests on real sockets.
//!
//! Tokio's paused clock runs ahead by itself whenever all tasks wait, even for a datagram that is
//! there already. Here it moves only when a test moves it: a blocking task that never ends holds
//! it. All servers of a test live in its one thread, so that "nothing more happens now" is known.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

/// Tokio's time, stopped until this is dropped.
pub struct HandTime(#[allow(dead_code)] mpsc::Sender<()>);

/// One step of [`HandTime::drive`].
const STEP: Duration = Duration::from_millis(25);

impl HandTime {
    /// Stops the time. The test must run on a current-thread runtime.
    pub fn stop() -> Self {
        let (hold, held) = mpsc::channel();
        tokio::task::spawn_blocking(move || held.recv());
        tokio::time::pause();
        Self(hold)
    }

    /// Lets all tasks and sockets do what they can do without time passing.
    pub async fn settle(&self) {
        // The runtime looks at its sockets once in 61 turns; a packet through two servers and back
        // takes a few looks.
        for _ in 0..61 * 12 {
            tokio::task::yield_now().await;
        }
    }

    /// Moves time on, in steps that let things happen in between.
    pub async fn advance(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            self.settle().await;
            let step = left.min(STEP);
            tokio::time::advance(step).await;
            left -= step;
        }
        self.settle().await;
    }

    /// Moves time on until `work` is done, and returns its output and the time it took.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> (T, Duration) {
        let started = tokio::time::Instant::now();
        let mut work = std::pin::pin!(work);
        for _ in 0..10_000 {
            tokio::select! {
                biased;
                output = &mut work => return (output, started.elapsed()),
                () = self.settle() => tokio::time::advance(STEP).await,
            }
        }
        panic!("nothing came of it in {:?}", started.elapsed());
    }
}
