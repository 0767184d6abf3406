//! One query over one TCP connection (RFC 7766).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::ask::read_reply;
use crate::wire::{NameRef, Rtype};

/// Asks `message` (its id is replaced by a random one) of `remote` and returns the response, id
/// and question checked. Takes as long as the upstream does: the caller sets the limit.
///
/// # Errors
/// What the network says; `InvalidData` for a response to something else.
pub(super) async fn query(
    remote: SocketAddr,
    mut message: Vec<u8>,
    qname: NameRef<'_>,
    qtype: Rtype,
) -> io::Result<Vec<u8>> {
    let id: [u8; 2] = rand::random();
    if let Some(slot) = message.first_chunk_mut() {
        *slot = id;
    }
    let len = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut stream = TcpStream::connect(remote).await?;
    stream.set_nodelay(true)?;
    // Length and message in one piece: some servers want them in one segment (RFC 7766 §8).
    stream.write_all(&[&len.to_be_bytes()[..], &message].concat()).await?;
    let len = stream.read_u16().await?;
    let mut response = vec![0; usize::from(len)];
    stream.read_exact(&mut response).await?;
    if response.starts_with(&id) && read_reply(&response, qname, qtype).is_some() {
        Ok(response)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
