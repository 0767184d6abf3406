//! What the process asks itself, which is nobody's traffic.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;

/// The address that the process asks itself from, while it does; one at a time. Clones share it.
///
/// A client that is to be taken for it must send from an address of this host by a port that is bound
/// meanwhile: no other socket of the host can, and from outside the kernel takes no such packet.
#[derive(Clone, Debug, Default)]
pub struct OwnQueries(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The port, 0 for none: mostly this is all that is looked at.
    port: AtomicU32,
    from: ArcSwapOption<SocketAddr>,
}

/// Queries of an address are not seen for as long as this is kept.
#[derive(Debug)]
pub struct Unseen(Arc<Shared>);

impl OwnQueries {
    /// Has the queries that come from `from` be overlooked. Comes before the first is sent.
    #[must_use]
    pub fn begin(&self, from: SocketAddr) -> Unseen {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        self.0.from.store(Some(Arc::new(from)));
        self.0.port.store(from.port().into(), Ordering::Release);
        Unseen(Arc::clone(&self.0))
    }

    /// Whether a query is the process's own. Cost: a comparison for almost all that are not.
    pub(super) fn is_from(&self, client: SocketAddr) -> bool {
        self.0.port.load(Ordering::Acquire) == u32::from(client.port())
            && client.port() != 0
            && self.0.from.load().as_ref().is_some_and(|own| own.ip() == client.ip().to_canonical())
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        self.0.port.store(0, Ordering::Release);
    }
}
