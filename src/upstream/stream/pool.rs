//! Which connection a query goes on, and when another is opened.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use metrics::Counter;
use tokio::sync::{Notify, oneshot};

use super::Asked;
use super::connection::Connection;
use super::dial::Dialer;
use super::inbox::{Inbox, MAX_IN_FLIGHT, Outcome, Place};

/// Connections that take queries.
const MAX_OPEN: usize = 4;
/// Queries on each before another is opened: each costs the upstream a handshake, and a resolver
/// that counts packets three more.
const FEW: usize = 32;
/// Connections to an upstream that closes each after one answer.
const MAX_SERIAL: usize = 64;
/// Connections in a row that were closed after one answer though more was asked.
const SERIAL_AFTER: u32 = 2;

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Any.
    Any,
    /// Those opened after the one of this number.
    After(u64),
}

/// The connections to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    dialer: Arc<Dialer>,
    state: Mutex<State>,
    room: Arc<Notify>,
    opened: Counter,
    /// See [`SERIAL_AFTER`].
    one_shots: Arc<AtomicU32>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that take queries and those that end.
    connections: Vec<Arc<Connection>>,
    last: u64,
}

/// A query under way; given up when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    connection: Arc<Connection>,
    /// What it goes by on its connection.
    pub(super) id: u16,
    /// What becomes of it.
    pub(super) reply: oneshot::Receiver<Outcome>,
    /// Told once if the connection, which has answered before, has fallen silent.
    pub(super) stalled: oneshot::Receiver<()>,
    room: Arc<Notify>,
}

impl Ticket {
    /// The number of its connection.
    pub(super) fn number(&self) -> u64 {
        self.connection.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connection.leave(self.id);
        self.room.notify_one();
    }
}

/// What the end of a connection means to its pool.
#[derive(Debug)]
pub(super) struct Ending {
    room: Weak<Notify>,
    one_shots: Arc<AtomicU32>,
}

impl Ending {
    /// It could not be opened.
    pub(super) fn refused(self, inbox: &Inbox, error: io::Error) {
        inbox.refuse(error);
        self.make_room();
    }

    /// It has ended.
    pub(super) fn ended(self, inbox: &Inbox, kind: io::ErrorKind) {
        match inbox.answered() {
            (1, 1..) => drop(self.one_shots.fetch_add(1, Ordering::Relaxed)),
            (2.., _) => self.one_shots.store(0, Ordering::Relaxed),
            _ => {}
        }
        inbox.end(kind);
        self.make_room();
    }

    /// Another connection may be opened for those who wait.
    fn make_room(&self) {
        if let Some(room) = self.room.upgrade() {
            (0..MAX_IN_FLIGHT).for_each(|_| room.notify_one());
        }
    }
}

impl Pool {
    pub(super) fn new(dialer: Dialer, room: Arc<Notify>, opened: Counter) -> Self {
        Self { dialer: Arc::new(dialer), state: Mutex::default(), room, opened, one_shots: Arc::default() }
    }

    /// Puts `message` on a connection, and opens one if that is better. `None`: there is no room.
    pub(super) fn join(&self, message: &[u8], asked: &Asked, which: Which) -> Option<Ticket> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let connection = self.choose(&mut state, which)?;
            // One that takes nothing more is not chosen again.
            let Some(place) = connection.join(message, asked) else { continue };
            let Place { id, reply, stalled } = place;
            return Some(Ticket { connection, id, reply, stalled, room: Arc::clone(&self.room) });
        }
    }

    /// The connection with the fewest queries, or a new one.
    fn choose(&self, state: &mut State, which: Which) -> Option<Arc<Connection>> {
        let is_serial = self.one_shots.load(Ordering::Relaxed) >= SERIAL_AFTER;
        let (max_open, few, most) =
            if is_serial { (MAX_SERIAL, 0, 0) } else { (MAX_OPEN, FEW, MAX_IN_FLIGHT - 1) };
        state.connections.retain(|c| !c.standing().is_closed);
        let open: Vec<_> = state.connections.iter().filter(|c| c.standing().is_open).cloned().collect();
        let fits = |c: &&Arc<Connection>| match which {
            Which::Any => true,
            Which::After(number) => c.number > number,
        };
        let in_flight = |c: &Arc<Connection>| c.standing().in_flight;
        let best = open.iter().filter(fits).min_by_key(|c| in_flight(c)).filter(|c| in_flight(c) <= most);
        if let Some(best) = best.filter(|c| in_flight(c) <= few || open.len() >= max_open) {
            return Some(Arc::clone(best));
        }
        if open.len() >= max_open {
            // None is new enough: the least used makes room.
            let old = open.iter().filter(|c| !fits(c)).min_by_key(|c| in_flight(c))?;
            old.retire();
        }
        // Those that end are bounded, too.
        if state.connections.len() >= 2 * max_open {
            return best.cloned();
        }
        state.last += 1;
        let ending = Ending { room: Arc::downgrade(&self.room), one_shots: Arc::clone(&self.one_shots) };
        let connection = Connection::open(state.last, Arc::clone(&self.dialer), ending);
        self.opened.increment(1);
        state.connections.push(Arc::clone(&connection));
        Some(connection)
    }

    /// Whether a connection takes queries now.
    pub(super) fn is_open(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.connections.iter().any(|connection| connection.standing().is_open)
    }

    /// Connections that are not closed yet.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.connections.retain(|c| !c.standing().is_closed);
        state.connections.len()
    }
}
