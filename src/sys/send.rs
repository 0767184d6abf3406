//! `sendmmsg` for the responses of a batch, `sendmsg` for those that come later.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use super::BATCH;
use super::control::{Control, Local};
use super::peer::Peer;
use super::slots::Slots;

/// Bytes of one response buffer, and so the longest response over UDP: with its headers it fills
/// the 1280 bytes that every IPv6 path carries in one piece (RFC 8200 §5).
pub const RESPONSE_MAX: usize = 1232;

/// Buffers for one `sendmmsg`, made by the thread that uses them.
///
/// A response is written into [`SendBatch::slot`] and kept by [`SendBatch::push`];
/// [`SendBatch::send`] sends what was kept.
pub struct SendBatch {
    bytes: Slots<u8>,
    names: Slots<Peer>,
    control: Slots<Control>,
    iovs: Slots<libc::iovec>,
    heads: Slots<libc::mmsghdr>,
    queued: usize,
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl SendBatch {
    /// Allocates the buffers.
    pub fn new() -> Self {
        let bytes = Slots::new(vec![0u8; BATCH * RESPONSE_MAX].into_boxed_slice());
        let names = Slots::new(vec![Peer::NOBODY; BATCH].into_boxed_slice());
        let iovs = Slots::new((0..BATCH).map(|i| iovec(&bytes, i)).collect());
        let heads = Slots::new((0..BATCH).map(|i| head(&names, &iovs, i)).collect());
        let control = Slots::new(vec![Control::EMPTY; BATCH].into_boxed_slice());
        Self { bytes, names, control, iovs, heads, queued: 0 }
    }

    /// The buffer of the next response, [`RESPONSE_MAX`] bytes with old content; `None` when the
    /// batch is full.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        self.bytes.range_mut(self.queued.checked_mul(RESPONSE_MAX)?, RESPONSE_MAX)
    }

    /// Keeps the first `len` bytes of the slot as a response to `to`, sent from `from` where that
    /// is set. `false`: the batch is full or `len` is zero or too long, and nothing was kept.
    #[must_use]
    pub fn push(&mut self, len: usize, to: SocketAddr, from: Option<Local>) -> bool {
        (1..=RESPONSE_MAX).contains(&len) && self.fill(len, to, from).is_some()
    }

    fn fill(&mut self, len: usize, to: SocketAddr, from: Option<Local>) -> Option<()> {
        let i = self.queued;
        let head = &mut self.heads.get_mut(i)?.msg_hdr;
        self.iovs.get_mut(i)?.iov_len = len;
        head.msg_namelen = self.names.get_mut(i)?.set(to);
        head.msg_controllen = match from {
            None => 0,
            Some(local) => {
                head.msg_control = self.control.at(i)?.as_ptr().cast();
                self.control.get_mut(i)?.set_source(local) as _
            }
        };
        self.queued += 1;
        Some(())
    }

    /// How many responses are kept.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Sends what was kept, empties the batch, and says how many the kernel would not take.
    ///
    /// A full socket buffer blocks, up to the socket's send time-out; once that has run out the
    /// rest of the batch is tried without waiting. A response the kernel refuses costs only itself.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let queued = std::mem::take(&mut self.queued);
        let (mut done, mut failed, mut flags) = (0, 0, 0);
        while done < queued {
            match self.send_some(socket, done, queued - done, flags) {
                Ok(sent) => done += sent.max(1),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    if e.kind() == io::ErrorKind::WouldBlock {
                        flags = libc::MSG_DONTWAIT;
                    }
                    failed += 1;
                    done += 1;
                }
            }
        }
        failed
    }

    fn send_some(&mut self, socket: &UdpSocket, start: usize, count: usize, flags: i32) -> io::Result<usize> {
        let Some(heads) = self.heads.at(start) else { return Ok(count) };
        // SAFETY: `start + count` is at most what `push` filled; those headers point at the name,
        // vector and control of their own slot, at fixed addresses (`fixed-bufs`), with the lengths
        // that were written; the kernel changes only `msg_len` in the headers.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), heads.as_ptr(), count as _, flags as _) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

fn iovec(bytes: &Slots<u8>, i: usize) -> libc::iovec {
    let base = bytes.at(i * RESPONSE_MAX).map_or(ptr::null_mut(), |at| at.as_ptr().cast());
    libc::iovec { iov_base: base, iov_len: 0 }
}

fn head(names: &Slots<Peer>, iovs: &Slots<libc::iovec>, i: usize) -> libc::mmsghdr {
    // SAFETY: integers and pointers, for which zeros are a value.
    let mut head: libc::mmsghdr = unsafe { std::mem::zeroed() };
    head.msg_hdr.msg_name = names.at(i).map_or(ptr::null_mut(), |at| at.as_ptr().cast());
    head.msg_hdr.msg_iov = iovs.at(i).map_or(ptr::null_mut(), |at| at.as_ptr());
    head.msg_hdr.msg_iovlen = 1;
    head
}

/// Sends one response from any thread, without waiting, from the address it was asked at.
///
/// # Errors
/// `WouldBlock` when the socket's buffer is full; others are the kernel's about this response.
/// Either way it is lost, as any datagram may be.
pub fn send_late(socket: &UdpSocket, response: &[u8], to: SocketAddr, from: Option<Local>) -> io::Result<()> {
    let mut name = Peer::NOBODY;
    let name_len = name.set(to);
    let mut control = Control::EMPTY;
    let control_len = from.map_or(0, |local| control.set_source(local));
    let mut iov = libc::iovec { iov_base: response.as_ptr().cast_mut().cast(), iov_len: response.len() };
    // SAFETY: integers and pointers, for which zeros are a value.
    let mut head: libc::msghdr = unsafe { std::mem::zeroed() };
    head.msg_name = (&raw mut name).cast();
    head.msg_namelen = name_len;
    head.msg_iov = &raw mut iov;
    head.msg_iovlen = 1;
    head.msg_control = if control_len == 0 { ptr::null_mut() } else { (&raw mut control).cast() };
    head.msg_controllen = control_len as _;
    // SAFETY: the header points at `name`, `iov`, `control` and `response`, which all outlive the
    // call and which a send only reads.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const head, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn put(batch: &mut SendBatch, byte: u8, to: SocketAddr) -> bool {
        batch.slot().unwrap()[..3].fill(byte);
        batch.push(3, to, None)
    }

    fn read(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut bytes = [0; 2000];
        let (len, from) = client.recv_from(&mut bytes).unwrap();
        (bytes[..len].to_vec(), from)
    }

    #[test]
    fn a_response_the_kernel_refuses_costs_only_itself() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = client.local_addr().unwrap();
        let mut batch = SendBatch::new();
        assert!(put(&mut batch, 1, to));
        assert!(put(&mut batch, 2, "127.0.0.1:0".parse().unwrap()));
        assert!(put(&mut batch, 3, "255.255.255.255:9".parse().unwrap()));
        assert!(put(&mut batch, 4, to));
        assert_eq!(batch.send(&server), 2);
        assert_eq!((read(&client).0, read(&client).0), (vec![1; 3], vec![4; 3]));
        assert_eq!(batch.send(&server), 0, "the batch is empty after it was sent");
    }

    #[test]
    fn a_full_batch_takes_no_more_and_lengths_are_checked() {
        let to = "127.0.0.1:9".parse().unwrap();
        let mut batch = SendBatch::new();
        assert!(!batch.push(0, to, None) && !batch.push(RESPONSE_MAX + 1, to, None));
        for _ in 0..BATCH {
            assert!(put(&mut batch, 0, to));
        }
        assert!(batch.slot().is_none());
        assert!(!batch.push(1, to, None));
    }

    #[test]
    fn the_source_address_is_the_one_asked_for_at_once_and_late() {
        for (bind, source, client) in
            [("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0"), ("[::]:0", "::1", "[::1]:0")]
        {
            let server = UdpSocket::bind(bind).unwrap();
            let client = UdpSocket::bind(client).unwrap();
            let source: IpAddr = source.parse().unwrap();
            let local = Some(Local { ip: source, ifindex: 0 });
            let mut batch = SendBatch::new();
            batch.slot().unwrap()[..2].copy_from_slice(b"hi");
            assert!(batch.push(2, client.local_addr().unwrap(), local));
            assert_eq!(batch.send(&server), 0);
            assert_eq!((read(&client).0, read_source(&server, &client, local)), (b"hi".to_vec(), source));
        }
    }

    fn read_source(server: &UdpSocket, client: &UdpSocket, local: Option<Local>) -> IpAddr {
        send_late(server, b"late", client.local_addr().unwrap(), local).unwrap();
        let (bytes, from) = read(client);
        assert_eq!(bytes, b"late");
        from.ip()
    }

    #[test]
    fn a_late_response_that_cannot_go_is_an_error_and_not_a_wait() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(send_late(&server, b"x", "127.0.0.1:0".parse().unwrap(), None).is_err());
        assert!(send_late(&server, &vec![0; 70_000], "127.0.0.1:9".parse().unwrap(), None).is_err());
    }
}
