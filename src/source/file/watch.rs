//! Notices that a file's content is not what was loaded from it.

use std::hash::Hasher;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::source::{Push, ZoneId};

use super::MAX_FILE_BYTES;
use super::memory::{self, SharedMemory};

/// What is watched, and how.
pub(super) struct Watch {
    pub path: PathBuf,
    pub id: ZoneId,
    pub poll: Duration,
    pub memory: SharedMemory,
}

impl Watch {
    /// Looks at the file every `poll` until nobody listens any more.
    ///
    /// The content is compared and not its times: a mounted ConfigMap swaps a symlink, tools write
    /// twice within a tick of the file system's clock, and a touched file is no news.
    pub(super) async fn run(self, pushes: mpsc::Sender<Push>) {
        let mut told = None;
        let mut ticks = tokio::time::interval(self.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = pushes.closed() => return,
            }
            let now = self.hash().await;
            let is_known = {
                let mut memory = memory::locked(&self.memory);
                memory.age();
                memory.hash == now
            };
            if is_known {
                told = None;
                continue;
            }
            if told.replace(now) == Some(now) {
                continue;
            }
            debug!(file = %self.path.display(), "zone file changed");
            for push in [Push::Rediscover, Push::Changed(self.id.clone())] {
                if pushes.send(push).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The hash of the content; `None` while it cannot be read.
    async fn hash(&self) -> Option<u128> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || hash_file(&path).ok()).await.ok().flatten()
    }
}

/// The hash that contents are compared by.
pub(super) fn hash_bytes(content: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(content);
    hasher.finish128().as_u128()
}

fn hash_file(path: &Path) -> std::io::Result<u128> {
    let mut file = super::open(path)?.take(MAX_FILE_BYTES + 1);
    let mut hasher = SipHasher13::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish128().as_u128());
        }
        hasher.write(buffer.get(..count).unwrap_or_default());
    }
}
