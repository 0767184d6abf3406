//! What lanes ask of their forwarder: how many sockets each may have, and whether upstreams are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::Forwarder;
use super::super::marker::Stamp;
use super::super::server::Upstream;
use crate::clock::Moment;
use crate::wire::{NameRef, Rtype};

/// The fewest sockets to an upstream that a lane has, if the settings give as many at all.
const MIN_SHARE: usize = 16;

impl Forwarder {
    /// Changes whenever the routes do.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Every upstream of every route.
    pub(super) fn all_upstreams(&self) -> Vec<Arc<Upstream>> {
        self.routes.load().by_domain.values().flat_map(|r| &r.upstreams).cloned().collect()
    }

    /// The lanes that share the sockets.
    pub(super) fn lanes(&self) -> &AtomicUsize {
        &self.lanes
    }

    /// How many sockets to `upstream` each lane may have: all of them have together what the
    /// settings say, but each at least [`MIN_SHARE`].
    pub(super) fn share(&self, upstream: &Upstream) -> usize {
        let lanes = self.lanes.load(Ordering::Relaxed).max(1);
        let sockets = upstream.identity.sockets;
        (sockets / lanes).max(MIN_SHARE.min(sockets))
    }

    /// Our stamp on a question for `upstream`.
    pub(super) fn stamp(&self, qname: NameRef<'_>, qtype: Rtype, upstream: &Upstream, now: Moment) -> Stamp {
        self.stamper.stamp(qname, qtype, upstream.address(), now)
    }
}
