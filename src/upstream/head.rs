//! The first query of an exchange, sent before there is one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Route;
use super::breaker::Mark;
use super::lane::SHORTEST;
use super::pending::{Event, What};
use super::server::Upstream;
use crate::clock::Moment;

/// The candidate that the head of an exchange was sent to stands first among all.
pub(super) const FIRST: usize = 0;

/// A query to the upstream that comes first for a question, by which an exchange may begin later:
/// for as long as all goes as usual there is none.
#[derive(Clone, Debug)]
pub struct Head {
    pub(super) route: Arc<Route>,
    /// Which of the route's upstreams.
    pub(super) index: usize,
    pub(super) started: Instant,
    /// After what time others than the lane must know of the silence, if that is sooner than usual.
    pub(super) most: Duration,
    /// What had come from the upstream by then.
    pub(super) mark: Mark,
}

impl Head {
    /// The upstream that is asked, which [`Forwarder::look`](super::Forwarder::look) has seen.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.route.upstreams[self.index]
    }

    /// When it is sent.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether the packet budget of the upstream is nearly used up: what can be had without asking spares a packet.
    pub fn is_scarce(&self, now: Moment) -> bool {
        self.upstream().budget.ease(now) == 0
    }

    /// How long its reply is waited for alone.
    pub fn patience(&self) -> Duration {
        self.route.first_patience()
    }

    /// Has its reply be waited for alone no longer than this; `None` where that is too short for a lane.
    pub fn hurried(self, most: Duration) -> Option<Self> {
        (most >= SHORTEST).then_some(Self { most, ..self })
    }

    /// The same as a lane keeps it.
    pub(super) fn most(&self) -> Duration {
        self.most
    }

    /// When its reply is late enough for a second query.
    pub(super) fn hedges_after(&self) -> Option<Duration> {
        self.route.hedges_after(self.upstream())
    }

    /// How long its reply is waited for at all.
    pub(super) fn timeout(&self) -> Duration {
        self.route.timeout
    }

    /// The way to tell an exchange that is about to begin with it what has come of it.
    pub fn line(&self) -> (Line, Heard) {
        let (sender, receiver) = mpsc::channel(self.route.max_events());
        (Line(sender.clone()), Heard { sender, receiver })
    }
}

/// Tells an exchange what comes of its first query.
#[derive(Clone, Debug)]
pub struct Line(mpsc::Sender<Event>);

impl Line {
    /// Tells it. Returns whether the exchange is still under way.
    pub fn tell(&self, what: What) -> bool {
        let event = Event { tag: FIRST, what };
        !matches!(self.0.try_send(event), Err(mpsc::error::TrySendError::Closed(_)))
    }
}

/// What an exchange hears of its first query.
#[derive(Debug)]
pub struct Heard {
    pub(super) sender: mpsc::Sender<Event>,
    pub(super) receiver: mpsc::Receiver<Event>,
}
