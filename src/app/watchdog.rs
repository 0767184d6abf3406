//! Asks zonelet itself, by every UDP worker and over TCP, as a client would.
//!
//! A worker counts as alive when it has taken a query since the last round, whoever's; only those that have not are
//! asked. Which socket of a port a query comes to the kernel decides by the client's port: ports are drawn until each
//! worker has moved. The question is one that is answered here, so that no upstream's fault shows; a refusal, or a
//! connection that is closed over a limit, is a sign of life as good as any.
//!
//! No dnstap, query log or table of clients sees these queries. Workers count them with all others, as they must:
//! that the count moves is what is looked for.
//!
//! The thread knows nothing of the runtime: where that hangs, /livez does not answer at all.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::config::Watchdog;
use crate::metrics::{Proto, ServerMetrics, Tally, WatchdogMetrics};
use crate::server::Pulse;
use crate::watch::OwnQueries;

/// How long an answer of this process to itself may take before another port is tried.
const UDP_PATIENCE: Duration = Duration::from_millis(100);
const TCP_PATIENCE: Duration = Duration::from_secs(2);
/// A round spends no longer on the workers of one address.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);
/// Ports drawn for each worker at most: one that is well is missed by all of them once in 3000 rounds.
const DRAWS: usize = 8;

/// What does not answer, for /livez. Empty is well.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Mutex<Vec<String>>>);

impl Verdict {
    /// # Errors
    /// What is stuck.
    pub fn get(&self) -> Result<(), String> {
        let stuck = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stuck.is_empty() { Ok(()) } else { Err(stuck.join("; ")) }
    }

    fn set(&self, stuck: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stuck;
    }
}

/// The thread at work; ends when this is dropped.
#[derive(Debug)]
pub struct Guard(#[allow(dead_code)] Sender<()>);

/// What is asked: `version.bind TXT` of class CH, which no upstream is ever asked, whatever a reload changes. That it
/// is refused is a sign of life like any other.
pub fn question() -> Vec<u8> {
    let mut query = vec![0x5a, 0x4c, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(b"\x07version\x04bind\0\0\x10\0\x03");
    query
}

/// Starts the thread over the workers of a server.
///
/// # Errors
/// The system has no thread left.
pub fn start(
    settings: Watchdog,
    pulses: Vec<Pulse>,
    question: Vec<u8>,
    verdict: Verdict,
    server: Arc<ServerMetrics>,
    own: OwnQueries,
) -> io::Result<Guard> {
    let (guard, ended) = channel();
    let rounds = Rounds { own, ..Rounds::new(settings, pulses, question) };
    let work = move || watch(rounds, &ended, &verdict, &server);
    thread::Builder::new().name("watchdog".to_owned()).spawn(work)?;
    Ok(Guard(guard))
}

fn watch(mut rounds: Rounds, ended: &Receiver<()>, verdict: &Verdict, server: &ServerMetrics) {
    let metrics = WatchdogMetrics::register();
    let (mut before, mut lost) = (0, server.lost_datagrams());
    while ended.recv_timeout(rounds.settings.interval) == Err(RecvTimeoutError::Timeout) {
        let stuck = rounds.round();
        let counter = if rounds.is_well() { &metrics.well } else { &metrics.bad };
        counter.increment(1);
        metrics.stuck.set(stuck.len() as f64);
        match (before, stuck.len()) {
            (0, 1..) => error!(stuck = stuck.join("; "), "zonelet does not answer itself, /livez says so"),
            (1.., 0) => info!("zonelet answers itself again"),
            _ => {}
        }
        before = stuck.len();
        verdict.set(stuck);
        let lost_now = server.lost_datagrams();
        if lost_now > lost {
            let (queries, seconds) = (lost_now - lost, rounds.settings.interval.as_secs());
            warn!(queries, seconds, "queries were lost: receive queues were full");
        }
        lost = lost_now;
    }
}

/// A worker or listener under watch.
struct Patient {
    name: String,
    /// What it has counted when it was last seen to move; `None` for TCP, which is asked each time.
    tally: Option<(Arc<Tally>, u64)>,
    /// Rounds in a row without a sign of life.
    silent: u32,
}

impl Patient {
    /// Whether it has taken a query since this was last asked.
    fn has_moved(&mut self) -> bool {
        self.tally.as_mut().is_some_and(|(tally, seen)| {
            let now = tally.queries(Proto::Udp);
            std::mem::replace(seen, now) != now
        })
    }
}

/// The address of a server with all that listens there.
struct Place {
    addr: SocketAddr,
    workers: Vec<Patient>,
    tcp: Patient,
}

struct Rounds {
    settings: Watchdog,
    places: Vec<Place>,
    question: Vec<u8>,
    own: OwnQueries,
}

impl Rounds {
    fn new(settings: Watchdog, pulses: Vec<Pulse>, question: Vec<u8>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for pulse in pulses {
            let Ok(addr) = pulse.name.addr.parse::<SocketAddr>() else { continue };
            let seen = pulse.tally.queries(Proto::Udp);
            let name = format!("UDP worker {} of {addr}", pulse.name.index);
            let patient = Patient { name, tally: Some((pulse.tally, seen)), silent: 0 };
            match places.iter_mut().find(|place| place.addr == addr) {
                Some(place) => place.workers.push(patient),
                None => {
                    let tcp = Patient { name: format!("TCP on {addr}"), tally: None, silent: 0 };
                    places.push(Place { addr, workers: vec![patient], tcp });
                }
            }
        }
        Self { settings, places, question, own: OwnQueries::default() }
    }

    /// Looks at everything once; what is stuck by now.
    fn round(&mut self) -> Vec<String> {
        for place in &mut self.places {
            place.look(&self.question, &self.own);
        }
        let limit = self.settings.limit;
        let is_stuck = |patient: &&Patient| self.settings.interval * patient.silent >= limit;
        let tell = |patient: &Patient| format!("{} has not answered for {} s", patient.name, limit.as_secs());
        self.patients().filter(is_stuck).map(tell).collect()
    }

    fn patients(&self) -> impl Iterator<Item = &Patient> {
        self.places.iter().flat_map(|place| place.workers.iter().chain([&place.tcp]))
    }

    fn is_well(&self) -> bool {
        self.patients().all(|patient| patient.silent == 0)
    }
}

impl Place {
    fn look(&mut self, question: &[u8], own: &OwnQueries) {
        let target = SocketAddr::new(reachable(self.addr), self.addr.port());
        let (deadline, mut draws) = (Instant::now() + ADDRESS_PATIENCE, DRAWS * self.workers.len());
        let mut waiting: Vec<&mut Patient> = self.workers.iter_mut().collect();
        loop {
            waiting.retain_mut(|worker| {
                let has_moved = worker.has_moved();
                if has_moved {
                    worker.silent = 0;
                }
                !has_moved
            });
            if waiting.is_empty() || draws == 0 || Instant::now() > deadline {
                break;
            }
            draws -= 1;
            if ask_udp(target, self.addr, question, own).is_err() {
                // The host lacks the address, or a descriptor: no worker's fault.
                return;
            }
        }
        waiting.into_iter().for_each(|worker| worker.silent += 1);
        match ask_tcp(target, question, own) {
            Ok(()) => self.tcp.silent = 0,
            Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                self.tcp.silent += 1;
            }
            // Closed at once, over a limit, or refused by the kernel: somebody did that.
            Err(_) => self.tcp.silent = 0,
        }
    }
}

/// Where an address can be reached from here.
fn reachable(addr: SocketAddr) -> IpAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// With the scope that the listener has, if any.
fn scoped(target: SocketAddr, listener: SocketAddr) -> SocketAddr {
    if target.ip() == listener.ip() { listener } else { target }
}

/// Asks from a new port, and waits a little; no answer is no error.
fn ask_udp(target: SocketAddr, listener: SocketAddr, question: &[u8], own: &OwnQueries) -> io::Result<()> {
    let target = scoped(target, listener);
    let mut from = target;
    from.set_port(0);
    let socket = UdpSocket::bind(from)?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(UDP_PATIENCE))?;
    let _unseen = own.begin(socket.local_addr()?);
    socket.send(question)?;
    let _ = socket.recv(&mut [0; 512]);
    Ok(())
}

/// Asks over a new connection; an answer's first byte, or the connection's end, will do.
fn ask_tcp(target: SocketAddr, question: &[u8], own: &OwnQueries) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, TCP_PATIENCE)?;
    stream.set_read_timeout(Some(TCP_PATIENCE))?;
    stream.set_write_timeout(Some(TCP_PATIENCE))?;
    let _unseen = own.begin(stream.local_addr()?);
    let len = u16::try_from(question.len()).unwrap_or(0);
    stream.write_all(&[&len.to_be_bytes()[..], question].concat())?;
    // Where a rule has it dropped there is no answer: then the connection ends, as nothing more is asked.
    stream.shutdown(Shutdown::Write)?;
    stream.read(&mut [0; 2]).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::sys::SocketName;
    use crate::wire::{CLASS_CH, Query, Suffixes};

    const SETTINGS: Watchdog = Watchdog { interval: Duration::from_secs(10), limit: Duration::from_secs(30) };

    fn pulse(addr: SocketAddr, index: usize, tally: &Arc<Tally>) -> Pulse {
        Pulse { name: SocketName::new("udp", addr, addr, index), tally: Arc::clone(tally) }
    }

    /// A worker that answers, and counts in `tally`, until its socket says nothing more.
    fn worker(socket: UdpSocket, tally: Arc<Tally>) {
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((len, client)) = socket.recv_from(&mut query) {
                tally.query(Proto::Udp);
                socket.send_to(&query[..len], client).unwrap();
            }
        });
    }

    fn tcp(addr: SocketAddr) {
        let listener = TcpListener::bind(addr).unwrap();
        // Over its limit: every connection is closed at once.
        thread::spawn(move || listener.incoming().for_each(drop));
    }

    #[test]
    fn a_worker_that_takes_nothing_is_stuck_after_the_limit_and_well_once_it_does() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (addr, tally) = (socket.local_addr().unwrap(), Arc::new(Tally::default()));
        tcp(addr);
        let mut rounds = Rounds::new(SETTINGS, vec![pulse(addr, 3, &tally)], question());
        assert!(rounds.round().is_empty() && rounds.round().is_empty() && !rounds.is_well());
        assert_eq!(rounds.round(), [format!("UDP worker 3 of {addr} has not answered for 30 s")]);
        // Clients' queries are a sign of life as well.
        tally.query(Proto::Udp);
        assert!(rounds.round().is_empty() && rounds.is_well());
        worker(socket, Arc::clone(&tally));
        assert!(rounds.round().is_empty() && rounds.is_well());
    }

    #[test]
    fn each_of_several_workers_is_reached() {
        use socket2::{Domain, Socket, Type};
        let grouped = |addr: SocketAddr| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&addr.into()).unwrap();
            UdpSocket::from(socket)
        };
        let first = grouped("127.0.0.1:0".parse().unwrap());
        let addr = first.local_addr().unwrap();
        tcp(addr);
        let tallies: Vec<Arc<Tally>> = (0..3).map(|_| Arc::default()).collect();
        let sockets = [first, grouped(addr), grouped(addr)];
        let stuck = sockets[2].try_clone().unwrap();
        for (socket, tally) in sockets.into_iter().zip(&tallies).take(2) {
            worker(socket, Arc::clone(tally));
        }
        let pulses = tallies.iter().enumerate().map(|(i, tally)| pulse(addr, i, tally)).collect();
        let mut rounds = Rounds::new(SETTINGS, pulses, question());
        let _ = (rounds.round(), rounds.round());
        assert_eq!(rounds.round(), [format!("UDP worker 2 of {addr} has not answered for 30 s")]);
        worker(stuck, Arc::clone(&tallies[2]));
        assert!(rounds.round().is_empty() && rounds.is_well());
    }

    #[test]
    fn a_listener_that_accepts_and_answers_nothing_is_stuck_and_an_address_that_is_gone_is_nobodys_fault() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (addr, tally) = (socket.local_addr().unwrap(), Arc::new(Tally::default()));
        let _listener = TcpListener::bind(addr).unwrap();
        worker(socket, Arc::clone(&tally));
        let quick = Watchdog { limit: Duration::from_secs(10), ..SETTINGS };
        let mut rounds = Rounds::new(quick, vec![pulse(addr, 0, &tally)], question());
        assert_eq!(rounds.round(), [format!("TCP on {addr} has not answered for 10 s")]);
        let gone: SocketAddr = "192.0.2.53:53".parse().unwrap();
        let mut rounds = Rounds::new(quick, vec![pulse(gone, 0, &tally)], question());
        assert!(rounds.round().is_empty());
    }

    #[test]
    fn the_question_is_a_whole_query_that_is_never_forwarded() {
        let (bytes, mut suffixes) = (question(), Suffixes::default());
        let query = Query::parse(&bytes, &mut suffixes).unwrap();
        assert_eq!((query.qname().to_string().as_str(), query.qclass), ("version.bind.", CLASS_CH));
    }
}
