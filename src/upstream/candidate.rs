//! The upstreams that a question may be put to.

use std::sync::Arc;

use tokio::time::Instant;

use super::breaker::Mark;
use super::server::Upstream;
use super::verdict::Fault;
use super::{ExchangeError, Route};
use crate::clock::Moment;
use crate::wire::NameRef;

/// One upstream of the question's domain, and how it does.
pub(super) struct Candidate {
    pub(super) upstream: Arc<Upstream>,
    /// Queries sent to it.
    pub(super) tries: u32,
    /// When the last was.
    pub(super) started: Instant,
    /// When it was asked over a connection, if it was.
    pub(super) streamed: Option<Instant>,
    /// What had come from it when the first was.
    pub(super) mark: Mark,
    /// How it failed, if it has.
    pub(super) fault: Option<Fault>,
    /// Asked over TCP; what still comes over UDP is not believed any more.
    pub(super) over_tcp: bool,
    /// Whether it is asked with an OPT.
    pub(super) edns: bool,
    /// Its silence has been held against it.
    pub(super) late: bool,
    /// Its breaker is open, and this question is its trial: it is sent one query.
    pub(super) is_trial: bool,
}

impl Candidate {
    pub(super) fn new(upstream: &Arc<Upstream>, now: Moment) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            tries: 0,
            started: Instant::now(),
            streamed: None,
            mark: upstream.breaker.mark(),
            fault: None,
            over_tcp: false,
            edns: upstream.takes_edns(now),
            late: false,
            is_trial: false,
        }
    }

    /// An upstream that was asked at `started`, when `mark` had come from it.
    pub(super) fn asked(upstream: &Arc<Upstream>, started: Instant, mark: Mark, now: Moment) -> Self {
        Self { tries: 1, started, mark, ..Self::new(upstream, now) }
    }

    /// Whether an answer may still come.
    pub(super) fn is_awaited(&self) -> bool {
        self.tries > 0 && self.fault.is_none()
    }

    /// Whether it can be asked for the first time.
    pub(super) fn is_untried(&self) -> bool {
        self.tries == 0 && self.fault.is_none()
    }

    /// Whether nothing at all has come from its upstream since it was asked.
    pub(super) fn is_silent(&self) -> bool {
        !self.upstream.breaker.is_heard_since(self.mark)
    }
}

/// Whom a question is put to.
pub(super) struct Candidates {
    /// In the order they are asked.
    pub(super) all: Vec<Candidate>,
    /// Upstreams whose trial this question is, beside which others answer it.
    pub(super) trials: Vec<Arc<Upstream>>,
}

/// The upstreams of `route` for `qname` as its policy orders them, without those that send the name
/// back to us. One that has been asked already, `begun`, needs no trial. Those whose breaker is open are left out but for a trial that is due; where no other
/// is left the trial is this question's own. Those that do answer, if with errors, come last.
///
/// # Errors
/// When there is none.
pub(super) fn candidates(
    route: &Route,
    qname: NameRef<'_>,
    begun: Option<&Arc<Upstream>>,
    now: Moment,
) -> Result<Candidates, ExchangeError> {
    let sorted = route.order.sort(&route.upstreams, now, &mut |n| rand::random_range(0..n));
    let mut usable = sorted;
    usable.retain(|u| !u.isolation.covers(qname, now));
    if usable.is_empty() {
        return Err(none_usable(route));
    }
    let (closed, open): (Vec<_>, Vec<_>) = usable.into_iter().partition(|u| u.breaker.is_closed());
    let (mut trials, rest) = claimed(route, open, closed.is_empty(), begun, now);
    let last_resorts = rest.into_iter().filter(|u| u.breaker.is_last_resort());
    let mut all: Vec<_> = closed.into_iter().chain(last_resorts).map(|u| Candidate::new(u, now)).collect();
    if all.is_empty() {
        let own = trials.drain(..).map(|upstream| Candidate {
            is_trial: !upstream.breaker.is_last_resort(),
            ..Candidate::new(upstream, now)
        });
        all.extend(own);
    }
    if all.is_empty() {
        return Err(unreachable(route));
    }
    Ok(Candidates { all, trials: trials.into_iter().cloned().collect() })
}

/// Of upstreams whose breakers are open those whose trial this question is, and the others.
///
/// No more trials are taken than queries may leave, of those first that have waited longest: of many that fell due
/// together the last ones would never be sent theirs.
fn claimed<'a>(
    route: &Route,
    mut open: Vec<&'a Arc<Upstream>>,
    alone: bool,
    begun: Option<&Arc<Upstream>>,
    now: Moment,
) -> (Vec<&'a Arc<Upstream>>, Vec<&'a Arc<Upstream>>) {
    if open.len() > route.max_sends as usize {
        open.sort_by_key(|upstream| upstream.breaker.tried_at());
    }
    let (mut left, is_begun) =
        (route.max_sends, |u: &Arc<Upstream>| begun.is_some_and(|b| Arc::ptr_eq(b, u)));
    open.into_iter().partition(|upstream| {
        let takes = left > 0 && !is_begun(upstream) && upstream.claim_trial(alone, now);
        left -= u32::from(takes);
        takes
    })
}

/// What [`candidates`] would fail with, if it would: then there is nothing to be waited for. Takes no trial.
pub(super) fn foreseen(route: &Route, qname: NameRef<'_>, now: Moment) -> Option<ExchangeError> {
    let mut usable = route.upstreams.iter().filter(|u| !u.isolation.covers(qname, now)).peekable();
    if usable.peek().is_none() {
        return Some(none_usable(route));
    }
    let may_be_asked = |u: &Arc<Upstream>| {
        u.breaker.is_closed() || u.breaker.is_last_resort() || u.breaker.is_due(true, now)
    };
    (!usable.any(may_be_asked)).then(|| unreachable(route))
}

/// All upstreams send the name back to us, or there are none.
fn none_usable(route: &Route) -> ExchangeError {
    match route.upstreams.first() {
        Some(first) => ExchangeError::Looping { upstream: first.to_string().into(), known: true },
        None => ExchangeError::NoUpstream(route.domain.to_string()),
    }
}

/// None of the upstreams answers.
pub(super) fn unreachable(route: &Route) -> ExchangeError {
    let mut text = String::from("no reply of late from ");
    for (n, upstream) in route.upstreams.iter().enumerate() {
        if n == 4 {
            text.push_str(" and others");
            break;
        }
        text.push_str(if n == 0 { "" } else { ", " });
        text.push_str(&upstream.to_string());
    }
    ExchangeError::Unreachable { text: text.into() }
}
