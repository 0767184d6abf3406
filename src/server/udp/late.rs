//! Responses that come later: from the worker's own thread with its next batch, from any other at once.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Endpoint;
use crate::answer::{Asker, Reply};
use crate::metrics::{DropReason, Tally};
use crate::sys::{self, BATCH, Local, SendBatch};

/// The way back for all responses of a worker that come later: the socket of their queries.
pub(super) struct UdpReply {
    pub endpoint: Arc<Endpoint>,
    pub tally: Arc<Tally>,
    /// The drain waits for it.
    pub _open: TaskTrackerToken,
}

impl Reply for UdpReply {
    /// On the worker's own thread it goes out with the next batch.
    fn send(&self, asker: &Asker, response: &[u8]) {
        let (client, local) = (asker.client, asker.local);
        let is_taken = OUTLET.with_borrow_mut(|outlet| {
            let own = outlet.as_mut().filter(|outlet| Arc::ptr_eq(&outlet.endpoint, &self.endpoint));
            own.is_some_and(|outlet| outlet.take(response, client, local))
        });
        if is_taken {
            return;
        }
        let sent = sys::send_late(&self.endpoint.socket, response, client, local);
        if sent.is_err() {
            self.tally.drop_for(DropReason::SendFailed);
        }
    }
}

thread_local! {
    /// The outgoing batch of the worker whose thread this is.
    pub(super) static OUTLET: RefCell<Option<Outlet>> = const { RefCell::new(None) };
}

/// Responses that leave by a worker's socket with its next `sendmmsg`.
pub(super) struct Outlet {
    pub endpoint: Arc<Endpoint>,
    pub batch: SendBatch,
    pub tally: Arc<Tally>,
}

impl Outlet {
    /// Keeps a late response. `false`: it cannot be one.
    fn take(&mut self, response: &[u8], client: SocketAddr, local: Option<Local>) -> bool {
        if self.batch.queued() == BATCH {
            self.flush();
        }
        let Some(room) = self.batch.slot().and_then(|slot| slot.get_mut(..response.len())) else {
            return false;
        };
        room.copy_from_slice(response);
        self.batch.push(response.len(), client, local)
    }

    /// Sends what was kept. Cost where nothing was: a comparison.
    pub fn flush(&mut self) {
        if self.batch.queued() > 0 {
            for _ in 0..self.batch.send(&self.endpoint.socket) {
                self.tally.drop_for(DropReason::SendFailed);
            }
        }
    }
}
