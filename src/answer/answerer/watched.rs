//! Telling the watch what came of queries.

use std::time::Duration;

use super::{Answerer, Made, Outcome, Rules, View};
use crate::answer::{Asker, PendingQuery, Settings};
use crate::clock::Moment;
use crate::watch::{Seen, Watch};

impl Answerer {
    /// Has `watch` told of queries, from the next batch on, with these settings. The first one stays; what it wants to
    /// hear of is looked at again with each [`Answerer::reload`].
    pub fn watched_by(&self, watch: Watch, settings: Settings) {
        self.0.watch.get_or_init(|| watch);
        self.reload(settings);
    }

    /// When a batch that is looked at `now` was received, as exactly as somebody wants to know.
    pub(super) fn received(&self, rules: &Rules, now: Moment) -> Duration {
        if rules.sampling.is_exact() {
            self.0.clock.precise()
        } else {
            Duration::from_millis(now.as_millis())
        }
    }

    /// Tells of a response.
    #[cold]
    #[inline(never)]
    pub(super) fn seen(
        &self,
        view: &View,
        (query, asker, asked): (&[u8], &Asker, Duration),
        response: Option<&[u8]>,
        made: Made,
        draw: u64,
    ) {
        let (Some(watch), Some(response)) = (self.0.watch.get(), response) else { return };
        if !view.rules.sampling.is_on() {
            return;
        }
        let seen = Seen {
            client: asker.client,
            local: asker.local.map(|local| local.ip),
            proto: asker.transport.proto(),
            query,
            response,
            source: made.source,
            rcode: made.rcode,
            asked,
        };
        watch.saw(&seen, draw);
    }

    /// Tells of a response that had to be fetched.
    pub(super) fn seen_late(&self, view: &View, pending: &PendingQuery, outcome: &Outcome, out: &[u8]) {
        if let Outcome::Respond(len, made) = outcome
            && view.rules.sampling.is_on()
        {
            let query = (pending.query(), &pending.asker(), pending.received);
            self.seen(view, query, out.get(..*len), *made, pending.draw);
        }
    }
}
