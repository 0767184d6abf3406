//! A changed configuration, taken over without losing a query; a bad one is refused whole.

use std::convert::Infallible;
use std::hash::Hasher;
use std::path::Path;
use std::time::Duration;

use siphasher::sip::SipHasher13;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::App;
use crate::config::Config;
use crate::upstream;

/// The file is read this often: cheaper than it sounds, and right for symlinks that are swapped.
const POLL: Duration = Duration::from_secs(5);

impl App {
    /// Reloads at SIGHUP and when the content of the file has changed. Never returns.
    pub(super) async fn follow_config(&mut self, mut hangup: Signal) -> Infallible {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.fingerprint().await;
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = ticks.tick() => false,
            };
            let now = self.fingerprint().await;
            if asked || (now.is_some() && now != seen) {
                self.reload().await;
            }
            seen = now.or(seen);
        }
    }

    async fn fingerprint(&self) -> Option<u64> {
        let bytes = tokio::fs::read(self.setup.path.as_deref()?).await.ok()?;
        let mut hasher = SipHasher13::new();
        hasher.write(&bytes);
        Some(hasher.finish())
    }

    /// Takes over what can change while serving. Nothing of a bad configuration is used.
    pub(super) async fn reload(&mut self) {
        let path = self.setup.path.clone();
        let path = path.as_deref();
        let new = match Config::load(path, &self.setup.environment) {
            Ok(new) => new,
            Err(problems) => {
                self.reloads.refused.increment(1);
                return error!(file = %shown(path), "the new configuration is refused, the old one stays:\n{problems}");
            }
        };
        new.warnings.iter().for_each(|warning| warn!("{warning}"));
        let old = &self.setup.config;
        for key in old.needs_restart(&new) {
            warn!(key, "a changed value takes effect at the next start only");
        }
        let (sources, forwards) = (old.sources != new.sources, old.upstream != new.upstream);
        (self.setup.set_level)(&new.log);
        self.answerer.reload(new.answer.clone());
        self.server.reload(&new.server);
        if old.cache != new.cache {
            self.cache.reload(&new.cache);
        }
        if forwards {
            let own = self.server.local_addrs().to_vec();
            self.forwarder.reload(upstream::Settings { own, ..new.upstream.clone() });
        }
        if sources {
            self.imports.replace(&new).await;
        }
        self.setup.config = new;
        self.reloads.taken.increment(1);
        info!(file = %shown(path), sources, forwards, "configuration reloaded");
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string())
}
