//! A lane's connected sockets: a few for each upstream, each on a random port, renewed over time.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;

use crate::sys::Epoll;
use crate::upstream::ids::{Finished, fresh_id};
use crate::upstream::pool::{connected, some_of};
use crate::upstream::server::Upstream;

/// Sockets drawn until one has room for another query.
const MAX_DRAWS: usize = 4;

/// One connected socket.
#[derive(Debug)]
pub(super) struct Sock {
    pub(super) socket: UdpSocket,
    pub(super) upstream: Arc<Upstream>,
    /// The ids in flight, and the query each belongs to.
    waiting: Vec<(u16, usize)>,
    finished: Finished,
    until: Instant,
    /// How long nothing has come while something was waited for; see [`Sock::note_silence`].
    silence: u32,
    /// Not drawn any more; closed once nothing waits on it.
    is_retired: bool,
}

impl Sock {
    fn open(upstream: &Arc<Upstream>, now: Instant) -> io::Result<Self> {
        Ok(Self {
            socket: connected(upstream.address())?,
            upstream: Arc::clone(upstream),
            waiting: Vec::new(),
            finished: Finished::default(),
            until: now + some_of(upstream.identity.lifetime),
            silence: 0,
            is_retired: false,
        })
    }

    /// A random id that no other query has here; `None` when too many wait already.
    pub(super) fn fresh_id(&self) -> Option<u16> {
        fresh_id(self.waiting.len(), |id| self.query(id).is_some())
    }

    /// Notes that a query waits under `id`.
    pub(super) fn join(&mut self, id: u16, query: usize) {
        self.waiting.push((id, query));
    }

    /// The query that waits under `id`.
    pub(super) fn query(&self, id: u16) -> Option<usize> {
        self.waiting.iter().find(|(i, _)| *i == id).map(|(_, query)| *query)
    }

    /// Something has come.
    pub(super) fn note_heard(&mut self) {
        self.silence = 0;
    }

    /// Nothing has come. With a weight of two in a row another socket takes its place at the next
    /// draw.
    pub(super) fn note_silence(&mut self, weight: u32, now: Instant) {
        self.silence = self.silence.saturating_add(weight);
        if self.silence >= 2 {
            self.until = self.until.min(now);
        }
    }

    /// All queries that wait.
    pub(super) fn queries(&self) -> Vec<usize> {
        self.waiting.iter().map(|(_, query)| *query).collect()
    }

    /// Whether a query with this id has been here a short while ago.
    pub(super) fn has_finished(&self, id: u16) -> bool {
        self.finished.contains(id)
    }

    fn forget(&mut self, id: u16) {
        self.waiting.retain(|(i, _)| *i != id);
        self.finished.remember(id);
    }
}

/// The sockets of one upstream, by number.
#[derive(Debug)]
struct Pool {
    upstream: Arc<Upstream>,
    slots: Vec<Option<usize>>,
}

/// All sockets of a lane. Numbers of closed ones are used again.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    socks: Vec<Option<Sock>>,
    free: Vec<usize>,
    pools: Vec<Pool>,
}

impl Sockets {
    pub(super) fn get(&self, number: usize) -> Option<&Sock> {
        self.socks.get(number)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Sock> {
        self.socks.get_mut(number)?.as_mut()
    }

    /// A socket to `upstream`, drawn at random out of `share`, and an id on it.
    pub(super) fn place(
        &mut self,
        upstream: &Arc<Upstream>,
        share: usize,
        now: Instant,
        epoll: &Epoll,
    ) -> Option<(usize, u16)> {
        for _ in 0..MAX_DRAWS {
            let number = self.draw(upstream, share, now, epoll).ok()?;
            if let Some(id) = self.get(number)?.fresh_id() {
                return Some((number, id));
            }
        }
        None
    }

    /// A socket to `upstream`, drawn at random out of `share`; opened if it is not open or has
    /// served its time.
    ///
    /// # Errors
    /// When none can be opened and none is open.
    fn draw(
        &mut self,
        upstream: &Arc<Upstream>,
        share: usize,
        now: Instant,
        epoll: &Epoll,
    ) -> io::Result<usize> {
        let pool = self.pool(upstream);
        let slot = rand::random_range(0..share.max(1));
        let old = self.pools.get(pool).and_then(|p| p.slots.get(slot).copied().flatten());
        if let Some(old) = old.filter(|&old| self.get(old).is_some_and(|sock| now < sock.until)) {
            return Ok(old);
        }
        match self.open(upstream, now, epoll) {
            Ok(new) => {
                if let Some(pool) = self.pools.get_mut(pool) {
                    pool.slots.resize(pool.slots.len().max(slot + 1), None);
                    if let Some(place) = pool.slots.get_mut(slot) {
                        *place = Some(new);
                    }
                }
                old.into_iter().for_each(|old| self.retire(old));
                Ok(new)
            }
            // Out of descriptors: an old port is better than none.
            Err(error) => old.or_else(|| self.any_open(pool)).ok_or(error),
        }
    }

    fn pool(&mut self, upstream: &Arc<Upstream>) -> usize {
        let known = self.pools.iter().position(|p| Arc::ptr_eq(&p.upstream, upstream));
        known.unwrap_or_else(|| {
            self.pools.push(Pool { upstream: Arc::clone(upstream), slots: Vec::new() });
            self.pools.len() - 1
        })
    }

    fn any_open(&self, pool: usize) -> Option<usize> {
        self.pools.get(pool)?.slots.iter().copied().flatten().next()
    }

    fn open(&mut self, upstream: &Arc<Upstream>, now: Instant, epoll: &Epoll) -> io::Result<usize> {
        let sock = Sock::open(upstream, now)?;
        let number = self.free.last().copied().unwrap_or(self.socks.len());
        epoll.add(&sock.socket, number as u64)?;
        match self.socks.get_mut(number) {
            Some(slot) => {
                *slot = Some(sock);
                self.free.pop();
            }
            None => self.socks.push(Some(sock)),
        }
        Ok(number)
    }

    /// Takes a query off its socket.
    pub(super) fn forget(&mut self, number: usize, id: u16) {
        if let Some(sock) = self.get_mut(number) {
            sock.forget(id);
            self.close_if_done(number);
        }
    }

    /// Draws the socket no more, and closes it when nothing waits on it.
    fn retire(&mut self, number: usize) {
        if let Some(sock) = self.get_mut(number) {
            sock.is_retired = true;
            self.close_if_done(number);
        }
    }

    fn close_if_done(&mut self, number: usize) {
        if let Some(slot) = self.socks.get_mut(number)
            && slot.as_ref().is_some_and(|sock| sock.is_retired && sock.waiting.is_empty())
        {
            *slot = None;
            self.free.push(number);
        }
    }

    /// Keeps the sockets of those upstreams alone that `keep` names; the others are closed as soon
    /// as nothing waits on them.
    pub(super) fn retain(&mut self, keep: impl Fn(&Arc<Upstream>) -> bool) {
        let (kept, gone) = std::mem::take(&mut self.pools).into_iter().partition(|p| keep(&p.upstream));
        self.pools = kept;
        let gone: Vec<Pool> = gone;
        for number in gone.into_iter().flat_map(|pool| pool.slots).flatten() {
            self.retire(number);
        }
    }
}
