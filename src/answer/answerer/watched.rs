//! Telling the watch what came of queries.

use std::time::Duration;

use super::{Answerer, Made, Outcome, Rules, Stopped, View};
use crate::answer::walk::Resolved;
use crate::answer::{Asker, Disposition, PendingQuery, Settings};
use crate::clock::Moment;
use crate::metrics::AnswerSource;
use crate::watch::{By, Seen, Stop, Watch};
use crate::wire::Rcode;

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
        asked: (&[u8], &Asker, Duration),
        response: Option<&[u8]>,
        made: Made,
        draw: u64,
    ) {
        self.tell(view, asked, response, (made, None, None), draw);
    }

    /// Tells of a query that was turned away, if it is one of the sample; what becomes of it.
    #[cold]
    #[inline(never)]
    pub(super) fn stopped(
        &self,
        view: &View,
        (query, asker): (&[u8], &Asker),
        out: &[u8],
        stopped: Stopped,
        draw: u64,
    ) -> Disposition {
        if view.rules.sampling.takes(draw) {
            let (len, rcode) = stopped.response.unwrap_or((0, Rcode::REFUSED));
            let made = Made { source: AnswerSource::Local, rcode };
            let asked = (query, asker, view.received);
            self.tell(view, asked, out.get(..len), (made, Some(stopped.by), None), draw);
        }
        stopped.into()
    }

    fn tell(
        &self,
        view: &View,
        (query, asker, asked): (&[u8], &Asker, Duration),
        response: Option<&[u8]>,
        (made, stop, by): (Made, Option<Stop>, Option<&By>),
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
            stop,
            by,
            asked,
        };
        watch.saw(&seen, draw);
    }

    /// Tells of a response that had to be fetched, and of who has answered.
    pub(super) fn seen_late(
        &self,
        view: &View,
        pending: &PendingQuery,
        all: &[Resolved],
        outcome: &Outcome,
        out: &[u8],
    ) {
        if let Outcome::Respond(len, made) = outcome
            && view.rules.sampling.is_on()
        {
            let by = self.slowest(all, pending.received);
            let query = (pending.query(), &pending.asker(), pending.received);
            self.tell(view, query, out.get(..*len), (*made, None, by.as_ref()), pending.draw);
        }
    }

    /// Of those who have answered the questions of a query, whom it has waited for longest.
    fn slowest(&self, all: &[Resolved], since: Duration) -> Option<By> {
        let watch = self.0.watch.get().filter(|watch| watch.follows_upstreams())?;
        let asked = all.iter().map(|resolved| &resolved.question);
        asked.filter_map(|question| watch.answered_by(question.number(), since)).max_by_key(|by| by.took)
    }
}
