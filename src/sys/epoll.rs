//! `epoll`: one thread waits for many sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use libc::c_int;

/// Sockets reported by one wait at most; the others are reported by the next.
const EVENTS: usize = 64;

/// A set of sockets to wait for, each known by a number that its owner chose.
///
/// A socket is reported for as long as it has something to read, a shutdown or an error. One that
/// is closed leaves the set by itself.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    events: Box<[libc::epoll_event]>,
    got: usize,
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes flags alone.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let empty = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: the descriptor was just made and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![empty; EVENTS].into_boxed_slice(), got: 0 })
    }

    /// Adds `socket`, reported as `number`.
    ///
    /// # Errors
    /// The kernel's: it is in the set already, or memory is short.
    pub fn add(&self, socket: &impl AsFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        self.control(libc::EPOLL_CTL_ADD, socket, &raw mut event)
    }

    /// Takes `socket` out of the set.
    ///
    /// # Errors
    /// The kernel's: it is not in the set.
    pub fn remove(&self, socket: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket, ptr::null_mut())
    }

    fn control(&self, what: c_int, socket: &impl AsFd, event: *mut libc::epoll_event) -> io::Result<()> {
        let (set, fd) = (self.fd.as_raw_fd(), socket.as_fd().as_raw_fd());
        // SAFETY: both descriptors are open for the length of the call, and `event` is null or
        // points at an event of the caller's, which the kernel only reads.
        let done = unsafe { libc::epoll_ctl(set, what, fd, event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until a socket has something or `limit` is over (`None`: for ever), and says how many
    /// [`Epoll::number`]s there are. An interrupted wait has none.
    ///
    /// # Errors
    /// The kernel's, which has no reason for any.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        // Rounded up: who waits for a deadline must not turn in circles just before it.
        let millis =
            limit.map_or(-1, |d| c_int::try_from(d.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX));
        self.got = 0;
        // SAFETY: the kernel writes at most `EVENTS` events, and there are as many.
        let got = unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), EVENTS as c_int, millis)
        };
        match usize::try_from(got) {
            Ok(got) => self.got = got.min(EVENTS),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
        Ok(self.got)
    }

    /// The number of report `i` of the last wait; `None` past the last.
    pub fn number(&self, i: usize) -> Option<u64> {
        self.events.get(..self.got)?.get(i).map(|event| event.u64)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn bound() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn waited(epoll: &mut Epoll) -> Vec<u64> {
        let got = epoll.wait(Some(Duration::ZERO)).unwrap();
        assert!(epoll.number(got).is_none());
        (0..got).filter_map(|i| epoll.number(i)).collect()
    }

    #[test]
    fn a_socket_is_reported_for_as_long_as_it_has_something() {
        let (mut epoll, one, two) = (Epoll::new().unwrap(), bound(), bound());
        epoll.add(&one, 1).unwrap();
        epoll.add(&two, u64::MAX).unwrap();
        assert!(waited(&mut epoll).is_empty());
        one.send_to(b"x", two.local_addr().unwrap()).unwrap();
        assert_eq!(waited(&mut epoll), [u64::MAX]);
        assert_eq!(waited(&mut epoll), [u64::MAX], "not read yet");
        two.recv(&mut [0; 8]).unwrap();
        assert!(waited(&mut epoll).is_empty());
    }

    #[test]
    fn what_was_removed_or_closed_is_not_reported() {
        let (mut epoll, one, two) = (Epoll::new().unwrap(), bound(), bound());
        let sender = bound();
        for (number, socket) in [&one, &two].into_iter().enumerate() {
            epoll.add(socket, number as u64).unwrap();
            sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        }
        epoll.remove(&one).unwrap();
        assert_eq!(waited(&mut epoll), [1]);
        drop(two);
        assert!(waited(&mut epoll).is_empty());
        assert!(epoll.remove(&one).is_err());
    }

    #[test]
    fn a_network_error_is_reported_and_taken_by_a_receive() {
        let (mut epoll, socket) = (Epoll::new().unwrap(), bound());
        let closed = bound().local_addr().unwrap();
        socket.connect(closed).unwrap();
        epoll.add(&socket, 7).unwrap();
        socket.send(b"x").unwrap();
        assert_eq!(epoll.wait(None).unwrap(), 1);
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(waited(&mut epoll).is_empty());
    }
}
