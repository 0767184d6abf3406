//! The upstreams that a question may be put to.

use std::sync::Arc;

use tokio::time::Instant;

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
    /// How it failed, if it has.
    pub(super) fault: Option<Fault>,
    /// Asked over TCP; what still comes over UDP is not believed any more.
    pub(super) over_tcp: bool,
    /// Whether it is asked with an OPT.
    pub(super) edns: bool,
    /// Its silence has been held against it.
    pub(super) late: bool,
}

impl Candidate {
    fn new(upstream: &Arc<Upstream>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            tries: 0,
            started: Instant::now(),
            fault: None,
            over_tcp: false,
            edns: true,
            late: false,
        }
    }

    /// An upstream that was asked at `started`.
    pub(super) fn asked(upstream: &Arc<Upstream>, started: Instant) -> Self {
        Self { tries: 1, started, ..Self::new(upstream) }
    }

    /// Whether an answer may still come.
    pub(super) fn is_awaited(&self) -> bool {
        self.tries > 0 && self.fault.is_none()
    }

    /// Whether it can be asked for the first time.
    pub(super) fn is_untried(&self) -> bool {
        self.tries == 0 && self.fault.is_none()
    }
}

/// The upstreams of `route` for `qname` in the order they are asked: as configured, but those that
/// keep failing last, and without those that send the name back to us.
///
/// # Errors
/// When there is none.
pub(super) fn candidates(
    route: &Route,
    qname: NameRef<'_>,
    now: Moment,
) -> Result<Vec<Candidate>, ExchangeError> {
    let open = route.upstreams.iter().filter(|u| !u.isolation.covers(qname, now));
    let mut candidates: Vec<_> = open.map(Candidate::new).collect();
    candidates.sort_by_key(|c| c.upstream.is_set_back(now));
    match (candidates.is_empty(), route.upstreams.first()) {
        (false, _) => Ok(candidates),
        (true, Some(first)) => {
            Err(ExchangeError::Looping { upstream: first.to_string().into(), known: true })
        }
        (true, None) => Err(ExchangeError::NoUpstream(route.domain.to_string())),
    }
}
