//! A client that asks for new names at an even rate, whether answers come or not.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::scene::{Opt, name, query};
use super::upstream::enlarge;
use zonelet::wire::Rtype;

/// Sockets to ask from.
const SOCKETS: usize = 8;
/// How long the last answers are waited for.
const REST: Duration = Duration::from_secs(3);
/// Between two looks at what is due and what has come.
const TURN: Duration = Duration::from_micros(200);

/// What came of it.
pub struct Told {
    pub asked: usize,
    /// From when a name was to be asked for, sorted.
    times: Vec<Duration>,
}

impl Told {
    pub fn lost(&self) -> usize {
        self.asked - self.times.len()
    }

    pub fn answered(&self) -> usize {
        self.times.len()
    }

    /// The time that this share of all answers took at most.
    pub fn percentile(&self, share: f64) -> Duration {
        let at = (self.times.len() as f64 * share) as usize;
        self.times.get(at.min(self.times.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

struct Source {
    socket: UdpSocket,
    /// When the name was due that each id was last used for; `None` where no answer is awaited.
    due: Vec<Option<Instant>>,
}

impl Source {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        enlarge(&socket);
        socket.connect(server).expect("a peer");
        socket.set_nonblocking(true).expect("a socket that does not block");
        Self { socket, due: vec![None; 1 << 16] }
    }

    fn receive(&mut self, times: &mut Vec<Duration>) {
        let mut answer = [0; 512];
        loop {
            match self.socket.recv(&mut answer) {
                Ok(len) => {
                    assert!(len > 12 && answer[3] & 15 == 0 && answer[7] == 1, "a wrong answer");
                    let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
                    times.extend(self.due[id].take().map(|due| due.elapsed()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Asks the server for `rate` names a second that nobody has asked for, for `span`. `round` tells them from those of
/// other rounds.
///
/// A name's time begins when it is due: that the client is late with it counts, as everything does
/// behind which a query may wait.
pub fn ask(server: SocketAddr, round: usize, rate: usize, span: Duration) -> Told {
    let mut sources: Vec<_> = (0..SOCKETS).map(|_| Source::new(server)).collect();
    let total = (span.as_secs_f64() * rate as f64) as usize;
    let (mut times, mut sent, began) = (Vec::with_capacity(total), 0, Instant::now());
    while times.len() < total && began.elapsed() < span + REST {
        let due = ((began.elapsed().as_secs_f64() * rate as f64) as usize).min(total);
        for n in sent..due {
            let mut query = question(round, n);
            let id = (n / SOCKETS) as u16;
            query[..2].copy_from_slice(&id.to_be_bytes());
            let source = &mut sources[n % SOCKETS];
            source.due[usize::from(id)] = Some(began + Duration::from_secs_f64(n as f64 / rate as f64));
            // What the kernel does not take is lost.
            let _ = source.socket.send(&query);
        }
        sent = due;
        sources.iter_mut().for_each(|source| source.receive(&mut times));
        thread::sleep(TURN);
    }
    times.sort_unstable();
    Told { asked: total, times }
}

fn question(round: usize, n: usize) -> Vec<u8> {
    let opt = Some(Opt { size: 1232, dnssec_ok: false });
    query(&name(&format!("n{n}.r{round}.example.net")), Rtype::A, opt)
}
