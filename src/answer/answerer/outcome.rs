//! What comes of a query.

use crate::answer::Disposition;
use crate::answer::walk::Missing;
use crate::metrics::AnswerSource;
use crate::watch::Stop;
use crate::wire::Rcode;

/// What a response is, for who is told of it.
#[derive(Clone, Copy)]
pub(in crate::answer) struct Made {
    pub(super) source: AnswerSource,
    pub(super) rcode: Rcode,
}

/// What comes of a walk.
pub(in crate::answer) enum Outcome {
    /// So many bytes of the output are the response.
    Respond(usize, Made),
    /// Something must be fetched first.
    Missing(Missing),
    /// A bound or a rule has kept it from its answer.
    Stopped(Stopped),
    /// There is nothing to say: it is no query.
    Drop,
}

/// A query that is turned away.
#[derive(Clone, Copy)]
pub(in crate::answer) struct Stopped {
    pub(super) by: Stop,
    /// How much of the output is the response, which is made here; `None` for none.
    pub(super) response: Option<(usize, Rcode)>,
}

impl Stopped {
    pub(super) fn silently(by: Stop) -> Self {
        Self { by, response: None }
    }
}

impl Outcome {
    /// A response that takes neither zones nor upstreams.
    pub(super) fn local(len: usize, rcode: Rcode) -> Self {
        Self::Respond(len, Made { source: AnswerSource::Local, rcode })
    }
}

impl From<Stopped> for Disposition {
    fn from(stopped: Stopped) -> Self {
        stopped.response.map_or(Self::Drop, |(len, _)| Self::Respond(len))
    }
}
