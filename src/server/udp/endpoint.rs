//! A worker's socket, and how it is taken out of service.

use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::metrics::{Losses, ServerMetrics};
use crate::sys::{self, Sleeper};

/// How long a worker gets to hear that it is called.
const ROUSE_AGAIN: Duration = Duration::from_millis(2);

/// A worker's socket, held by the worker and by every late reply that leaves through it: it is
/// closed when the last of them is done, so its descriptor is never somebody else's meanwhile.
#[derive(Debug)]
pub(in crate::server) struct Endpoint {
    pub(super) socket: UdpSocket,
    /// Bound to no address of its own, so that each datagram comes with the one it was sent to.
    pub(super) is_wildcard: bool,
    pub(super) is_stopping: AtomicBool,
    /// Another process reads the socket from now on: what is queued is left to it.
    pub(super) is_handed_over: AtomicBool,
    /// The worker, for the one way to call it that does nothing to the socket.
    pub(super) worker: Sleeper,
    lost: Mutex<Lost>,
}

/// What the kernel's count of lost datagrams was when last read.
#[derive(Debug, Default)]
struct Lost {
    seen: u32,
    /// From now on the count means nothing.
    is_over: bool,
}

impl Lost {
    /// How many more there are when the count, which wraps, is `now`.
    fn follow(&mut self, now: u32) -> u32 {
        if self.is_over { 0 } else { now.wrapping_sub(std::mem::replace(&mut self.seen, now)) }
    }
}

impl Losses for Endpoint {
    fn take(&self) -> u32 {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        sys::lost_datagrams(&self.socket).map_or(0, |now| lost.follow(now))
    }
}

impl Endpoint {
    pub fn new(socket: UdpSocket) -> Self {
        let is_wildcard = socket.local_addr().is_ok_and(|addr| addr.ip().is_unspecified());
        // One that was handed over has lost what it lost in other hands.
        let seen = sys::lost_datagrams(&socket).unwrap_or(0);
        Self {
            socket,
            is_wildcard,
            is_stopping: AtomicBool::new(false),
            is_handed_over: AtomicBool::new(false),
            worker: Sleeper::default(),
            lost: Mutex::new(Lost { seen, is_over: false }),
        }
    }

    /// Ends the count of lost datagrams: what is kept out on purpose is not lost.
    fn close_count(&self) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
    }

    /// A second descriptor of the socket.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        sys::duplicate(&self.socket)
    }

    /// Lets the worker go, which first reads its queue dry.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        sys::wake(&self.socket);
    }
}

/// Has the workers of sockets that another process reads, too, stop reading them, and waits until they have. Nothing
/// is done to the sockets: options, and a `shutdown(2)` to wake a worker, would be the other's as well.
///
/// `calls`: how often a worker is called at most, which is a matter of some milliseconds each.
pub(in crate::server) fn leave(endpoints: &[(Arc<Endpoint>, Receiver<()>)], calls: usize) {
    for (endpoint, _) in endpoints {
        endpoint.close_count();
        endpoint.is_handed_over.store(true, Ordering::Release);
        endpoint.is_stopping.store(true, Ordering::Release);
    }
    for (endpoint, retires) in endpoints {
        // It may have looked just before and be about to block: called again until it is heard.
        for _ in 0..calls {
            if retires.recv_timeout(ROUSE_AGAIN) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            endpoint.worker.rouse();
        }
    }
}

/// Takes all sockets out of service: from the return of this call on nothing new reaches their
/// queues, what had reached them is read and answered, and the workers then end.
///
/// Blocks for some milliseconds, see [`sys::settle`].
pub(in crate::server) fn retire(endpoints: &[Arc<Endpoint>], metrics: &ServerMetrics) {
    let each = |what: &'static str, step: fn(&UdpSocket) -> io::Result<()>| {
        for endpoint in endpoints {
            if let Err(error) = step(&endpoint.socket) {
                warn!(%error, what, "a socket could not be taken out of service in good order");
            }
        }
        sys::settle();
    };
    // First out of the group and only then deaf, so that no query falls between two processes.
    each("leave the port's group", sys::leave_group);
    metrics.lost_datagrams();
    endpoints.iter().for_each(|endpoint| endpoint.close_count());
    each("drop what still comes", sys::drop_everything);
    endpoints.iter().for_each(|endpoint| endpoint.stop());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_of_lost_datagrams_is_followed_across_its_wrap_and_to_its_end() {
        let mut lost = Lost::default();
        let more = [0, u32::MAX - 1, u32::MAX - 1, 3].map(|now| lost.follow(now));
        assert_eq!(more, [0, u32::MAX - 1, 0, 5]);
        lost.is_over = true;
        assert_eq!(lost.follow(100), 0);
    }
}
