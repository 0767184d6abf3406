//! A query that waits for an upstream.

use std::sync::Arc;
use std::time::Duration;

use super::limits::Seat;
use super::miss::{Done, Fetched, Landed};
use super::walk::{Missing, Resolved};
use super::{Answerer, Asker, Reply};
use crate::clock::Moment;

/// Longer queries get memory of their own.
const SHORT: usize = 128;

/// A query that waits for an upstream. Holds its own copy of the query and the asker, and once it
/// is submitted all that it takes to answer it: one allocation for as long as it waits.
pub struct PendingQuery {
    query: Copied,
    asker: Asker,
    pub(super) missing: Option<Missing>,
    /// What had been fetched for anybody when it was found missing.
    pub(super) seen: Option<Landed>,
    /// What is drawn for it: the same for the walk that found it missing and those that follow.
    pub(super) draw: u64,
    /// When it came, on the clock.
    pub(super) received: Duration,
    /// What was fetched for it before what is missing now.
    pub(super) resolved: Vec<Resolved>,
    /// Its place among its client's questions that wait, where those are bounded.
    pub(super) seat: Option<Seat>,
    way_back: Option<(Answerer, Arc<dyn Reply>)>,
}

enum Copied {
    Short { bytes: [u8; SHORT], len: usize },
    Long(Box<[u8]>),
}

impl Copied {
    fn of(query: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..query.len()) {
            Some(front) => {
                front.copy_from_slice(query);
                Self::Short { bytes, len: query.len() }
            }
            None => Self::Long(query.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { bytes, len } => bytes.get(..*len).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl PendingQuery {
    /// A query of `asker` that nothing has been fetched for yet.
    pub fn new(query: &[u8], asker: Asker) -> Self {
        Self {
            query: Copied::of(query),
            asker,
            missing: None,
            seen: None,
            draw: 0,
            received: Duration::ZERO,
            resolved: Vec::new(),
            seat: None,
            way_back: None,
        }
    }

    pub(super) fn waiting(
        query: &[u8],
        asker: Asker,
        missing: Missing,
        seen: Landed,
        draw: u64,
        received: Duration,
    ) -> Self {
        Self { missing: Some(missing), seen: Some(seen), draw, received, ..Self::new(query, asker) }
    }

    /// The query as it came.
    pub fn query(&self) -> &[u8] {
        self.query.bytes()
    }

    /// Who asked.
    pub fn asker(&self) -> Asker {
        self.asker
    }

    /// The same with who answers it, and how the answer goes back.
    pub(super) fn with_way_back(mut self: Box<Self>, answerer: Answerer, reply: Arc<dyn Reply>) -> Box<Self> {
        self.way_back = Some((answerer, reply));
        self
    }
}

impl Done for PendingQuery {
    fn told(mut self: Box<Self>, fetched: Fetched, now: Moment) {
        if let (Some((answerer, reply)), Some(missing)) = (self.way_back.take(), self.missing.take()) {
            answerer.fetched(self, missing, fetched, now, reply);
        }
    }
}

impl std::fmt::Debug for PendingQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { asker, missing, .. } = self;
        f.debug_struct("PendingQuery").field("asker", asker).field("missing", missing).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Transport;

    #[test]
    fn a_query_of_any_length_is_kept_whole() {
        let asker = Asker::new(([192, 0, 2, 1], 5353).into(), Transport::Udp);
        for len in [0, 12, SHORT - 1, SHORT, SHORT + 1, 65_535] {
            let query: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert_eq!(PendingQuery::new(&query, asker).query(), query);
        }
    }
}
