//! How upstreams failed a question, and what is said of it in the end.

use std::io;

use super::ExchangeError;
use super::candidate::Candidate;
use super::server::Upstream;
use super::stream::TlsFailure;
use crate::metrics::UpstreamFault;
use crate::wire::{EdeCode, Rcode};

/// Longest text about all upstreams, in bytes.
const MAX_TEXT: usize = 240;

/// How one upstream failed a question.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: UpstreamFault,
    ede: EdeCode,
    text: String,
}

impl Fault {
    pub(super) fn network(upstream: &Upstream, error: &io::Error) -> Self {
        let (kind, ede) = (UpstreamFault::Network, EdeCode::NETWORK_ERROR);
        Self { kind, ede, text: format!("{upstream}: {}", error.kind()) }
    }

    /// What a query over a connection came to.
    pub(super) fn stream(upstream: &Upstream, error: &io::Error) -> Self {
        let told = error.get_ref();
        if let Some(failure) = told.and_then(|inner| inner.downcast_ref::<TlsFailure>()) {
            let (kind, ede) = (UpstreamFault::Tls, EdeCode::NETWORK_ERROR);
            return Self { kind, ede, text: format!("{upstream}: {failure}") };
        }
        match (error.kind(), told) {
            (io::ErrorKind::InvalidData, Some(what)) => Self::malformed(upstream, &what.to_string()),
            (io::ErrorKind::InvalidData, None) => Self::malformed(upstream, "what is no reply to the query"),
            (io::ErrorKind::TimedOut, _) => Self::silence(upstream),
            (io::ErrorKind::QuotaExceeded, _) => Self::busy(upstream),
            (_, Some(what)) => {
                let (kind, ede) = (UpstreamFault::Network, EdeCode::NETWORK_ERROR);
                Self { kind, ede, text: format!("{upstream}: {what}") }
            }
            (_, None) => Self::network(upstream, error),
        }
    }

    pub(super) fn busy(upstream: &Upstream) -> Self {
        let text = format!("too many queries wait for {upstream}");
        Self { kind: UpstreamFault::Busy, ede: EdeCode::OTHER, text }
    }

    pub(super) fn over_budget(upstream: &Upstream) -> Self {
        let text = upstream.to_string();
        Self { kind: UpstreamFault::Budget, ede: EdeCode::OTHER, text }
    }

    /// It has cut its answer, and its TCP has failed a short while ago.
    pub(super) fn without_tcp(upstream: &Upstream) -> Self {
        let (kind, ede) = (UpstreamFault::Network, EdeCode::NETWORK_ERROR);
        Self { kind, ede, text: format!("{upstream}: truncated, and no answer over TCP of late") }
    }

    pub(super) fn malformed(upstream: &Upstream, what: &str) -> Self {
        let text = format!("{upstream} sent {what}");
        Self { kind: UpstreamFault::Malformed, ede: EdeCode::OTHER, text }
    }

    /// An error code, with the upstream's own extended error if it gave one.
    pub(super) fn rcode(upstream: &Upstream, rcode: Rcode, ede: Option<(EdeCode, Box<str>)>) -> Self {
        let (ede, text) = match ede {
            Some((code, text)) if text.is_empty() => (code, format!("{upstream} answered {rcode:?}")),
            Some((code, text)) => (code, format!("{upstream} answered {rcode:?}: {text}")),
            None => (EdeCode::OTHER, format!("{upstream} answered {rcode:?}")),
        };
        Self { kind: UpstreamFault::Rcode, ede, text }
    }

    pub(super) fn looping(upstream: &Upstream) -> Self {
        Self { kind: UpstreamFault::Loop, ede: EdeCode::OTHER, text: upstream.to_string() }
    }

    pub(super) fn silence(upstream: &Upstream) -> Self {
        let (kind, ede) = (UpstreamFault::Timeout, EdeCode::NO_REACHABLE_AUTHORITY);
        Self { kind, ede, text: format!("no reply from {upstream}") }
    }
}

/// Whether a response with this code answers the question: NOERROR, NXDOMAIN, and YXDOMAIN for a
/// DNAME that makes the name too long (RFC 6672 §2.2).
pub(super) fn is_answer(rcode: Rcode) -> bool {
    const YXDOMAIN: Rcode = Rcode(6);
    [Rcode::NOERROR, Rcode::NXDOMAIN, YXDOMAIN].contains(&rcode)
}

/// What the faults of the upstreams that were asked come to.
pub(super) fn verdict(candidates: &[Candidate]) -> ExchangeError {
    let faults = || candidates.iter().filter_map(|c| c.fault.as_ref());
    let of = |kind| faults().find(|f| f.kind == kind);
    if let Some(fault) = of(UpstreamFault::Loop) {
        return ExchangeError::Looping { upstream: fault.text.as_str().into(), known: false };
    }
    // Nothing else has failed, and the next question may find room.
    let is_local = |f: &Fault| [UpstreamFault::Busy, UpstreamFault::Budget].contains(&f.kind);
    if let Some(fault) = of(UpstreamFault::Budget)
        && faults().all(is_local)
    {
        return ExchangeError::OverBudget { upstream: fault.text.as_str().into() };
    }
    if let Some(upstream) = candidates.first()
        && faults().next().is_some()
        && faults().all(|f| f.kind == UpstreamFault::Busy)
    {
        return ExchangeError::Busy { upstream: upstream.upstream.to_string().into() };
    }
    // What an upstream said tells more than that another was silent, and either more than what we would not send.
    let said = faults().find(|f| f.kind != UpstreamFault::Timeout && !is_local(f));
    let telling = said.or_else(|| of(UpstreamFault::Timeout)).or_else(|| faults().next());
    let mut text = String::new();
    for fault in faults() {
        // A second query to the same upstream tells nothing new.
        if text.ends_with(&fault.text) {
            continue;
        }
        if text.len() + fault.text.len() > MAX_TEXT && !text.is_empty() {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { "; " });
        if fault.kind == UpstreamFault::Budget {
            text.push_str("packet budget of ");
        }
        text.push_str(&fault.text);
        if fault.kind == UpstreamFault::Budget {
            text.push_str(" is used up");
        }
    }
    ExchangeError::Failed {
        ede: telling.map_or(EdeCode::NO_REACHABLE_AUTHORITY, |f| f.ede),
        text: text.into(),
        refused: of(UpstreamFault::Rcode).is_some(),
    }
}
