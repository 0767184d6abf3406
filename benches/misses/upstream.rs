//! Upstreams that answer every name with an address, and some of them late.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

/// Bytes of a socket's receive buffer: what waits for a thread that has no processor is not lost.
const BUFFER: usize = 4 << 20;
/// How late a late answer is.
pub const LATE: Duration = Duration::from_millis(200);
/// How long a thread waits for a query before it looks whether something else is due.
const TURN: Duration = Duration::from_millis(2);

/// One upstream and its thread.
pub struct Upstream {
    /// Where it answers.
    pub addr: SocketAddr,
    packets: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Makes the buffer of a socket as large as the kernel lets it be.
pub fn enlarge(socket: &UdpSocket) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &BUFFER).expect("a receive buffer");
    }
}

impl Upstream {
    /// Answers at once, but one query in `late_every` after [`LATE`].
    pub fn start(late_every: Option<u64>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        enlarge(&socket);
        socket.set_read_timeout(Some(TURN)).expect("a time-out");
        let (packets, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (addr, count, stops) = (socket.local_addr(), Arc::clone(&packets), Arc::clone(&stop));
        let serve = move || serve(&socket, late_every, &count, &stops);
        let thread = thread::Builder::new().name("bench-upstream".into()).spawn(serve);
        Self { addr: addr.expect("an address"), packets, stop, thread: Some(thread.expect("a thread")) }
    }

    /// Queries that have come.
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // A thread that has panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(socket: &UdpSocket, late_every: Option<u64>, packets: &AtomicU64, stop: &AtomicBool) {
    let (mut query, mut late) = ([0; 512], VecDeque::new());
    while !stop.load(Relaxed) {
        match socket.recv_from(&mut query) {
            Ok((len, from)) => {
                let number = packets.fetch_add(1, Relaxed);
                let Some(response) = respond(&query[..len]) else { continue };
                // Scattered, so that no rhythm of the client's falls in with it.
                let draw = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
                if late_every.is_some_and(|every| draw.is_multiple_of(every)) {
                    late.push_back((Instant::now() + LATE, response, from));
                } else {
                    let _ = socket.send_to(&response, from);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // A port of the server's that is closed already.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("{error}"),
        }
        while let Some((_, response, from)) = late.pop_front_if(|(due, ..)| *due <= Instant::now()) {
            let _ = socket.send_to(&response, from);
        }
    }
}

/// The address 192.0.2.1 for what a query asks.
fn respond(query: &[u8]) -> Option<Vec<u8>> {
    let qname = query.get(12..)?.iter().position(|&byte| byte == 0)?;
    let mut response = query.get(..12 + qname + 5)?.to_vec();
    response[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    Some(response)
}
