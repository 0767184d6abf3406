//! How the process ends: by a drain, or by leaving its work to a successor.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tracing::{info, warn};

use super::handover::{Commit, succession};
use super::{App, TASKS_GRACE};
use crate::config::Drain;

/// A hand-over that has begun when the queues are to be read dry gets this long to come to an end.
const SETTLE: Duration = Duration::from_secs(10);

/// How long a process that has left its work to another is there for those who look for that one.
const FOLLOWED: Duration = Duration::from_secs(5);

impl App {
    /// Not ready → keep answering for the delay → read the queues dry and close → finish what is
    /// pending within the grace period → stop everything else. A second signal cuts the delay. A successor that
    /// comes before the queues are read dry still takes over.
    pub(super) async fn drain(mut self, signals: [Signal; 2]) {
        let Drain { delay, grace } = self.setup.config.drain;
        self.state.draining.store(true, Ordering::Relaxed);
        let [mut terminate, mut interrupt] = signals;
        let commit = tokio::select! {
            () = tokio::time::sleep(delay) => None,
            _ = terminate.recv() => {
                info!("second signal: the drain delay is cut short");
                None
            }
            _ = interrupt.recv() => {
                info!("second signal: the drain delay is cut short");
                None
            }
            commit = succession(&mut self.giver) => Some(commit),
        };
        // What a successor has been given must not be drained.
        let commit = match (commit, &mut self.giver) {
            (None, Some(giver)) => giver.settle(SETTLE).await,
            (commit, _) => commit,
        };
        match commit {
            Some(commit) => self.leave(commit, [terminate, interrupt]).await,
            None => self.end(grace, true).await,
        }
    }

    /// A successor serves: nothing more is read of what it took, the rest is closed in good order, connections are
    /// served to their end. A signal cuts that short.
    pub(super) async fn leave(mut self, commit: Commit, signals: [Signal; 2]) {
        drop(self.watchdog.take());
        self.server.hand_over(&commit.taken).await;
        if let Some(file) = &self.admin_file {
            let is_taken = commit.taken.iter().any(|name| name.kind == "admin");
            file.store(is_taken, Ordering::Relaxed);
        }
        self.admin.cancel();
        // It may be gone again; who serves then is its supervisor's concern.
        let _ = commit.stopped.send(());
        info!("a successor serves: open connections are served to their end");
        // The files in the state directory are the successor's from now on.
        self.imports.halt();
        if let Some(keeper) = self.keeper.take() {
            keeper.end(false).await;
        }
        let [mut terminate, mut interrupt] = signals;
        tokio::select! {
            () = self.server.connections_ended() => {}
            () = tokio::time::sleep(self.setup.config.handover.linger) => {}
            _ = terminate.recv() => info!("SIGTERM: open connections are closed"),
            _ = interrupt.recv() => info!("SIGINT: open connections are closed"),
        }
        if let Some(giver) = &self.giver {
            giver.followed(FOLLOWED).await;
        }
        let grace = self.setup.config.drain.grace;
        self.end(grace, false).await;
    }

    /// Closes what is open, finishes what is pending within `grace`, and stops everything else.
    async fn end(mut self, grace: Duration, is_last: bool) {
        drop(self.watchdog.take());
        let leftover = self.server.drain(grace).await;
        if leftover != crate::server::Leftover::default() {
            warn!(
                replies = leftover.replies,
                connections = leftover.connections,
                "not everything was finished in time"
            );
        }
        self.shutdown.cancel();
        self.tasks.close();
        let rest = async {
            if let Some(keeper) = self.keeper {
                keeper.end(is_last).await;
            }
            self.imports.stop().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(TASKS_GRACE, rest).await.is_err() {
            warn!("some tasks did not end in time");
        }
        info!("stopped");
    }
}
