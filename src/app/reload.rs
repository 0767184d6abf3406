//! A changed configuration, taken over without losing a query; a bad one is refused whole.

use std::hash::Hasher;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use siphasher::sip::SipHasher13;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::handover::{Commit, succession};
use super::{App, keep_config, snapshot};
use crate::config::Config;
use crate::metrics::continuity::config_fallback;
use crate::upstream;

/// The file is read this often: cheaper than it sounds, and right for symlinks that are swapped.
const POLL: Duration = Duration::from_secs(5);
/// A file that has changed must stay as it is for this long: half a file may well be a valid one,
/// without the sources that follow.
const SETTLE: Duration = Duration::from_secs(1);

impl App {
    /// Reloads at SIGHUP and when the content of the file has changed. Returns, between two reloads, when a successor
    /// serves.
    pub(super) async fn follow_config(&mut self, mut hangup: Signal) -> Commit {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = Watched { taken: self.fingerprint().await, settling: None };
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = ticks.tick() => false,
                commit = succession(&mut self.giver) => return commit,
            };
            match watched.look(self.fingerprint().await, asked) {
                Look::Take => self.reload().await,
                Look::Again => ticks.reset_after(SETTLE),
                Look::Nothing => {}
            }
        }
    }

    /// `None` for a file that cannot be read, or is empty, as one is that is about to be written.
    async fn fingerprint(&self) -> Option<u64> {
        let bytes = tokio::fs::read(self.setup.path.as_deref()?).await.ok().filter(|b| !b.is_empty())?;
        let mut hasher = SipHasher13::new();
        hasher.write(&bytes);
        Some(hasher.finish())
    }

    /// Takes over what can change while serving. Nothing of a bad configuration is used.
    pub(super) async fn reload(&mut self) {
        let path = self.setup.path.clone();
        let path = path.as_deref();
        let (new, text) = match Config::load_with_text(path, &self.setup.environment) {
            Ok(loaded) => loaded,
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
        let is_special_changed = old.answer.special != new.answer.special;
        let (sources, forwards) = (old.sources != new.sources, old.upstream != new.upstream);
        (self.setup.set_level)(&new.log);
        // First: the answerer asks it what it wants to hear of.
        self.watch.reload(new.watch.clone());
        self.answerer.reload(new.answer.clone());
        self.server.reload(&new.server);
        if old.cache != new.cache {
            self.cache.reload(&new.cache);
        }
        self.origin.store(snapshot::origin(&new.upstream, &new.answer.rebinding), Ordering::Relaxed);
        if forwards {
            let own = self.server.local_addrs().to_vec();
            self.forwarder.reload(upstream::Settings { own, ..new.upstream.clone() });
        }
        if sources {
            self.imports.replace(&new).await;
        }
        // What they are not heard in is another matter with other special names.
        if sources || is_special_changed {
            self.hosts.replace(&new).await;
        }
        self.setup.config = new;
        config_fallback().set(0.0);
        keep_config(&self.setup.config, text).await;
        self.reloads.taken.increment(1);
        info!(file = %shown(path), sources, forwards, "configuration reloaded");
    }
}

/// The content of the file, by fingerprints.
#[derive(Debug)]
struct Watched {
    /// What was loaded last, or refused.
    taken: Option<u64>,
    /// What stands there now but may still be in the writing.
    settling: Option<u64>,
}

/// What to do after a look at the file.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Nothing,
    Again,
    Take,
}

impl Watched {
    /// Notes the content as it is now; `asked` is whether somebody wants it loaded at once.
    fn look(&mut self, now: Option<u64>, asked: bool) -> Look {
        let before = self.settling.take();
        match now {
            None if !asked => Look::Nothing,
            _ if asked || (now != self.taken && now == before) => {
                self.taken = now.or(self.taken);
                Look::Take
            }
            _ if now == self.taken => Look::Nothing,
            _ => {
                self.settling = now;
                Look::Again
            }
        }
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(contents: &[Option<u64>]) -> Vec<Look> {
        let mut watched = Watched { taken: Some(1), settling: None };
        contents.iter().map(|&now| watched.look(now, false)).collect()
    }

    #[test]
    fn a_file_still_being_written_is_not_taken() {
        use Look::{Again, Nothing, Take};
        assert_eq!(
            looks(&[Some(1), Some(2), Some(3), Some(3), Some(3)]),
            [Nothing, Again, Again, Take, Nothing]
        );
        assert_eq!(looks(&[Some(2), None, Some(2), Some(2)]), [Again, Nothing, Again, Take]);
        assert_eq!(looks(&[None, None, Some(1)]), [Nothing, Nothing, Nothing], "emptied and restored");
        assert_eq!(looks(&[Some(2), Some(1), Some(2)]), [Again, Nothing, Again]);
    }

    #[test]
    fn who_asks_is_not_kept_waiting_and_the_same_content_is_not_taken_again() {
        let mut watched = Watched { taken: Some(1), settling: None };
        assert_eq!(watched.look(Some(2), true), Look::Take);
        assert_eq!(watched.look(Some(2), false), Look::Nothing);
        assert_eq!(watched.look(None, true), Look::Take, "the load says what is wrong with the file");
    }
}
