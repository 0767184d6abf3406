//! What is asked of upstreams, and the signs of a loop seen meanwhile.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::Stamps;
use crate::wire::{Name, Rtype};

/// One question for the upstreams of its name.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The name asked for.
    pub qname: Name,
    /// The type asked for.
    pub qtype: Rtype,
    /// DO: with signatures.
    pub dnssec_ok: bool,
    /// CD: the upstream need not validate.
    pub checking_disabled: bool,
    /// The loop marker that the question came with.
    pub stamps: Stamps,
    /// Where others tell what they see of this question while it is asked.
    pub signs: Arc<Signs>,
}

/// Signs that a question in flight comes back to us.
#[derive(Debug, Default)]
pub struct Signs {
    joined: AtomicBool,
    looped: OnceLock<Box<str>>,
    changed: Notify,
}

impl Signs {
    /// Somebody else asks the same: another client, or the question itself, come back. If no reply
    /// comes in the usual time, a loop is looked for.
    pub fn join(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// The question has come back through `upstream`, which is proven. It fails at once.
    pub fn come_back(&self, upstream: &str) {
        let _ = self.looped.set(upstream.into());
        self.changed.notify_one();
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed)
    }

    pub(super) fn looped(&self) -> Option<&str> {
        self.looped.get().map(|u| &**u)
    }

    /// Waits for [`Signs::come_back`].
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
