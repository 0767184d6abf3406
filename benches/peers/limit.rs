//! The limit: the least that a process can do to a query, and the same with a look-up.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use nix::sys::socket::{MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, setsockopt, sockopt};

use super::batch::{Batch, Packet};
use super::ready::Ready;

/// Room for packets that wait in a socket.
const BUFFER: usize = 4 << 20;

/// A socket with room for a burst.
///
/// # Errors
/// The address cannot be had.
pub fn socket(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(address).with_context(|| format!("bind {address}"))?;
    // Past the host's limit where we may, up to it where we may not.
    let forced = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
    if forced.is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER).context("receive buffer")?;
    }
    Ok(socket)
}

/// Sends every query back with QR set, without reading it.
///
/// # Errors
/// The address cannot be had; else it runs until it is killed.
pub fn echo(address: SocketAddr) -> Result<()> {
    serve(address, |packet, len| {
        if let Some(flags) = packet.get_mut(2) {
            *flags |= 0x80;
        }
        len
    })
}

/// Answers from a table of ready answers, as our upstream does, too.
///
/// # Errors
/// The table cannot be read or the address not be had; else it runs until it is killed.
pub fn table(address: SocketAddr, mut ready: Ready) -> Result<()> {
    serve(address, |packet, len| ready.respond(packet, len))
}

/// Receives a batch, turns each query into its response where it lies (length 0: none), and sends them.
fn serve(address: SocketAddr, respond: impl FnMut(&mut Packet, usize) -> usize) -> Result<()> {
    let socket = socket(address)?;
    match address {
        SocketAddr::V4(_) => serve_family::<SockaddrIn>(&socket, respond),
        SocketAddr::V6(_) => serve_family::<SockaddrIn6>(&socket, respond),
    }
}

fn serve_family<S: SockaddrLike + Copy>(
    socket: &UdpSocket,
    mut respond: impl FnMut(&mut Packet, usize) -> usize,
) -> Result<()> {
    let mut batch = Batch::<S>::new();
    loop {
        let Ok(count) = batch.receive(socket, MsgFlags::MSG_WAITFORONE) else { continue };
        for slot in batch.packets(count) {
            *slot.len = respond(slot.bytes, *slot.len);
        }
        batch.send(socket, count);
    }
}
