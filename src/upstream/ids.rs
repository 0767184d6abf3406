//! The ids of the queries on one socket.

use std::collections::VecDeque;

/// Queries that wait on one socket at most: a forger's guess of an id hits as many.
pub(super) const MAX_WAITING: usize = 64;
/// Ids of finished queries whose late replies are no forgeries.
const MAX_FINISHED: usize = 32;

/// A random id that none of the `waiting` queries has, as `is_taken` says. `None`: too many wait.
pub(super) fn fresh_id(waiting: usize, is_taken: impl Fn(u16) -> bool) -> Option<u16> {
    if waiting >= MAX_WAITING {
        return None;
    }
    loop {
        let id = rand::random();
        if !is_taken(id) {
            return Some(id);
        }
    }
}

/// The ids used last, oldest first.
#[derive(Debug, Default)]
pub(super) struct Finished(VecDeque<u16>);

impl Finished {
    pub(super) fn contains(&self, id: u16) -> bool {
        self.0.contains(&id)
    }

    pub(super) fn remember(&mut self, id: u16) {
        if self.0.len() >= MAX_FINISHED {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    /// Forgets an id that is in use again.
    pub(super) fn forget(&mut self, id: u16) {
        self.0.retain(|&finished| finished != id);
    }
}
