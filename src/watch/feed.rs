//! The way from the answering threads to the background: bounded, never waited for.
//!
//! Each thread writes behind the others into a buffer of its own turn, which is never allocated for a
//! query: the background task swaps a full buffer for an empty one. What finds every buffer full or
//! being swapped is lost, and counted.

use std::cell::Cell;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::Notify;

use super::seen::Stop;
use super::settings::Class;
use crate::metrics::{AnswerSource, FeedMetrics, Proto};
use crate::wire::Rcode;

/// Buffers; a thread keeps to one as long as there is room.
const BUFFERS: usize = 4;
/// Bytes of a query and its response that a buffer reckons with; queries are mostly shorter.
const TYPICAL: usize = 128;

/// What a head is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client's query and our response.
    Client,
    /// Our query to an upstream.
    ForwarderQuery,
    /// Its reply.
    ForwarderResponse,
}

/// All that is known of one query but its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// What it is of.
    pub kind: Kind,
    /// Who asked, or which upstream was asked.
    pub peer: SocketAddr,
    /// The address it was sent to, where the socket does not say.
    pub local: Option<IpAddr>,
    /// How it came.
    pub proto: Proto,
    /// Where its response came from.
    pub source: AnswerSource,
    /// The response code.
    pub rcode: Rcode,
    /// What kept it from its answer, if anything did.
    pub stop: Option<Stop>,
    /// When it was received, on the clock.
    pub asked: Duration,
    /// When it was answered.
    pub answered: Duration,
    /// How long the upstream took that is named beside it.
    pub fetched: Duration,
    /// Whether dnstap takes it.
    pub is_tapped: bool,
    /// Why it is logged; `None` for what is not.
    pub class: Option<Class>,
    /// Whether it was turned away.
    pub is_turned_away: bool,
}

/// The bytes that come with a head: the query, the response, the name of the upstream.
pub(super) type Parts<'a> = [&'a [u8]; PARTS];
const PARTS: usize = 3;

/// What was put in, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    heads: Vec<(Head, [u32; PARTS])>,
    bytes: Vec<u8>,
}

impl Batch {
    fn with_room(bytes: usize) -> Self {
        Self { heads: Vec::with_capacity(bytes / TYPICAL), bytes: Vec::with_capacity(bytes) }
    }

    /// `false`: there is no room, for which nothing is ever allocated here.
    fn push(&mut self, head: Head, parts: Parts<'_>) -> bool {
        let lens = parts.map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX));
        let room = self.bytes.capacity() - self.bytes.len();
        let wanted: usize = lens.iter().map(|&len| len as usize).sum();
        if self.heads.len() == self.heads.capacity() || wanted > room {
            return false;
        }
        self.heads.push((head, lens));
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        true
    }

    fn is_half_full(&self) -> bool {
        self.bytes.len() * 2 >= self.bytes.capacity() || self.heads.len() * 2 >= self.heads.capacity()
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
    }

    /// Each with what came with it.
    pub fn iter(&self) -> impl Iterator<Item = (&Head, Parts<'_>)> {
        let mut rest = self.bytes.as_slice();
        self.heads.iter().map(move |(head, lens)| {
            let parts = lens.map(|len| {
                let (part, behind) = rest.split_at_checked(len as usize).unwrap_or_default();
                rest = behind;
                part
            });
            (head, parts)
        })
    }
}

/// The buffers.
#[derive(Debug)]
pub(super) struct Feed {
    batches: [Mutex<Batch>; BUFFERS],
    wake: Notify,
    metrics: FeedMetrics,
}

impl Feed {
    /// Closed: without room, everything is lost.
    pub fn new() -> Self {
        let batches = std::array::from_fn(|_| Mutex::default());
        Self { batches, wake: Notify::new(), metrics: FeedMetrics::register() }
    }

    /// Makes room for `bytes` in all, twice: what is read is out while as much comes in. What has room keeps it.
    pub fn open(&self, bytes: usize) {
        for batch in &self.batches {
            let mut batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
            if batch.bytes.capacity() == 0 {
                *batch = Batch::with_room(bytes / (2 * BUFFERS));
            }
        }
        self.wake.notify_one();
    }

    /// Puts in what was seen of one query. `false`: it is lost, and counted. Takes nothing from the heap and waits for
    /// nobody.
    pub fn push(&self, head: Head, parts: Parts<'_>) -> bool {
        let first = lane();
        for n in 0..BUFFERS {
            let mut batch = match self.batches[(first + n) % BUFFERS].try_lock() {
                Ok(batch) => batch,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let was_half_full = batch.is_half_full();
            if batch.push(head, parts) {
                if !was_half_full && batch.is_half_full() {
                    self.wake.notify_one();
                }
                return true;
            }
        }
        self.metrics.lost.increment(1);
        false
    }

    /// Hands over what has come in, buffer by buffer, through `spare`, which is made as large as they are.
    pub fn drain(&self, spare: &mut Batch, mut take: impl FnMut(&Batch)) {
        for batch in &self.batches {
            let mut batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
            if batch.heads.is_empty() {
                continue;
            }
            if spare.bytes.capacity() == 0 {
                *spare = Batch::with_room(batch.bytes.capacity());
            }
            mem::swap(&mut *batch, spare);
            drop(batch);
            take(spare);
            spare.clear();
        }
    }

    /// Counts what is kept from here, of that which is turned away.
    #[cold]
    pub fn left_out(&self) {
        self.metrics.left_out.increment(1);
    }

    /// Until there is much to do.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// The number of the calling thread, from 0.
pub(super) fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    LANE.get().unwrap_or_else(|| {
        let lane = NEXT.fetch_add(1, Ordering::Relaxed);
        LANE.set(Some(lane));
        lane
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A query of this client, answered after 5 ms.
    pub(in crate::watch) fn head(client: &str) -> Head {
        Head {
            kind: Kind::Client,
            peer: client.parse().unwrap(),
            local: None,
            proto: Proto::Udp,
            source: AnswerSource::Cache,
            rcode: Rcode::NOERROR,
            stop: None,
            asked: Duration::from_millis(1000),
            answered: Duration::from_millis(1005),
            fetched: Duration::ZERO,
            is_tapped: true,
            class: None,
            is_turned_away: false,
        }
    }

    fn drained(feed: &Feed) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        feed.drain(&mut Batch::default(), |batch| {
            all.extend(batch.iter().map(|(_, [query, response, _])| (query.to_vec(), response.to_vec())));
        });
        all
    }

    #[test]
    fn what_fits_comes_out_whole_and_in_order_and_the_rest_is_lost() {
        let feed = Feed::new();
        let push = |n: u8| feed.push(head("10.0.0.1:53"), [&[n; 40], &[n; 50], &[n; 10]]);
        assert!(!push(0) && drained(&feed).is_empty(), "nothing has room before it is opened");
        feed.open(8 * BUFFERS * 100);
        for round in 0..3 {
            let taken = (0..250).filter(|&n| push(n)).count();
            let all = drained(&feed);
            // Four buffers of 400 bytes each hold 4 queries, or as many heads as are reckoned with.
            assert_eq!((all.len(), taken), (BUFFERS * 3, BUFFERS * 3), "round {round}");
            assert!(all.iter().all(|(query, response)| query.len() == 40 && response == &[query[0]; 50]));
            assert!(all.chunks(3).all(|buffer| buffer.is_sorted()), "{all:?}");
        }
    }

    #[test]
    fn whatever_was_taken_while_it_is_read_comes_out_whole() {
        let feed = Feed::new();
        feed.open(1 << 20);
        let write = |thread: u8| {
            (0..2000).filter(|_| feed.push(head("10.0.0.1:53"), [&[thread; 9], &[thread; 9], b""])).count()
        };
        let (mut seen, mut spare) = (0, Batch::default());
        let mut read =
            || feed.drain(&mut spare, |batch| seen += batch.iter().filter(|(_, [q, r, _])| q == r).count());
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|thread| scope.spawn(move || write(thread))).collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                read();
            }
            read();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(taken > 0);
        assert_eq!(seen, taken);
    }

    #[tokio::test]
    async fn a_buffer_that_fills_up_wakes_the_background_task() {
        let feed = Feed::new();
        feed.open(8 * BUFFERS * 1000);
        feed.woken().await;
        assert!((0..3).all(|_| feed.push(head("10.0.0.1:53"), [&[0; 900], &[0; 900], b""])));
        feed.woken().await;
    }
}
