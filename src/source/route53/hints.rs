//! Hints that zones have changed, from a queue of SQS.
//!
//! A hint makes a listing happen sooner and does nothing else: the regular refresh goes on, so one
//! that is lost, late, made up or repeated does no harm.

mod event;
mod queue;

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::metrics::source::{CallResult, HintKind, SourceMetrics};
use crate::source::settings::HintQueue;
use crate::source::{FoundZone, Push, SourceError, ZoneId};

use super::error;
pub use event::EVENTS as HINT_EVENTS;
use event::Hint;
pub(super) use queue::{Door, client};
use queue::{MAX_BATCH, Message, Queue};

/// Pushes that wait for the importer; while it has no time nothing is taken out of the queue.
const CAPACITY: usize = 32;
/// Messages that are looked at together, so that a burst of events of one zone is one push.
const MAX_BURST: usize = 100;
/// Ceiling of the first wait after a failure, doubled for each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Ceiling of every wait, and about the wait where an operator has to do something first.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// An empty reply that did not wait for messages is not asked for again before this.
const IDLE: Duration = Duration::from_secs(1);
/// An error text is cut here.
const MAX_ERROR: usize = 500;

/// A source's ear: the zones that hints are heeded for, and whether the queue is read already.
#[derive(Debug, Default)]
pub(super) struct Hints {
    is_watched: AtomicBool,
    zones: Arc<Mutex<HashSet<ZoneId>>>,
}

impl Hints {
    /// Notes which zones there are. Before the first listing no hint counts: everything is about
    /// to be imported.
    pub(super) fn know(&self, found: &[FoundZone]) {
        let ids = found.iter().map(|zone| zone.id.clone()).collect();
        *self.zones.lock().unwrap_or_else(PoisonError::into_inner) = ids;
    }

    /// Reads `queue` until the receiver is dropped; `None` the second time. Must be called within a
    /// runtime.
    pub(super) fn watch(
        &self,
        queue: &HintQueue,
        door: Door,
        metrics: &SourceMetrics,
    ) -> Option<mpsc::Receiver<Push>> {
        if self.is_watched.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let watch = Watch {
            queue: Queue::new(queue.clone(), door, metrics.clone()),
            zones: Arc::clone(&self.zones),
            metrics: metrics.clone(),
            failures: 0,
            warned: Vec::new(),
            told_of_deletion: false,
        };
        tokio::spawn(watch.run(sender));
        Some(receiver)
    }
}

/// The reading of one queue.
struct Watch {
    queue: Queue,
    zones: Arc<Mutex<HashSet<ZoneId>>>,
    metrics: SourceMetrics,
    failures: u32,
    /// What was warned about since the last success.
    warned: Vec<CallResult>,
    /// That hints may not be deleted has been said.
    told_of_deletion: bool,
}

impl Watch {
    async fn run(mut self, pushes: mpsc::Sender<Push>) {
        while !pushes.is_closed() {
            let asked = Instant::now();
            let outcome = tokio::select! {
                outcome = self.round(&pushes) => outcome,
                () = pushes.closed() => return,
            };
            let wait = match outcome {
                Ok(0) => IDLE.saturating_sub(asked.elapsed()),
                Ok(_) => Duration::ZERO,
                Err(error) => self.failed(&error),
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = pushes.closed() => return,
            }
        }
    }

    /// Waits for messages, hands on what they say, and deletes them. Those that could not be handed
    /// on come again, when the queue shows them again.
    async fn round(&mut self, pushes: &mpsc::Sender<Push>) -> Result<usize, SourceError> {
        let mut messages = self.queue.wait().await?;
        if std::mem::take(&mut self.failures) > 0 {
            info!(queue = self.queue.url(), "hints are read again");
            self.warned.clear();
        }
        let mut last = messages.len();
        while last >= MAX_BATCH && messages.len() < MAX_BURST {
            // What has come already is worth more than the reason why there is no more.
            let Ok(more) = self.queue.more().await else { break };
            last = more.len();
            messages.extend(more);
        }
        for push in self.pushes(&messages) {
            if pushes.send(push).await.is_err() {
                return Ok(messages.len());
            }
        }
        let deleted = self.queue.delete(&messages).await;
        self.note_deletion(deleted);
        Ok(messages.len())
    }

    /// A hint that stays comes again and again, and costs an import each time.
    fn note_deletion(&mut self, deleted: Result<(), SourceError>) {
        let queue = self.queue.url();
        match deleted {
            Ok(()) => self.told_of_deletion = false,
            Err(error @ SourceError::Denied { .. }) if !self.told_of_deletion => {
                self.told_of_deletion = true;
                let fix = "allow sqs:DeleteMessage";
                warn!(queue, error = %chain(&error), fix, "hints cannot be deleted and come again");
            }
            Err(error) => debug!(queue, error = %chain(&error), "hints were not deleted"),
        }
    }

    /// What some messages say, each thing once.
    fn pushes(&self, messages: &[Message]) -> Vec<Push> {
        let (mut changed, mut rediscover) = (BTreeSet::new(), false);
        for message in messages {
            let kind = match event::read(&message.body) {
                Hint::Changed(id) if self.is_ours(&id) => {
                    changed.insert(id);
                    HintKind::Changed
                }
                Hint::Rediscover => {
                    rediscover = true;
                    HintKind::Rediscover
                }
                Hint::Changed(_) | Hint::Other => HintKind::Other,
                Hint::Garbage => HintKind::Garbage,
            };
            self.metrics.hint(kind);
        }
        if !messages.is_empty() {
            debug!(messages = messages.len(), zones = changed.len(), rediscover, "hints received");
        }
        let changed = changed.into_iter().map(Push::Changed);
        rediscover.then_some(Push::Rediscover).into_iter().chain(changed).collect()
    }

    fn is_ours(&self, id: &ZoneId) -> bool {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Says once what is wrong, and how long to wait.
    fn failed(&mut self, error: &SourceError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let kind = error::kind_of(error);
        let queue = self.queue.url();
        let text = if kind == CallResult::Gone { "there is no such queue".to_owned() } else { chain(error) };
        if self.warned.contains(&kind) {
            debug!(queue, error = %text, "hints were not read again");
        } else {
            self.warned.push(kind);
            let fix = match kind {
                CallResult::Gone => "correct the key `hints`, or make the queue",
                CallResult::Denied => "allow sqs:ReceiveMessage and sqs:DeleteMessage",
                _ => "zones are refreshed on schedule alone meanwhile",
            };
            warn!(queue, error = %text, fix, "hints are not read");
        }
        match kind {
            CallResult::Gone | CallResult::Denied => MAX_BACKOFF.mul_f64(rand::random_range(0.8..=1.2)),
            _ => backoff(self.failures).max(asked_for(error)),
        }
    }
}

/// The least wait that the queue itself asks for.
fn asked_for(error: &SourceError) -> Duration {
    match error {
        SourceError::Throttled { retry_after, .. } => (*retry_after).min(MAX_BACKOFF),
        _ => Duration::ZERO,
    }
}

/// Anything up to a ceiling that doubles, so that many processes do not come back together.
fn backoff(failures: u32) -> Duration {
    let ceiling = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(MAX_BACKOFF);
    ceiling.mul_f64(rand::random_range(0.0..=1.0)).max(FIRST_BACKOFF / 2)
}

/// An error with its causes in one bounded line.
fn chain(error: &SourceError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |&e| e.source()).take(8);
    let mut text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    text.truncate(text.floor_char_boundary(MAX_ERROR));
    text
}

#[cfg(test)]
mod tests;
