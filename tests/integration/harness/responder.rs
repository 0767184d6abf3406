//! A server over a responder that does what the first label of a question says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use zonelet::answer::{Asker, Disposition, PendingQuery, Reply, Responder};
use zonelet::metrics::{Board, DropReason, Proto, ServerMetrics, Tally};
use zonelet::server::{Running, Server, Settings};
use zonelet::sys::Estate;

use super::client::PATIENCE;

/// A query on its way to no upstream, and the way back.
pub struct Held {
    pub query: Box<[u8]>,
    asker: Asker,
    reply: Arc<dyn Reply>,
}

impl Held {
    /// Answers it now.
    pub fn release(self) {
        let response = echo(&self.query);
        self.reply.send(&self.asker, &response);
    }

    /// Answers it with `len` bytes.
    pub fn release_as(self, len: usize) {
        let mut response = echo(&self.query);
        response.resize(len, 0);
        self.reply.send(&self.asker, &response);
    }
}

/// The query with QR set.
pub fn echo(query: &[u8]) -> Vec<u8> {
    let mut response = query.to_vec();
    response[2] |= 0x80;
    response
}

#[derive(Default)]
struct State {
    held: Vec<Held>,
    /// The most that were out at once, and how many are.
    most: usize,
    out: usize,
    is_shut: bool,
}

/// First label `slow`: held until the test releases it. `big`: as long as the transport allows.
/// Anything else is echoed. Queries of less than a header and responses are dropped.
#[derive(Default)]
pub struct Double {
    state: Mutex<State>,
    changed: Condvar,
}

impl Double {
    /// Waits until `count` queries are held, and takes them in the order they came.
    pub fn take(&self, count: usize) -> Vec<Held> {
        let state = self.state.lock().unwrap();
        let (mut state, late) =
            self.changed.wait_timeout_while(state, PATIENCE, |s| s.held.len() < count).unwrap();
        assert!(!late.timed_out(), "{} of {count} queries were submitted", state.held.len());
        state.out -= count;
        state.held.drain(..count).collect()
    }

    /// Drops all that is held, unanswered.
    #[cfg(feature = "tls")]
    pub fn forget(&self) {
        let held = std::mem::take(&mut self.state.lock().unwrap().held);
        drop(held);
    }

    /// The most queries that were held at once.
    pub fn most(&self) -> usize {
        self.state.lock().unwrap().most
    }

    /// Makes whoever takes a view wait until [`Double::open`].
    pub fn shut(&self) {
        self.state.lock().unwrap().is_shut = true;
    }

    pub fn open(&self) {
        self.state.lock().unwrap().is_shut = false;
        self.changed.notify_all();
    }
}

impl Responder for Double {
    type View = ();

    fn view(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_timeout_while(state, PATIENCE, |s| s.is_shut).unwrap());
    }

    fn answer(&self, _: &(), query: &[u8], asker: Asker, out: &mut [u8], tally: &Tally) -> Disposition {
        let proto = asker.transport.proto();
        tally.query(proto);
        if query.len() < 12 {
            tally.drop_for(DropReason::ShortHeader);
            return Disposition::Drop;
        }
        if query[2] & 0x80 != 0 {
            tally.drop_for(DropReason::IsResponse);
            return Disposition::Drop;
        }
        if query[13..].starts_with(b"slow") {
            return Disposition::Forward(Box::new(PendingQuery::new(query, asker)));
        }
        let response = echo(query);
        let kept = response.len().min(1232);
        out[..kept].copy_from_slice(&response[..kept]);
        let is_big = query[13..].starts_with(b"big");
        let longest = if proto == Proto::Udp { 1232 } else { 65535 };
        Disposition::Respond(if is_big { longest } else { kept })
    }

    fn submit(&self, pending: Box<PendingQuery>, reply: Arc<dyn Reply>) {
        let mut state = self.state.lock().unwrap();
        state.held.push(Held { query: pending.query().into(), asker: pending.asker(), reply });
        state.out += 1;
        state.most = state.most.max(state.out);
        self.changed.notify_all();
    }
}

/// A server on ports of its own, and what it runs on.
pub struct Served {
    pub double: Arc<Double>,
    pub board: Board,
    pub addrs: Vec<SocketAddr>,
    /// The encrypted listeners.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there are none"))]
    pub encrypted: Vec<(Proto, SocketAddr)>,
    pub metrics: Arc<ServerMetrics>,
    pub runtime: Runtime,
    running: Option<Running>,
}

/// One worker on 127.0.0.1, and time-outs that no test waits for.
pub fn settings() -> Settings {
    Settings {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        workers: 1,
        tcp_connections: 64,
        tcp_connections_per_client: 64,
        tcp_idle: Duration::from_secs(600),
        tcp_stall: Duration::from_secs(600),
        tcp_in_flight: 16,
        receive_buffer: 4 << 20,
        ..Settings::default()
    }
}

/// Starts a server.
pub fn serve(settings: Settings) -> Served {
    serve_after(settings, &mut Estate::default())
}

/// Starts a server with what it takes of another one's sockets.
pub fn serve_after(settings: Settings, estate: &mut Estate) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (double, board) = (Arc::new(Double::default()), Board::default());
    let bound = Server::succeed(settings, estate).unwrap();
    let (addrs, encrypted, metrics) = (bound.local_addrs(), bound.encrypted_addrs(), bound.metrics());
    let context = runtime.enter();
    let running = bound.start(Arc::clone(&double), &board).unwrap();
    drop(context);
    Served { double, board, addrs, encrypted, metrics, runtime, running: Some(running) }
}

impl Served {
    /// The first address.
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// The first address, with `ip` in place of the wildcard.
    pub fn at(&self, ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse::<IpAddr>().unwrap(), self.addr().port())
    }

    /// Queries this server has counted.
    pub fn queries(&self) -> u64 {
        let totals = self.board.totals();
        Proto::ALL.iter().map(|&proto| totals.queries(proto)).sum()
    }

    /// The server itself, to be drained or dropped by the test.
    pub fn running(&mut self) -> Running {
        self.running.take().unwrap()
    }
}
