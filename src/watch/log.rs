//! The query log: which queries become lines, how many of them, and what a line says.

use std::time::Duration;

use tracing::info;

use super::drain::Route;
use super::feed::{Head, Parts};
use super::seen::Stop;
use super::settings::{Class, QueryLog};
use super::stats::Outcome;
use crate::metrics::{AnswerSource, QueryLogMetrics};
use crate::wire::{Query, Rtype, Suffixes, present};

impl QueryLog {
    /// Why a query is logged: the most telling reason. `is_drawn`: it is one of the sample.
    pub(super) fn class(&self, outcome: Outcome, took: Duration, is_drawn: bool) -> Option<Class> {
        if self.classes.is_empty() {
            return None;
        }
        let holds = |class: &Class| match class {
            Class::Slow => took >= self.slow,
            Class::Errors => outcome == Outcome::Failure,
            Class::TurnedAway => outcome == Outcome::TurnedAway,
            Class::Denials => matches!(outcome, Outcome::NxDomain | Outcome::NoData),
            Class::All => is_drawn,
        };
        let order = [Class::Slow, Class::Errors, Class::TurnedAway, Class::Denials, Class::All];
        order.into_iter().find(|class| self.classes.contains(class) && holds(class))
    }
}

/// Keeps to a number of lines per second: what was saved may be spent at once, a second's worth at most.
#[derive(Debug)]
pub(super) struct Lines {
    metrics: QueryLogMetrics,
    left: f64,
    at: Duration,
}

impl Lines {
    /// With a second's worth at hand.
    pub fn new() -> Self {
        Self { metrics: QueryLogMetrics::register(), left: f64::INFINITY, at: Duration::ZERO }
    }

    /// Whether one more may be written now.
    pub fn allow(&mut self, now: Duration, per_second: f64) -> bool {
        let saved = now.saturating_sub(self.at).as_secs_f64() * per_second;
        // What several threads saw comes one after the other: no time is to be saved twice.
        (self.left, self.at) = ((self.left + saved).min(per_second.max(1.0)), self.at.max(now));
        let is_allowed = self.left >= 1.0;
        if is_allowed {
            self.left -= 1.0;
            self.metrics.written.increment(1);
        } else {
            self.metrics.suppressed.increment(1);
        }
        is_allowed
    }
}

/// Writes the line of a query. `route` says where its name goes, asked for what an upstream was needed for.
pub(super) fn write(head: &Head, class: Class, parts: Parts<'_>, route: &Route) {
    let [query, response, upstream] = parts;
    let mut qname = Suffixes::default();
    let parsed = Query::parse(query, &mut qname).ok();
    let (name, qtype) = parsed.as_ref().map_or_else(
        || ("?".to_owned(), Rtype(0)),
        // As it was asked, in the client's case.
        |q| {
            (
                present::name(query.get(crate::wire::query::HEADER..q.question_end()).unwrap_or_default()),
                q.qtype,
            )
        },
    );
    let told = present::message(response).unwrap_or_default();
    let (ede, why) =
        told.ede.as_ref().map_or((None, None), |(code, text)| (Some(code.0), Some(text.as_str())));
    let took = head.answered.saturating_sub(head.asked);
    // What was said here, or known already, is no upstream's doing.
    let is_theirs = matches!(head.source, AnswerSource::Upstream | AnswerSource::Stale);
    let way = parsed.filter(|_| is_theirs).and_then(|query| route(query.qname()));
    info!(
        target: "zonelet::query",
        class = class.label(),
        client = %head.peer,
        protocol = head.proto.label(),
        qname = %name,
        qtype = %qtype,
        rcode = if response.is_empty() { "none" } else { head.rcode.label() },
        source = head.source.label(),
        answers = told.answers.len(),
        bytes = response.len(),
        milliseconds = milliseconds(took),
        ede,
        why,
        stopped_by = head.stop.map(Stop::label),
        upstream = (!upstream.is_empty()).then(|| String::from_utf8_lossy(upstream)).as_deref(),
        upstream_milliseconds = (!upstream.is_empty()).then_some(milliseconds(head.fetched)),
        upstreams = way,
        "query"
    );
}

fn milliseconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_logged_for_the_most_telling_reason_that_is_asked_for() {
        let class = |classes: &[Class], outcome, millis, is_drawn| {
            let log = QueryLog { classes: classes.to_vec(), ..QueryLog::default() };
            log.class(outcome, Duration::from_millis(millis), is_drawn)
        };
        use Class::{All, Denials, Errors, Slow};
        use Outcome::{Answer, Failure, NoData, NxDomain, TurnedAway};
        let every = [All, Denials, Errors, Class::TurnedAway, Slow];
        assert_eq!(class(&every, Failure, 500, true), Some(Slow));
        assert_eq!(class(&every, Failure, 499, true), Some(Errors));
        assert_eq!(class(&every, TurnedAway, 0, true), Some(Class::TurnedAway));
        assert_eq!(class(&[Denials, Errors, Slow], TurnedAway, 0, true), None, "it is no error of ours");
        assert_eq!(class(&[Errors, All], TurnedAway, 0, true), Some(All));
        assert_eq!(class(&every, NxDomain, 0, true), Some(Denials));
        assert_eq!(class(&every, NoData, 0, false), Some(Denials));
        assert_eq!(class(&every, Answer, 0, true), Some(All));
        assert_eq!(class(&every, Answer, 0, false), None);
        assert_eq!(class(&[Slow], Failure, 499, true), None);
        assert_eq!(class(&[], Failure, 9999, true), None);
    }

    #[test]
    fn lines_keep_to_their_rate_with_a_seconds_worth_at_once() {
        let mut lines = Lines::new();
        let mut written = |at: u64| (0..50).filter(|_| lines.allow(Duration::from_millis(at), 10.0)).count();
        assert_eq!([written(0), written(500), written(501), written(60_000)], [10, 5, 0, 10]);
        let mut several = Lines::new();
        let mut written = |at: u64| (0..50).filter(|_| several.allow(Duration::from_secs(at), 10.0)).count();
        assert_eq!([written(9), written(5), written(9), written(5), written(9)], [10, 0, 0, 0, 0]);
        let mut slow = Lines::new();
        let mut written = |at: u64| slow.allow(Duration::from_secs(at), 0.1);
        assert_eq!([written(0), written(5), written(10)], [true, false, true]);
    }
}
