//! Answers that come after their query was taken in: what is missing is fetched, then the walk goes
//! again from the start.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::{Answerer, Outcome, View};
use crate::answer::miss::{Fetched, Want};
use crate::answer::walk::{Missing, Resolved};
use crate::answer::{PendingQuery, Reply};
use crate::clock::Moment;
use crate::upstream::{self, MARKER_OPTION};
use crate::wire::Suffixes;
use crate::wire::query::Query;
use crate::wire::response::MAX_MESSAGE;

impl Answerer {
    /// Fetches what is missing, then walks again from the start with what came.
    pub(in crate::answer) fn fetch(
        &self,
        pending: Box<PendingQuery>,
        reply: Arc<dyn Reply>,
        lane: Option<&mut upstream::Lane>,
    ) {
        let Some(missing) = &pending.missing else { return };
        let mut qname = Suffixes::default();
        let Ok(query) = Query::parse(pending.query(), &mut qname) else { return };
        let want = Want {
            question: missing.question.clone(),
            dnssec_ok: query.dnssec_ok(),
            checking_disabled: query.checking_disabled(),
            must_exist: missing.must_exist,
            client: pending.asker().client,
            was_in_use: missing.was_in_use,
            renews: false,
            marker: query.edns.and_then(|edns| edns.option(MARKER_OPTION)).map(Into::into),
        };
        let seen = pending.seen;
        let done = pending.with_way_back(self.clone(), reply);
        match lane {
            Some(lane) => self.0.miss.fetch_on(lane, want, seen, done),
            None => self.0.miss.fetch(want, done),
        }
    }

    pub(in crate::answer) fn fetched(
        &self,
        mut pending: Box<PendingQuery>,
        missing: Missing,
        fetched: Fetched,
        now: Moment,
        reply: Arc<dyn Reply>,
    ) {
        let resolved = Resolved { question: missing.question, fetched };
        let next = OUT.with_borrow_mut(|out| match self.with_all(&mut pending, resolved, now, out) {
            Outcome::Respond(len, _) => {
                reply.send(&pending.asker(), &out[..len]);
                None
            }
            // Rules have changed meanwhile.
            Outcome::Drop | Outcome::Stopped(_) => None,
            Outcome::Missing(next) => Some(next),
        });
        if next.is_some() {
            pending.missing = next;
            self.fetch(pending, reply, None);
        }
    }

    /// Answers with what was fetched before and last, which is kept where that is not enough.
    fn with_all(&self, pending: &mut PendingQuery, last: Resolved, now: Moment, out: &mut [u8]) -> Outcome {
        let (view, asker, late) = (self.view_at_hand(now), pending.asker(), &self.0.late);
        // Mostly the first fetch is the only one.
        if pending.resolved.is_empty() {
            let all = [last];
            let outcome = self.respond(&view, pending.query(), asker, out, late, pending.draw, &all);
            self.seen_late(&view, pending, &all, &outcome, out);
            if matches!(outcome, Outcome::Missing(_)) {
                pending.resolved.extend(all);
            }
            if KEEPS_VIEW.get() {
                AT_HAND.set(Some(view));
            }
            return outcome;
        }
        pending.resolved.push(last);
        let outcome = self.respond(&view, pending.query(), asker, out, late, pending.draw, &pending.resolved);
        self.seen_late(&view, pending, &pending.resolved, &outcome, out);
        outcome
    }

    /// The view that the answer before was given with, if that was at the same moment.
    fn view_at_hand(&self, now: Moment) -> View {
        let at_hand = AT_HAND.take().filter(|view| view.now == now);
        at_hand.unwrap_or_else(|| self.view_at(now))
    }
}

/// Has all late answers that this thread gives meanwhile be of one view, as those of a batch are.
pub(in crate::answer) fn with_one_view<R>(answers: impl FnOnce() -> R) -> R {
    KEEPS_VIEW.set(true);
    let result = answers();
    KEEPS_VIEW.set(false);
    // Whoever waits holds none: it would be the last to hold a table that is replaced meanwhile, and
    // have to free it.
    AT_HAND.set(None);
    result
}

thread_local! {
    static KEEPS_VIEW: Cell<bool> = const { Cell::new(false) };
    /// The view of the late answers that are given one after the other.
    static AT_HAND: Cell<Option<View>> = const { Cell::new(None) };
    /// What late responses are written to.
    static OUT: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_MESSAGE]);
}
