//! Hosts files, followed for as long as the process runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::answer::Answerer;
use crate::answer::settings::SpecialNames;
use crate::answer::special::overrules;
use crate::config::{Config, SourceKind};
use crate::metrics::HostsMetrics;
use crate::source::hosts::{Hosts, HostsFile, POLL};
use crate::source::settings::HostsSettings;
use crate::sys;
use crate::wire::Name;

/// Lines of one file that are told of one by one.
const MOST_TOLD: usize = 8;

/// All hosts files of the configuration, and who answers from them. Clones share it.
#[derive(Clone)]
pub(super) struct HostsFiles(Arc<Shared>);

struct Shared {
    answerer: Answerer,
    metrics: HostsMetrics,
    files: Mutex<Vec<Followed>>,
    special: Mutex<SpecialNames>,
}

struct Followed {
    file: HostsFile,
    /// The last look failed, which was told.
    is_failing: bool,
    /// What it says of special names and is not heard in, which was told.
    overruled: BTreeSet<Name>,
}

impl Followed {
    fn new(settings: HostsSettings) -> Self {
        Self { file: HostsFile::new(settings), is_failing: false, overruled: BTreeSet::new() }
    }

    /// Tells of names that are answered in another way than the file wants, once for as long as they are the same.
    fn tell_overruled(&mut self, special: SpecialNames) {
        let Some(hosts) = self.file.hosts() else { return };
        let names =
            hosts.forward.iter().filter(|(name, addresses)| overrules(name.as_ref(), addresses, special));
        let names: BTreeSet<Name> = names.map(|(name, _)| name.clone()).collect();
        if names != self.overruled && !names.is_empty() {
            let path = self.file.settings().path.display().to_string();
            for (line, name) in self.file.lines_with(&names, MOST_TOLD) {
                warn!(
                    place = %format_args!("{path}:{line}"), %name,
                    "a hosts file is not heard here: the name is special, see section [special]"
                );
            }
            if names.len() > MOST_TOLD {
                warn!(file = %path, names = names.len(), "there are more such names");
            }
        }
        self.overruled = names;
    }
}

impl HostsFiles {
    /// Reads them, so that the first query finds them.
    pub async fn start(config: &Config, answerer: Answerer) -> Self {
        let shared = Shared {
            answerer,
            metrics: HostsMetrics::register(),
            files: Mutex::default(),
            special: Mutex::default(),
        };
        let files = Self(Arc::new(shared));
        files.replace(config).await;
        files
    }

    /// Goes on with the files of another configuration; one that both have is not read anew.
    pub async fn replace(&self, config: &Config) {
        let wanted = settings(config);
        let shared = Arc::clone(&self.0);
        *shared.special.lock().unwrap_or_else(PoisonError::into_inner) = config.answer.special;
        in_background(move || shared.replace(wanted)).await;
    }

    /// Looks at the files until the end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.answerer.sweep();
            if self.0.has_none() {
                continue;
            }
            let shared = Arc::clone(&self.0);
            in_background(move || shared.look(false)).await;
        }
    }
}

/// Reading and laying out a long file must not stand in anybody's way.
async fn in_background(work: impl FnOnce() + Send + 'static) {
    let done = tokio::task::spawn_blocking(move || {
        if let Err(error) = sys::in_background(work) {
            warn!(%error, "no thread for hosts files");
        }
    });
    if let Err(error) = done.await {
        warn!(%error, "reading hosts files ended badly");
    }
}

impl Shared {
    fn replace(&self, wanted: Vec<HostsSettings>) {
        {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let mut before = std::mem::take(&mut *files);
            for settings in wanted {
                let kept = before.iter().position(|followed| *followed.file.settings() == settings);
                files.push(match kept {
                    Some(at) => before.swap_remove(at),
                    None => Followed::new(settings),
                });
            }
        }
        self.look(true);
    }

    fn has_none(&self) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Looks at each file once; tells the answerer if there is news, or in any case.
    fn look(&self, in_any_case: bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_news = false;
        for followed in files.iter_mut() {
            is_news |= self.look_at(followed);
        }
        if is_news || in_any_case {
            let special = *self.special.lock().unwrap_or_else(PoisonError::into_inner);
            files.iter_mut().for_each(|followed| followed.tell_overruled(special));
            let hosts: Vec<Arc<Hosts>> = files.iter().filter_map(|f| f.file.hosts().cloned()).collect();
            self.metrics.names.set(hosts.iter().map(|hosts| hosts.forward.len()).sum::<usize>() as f64);
            self.answerer.set_hosts(hosts);
        }
    }

    fn look_at(&self, followed: &mut Followed) -> bool {
        let looked = followed.file.look();
        let path = followed.file.settings().path.display().to_string();
        match looked {
            Ok(false) => {}
            Ok(true) => {
                self.metrics.loads.increment(1);
                tell(&path, followed.file.hosts());
            }
            Err(error) => {
                self.metrics.failures.increment(1);
                if !followed.is_failing {
                    warn!(file = %path, %error, "a hosts file cannot be read, what it said before stays");
                }
                followed.is_failing = true;
                return false;
            }
        }
        followed.is_failing = false;
        matches!(looked, Ok(true))
    }
}

fn tell(path: &str, hosts: Option<&Arc<Hosts>>) {
    let Some(hosts) = hosts else { return };
    info!(file = %path, names = hosts.forward.len(), "hosts file read");
    if !hosts.odd_lines.is_empty() {
        warn!(file = %path, lines = ?hosts.odd_lines, "these lines were not understood, or not whole");
    }
}

fn settings(config: &Config) -> Vec<HostsSettings> {
    let hosts = config.sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Hosts(settings) => Some(settings.clone()),
        _ => None,
    });
    hosts.collect()
}

/// What the hosts files say now, for those who only look once; files that cannot be read say nothing.
pub(super) fn read_once(config: &Config) -> Vec<Arc<Hosts>> {
    let read = |settings: HostsSettings| {
        let mut file = HostsFile::new(settings);
        file.look().ok()?;
        file.hosts().cloned()
    };
    settings(config).into_iter().filter_map(read).collect()
}
