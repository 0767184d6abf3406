//! `recvmmsg`: many datagrams a call, into buffers that are allocated once.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use super::BATCH;
use super::control::{CONTROL_MAX, Control, Local, local_address};
use super::peer::Peer;
use super::slots::Slots;

/// Bytes kept of one datagram. A query is far shorter; what is longer is cut and marked.
pub const QUERY_MAX: usize = 4096;

/// From one buffer to the next: not a power of two, or all would compete for the same few places
/// in the processor's first cache.
const STRIDE: usize = QUERY_MAX + 128;

/// Whether a receive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until one datagram is there; those behind it are taken along.
    ForOne,
    /// Not at all: an empty queue is `WouldBlock`.
    Never,
}

/// One received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// At most [`QUERY_MAX`] bytes.
    pub bytes: &'a [u8],
    /// There was more, which is lost.
    pub is_cut: bool,
    /// The sender. `None` for the empty message that a [woken](super::wake) socket returns.
    pub from: Option<SocketAddr>,
    /// The address it was sent to, where [asked for](super::report_local_address).
    pub local: Option<Local>,
}

/// Buffers for one `recvmmsg`, made by the thread that uses them.
///
/// The bytes come from zeroed pages that stay untouched, and thus cost no memory, until a batch
/// is deep enough to need them.
pub struct RecvBatch {
    bytes: Slots<u8>,
    names: Slots<Peer>,
    /// Empty where the local address is known without asking.
    control: Slots<Control>,
    heads: Slots<libc::mmsghdr>,
    /// Only pointed at, by `heads`.
    _iovs: Slots<libc::iovec>,
    got: usize,
}

impl RecvBatch {
    /// Allocates the buffers, with or without room for the
    /// [local address](super::report_local_address) of each datagram.
    pub fn new(with_local: bool) -> Self {
        let bytes = Slots::new(vec![0u8; BATCH * STRIDE].into_boxed_slice());
        let names = Slots::new(vec![Peer::NOBODY; BATCH].into_boxed_slice());
        let notes = if with_local { BATCH } else { 0 };
        let control = Slots::new(vec![Control::EMPTY; notes].into_boxed_slice());
        let iovs = Slots::new((0..BATCH).map(|i| iovec(&bytes, i)).collect());
        let heads = Slots::new((0..BATCH).map(|i| head(&names, &control, &iovs, i)).collect());
        Self { bytes, names, control, heads, _iovs: iovs, got: BATCH }
    }

    /// Receives up to [`BATCH`] datagrams in place of those of the last call, and says how many.
    ///
    /// # Errors
    /// `Interrupted`: call again. `WouldBlock`: nothing there. Others are the socket's.
    pub fn recv(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.rearm();
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        let Some(heads) = self.heads.at(0) else { return Ok(0) };
        // SAFETY: there are `BATCH` headers, whose pointers lead into `bytes`, `names`, `control`
        // and `_iovs`, all at fixed addresses (`fixed-bufs`) and with the true lengths; `&mut self`
        // keeps every reference into them away during the call. No time-out is passed.
        let got = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), heads.as_ptr(), BATCH as _, flags as _, ptr::null_mut())
        };
        self.got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?.min(BATCH);
        Ok(self.got)
    }

    /// Datagram `i` of the last call; `None` past the last.
    pub fn get(&self, i: usize) -> Option<Datagram<'_>> {
        if i >= self.got {
            return None;
        }
        let head = self.heads.get(i)?;
        let len = (head.msg_len as usize).min(QUERY_MAX);
        Some(Datagram {
            bytes: self.bytes.range(i * STRIDE, len)?,
            is_cut: head.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            from: self.names.get(i)?.get(head.msg_hdr.msg_namelen),
            local: self
                .control
                .get(i)
                .and_then(|control| local_address(control.0.get(..head.msg_hdr.msg_controllen as usize)?)),
        })
    }

    /// Gives back to the headers what the last call shortened: one more than it received, since a
    /// receive that fails half-way may have touched its header.
    fn rearm(&mut self) {
        let used = (self.got + 1).min(BATCH);
        for head in self.heads.range_mut(0, used).unwrap_or_default() {
            head.msg_hdr.msg_namelen = Peer::ROOM;
            head.msg_hdr.msg_controllen = control_room(&head.msg_hdr) as _;
            head.msg_hdr.msg_flags = 0;
        }
        self.got = 0;
    }
}

fn control_room(head: &libc::msghdr) -> usize {
    if head.msg_control.is_null() { 0 } else { CONTROL_MAX }
}

fn iovec(bytes: &Slots<u8>, i: usize) -> libc::iovec {
    let base = bytes.at(i * STRIDE).map_or(ptr::null_mut(), |at| at.as_ptr().cast());
    libc::iovec { iov_base: base, iov_len: if base.is_null() { 0 } else { QUERY_MAX } }
}

fn head(names: &Slots<Peer>, control: &Slots<Control>, iovs: &Slots<libc::iovec>, i: usize) -> libc::mmsghdr {
    // SAFETY: integers and pointers, for which zeros are a value.
    let mut head: libc::mmsghdr = unsafe { std::mem::zeroed() };
    head.msg_hdr.msg_name = names.at(i).map_or(ptr::null_mut(), |at| at.as_ptr().cast());
    head.msg_hdr.msg_control = control.at(i).map_or(ptr::null_mut(), |at| at.as_ptr().cast());
    head.msg_hdr.msg_iov = iovs.at(i).map_or(ptr::null_mut(), |at| at.as_ptr());
    head.msg_hdr.msg_iovlen = 1;
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{report_local_address, wake};

    fn pair(bind: &str) -> (UdpSocket, UdpSocket) {
        (UdpSocket::bind(bind).unwrap(), UdpSocket::bind(bind).unwrap())
    }

    #[test]
    fn one_call_takes_all_that_is_queued_and_reports_each_sender() {
        let (server, client) = pair("127.0.0.1:0");
        let mut batch = RecvBatch::new(false);
        for round in 0..3u8 {
            for i in 0..5 {
                client.send_to(&[round, i], server.local_addr().unwrap()).unwrap();
            }
            assert_eq!(batch.recv(&server, Wait::ForOne).unwrap(), 5);
            for i in 0..5 {
                let datagram = batch.get(usize::from(i)).unwrap();
                assert_eq!((datagram.bytes, datagram.is_cut), (&[round, i][..], false));
                assert_eq!(datagram.from, Some(client.local_addr().unwrap()));
            }
            assert!(batch.get(5).is_none());
        }
        assert_eq!(batch.recv(&server, Wait::Never).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn more_than_a_batch_is_taken_in_two_calls() {
        let (server, client) = pair("127.0.0.1:0");
        for _ in 0..BATCH + 3 {
            client.send_to(b"x", server.local_addr().unwrap()).unwrap();
        }
        let mut batch = RecvBatch::new(false);
        assert_eq!(batch.recv(&server, Wait::ForOne).unwrap(), BATCH);
        assert_eq!(batch.recv(&server, Wait::ForOne).unwrap(), 3);
    }

    #[test]
    fn a_datagram_longer_than_its_slot_is_cut_and_marked() {
        let (server, client) = pair("127.0.0.1:0");
        client.send_to(&[7; QUERY_MAX], server.local_addr().unwrap()).unwrap();
        client.send_to(&[8; QUERY_MAX + 1], server.local_addr().unwrap()).unwrap();
        client.send_to(&[], server.local_addr().unwrap()).unwrap();
        let mut batch = RecvBatch::new(false);
        assert_eq!(batch.recv(&server, Wait::ForOne).unwrap(), 3);
        let shape = |i| batch.get(i).map(|d: Datagram<'_>| (d.bytes.len(), d.is_cut, d.from.is_some()));
        assert_eq!(shape(0), Some((QUERY_MAX, false, true)));
        assert_eq!(shape(1), Some((QUERY_MAX, true, true)));
        assert_eq!(shape(2), Some((0, false, true)));
    }

    #[test]
    fn the_address_asked_is_reported_on_wildcard_sockets() {
        for (bind, ask) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let server = UdpSocket::bind(bind).unwrap();
            report_local_address(&server).unwrap();
            let ask: std::net::IpAddr = ask.parse().unwrap();
            let client = UdpSocket::bind((if ask.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
            client.send_to(b"x", (ask, server.local_addr().unwrap().port())).unwrap();
            let mut batch = RecvBatch::new(true);
            assert_eq!(batch.recv(&server, Wait::ForOne).unwrap(), 1);
            assert_eq!(batch.get(0).unwrap().local, Some(Local { ip: ask, ifindex: 0 }));
        }
    }

    #[test]
    fn a_blocked_receive_is_woken_and_what_is_queued_stays_readable() {
        let (server, client) = pair("127.0.0.1:0");
        let blocked = server.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let mut batch = RecvBatch::new(false);
            let got = batch.recv(&blocked, Wait::ForOne).unwrap();
            (got, batch.get(0).map(|datagram| (datagram.bytes.len(), datagram.from)))
        });
        wake(&server);
        assert_eq!(thread.join().unwrap(), (1, Some((0, None))));
        client.send_to(b"late", server.local_addr().unwrap()).unwrap();
        let mut batch = RecvBatch::new(false);
        assert_eq!(batch.recv(&server, Wait::Never).unwrap(), 1);
        assert_eq!(batch.get(0).unwrap().bytes, b"late");
        assert_eq!(batch.recv(&server, Wait::Never).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
