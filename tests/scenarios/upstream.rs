//! Upstreams on loopback that answer by the ranges of a scenario.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::compare;
use crate::model::{Entry, Scenario};

/// The scenario as its upstreams see it.
pub struct Script {
    pub scenario: Scenario,
    /// The number of the step being played.
    pub step: AtomicU32,
}

/// A query that has not been answered.
struct Open {
    query: Vec<u8>,
    /// Where a reply goes; `None` for a stream.
    from: Option<SocketAddr>,
}

/// One server.
#[derive(Clone)]
pub struct Upstream {
    /// The address that the scenario gives it.
    pub address: IpAddr,
    /// Where it listens, UDP and TCP.
    pub addr: SocketAddr,
    script: Arc<Script>,
    udp: Arc<UdpSocket>,
    open: Arc<Mutex<Vec<Open>>>,
}

impl Upstream {
    /// Listens on a port of its own.
    pub async fn start(address: IpAddr, script: Arc<Script>) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let (addr, udp) = (udp.local_addr().unwrap(), Arc::new(udp));
        let upstream = Self { address, addr, script, udp, open: Arc::default() };
        tokio::spawn(upstream.clone().serve_udp());
        tokio::spawn(upstream.clone().serve_tcp(tcp));
        upstream
    }

    async fn serve_udp(self) {
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = self.udp.recv_from(&mut buffer).await {
            if let Some(reply) = self.take(&buffer[..len], Some(from)) {
                let _ = self.udp.send_to(&reply, from).await;
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve_stream(stream));
        }
    }

    async fn serve_stream(self, mut stream: TcpStream) {
        while let Ok(len) = stream.read_u16().await {
            let mut query = vec![0; usize::from(len)];
            if stream.read_exact(&mut query).await.is_err() {
                return;
            }
            if let Some(reply) = self.take(&query, None) {
                let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
                if stream.write_all(&framed).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The reply of the first entry that matches in a range of this step; else the query stays
    /// open. Probes for loops are nobody's question.
    fn take(&self, query: &[u8], from: Option<SocketAddr>) -> Option<Vec<u8>> {
        let step = self.script.step.load(Ordering::Relaxed);
        let ranges = self.script.scenario.ranges.iter();
        let mine = ranges.filter(|r| r.address == self.address && (r.first..=r.last).contains(&step));
        let mut entries = mine.flat_map(|range| &range.entries);
        if let Some(entry) = entries.find(|entry| compare::is_query(entry, query, from.is_none())) {
            return Some(reply(entry, query));
        }
        if !query.windows(14).any(|part| part == b"-zonelet-probe") {
            self.open.lock().unwrap().push(Open { query: query.to_vec(), from });
        }
        None
    }

    /// Whether a query that `entry` matches is open.
    pub fn has_open(&self, entry: &Entry) -> bool {
        self.open.lock().unwrap().iter().any(|o| compare::is_query(entry, &o.query, o.from.is_none()))
    }

    /// Answers the oldest open query that `entry` matches; its repetitions are then closed, too.
    /// Returns whether there was one.
    pub async fn answer(&self, entry: &Entry) -> bool {
        let found = {
            let mut open = self.open.lock().unwrap();
            let matching = |o: &Open| o.from.is_some() && compare::is_query(entry, &o.query, false);
            let found = open.iter().position(matching).map(|at| open.remove(at));
            open.retain(|o| !matching(o));
            found
        };
        let Some((query, to)) = found.and_then(|o| Some((o.query, o.from?))) else { return false };
        self.udp.send_to(&reply(entry, &query), to).await.is_ok()
    }

    /// Forgets what is open: nobody waits for it any more.
    pub fn close_all(&self) {
        self.open.lock().unwrap().clear();
    }
}

/// The message of `entry` as the reply to `query`.
fn reply(entry: &Entry, query: &[u8]) -> Vec<u8> {
    entry.note_use();
    let mut packet = entry.packet.clone();
    if entry.copy_query {
        packet.question = compare::question(query);
    }
    let id = query.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    packet.to_bytes(if entry.copy_id { id } else { 0 })
}
