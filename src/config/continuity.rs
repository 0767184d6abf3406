//! What makes one process follow another without a gap: `[handover]`, `[watchdog]`, and what is kept in `[state]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read::{Item, Section};
use super::sections::path;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// `[state]` beside its directory, checked. Without a directory nothing is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The cache is written this often, and at the end; `None`: never.
    pub snapshot: Option<Duration>,
    /// Whether a start with a bad file goes on with the last good one.
    pub last_good_config: bool,
}

impl Default for Keep {
    fn default() -> Self {
        Self { snapshot: Some(5 * MINUTE), last_good_config: true }
    }
}

/// `[handover]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The Unix socket by which a successor finds the process before it; `None`: nothing is handed over.
    pub socket: Option<PathBuf>,
    /// Connections that are open go on being served by the old process for this long.
    pub linger: Duration,
}

impl Default for Handover {
    fn default() -> Self {
        Self { socket: None, linger: Duration::from_secs(30) }
    }
}

/// `[watchdog]`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// All workers are tried this often.
    pub interval: Duration,
    /// One that has answered nothing for so long, though it was asked, is stuck.
    pub limit: Duration,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), limit: Duration::from_secs(30) }
    }
}

/// `[state]` without its directory.
pub(super) fn keep(section: &Section<'_>) -> Keep {
    let default = Keep::default();
    let snapshot = |item: &Item<'_>| {
        let every = item.duration(Duration::ZERO..=1440 * MINUTE)?;
        if !every.is_zero() && every < 10 * SECOND {
            item.reject("must be 0s, which is off, or at least 10s", None);
            return None;
        }
        Some((!every.is_zero()).then_some(every))
    };
    Keep {
        snapshot: section.read("snapshot", default.snapshot, snapshot),
        last_good_config: section.read("last_good_config", default.last_good_config, Item::boolean),
    }
}

/// `[handover]`. The socket is in the state directory where no other is named.
pub(super) fn handover(section: &Section<'_>, base: &Path, state_dir: Option<&Path>) -> Handover {
    let default = Handover::default();
    let socket = section.read("socket", None, |item| path(item, base));
    let socket = socket.or_else(|| state_dir.map(|dir| dir.join("handover.sock")));
    let is_enabled = section.read("enabled", true, Item::boolean);
    Handover {
        socket: socket.filter(|_| is_enabled),
        linger: section.read("linger", default.linger, |i| i.duration(Duration::ZERO..=60 * MINUTE)),
    }
}

/// `[watchdog]`; `None` where it is switched off.
pub(super) fn watchdog(section: &Section<'_>) -> Option<Watchdog> {
    let default = Watchdog::default();
    let watchdog = Watchdog {
        interval: section.read("interval", default.interval, |i| i.duration(SECOND..=10 * MINUTE)),
        limit: section.read("limit", default.limit, |i| i.duration(5 * SECOND..=60 * MINUTE)),
    };
    if watchdog.limit < 2 * watchdog.interval {
        let key = if section.has("limit") { "limit" } else { "interval" };
        section.reject(key, "limit is below twice the interval", Some("one lost probe must not be enough"));
    }
    section.read("enabled", true, Item::boolean).then_some(watchdog)
}
