//! The background half: takes what the answering threads put in, and writes it out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::Watch;
use super::dnstap::{Encoder, Tap};
use super::feed::Batch;
use super::log::{self, Lines};
use crate::wire::NameRef;

/// What comes in is written out within this, and sooner when there is much.
const EVERY: Duration = Duration::from_millis(50);

/// Says for people where a name is forwarded to; `None` for nowhere.
pub type Route = Arc<dyn Fn(NameRef<'_>) -> Option<String> + Send + Sync>;

impl Watch {
    /// Writes out what is seen until `shutdown`, and then what is left.
    pub async fn run(self, route: Route, shutdown: CancellationToken) {
        let dnstap = &self.0.dnstap;
        let tap = dnstap.to.clone().map(|to| Tap::start(to, dnstap.buffer / 2));
        let mut writer = Writer {
            encoder: Encoder::new(&dnstap.identity),
            tap,
            lines: Lines::new(),
            lines_away: Lines::new(),
            route,
            spare: Batch::default(),
        };
        while shutdown.run_until_cancelled(self.something_to_do()).await.is_some() {
            writer.write_out(&self);
        }
        writer.write_out(&self);
        if let Some(tap) = writer.tap {
            tap.finish().await;
        }
    }

    async fn something_to_do(&self) {
        let live = self.0.live.load();
        let is_fed = live.dnstap.to.is_some() || !live.query_log.classes.is_empty();
        drop(live);
        if is_fed {
            // A time-out is as good a reason as any.
            let _ = tokio::time::timeout(EVERY, self.0.feed.woken()).await;
        } else {
            // A reload wakes it.
            self.0.feed.woken().await;
        }
    }
}

struct Writer {
    encoder: Encoder,
    tap: Option<Tap>,
    lines: Lines,
    /// Of what is turned away: however much that is, it takes no line from the rest.
    lines_away: Lines,
    route: Route,
    spare: Batch,
}

impl Writer {
    fn write_out(&mut self, watch: &Watch) {
        let live = watch.0.live.load_full();
        // One look at both clocks: what the wall clock said when something was seen follows from it.
        let (wall, now) = (watch.0.clock.wall(), watch.0.clock.precise());
        let began = wall.checked_sub(now).unwrap_or(SystemTime::UNIX_EPOCH);
        let Self { encoder, tap, lines, lines_away, route, spare } = self;
        watch.0.feed.drain(spare, |batch| {
            for (head, parts) in batch.iter() {
                if head.is_tapped
                    && let Some(tap) = tap
                {
                    tap.take(encoder, head, parts, began);
                }
                let lines = if head.is_turned_away { &mut *lines_away } else { &mut *lines };
                if let Some(class) = head.class
                    && lines.allow(head.answered, live.query_log.lines)
                {
                    log::write(head, class, parts, route);
                }
            }
        });
        if let Some(tap) = tap {
            tap.flush();
        }
    }
}
