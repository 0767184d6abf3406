//! The client: asks at a fixed rate and times each answer by the kernel's stamp.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use zonelet::sys::take_short_turns;
use zonelet::wire::Name;

/// A round's latencies in microseconds, sorted, and how many queries got no answer.
pub struct Latencies(Vec<u32>, usize);

impl Latencies {
    /// The latency that this share of the queries had at most.
    pub fn percentile(&self, share: f64) -> Duration {
        let at = (self.0.len() as f64 * share) as usize;
        Duration::from_micros(self.0.get(at).copied().unwrap_or(0).into())
    }

    /// How many queries got no answer.
    pub fn lost(&self) -> usize {
        self.1
    }
}

fn query(n: usize) -> Vec<u8> {
    let mut query = vec![(n >> 8) as u8, n as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let owner: Name = format!("host-{n}.rack-{}.corp.test", n % 64).parse().expect("a name");
    query.extend_from_slice(owner.as_bytes());
    query.extend_from_slice(&[0, 1, 0, 1]);
    query
}

/// Asks the server at `address` for `records` hosts, `rate` a second, for `span`; each answer must hold one address.
///
/// A query's time begins right before it is sent and ends when the kernel puts its answer into the
/// client's queue: when the client gets to read it, or late to send, does not count.
pub fn ask(address: SocketAddr, records: usize, rate: usize, span: Duration) -> Latencies {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("a peer");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("time stamps");
    let sent: Arc<Vec<AtomicU64>> = Arc::new((0..1 << 16).map(|_| AtomicU64::new(0)).collect());
    let (reader, times) = (socket.try_clone().expect("a socket"), Arc::clone(&sent));
    let receiver = thread::spawn(move || {
        let (mut latencies, mut answer) = (Vec::new(), [0u8; 512]);
        while let Some((len, came)) = receive(&reader, &mut answer) {
            assert!(len > 12 && answer[3] & 15 == 0 && answer[7] == 1, "a wrong answer");
            let asked = times[usize::from(u16::from_be_bytes([answer[0], answer[1]]))].load(Relaxed);
            latencies.push((came.saturating_sub(asked) / 1000) as u32);
        }
        latencies
    });
    // The client's own waiting for a processor is not what is measured.
    take_short_turns(Duration::from_micros(100)).expect("short turns");
    let (start, mut asked) = (Instant::now(), 0);
    while start.elapsed() < span {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as usize;
        while asked < due {
            let n = asked.wrapping_mul(7919) % records.min(1 << 16);
            let query = query(n);
            sent[n].store(nanos(ClockId::CLOCK_REALTIME.now().expect("a clock")), Relaxed);
            socket.send(&query).expect("a server");
            asked += 1;
        }
        thread::sleep(Duration::from_micros(100));
    }
    let mut latencies = receiver.join().expect("right answers");
    latencies.sort_unstable();
    let lost = asked - latencies.len();
    Latencies(latencies, lost)
}

/// The next answer, and when it came.
fn receive(socket: &UdpSocket, answer: &mut [u8]) -> Option<(usize, u64)> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut room = [IoSliceMut::new(answer)];
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut room, Some(&mut space), MsgFlags::empty()).ok()?;
    let stamp = got.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(nanos(time)),
        _ => None,
    });
    Some((got.bytes, stamp?))
}

fn nanos(time: TimeSpec) -> u64 {
    Duration::from(time).as_nanos() as u64
}
