//! Packets received and sent many at a time, with `recvmmsg` and `sendmmsg`.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrLike, recvmmsg, sendmmsg};

/// Packets a system call.
pub const BATCH: usize = 64;
/// Bytes of a packet.
pub const SIZE: usize = 1536;

/// The bytes of one packet.
pub type Packet = [u8; SIZE];

/// Room for a batch of packets and, for an unconnected socket, for the addresses they came from
/// (`S`: `SockaddrIn` or `SockaddrIn6`, `()` for a connected socket).
pub struct Batch<S> {
    packets: Box<[Packet; BATCH]>,
    lens: [usize; BATCH],
    peers: [Option<S>; BATCH],
    incoming: MultiHeaders<S>,
    outgoing: MultiHeaders<S>,
}

impl<S: SockaddrLike + Copy> Batch<S> {
    /// Room, empty.
    pub fn new() -> Self {
        Self {
            packets: Box::new([[0; SIZE]; BATCH]),
            lens: [0; BATCH],
            peers: [None; BATCH],
            incoming: MultiHeaders::preallocate(BATCH, None),
            outgoing: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Receives what is there, at most a batch; how many are there now.
    ///
    /// # Errors
    /// The system call's, `EAGAIN` where `flags` do not let it wait.
    pub fn receive(&mut self, socket: &UdpSocket, flags: MsgFlags) -> nix::Result<usize> {
        let mut slices = self.packets.each_mut().map(|packet| [IoSliceMut::new(packet)]);
        let got = recvmmsg(socket.as_raw_fd(), &mut self.incoming, slices.iter_mut(), flags, None)?;
        let mut count = 0;
        for ((message, len), peer) in got.zip(&mut self.lens).zip(&mut self.peers) {
            *len = message.bytes;
            *peer = message.address;
            count += 1;
        }
        Ok(count)
    }

    /// The first `count` packets, with their lengths and addresses.
    pub fn packets(&mut self, count: usize) -> impl Iterator<Item = Slot<'_, S>> {
        let slots = self.packets.iter_mut().zip(&mut self.lens).zip(&mut self.peers);
        slots.take(count).map(|((bytes, len), peer)| Slot { bytes, len, peer })
    }

    /// One packet, where there is room for it.
    pub fn packet(&mut self, at: usize) -> Option<Slot<'_, S>> {
        let (bytes, len) = (self.packets.get_mut(at)?, self.lens.get_mut(at)?);
        Some(Slot { bytes, len, peer: self.peers.get_mut(at)? })
    }

    /// Sends the first `count` packets, each to its address if it has one.
    ///
    /// A packet that the kernel refuses takes the rest of the batch with it: they count as lost, by whoever
    /// waits for them.
    pub fn send(&mut self, socket: &UdpSocket, count: usize) {
        let mut lens = self.lens.iter();
        let slices = self.packets.each_ref().map(|packet| {
            let len = lens.next().copied().unwrap_or_default();
            [IoSlice::new(packet.get(..len).unwrap_or_default())]
        });
        let fd = socket.as_raw_fd();
        let all = slices.iter().take(count);
        let _ = sendmmsg(fd, &mut self.outgoing, all, self.peers.as_slice(), [], MsgFlags::empty());
    }
}

/// One packet of a batch.
pub struct Slot<'a, S> {
    /// Room of which `len` bytes are used.
    pub bytes: &'a mut Packet,
    /// Bytes used.
    pub len: &'a mut usize,
    /// Where it came from, and where it goes.
    pub peer: &'a mut Option<S>,
}

impl<S: Copy> Slot<'_, S> {
    /// Takes over another's bytes.
    pub fn copy_from(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(SIZE);
        if let (Some(to), Some(from)) = (self.bytes.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        *self.len = len;
    }
}
