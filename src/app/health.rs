//! What /livez and /readyz say.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::warn;

use super::Flag;
use super::imports::SharedBoard;
use super::watchdog::Verdict;
use crate::admin::Health;
use crate::upstream::Forwarder;

/// How often readiness is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// The process's state, as probes see it.
pub struct State {
    /// The drain has begun.
    pub draining: Flag,
    /// What the watchdog has found.
    pub verdict: Verdict,
    /// The first imports were finished once; a reload starts others, but serves all the while.
    started: Flag,
    imports: SharedBoard,
    forwarder: Arc<Forwarder>,
}

impl State {
    /// Not draining.
    pub fn new(imports: SharedBoard, forwarder: Arc<Forwarder>) -> Self {
        Self {
            draining: Flag::new(false),
            verdict: Verdict::default(),
            started: Flag::new(false),
            imports,
            forwarder,
        }
    }
}

impl State {
    /// Waits until it is ready, at most for `patience`.
    pub async fn until_ready(&self, patience: Duration) {
        let ready = async {
            while self.ready().is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, ready).await.is_err() {
            let why = self.ready().err();
            warn!(why, "taking over without being ready");
        }
    }
}

impl Health for State {
    /// A worker that panics ends the process; one that hangs is found by the watchdog.
    fn live(&self) -> Result<(), String> {
        self.verdict.get()
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
