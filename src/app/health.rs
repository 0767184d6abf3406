//! What /livez and /readyz say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Flag;
use super::imports::SharedBoard;
use crate::admin::Health;
use crate::upstream::Forwarder;

/// The process's state, as probes see it.
pub struct State {
    /// The drain has begun.
    pub draining: Flag,
    /// The first imports were finished once; a reload starts others, but serves all the while.
    started: Flag,
    imports: SharedBoard,
    forwarder: Arc<Forwarder>,
}

impl State {
    /// Not draining.
    pub fn new(imports: SharedBoard, forwarder: Arc<Forwarder>) -> Self {
        Self { draining: Flag::new(false), started: Flag::new(false), imports, forwarder }
    }
}

impl Health for State {
    /// A worker that panics ends the process, so one that answers here is alive.
    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining".to_owned());
        }
        if !self.started.load(Ordering::Relaxed) {
            if !self.imports.load().is_ready() {
                return Err("the first import of every source is not finished".to_owned());
            }
            self.started.store(true, Ordering::Relaxed);
        }
        let unserved = self.forwarder.health().borrow().unserved.clone();
        match unserved.first() {
            Some(domain) => Err(format!("no upstream for {domain}: set `upstreams` of its [[forward]]")),
            None => Ok(()),
        }
    }
}
