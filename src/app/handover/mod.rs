//! One process takes over from another without a gap: the very sockets, the cache, and then the work.
//!
//! The old process ([`give`]) serves until the new one ([`take`]) does; for a moment both read the same queues. What goes
//! wrong before that leaves the old one as it was.

mod file;
pub mod give;
pub mod protocol;
pub mod take;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::metrics::{HandoverMetrics, HeritageMetrics};
use crate::sys::{Estate, SocketName};

pub use file::Meeting;
pub use give::{Commit, Giver, Offer, succession};
use take::{Found, Heir};

/// How long either side waits for the next word of the other, where nothing has to be done first.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the old process waits for the new one to serve: it restores the cache, and imports its zones, first.
const START: Duration = Duration::from_secs(120);

/// What a new process begins with.
#[derive(Default)]
pub struct Begin {
    /// Sockets of the process before; empty where there was none.
    pub estate: Estate,
    heir: Option<Heir>,
}

impl Begin {
    /// Looks for a process to take over from.
    ///
    /// # Errors
    /// There is one, and it goes on serving: this process must not start beside it.
    pub async fn at(
        path: Option<&Path>,
        (cache, clock): (&Arc<Cache>, &Clock),
        origin: u64,
        metrics: &HeritageMetrics,
    ) -> anyhow::Result<Self> {
        let (taken, Some(path)) = (HandoverMetrics::register("taken"), path) else {
            return Ok(Self::default());
        };
        let (at, cache, clock) = (path.to_owned(), Arc::clone(cache), clock.clone());
        let found = spawn_blocking(move || take::take(&at, &cache, &clock, origin)).await?;
        match found {
            Ok(Found::Nothing(None)) => Ok(Self::default()),
            Ok(Found::Nothing(Some(why))) => {
                taken.refused.increment(1);
                warn!(path = %path.display(), why, "the process before gives nothing: this one starts beside it");
                Ok(Self::default())
            }
            Ok(Found::Heritage(heritage)) => {
                metrics.restored.set(heritage.restored as f64);
                let (sockets, answers) = (heritage.estate.left(), heritage.restored);
                info!(sockets, answers, "taking over from the process before");
                Ok(Self { estate: heritage.estate, heir: Some(heritage.heir) })
            }
            Err(error) => Err(error).with_context(|| {
                format!(
                    "a zonelet that runs at {} goes on serving and does not hand over: stop it first, or set \
                     handover.enabled to false",
                    path.display()
                )
            }),
        }
    }

    /// Whether another process serves until this one does.
    pub fn is_followed(&self) -> bool {
        self.heir.is_some()
    }

    /// Says that this process serves, and returns when the other has stopped.
    ///
    /// # Errors
    /// The other goes on: it was told otherwise meanwhile, or the two have no address in common.
    pub async fn serving(self, metrics: &HeritageMetrics) -> anyhow::Result<()> {
        let (taken, Some(heir)) = (self.estate.close(), self.heir) else { return Ok(()) };
        let counted = HandoverMetrics::register("taken");
        metrics.sockets.set(taken.len() as f64);
        let said = spawn_blocking(move || heir.serving(taken)).await?;
        match said {
            Ok(()) => counted.done.increment(1),
            Err(_) => counted.failed.increment(1),
        }
        said.context("the process before goes on serving")
    }

    /// Says that nothing comes of it where the two have no DNS address in common: two configurations share a state
    /// directory, most likely, and neither must end the other.
    ///
    /// # Errors
    /// Just that.
    pub async fn check(&mut self) -> anyhow::Result<()> {
        let is_dns = |name: &SocketName| !matches!(name.kind.as_str(), "http" | "admin");
        if self.heir.is_none() || self.estate.taken().iter().any(is_dns) {
            return Ok(());
        }
        if let Some(heir) = self.heir.take() {
            spawn_blocking(move || heir.decline("its addresses are all others")).await?;
        }
        bail!(
            "another zonelet with this state directory serves other addresses: stop it first, or give this one a \
             state.dir or handover.socket of its own"
        )
    }
}
