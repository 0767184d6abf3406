//! The limit of forwarding: each query goes to the upstream under another id from one of many sockets,
//! and its response back. Nothing is read, cached or timed.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike};

use super::batch::{BATCH, Batch};
use super::limit::socket;

/// Marks the clients' socket among the events; the others carry their index.
const CLIENTS: u64 = u64::MAX;

/// Forwards from `address` to `upstream` over `sockets` sockets in turn, each on a port of its own.
///
/// # Errors
/// A socket cannot be had; else it runs until it is killed.
pub fn forward(address: SocketAddr, upstream: SocketAddr, sockets: usize) -> Result<()> {
    match address {
        SocketAddr::V4(_) => Forward::<SockaddrIn>::new(address, upstream, sockets)?.run(),
        SocketAddr::V6(_) => Forward::<SockaddrIn6>::new(address, upstream, sockets)?.run(),
    }
}

/// Who asked: their address and the id they gave.
type Asker<S> = (Option<S>, [u8; 2]);

struct Forward<S> {
    clients: UdpSocket,
    upstreams: Vec<UdpSocket>,
    events: Epoll,
    batch: Batch<S>,
    /// By the id that went to the upstream.
    askers: Vec<Asker<S>>,
    next_id: u16,
    turn: usize,
}

impl<S: SockaddrLike + Copy> Forward<S> {
    fn new(address: SocketAddr, upstream: SocketAddr, sockets: usize) -> Result<Self> {
        let clients = socket(address)?;
        let events = Epoll::new(EpollCreateFlags::empty()).context("epoll")?;
        events.add(&clients, EpollEvent::new(EpollFlags::EPOLLIN, CLIENTS)).context("epoll")?;
        let any: IpAddr = upstream.ip();
        let mut upstreams = Vec::new();
        for index in 0..sockets as u64 {
            let socket = socket(SocketAddr::new(any, 0))?;
            socket.connect(upstream).context("connect to the upstream")?;
            events.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, index)).context("epoll")?;
            upstreams.push(socket);
        }
        let askers = vec![(None, [0; 2]); 1 << 16];
        Ok(Self { clients, upstreams, events, batch: Batch::new(), askers, next_id: 0, turn: 0 })
    }

    fn run(mut self) -> Result<()> {
        let mut ready = [EpollEvent::empty(); BATCH];
        loop {
            let count = match self.events.wait(&mut ready, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error).context("epoll"),
            };
            let events = ready.get(..count).unwrap_or_default();
            self.answer(events);
            if events.iter().any(|event| event.data() == CLIENTS) {
                self.ask();
            }
        }
    }

    /// Brings queries to the upstream, each from the socket whose turn it is.
    fn ask(&mut self) {
        let Ok(count) = self.batch.receive(&self.clients, MsgFlags::MSG_DONTWAIT) else { return };
        for slot in self.batch.packets(count) {
            let [high, low, ..] = slot.bytes;
            if let Some(asker) = self.askers.get_mut(usize::from(self.next_id)) {
                *asker = (*slot.peer, [*high, *low]);
            }
            [*high, *low] = self.next_id.to_be_bytes();
            self.next_id = self.next_id.wrapping_add(1);
            self.turn = (self.turn + 1) % self.upstreams.len().max(1);
            if let (Some(socket), Some(bytes)) = (self.upstreams.get(self.turn), slot.bytes.get(..*slot.len))
            {
                let _ = socket.send(bytes);
            }
        }
    }

    /// Brings back one response from each socket that has one; a second one is told of again.
    fn answer(&mut self, events: &[EpollEvent]) {
        let mut count = 0;
        for event in events {
            let Some(socket) = usize::try_from(event.data()).ok().and_then(|at| self.upstreams.get(at))
            else {
                continue;
            };
            let Some(slot) = self.batch.packet(count) else { break };
            let Ok(len) = socket.recv(slot.bytes) else { continue };
            let [high, low, ..] = slot.bytes;
            let id = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((peer, asked)) = self.askers.get(id) else { continue };
            [*high, *low] = *asked;
            (*slot.len, *slot.peer) = (len, *peer);
            count += 1;
        }
        if count > 0 {
            self.batch.send(&self.clients, count);
        }
    }
}
