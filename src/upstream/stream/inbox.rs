//! The queries that wait for responses on one connection, and what is known of its health.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Asked;
use super::fault::Lost;
use crate::wire::ask::read_reply;

/// Queries under way on one connection.
pub(super) const MAX_IN_FLIGHT: usize = 64;
/// Queries that nobody waits for any more and that were not answered either; a connection with as
/// many is no good.
const MAX_ABANDONED: usize = 256;
/// A connection on which nothing is under way is closed after this.
pub(super) const IDLE: Duration = Duration::from_secs(10);
/// A connection that has said nothing for this long, though it was asked, takes no more queries.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// What becomes of a query.
pub(super) type Outcome = Result<Vec<u8>, Lost>;

/// The queries that wait on one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Something has changed that [`Inbox::until_over`] may have to look at.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    waiting: HashMap<u16, Waiting>,
    abandoned: HashSet<u16>,
    /// Replies taken.
    answered: u64,
    /// When the upstream was last heard, or the connection was opened.
    heard: Instant,
    /// When a query last came or went.
    used: Instant,
    /// Takes no more queries from then on.
    retires: Instant,
    is_stalled: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    asked: Asked,
    since: Instant,
    reply: oneshot::Sender<Outcome>,
    stalled: Option<oneshot::Sender<()>>,
}

/// A query's place: its id, and where it hears.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: u16,
    pub(super) reply: oneshot::Receiver<Outcome>,
    pub(super) stalled: oneshot::Receiver<()>,
}

/// How a connection does, for who chooses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// It is over.
    pub(super) is_closed: bool,
    /// It takes queries.
    pub(super) is_open: bool,
    /// Queries that wait.
    pub(super) in_flight: usize,
}

impl Inbox {
    /// For a connection about to be opened, which takes queries for `lifetime`.
    pub(super) fn new(lifetime: Duration) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            waiting: HashMap::new(),
            abandoned: HashSet::new(),
            answered: 0,
            heard: now,
            used: now,
            retires: now + lifetime,
            is_stalled: false,
            is_closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing {
            is_closed: state.is_closed,
            is_open: state.takes_queries(Instant::now()),
            in_flight: state.waiting.len(),
        }
    }

    /// Registers a query under a random id. `None`: the connection takes no more.
    pub(super) fn join(&self, asked: &Asked) -> Option<Place> {
        let mut state = self.lock();
        let now = Instant::now();
        if !state.takes_queries(now) || state.waiting.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let id = loop {
            let id = rand::random();
            if !state.waiting.contains_key(&id) && !state.abandoned.contains(&id) {
                break id;
            }
        };
        let (reply, replied) = oneshot::channel();
        let (stall, stalled) = oneshot::channel();
        let waiting = Waiting { asked: Arc::clone(asked), since: now, reply, stalled: Some(stall) };
        state.waiting.insert(id, waiting);
        state.used = now;
        if state.waiting.len() == 1 {
            self.changed.notify_one();
        }
        Some(Place { id, reply: replied, stalled })
    }

    /// Whether somebody still waits for `id`.
    pub(super) fn is_awaited(&self, id: u16) -> bool {
        self.lock().waiting.contains_key(&id)
    }

    /// Gives up a place. If it was not answered, its response may still come.
    pub(super) fn leave(&self, id: u16) {
        let mut state = self.lock();
        if state.waiting.remove(&id).is_some() {
            state.abandoned.insert(id);
            self.settle(&mut state);
        }
    }

    /// The query `id` was not sent after all.
    pub(super) fn withdraw(&self, id: u16) {
        let mut state = self.lock();
        state.waiting.remove(&id);
        self.settle(&mut state);
    }

    fn settle(&self, state: &mut State) {
        state.used = Instant::now();
        if state.waiting.is_empty() {
            self.changed.notify_one();
        }
    }

    /// The connection is open: from now on the upstream can be heard.
    pub(super) fn opened(&self) {
        self.lock().heard = Instant::now();
    }

    /// Takes no more queries.
    pub(super) fn retire(&self) {
        let mut state = self.lock();
        state.retires = state.retires.min(Instant::now());
        self.changed.notify_one();
    }

    /// Hands a response to the query that it answers.
    ///
    /// # Errors
    /// When it answers none that was ever asked: nothing that comes this way can be believed.
    pub(super) fn deliver(&self, message: Vec<u8>) -> io::Result<()> {
        let id = message.first_chunk().map(|&bytes| u16::from_be_bytes(bytes));
        let id = id.ok_or(io::ErrorKind::InvalidData)?;
        let mut state = self.lock();
        state.heard = Instant::now();
        if state.abandoned.remove(&id) {
            return Ok(());
        }
        let waiting = state.waiting.remove(&id).ok_or(io::ErrorKind::InvalidData)?;
        state.answered += 1;
        self.settle(&mut state);
        let fits = read_reply(&message, waiting.asked.0.as_ref(), waiting.asked.1).is_some();
        let _ = waiting.reply.send(if fits { Ok(message) } else { Err(Lost::Damaged(None)) });
        Ok(())
    }

    /// Tells the query `id` that it has failed, and no other.
    #[cfg(feature = "tls")]
    pub(super) fn fail(&self, id: u16, lost: Lost) {
        let mut state = self.lock();
        state.heard = Instant::now();
        state.abandoned.remove(&id);
        if let Some(waiting) = state.waiting.remove(&id) {
            self.settle(&mut state);
            let _ = waiting.reply.send(Err(lost));
        }
    }

    /// The connection could not be opened.
    pub(super) fn refuse(&self, error: io::Error) {
        self.close(&Lost::Dial(Arc::new(error)));
    }

    /// The connection has ended.
    pub(super) fn end(&self, kind: io::ErrorKind) {
        match kind {
            io::ErrorKind::InvalidData => self.close(&Lost::Damaged(None)),
            kind => self.close(&Lost::Ended { kind, had_answered: self.answered().0 > 0 }),
        }
    }

    fn close(&self, lost: &Lost) {
        let waiting = {
            let mut state = self.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting.into_values() {
            let _ = waiting.reply.send(Err(lost.clone()));
        }
    }

    /// Replies taken so far, and queries that still wait.
    pub(super) fn answered(&self) -> (u64, usize) {
        let state = self.lock();
        (state.answered, state.waiting.len())
    }

    /// Waits until the connection has served its time or nobody needs it.
    pub(super) async fn until_over(&self) {
        loop {
            let look = self.lock().look(Instant::now());
            let Some(again) = look else { return };
            tokio::select! {
                () = sleep_until(again) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

impl State {
    fn takes_queries(&self, now: Instant) -> bool {
        !self.is_closed && !self.is_stalled && now < self.retires && self.abandoned.len() < MAX_ABANDONED
    }

    /// When to look again; `None` once the connection is over.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        let Some(oldest) = self.waiting.values().map(|w| w.since).min() else {
            let over = self.retires.min(self.used + IDLE);
            if !self.is_stalled && now < over {
                return Some(over);
            }
            self.retires = now;
            return None;
        };
        let silent_at = self.heard.max(oldest) + STALL;
        if now < silent_at {
            return Some(silent_at);
        }
        self.is_stalled = true;
        // A connection that never said anything may be to a slow upstream; a new one would be
        // no quicker.
        if self.answered > 0 {
            for stalled in self.waiting.values_mut().filter_map(|w| w.stalled.take()) {
                let _ = stalled.send(());
            }
        }
        Some(now + STALL)
    }
}
