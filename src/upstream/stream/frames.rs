//! Messages over a byte stream, each behind its length (RFC 1035 §4.2.2, RFC 7766 §8).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::connection::Outgoing;
use super::inbox::{Inbox, MAX_IN_FLIGHT};

/// How long the end of a connection may take.
const PARTING: Duration = Duration::from_millis(100);
/// Read at once; most responses are shorter.
const READ_BUFFER: usize = 2048;

/// Moves messages both ways until the stream ends, which is an error of the kind it ended with.
/// Nothing waits for the other direction: an upstream that reads no more can still be heard.
pub(super) async fn drive<S: AsyncRead + AsyncWrite>(
    stream: S,
    inbox: &Inbox,
    queue: &mut mpsc::Receiver<Outgoing>,
    over: impl Future<Output = ()>,
) -> io::Error {
    let (read, mut write) = tokio::io::split(stream);
    let ended = tokio::select! {
        error = read_all(read, inbox) => error,
        error = write_all(&mut write, inbox, queue) => error,
        () = over => io::ErrorKind::ConnectionAborted.into(),
    };
    // Said for good manners where nobody waits any more: over TLS it is a message (RFC 7858 §3.4).
    // Who does not take it at once goes without.
    if ended.kind() == io::ErrorKind::ConnectionAborted {
        let _ = tokio::time::timeout(PARTING, write.shutdown()).await;
    }
    ended
}

async fn read_all(read: impl AsyncRead + Unpin, inbox: &Inbox) -> io::Error {
    let mut read = BufReader::with_capacity(READ_BUFFER, read);
    loop {
        match read_one(&mut read).await.and_then(|message| inbox.deliver(message)) {
            Ok(()) => {}
            Err(error) => return error,
        }
    }
}

async fn read_one(read: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let len = read.read_u16().await?;
    let mut message = vec![0; usize::from(len)];
    read.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_all(
    write: &mut (impl AsyncWrite + Unpin),
    inbox: &Inbox,
    queue: &mut mpsc::Receiver<Outgoing>,
) -> io::Error {
    let (mut batch, mut bytes) = (Vec::new(), Vec::new());
    while queue.recv_many(&mut batch, MAX_IN_FLIGHT).await > 0 {
        bytes.clear();
        // Whoever has gone meanwhile is not asked for.
        for outgoing in batch.drain(..).filter(|o| inbox.is_awaited(o.id)) {
            let Ok(len) = u16::try_from(outgoing.message.len()) else { continue };
            bytes.extend(len.to_be_bytes());
            bytes.extend(&outgoing.message);
        }
        // Length and message in one piece: some servers want them in one segment (RFC 7766 §8).
        if let Err(error) = write.write_all(&bytes).await {
            return error;
        }
        if let Err(error) = write.flush().await {
            return error;
        }
    }
    // Nobody can ask any more.
    io::ErrorKind::ConnectionAborted.into()
}
