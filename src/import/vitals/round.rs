//! When health is asked for: everything every so often, and what is new in between.

use std::time::Duration;

use tokio::time::Instant;

/// What is new is asked for after this, so that zones that come in together cost one look.
pub(super) const GATHERING: Duration = Duration::from_secs(1);

/// When something is asked next, and whether it is being asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// When everything is.
    due: Instant,
    /// When what is new is, before that.
    early: Option<Instant>,
    running: Option<Running>,
}

/// A round under way.
#[derive(Clone, Copy, Debug)]
struct Running {
    since: Instant,
    /// It is about everything.
    is_whole: bool,
}

impl Round {
    /// One that begins at `due`.
    pub fn due(due: Instant) -> Self {
        Self { due, early: None, running: None }
    }

    /// Asks for what is new soon, and together with what else comes until then.
    pub fn add(&mut self, now: Instant) {
        self.early.get_or_insert(now + GATHERING);
    }

    /// Begins what is due; whether that is about everything.
    pub fn begin(&mut self, now: Instant) -> Option<bool> {
        let is_whole = self.due <= now;
        let is_due = is_whole || self.early.is_some_and(|early| early <= now);
        if self.running.is_some() || !is_due {
            return None;
        }
        self.early = None;
        self.running = Some(Running { since: now, is_whole });
        Some(is_whole)
    }

    /// Ends what was under way: it is asked again after `wait`, where it was about everything.
    pub fn end(&mut self, now: Instant, wait: Duration) {
        if self.running.take().is_some_and(|ended| ended.is_whole) {
            self.due = now + wait;
        }
    }

    /// Whether what is under way is about what is new alone.
    pub fn is_early(&self) -> bool {
        self.running.is_some_and(|running| !running.is_whole)
    }

    /// What is new is asked for once more, at `at`.
    pub fn retry_early(&mut self, at: Instant) {
        self.early = Some(at);
    }

    /// How long it has been under way.
    pub fn took(&self, now: Instant) -> Duration {
        self.running.map(|running| now.saturating_duration_since(running.since)).unwrap_or_default()
    }

    /// Whatever is under way comes to nothing.
    pub fn forget(&mut self) {
        self.running = None;
    }

    /// When it begins next; `None` while it is under way.
    pub fn next(&self) -> Option<Instant> {
        self.running.is_none().then(|| self.early.map_or(self.due, |early| early.min(self.due)))
    }
}
