//! UDP: one OS thread for each (worker, address), each with its own socket of the port's group.
//!
//! A turn is one `recvmmsg`, one view, an answer in place for each query, one `sendmmsg`. There is
//! no lock, no timer and, for a query that is answered at once, no heap in it.
//!
//! A worker that panics must end the process, or its socket goes on swallowing a share of the
//! queries: release builds abort on panic (Cargo.toml).

mod endpoint;
mod late;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::answer::{Asker, Disposition, Lane, PendingQuery, Responder, Transport};
use crate::metrics::{DropReason, OwnTally, Proto, ServerMetrics, Tally};
use crate::sys::{self, BATCH, Datagram, RecvBatch, SendBatch, Wait};

use late::{OUTLET, Outlet, UdpReply};

pub(super) use endpoint::{Endpoint, leave, retire};

/// How long a worker rests after a receive that failed for no known reason.
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// How long a worker may keep its processor to itself where others want it: some batches.
const TURN: Duration = Duration::from_micros(100);

/// Batches in a row with nothing under way after which a worker's socket is watched no more: a
/// watched socket makes each datagram a tenth dearer, beginning and ending it costs two calls.
const CALM_TURNS: u32 = 16;

/// One miss in so many queries makes it pay to prepare for all.
const LACKING: usize = 4;

/// Failed receives after which a draining worker gives up its queue.
const DRAIN_TRIES: usize = 8;

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

/// Queries of one batch that have to be fetched.
type Misses = Vec<Box<PendingQuery>>;

/// What a worker allocates, once.
struct Desk {
    inbox: RecvBatch,
    misses: Misses,
    reply: Arc<UdpReply>,
    lane: Option<Box<dyn Lane>>,
    /// Whether the lane waits for the worker's socket, too.
    is_watched: bool,
    /// Turns since something was under way.
    calm_turns: u32,
    /// Whether the last batch lacked much, so that the next one may, too.
    is_lacking: bool,
}

impl<R: Responder> Worker<R> {
    /// Answers until stopped, then what is left in the queue, unless that is another's now, and says so through `retired`. Goes
    /// on until nothing is under way that it has begun.
    pub fn run(self, retired: Sender<()>) {
        if let Err(error) = sys::take_short_turns(TURN) {
            debug!(%error, "a worker waits its turn as any other thread");
        }
        if let Err(error) = self.endpoint.worker.here() {
            warn!(%error, "a worker cannot be called away: its socket cannot be handed over while it is idle");
        }
        let lane = self.lane();
        let inbox = RecvBatch::new(self.endpoint.is_wildcard);
        let mut desk = Desk {
            inbox,
            misses: Vec::with_capacity(BATCH),
            reply: Arc::new(self.late_reply()),
            lane,
            is_watched: false,
            calm_turns: 0,
            is_lacking: false,
        };
        let outlet = Outlet {
            endpoint: Arc::clone(&self.endpoint),
            batch: SendBatch::new(),
            tally: Arc::clone(&self.late),
        };
        OUTLET.set(Some(outlet));
        while !self.endpoint.is_stopping.load(Ordering::Acquire) {
            if let Err(error) = self.turn(&mut desk) {
                self.rest(&error);
            }
        }
        if !self.endpoint.is_handed_over.load(Ordering::Acquire) {
            self.read_dry(&mut desk);
        }
        self.endpoint.worker.gone();
        if desk.lane.as_ref().is_none_or(|lane| lane.is_idle()) {
            // Whoever hears of it may count on the socket being closed.
            OUTLET.set(None);
            drop((desk, self));
            let _ = retired.send(());
            return;
        }
        let _ = retired.send(());
        self.finish(&mut desk);
        OUTLET.set(None);
    }

    /// Answers what is left in the queue.
    fn read_dry(&self, desk: &mut Desk) {
        let mut tries = 0;
        while tries < DRAIN_TRIES {
            match self.receive(desk, Wait::Never) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => tries += 1,
            }
        }
    }

    /// The worker's own way to the upstreams; without one all that is missing is handed on.
    fn lane(&self) -> Option<Box<dyn Lane>> {
        self.responder.lane().unwrap_or_else(|error| {
            warn!(%error, "a worker cannot ask upstreams itself, others do it for it");
            None
        })
    }

    fn rest(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::Interrupted {
            self.metrics.receive_error();
            warn!(%error, "receiving failed");
            std::thread::sleep(RECEIVE_PAUSE);
        }
    }

    /// Waits for something to do and does it. While nothing is under way that is a query.
    fn turn(&self, desk: &mut Desk) -> io::Result<()> {
        self.watch(desk);
        let is_watched = desk.is_watched;
        let Some(lane) = desk.lane.as_mut().filter(|lane| !lane.is_idle()) else {
            return self.receive(desk, Wait::ForOne);
        };
        let result = match lane.wait() {
            Ok(is_ready) if is_ready || !is_watched => self.receive(desk, Wait::Never),
            result => result.map(drop),
        };
        // However that went: nothing may be kept back while the thread waits for the next query.
        self.flush();
        match result {
            // Taken back by the kernel: a bad checksum, say.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    /// Has the lane wait for the worker's socket while something is under way, and not for long
    /// after. Where that cannot be had, the socket is looked at after each wait.
    fn watch(&self, desk: &mut Desk) {
        let Some(lane) = desk.lane.as_mut() else { return };
        let socket = self.endpoint.socket.as_fd();
        if !lane.is_idle() {
            desk.calm_turns = 0;
            desk.is_watched = desk.is_watched || lane.watch(socket).is_ok();
        } else if desk.is_watched {
            desk.calm_turns += 1;
            desk.is_watched = desk.calm_turns < CALM_TURNS || lane.unwatch(socket).is_err();
        }
    }

    /// Ends what is under way.
    fn finish(&self, desk: &mut Desk) {
        let Some(lane) = desk.lane.as_mut() else { return };
        let _ = lane.unwatch(self.endpoint.socket.as_fd());
        while !lane.is_idle() {
            if let Err(error) = lane.wait() {
                self.rest(&error);
            }
            self.flush();
        }
    }

    /// Receives a batch and answers it; what has to be fetched comes after the rest is sent.
    fn receive(&self, desk: &mut Desk, wait: Wait) -> io::Result<()> {
        let got = desk.inbox.recv(&self.endpoint.socket, wait)?;
        OUTLET.with_borrow_mut(|outlet| {
            let Some(outlet) = outlet else { return };
            if outlet.batch.queued() + got > BATCH {
                outlet.flush();
            }
            self.answer_batch(desk, got, &mut outlet.batch);
            outlet.flush();
        });
        if !desk.misses.is_empty() {
            self.submit(desk);
        }
        Ok(())
    }

    fn submit(&self, desk: &mut Desk) {
        let Desk { misses, lane, reply, .. } = desk;
        lane.iter_mut().for_each(|lane| lane.begin());
        for pending in misses.drain(..) {
            let reply: Arc<UdpReply> = Arc::clone(reply);
            match lane {
                Some(lane) => lane.submit(pending, reply),
                None => self.responder.submit(pending, reply),
            }
        }
        // Those refused at once.
        self.flush();
    }

    fn flush(&self) {
        OUTLET.with_borrow_mut(|outlet| outlet.iter_mut().for_each(Outlet::flush));
    }

    fn answer_batch(&self, desk: &mut Desk, got: usize, outbox: &mut SendBatch) {
        let view = self.responder.view();
        let Desk { inbox, misses, is_lacking, .. } = desk;
        if *is_lacking {
            (0..got).filter_map(|i| inbox.get(i)).for_each(|datagram| self.responder.expect(datagram.bytes));
        }
        for datagram in (0..got).filter_map(|i| inbox.get(i)) {
            if datagram.is_cut {
                self.metrics.oversized();
            }
            self.answer_one(&view, &datagram, outbox, misses);
        }
        *is_lacking = misses.len() * LACKING >= got;
    }

    fn answer_one(&self, view: &R::View, query: &Datagram<'_>, outbox: &mut SendBatch, misses: &mut Misses) {
        let Some(client) = query.from else { return };
        if client.port() == 0 {
            self.tally.query(Proto::Udp);
            return self.tally.drop_for(DropReason::PortZero);
        }
        // Never full: it has room for the whole inbox.
        let Some(out) = outbox.slot() else { return };
        let asker = Asker { local: query.local, ..Asker::new(client, Transport::Udp) };
        match self.responder.answer(view, query.bytes, asker, out, &self.tally) {
            Disposition::Respond(len) => {
                if !outbox.push(len, client, query.local) {
                    self.tally.drop_for(DropReason::SendFailed);
                }
            }
            Disposition::Forward(pending) => misses.push(pending),
            Disposition::Drop => {}
        }
    }

    fn late_reply(&self) -> UdpReply {
        UdpReply {
            endpoint: Arc::clone(&self.endpoint),
            tally: Arc::clone(&self.late),
            _open: self.replies.token(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;
    use crate::answer::Reply;
    use crate::metrics::Board;

    /// Answers everything with as many bytes as its query has.
    struct Same;

    impl Responder for Same {
        type View = ();

        fn view(&self) {}

        fn answer(&self, _: &(), query: &[u8], _: Asker, _: &mut [u8], _: &Tally) -> Disposition {
            Disposition::Respond(query.len())
        }

        fn submit(&self, _: Box<PendingQuery>, _: Arc<dyn Reply>) {}
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
}
