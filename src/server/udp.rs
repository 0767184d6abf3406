//! UDP: one OS thread for each (worker, address), each with its own socket of the port's group.
//!
//! A turn is one `recvmmsg`, one view, an answer in place for each query, one `sendmmsg`. There is
//! no lock, no timer and, for a query that is answered at once, no heap in it.
//!
//! A worker that panics must end the process, or its socket goes on swallowing a share of the
//! queries: release builds abort on panic (Cargo.toml).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

use crate::answer::{Asker, Disposition, PendingQuery, Reply, Responder, Transport};
use crate::metrics::{DropReason, Losses, OwnTally, Proto, ServerMetrics, Tally};
use crate::sys::{self, BATCH, Datagram, Local, RecvBatch, SendBatch, Wait};

/// How long a worker rests after a receive that failed for no known reason.
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// Failed receives after which a draining worker gives up its queue.
const DRAIN_TRIES: usize = 8;

/// A worker's socket, held by the worker and by every late reply that leaves through it: it is
/// closed when the last of them is done, so its descriptor is never somebody else's meanwhile.
#[derive(Debug)]
pub(super) struct Endpoint {
    socket: UdpSocket,
    /// Bound to no address of its own, so that each datagram comes with the one it was sent to.
    is_wildcard: bool,
    is_stopping: AtomicBool,
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
        Self { socket, is_wildcard, is_stopping: AtomicBool::new(false), lost: Mutex::default() }
    }

    /// Ends the count of lost datagrams: what is kept out on purpose is not lost.
    fn close_count(&self) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
    }

    /// Lets the worker go, which first reads its queue dry.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        sys::wake(&self.socket);
    }
}

/// Takes all sockets out of service: from the return of this call on nothing new reaches their
/// queues, what had reached them is read and answered, and the workers then end.
///
/// Blocks for some milliseconds, see [`sys::settle`].
pub(super) fn retire(endpoints: &[Arc<Endpoint>], metrics: &ServerMetrics) {
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

/// One thread's work.
pub(super) struct Worker<R> {
    pub endpoint: Arc<Endpoint>,
    pub responder: Arc<R>,
    pub tally: OwnTally,
    /// For responses that come later, on other threads.
    pub late: Arc<Tally>,
    pub replies: TaskTracker,
    pub metrics: Arc<ServerMetrics>,
}

/// Queries of one batch that have to be fetched, and the addresses they were sent to.
type Misses = Vec<(Box<PendingQuery>, Option<Local>)>;

/// What a worker allocates, once.
struct Desk {
    inbox: RecvBatch,
    outbox: SendBatch,
    misses: Misses,
}

impl<R: Responder> Worker<R> {
    /// Answers until stopped, then what is left in the queue.
    pub fn run(self) {
        let mut desk = Desk {
            inbox: RecvBatch::new(self.endpoint.is_wildcard),
            outbox: SendBatch::new(),
            misses: Vec::with_capacity(BATCH),
        };
        while !self.endpoint.is_stopping.load(Ordering::Acquire) {
            if let Err(error) = self.turn(&mut desk, Wait::ForOne) {
                self.rest(&error);
            }
        }
        let mut tries = 0;
        while tries < DRAIN_TRIES {
            match self.turn(&mut desk, Wait::Never) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => tries += 1,
            }
        }
    }

    fn rest(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::Interrupted {
            self.metrics.receive_error();
            warn!(%error, "receiving failed");
            std::thread::sleep(RECEIVE_PAUSE);
        }
    }

    /// Receives a batch and answers it; what has to be fetched is handed on after the rest is sent.
    fn turn(&self, desk: &mut Desk, wait: Wait) -> io::Result<()> {
        let got = desk.inbox.recv(&self.endpoint.socket, wait)?;
        self.answer_batch(desk, got);
        for _ in 0..desk.outbox.send(&self.endpoint.socket) {
            self.tally.drop_for(DropReason::SendFailed);
        }
        for (pending, local) in desk.misses.drain(..) {
            let reply = self.late_reply(pending.asker().client, local);
            self.responder.submit(pending, Box::new(reply));
        }
        Ok(())
    }

    fn answer_batch(&self, desk: &mut Desk, got: usize) {
        let view = self.responder.view();
        let Desk { inbox, outbox, misses } = desk;
        for datagram in (0..got).filter_map(|i| inbox.get(i)) {
            if datagram.is_cut {
                self.metrics.oversized();
            }
            self.answer_one(&view, &datagram, outbox, misses);
        }
    }

    fn answer_one(&self, view: &R::View, query: &Datagram<'_>, outbox: &mut SendBatch, misses: &mut Misses) {
        let Some(client) = query.from else { return };
        if client.port() == 0 {
            self.tally.query(Proto::Udp);
            return self.tally.drop_for(DropReason::PortZero);
        }
        // Never full: it has as many slots as the inbox.
        let Some(out) = outbox.slot() else { return };
        let asker = Asker { client, transport: Transport::Udp };
        match self.responder.answer(view, query.bytes, asker, out, &self.tally) {
            Disposition::Respond(len) => {
                if !outbox.push(len, client, query.local) {
                    self.tally.drop_for(DropReason::SendFailed);
                }
            }
            Disposition::Forward(pending) => misses.push((pending, query.local)),
            Disposition::Drop => {}
        }
    }

    fn late_reply(&self, client: SocketAddr, local: Option<Local>) -> UdpReply {
        UdpReply {
            endpoint: Arc::clone(&self.endpoint),
            client,
            local,
            tally: Arc::clone(&self.late),
            _open: self.replies.token(),
        }
    }
}

/// The way back for a response that comes later: same socket, same source address.
struct UdpReply {
    endpoint: Arc<Endpoint>,
    client: SocketAddr,
    local: Option<Local>,
    tally: Arc<Tally>,
    /// The drain waits for it.
    _open: TaskTrackerToken,
}

impl Reply for UdpReply {
    fn send(self: Box<Self>, response: &[u8]) {
        let sent = sys::send_late(&self.endpoint.socket, response, self.client, self.local);
        if sent.is_err() {
            self.tally.drop_for(DropReason::SendFailed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Board;

    /// Answers everything with as many bytes as its query has.
    struct Same;

    impl Responder for Same {
        type View = ();

        fn view(&self) {}

        fn answer(&self, _: &(), query: &[u8], _: Asker, _: &mut [u8], _: &Tally) -> Disposition {
            Disposition::Respond(query.len())
        }

        fn submit(&self, _: Box<PendingQuery>, _: Box<dyn Reply>) {}
    }

    fn worker() -> Worker<Same> {
        Worker {
            endpoint: Arc::new(Endpoint::new(UdpSocket::bind("127.0.0.1:0").unwrap())),
            responder: Arc::new(Same),
            tally: Board::default().register_own(),
            late: Arc::new(Tally::default()),
            replies: TaskTracker::new(),
            metrics: Arc::new(ServerMetrics::default()),
        }
    }

    fn datagram<'a>(bytes: &'a [u8], port: u16) -> Datagram<'a> {
        let from = (port > 0 || !bytes.is_empty()).then(|| SocketAddr::from(([127, 0, 0, 1], port)));
        Datagram { bytes, is_cut: false, from, local: None }
    }

    /// The failed sends of a batch of one.
    fn answered(worker: &Worker<Same>, query: &Datagram<'_>) -> (usize, u64, u64) {
        let mut outbox = SendBatch::new();
        worker.answer_one(&(), query, &mut outbox, &mut Vec::new());
        let drops = |reason| worker.tally.drops(reason);
        (outbox.queued(), drops(DropReason::PortZero), drops(DropReason::SendFailed))
    }

    #[test]
    fn source_port_zero_is_counted_and_never_answered() {
        let worker = worker();
        assert_eq!(answered(&worker, &datagram(b"query", 0)), (0, 1, 0));
        assert_eq!(worker.tally.queries(Proto::Udp), 1);
    }

    #[test]
    fn the_empty_message_of_a_woken_socket_is_no_query() {
        assert_eq!(answered(&worker(), &datagram(b"", 0)), (0, 0, 0));
    }

    #[test]
    fn a_length_that_no_response_can_have_is_counted_as_lost() {
        let worker = worker();
        assert_eq!(answered(&worker, &datagram(&[0; 12], 9)), (1, 0, 0));
        assert_eq!(answered(&worker, &datagram(&[0; sys::RESPONSE_MAX + 1], 9)), (0, 0, 1));
    }

    #[test]
    fn the_kernels_count_of_lost_datagrams_is_followed_across_its_wrap_and_to_its_end() {
        let mut lost = Lost::default();
        let more = [0, u32::MAX - 1, u32::MAX - 1, 3].map(|now| lost.follow(now));
        assert_eq!(more, [0, u32::MAX - 1, 0, 5]);
        lost.is_over = true;
        assert_eq!(lost.follow(100), 0);
    }
}
