//! One connection over QUIC, and the streams on it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Bytes;
use quinn::{Connection, Incoming, RecvStream, SendStream, ServerConfig, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::answer::{Asker, Responder, Transport};
use crate::metrics::CloseReason;
use crate::server::framing::prefix;
use crate::server::single::{self, Unanswered};
use crate::server::tcp::{Door, Limits, Shared};
use crate::sys::QUERY_MAX;
use crate::wire::finished::Asked;
use crate::wire::query::HEADER;

/// Error codes (RFC 9250 §4.3).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);
const UNSPECIFIED_ERROR: VarInt = VarInt::from_u32(5);

/// The longest message with its length.
pub(super) const FRAME_MAX: usize = 2 + 65_535;

/// Waits until a client that comes has agreed on keys.
pub(super) async fn accept<R: Responder>(
    incoming: Incoming,
    config: Arc<ServerConfig>,
    limits: Limits,
    shared: &Shared<R>,
) -> Result<Connection, CloseReason> {
    let connecting = incoming.accept_with(config).map_err(|_| CloseReason::Handshake)?;
    tokio::select! {
        connection = timeout(limits.stall, connecting) => match connection {
            Ok(Ok(connection)) => Ok(connection),
            _ => Err(CloseReason::Handshake),
        },
        () = shared.lifeline.cut.cancelled() => Err(CloseReason::Cut),
    }
}

/// One connection.
pub(super) struct Served<R> {
    pub connection: Connection,
    pub client: SocketAddr,
    pub limits: Limits,
    pub shared: Arc<Shared<R>>,
    /// The listener that it came by: the connection ends with it, however that ends.
    pub door: Arc<Door>,
}

impl<R: Responder> Served<R> {
    /// Serves until one side ends it. The client is told that its connection ends, so that it asks on another at once.
    pub async fn run(self) -> CloseReason {
        let mut streams = JoinSet::new();
        let reason = self.serve(&mut streams).await;
        let code = if reason == CloseReason::NotDns { PROTOCOL_ERROR } else { NO_ERROR };
        // Before streams are dropped, which would end them as if all had been said.
        self.connection.close(code, b"");
        streams.abort_all();
        reason
    }

    async fn serve(&self, streams: &mut JoinSet<Result<(), CloseReason>>) -> CloseReason {
        let lifeline = &self.shared.lifeline;
        let mut idle_since = Instant::now();
        loop {
            tokio::select! {
                stream = self.connection.accept_bi() => match stream {
                    Ok(stream) => self.spawn(stream, streams),
                    Err(quinn::ConnectionError::ApplicationClosed(_)) => return CloseReason::Client,
                    Err(quinn::ConnectionError::TimedOut) => return CloseReason::Idle,
                    Err(_) => return CloseReason::Reset,
                },
                Some(done) = streams.join_next() => {
                    if let Ok(Err(reason)) = done {
                        return reason;
                    }
                    idle_since = Instant::now();
                }
                () = lifeline.cut.cancelled() => return CloseReason::Cut,
                () = self.door.closed() => return self.drain(streams).await,
                () = sleep_until(idle_since + self.limits.idle), if streams.is_empty() => {
                    return CloseReason::Idle;
                }
            }
        }
    }

    /// Answers what has arrived, and nothing else.
    async fn drain(&self, streams: &mut JoinSet<Result<(), CloseReason>>) -> CloseReason {
        while let Some(stream) = self.arrived().await {
            self.spawn(stream, streams);
        }
        loop {
            tokio::select! {
                done = streams.join_next() => match done {
                    Some(Ok(Err(reason))) => return reason,
                    Some(_) => {}
                    None => return CloseReason::Drain,
                },
                () = self.shared.lifeline.cut.cancelled() => return CloseReason::Cut,
            }
        }
    }

    /// A stream that is there already.
    async fn arrived(&self) -> Option<(SendStream, RecvStream)> {
        let mut next = std::pin::pin!(self.connection.accept_bi());
        poll_fn(|cx| match next.as_mut().poll(cx) {
            Poll::Ready(stream) => Poll::Ready(stream.ok()),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn spawn(
        &self,
        (send, receive): (SendStream, RecvStream),
        streams: &mut JoinSet<Result<(), CloseReason>>,
    ) {
        let (shared, client, stall) = (Arc::clone(&self.shared), self.client, self.limits.stall);
        streams.spawn(serve_one(shared, client, stall, send, receive));
    }
}

/// Answers one stream's query. An error is the connection's end.
async fn serve_one<R: Responder>(
    shared: Arc<Shared<R>>,
    client: SocketAddr,
    stall: Duration,
    mut send: SendStream,
    mut receive: RecvStream,
) -> Result<(), CloseReason> {
    let query = match timeout(stall, arriving(&mut receive)).await {
        Ok(Ok(stream)) => stream.message(),
        // The client has thought better of it.
        Ok(Err(_)) => return give_up(&mut send, NO_ERROR),
        Err(_) => {
            let _ = receive.stop(EXCESSIVE_LOAD);
            return give_up(&mut send, EXCESSIVE_LOAD);
        }
    };
    let Some(query) = query else {
        // Where more comes it is not wanted.
        let _ = receive.stop(PROTOCOL_ERROR);
        let _ = send.reset(PROTOCOL_ERROR);
        return Err(CloseReason::NotDns);
    };
    let asker = Asker::new(client, Transport::Quic);
    let response = tokio::select! {
        response = single::answer(&shared, &query, asker) => response,
        // It no longer wants the response (RFC 9250 §4.3.1).
        _ = send.stopped() => return Ok(()),
    };
    let piece = match response {
        Ok(piece) => piece,
        Err(Unanswered::NoRoom) => return give_up(&mut send, EXCESSIVE_LOAD),
        Err(Unanswered::NotAQuery) => return give_up(&mut send, PROTOCOL_ERROR),
        Err(Unanswered::Nothing) => return give_up(&mut send, INTERNAL_ERROR),
        // No more is said of a query that a rule drops.
        Err(Unanswered::Dropped) => return give_up(&mut send, UNSPECIFIED_ERROR),
    };
    let Some(length) = prefix(piece.as_ref().len()) else { return give_up(&mut send, INTERNAL_ERROR) };
    let sent = timeout(stall, async {
        send.write_all(&length).await.ok()?;
        send.write_chunk(Bytes::from_owner(piece)).await.ok()?;
        send.finish().ok()?;
        // Until then the bytes are kept here, and counted.
        send.stopped().await.ok()
    });
    match sent.await {
        Ok(_) => Ok(()),
        Err(_) => give_up(&mut send, EXCESSIVE_LOAD),
    }
}

/// Ends a stream without a response; its connection goes on.
fn give_up(send: &mut SendStream, code: VarInt) -> Result<(), CloseReason> {
    // Fails only where it has ended.
    let _ = send.reset(code);
    Ok(())
}

/// What a client has sent on one stream.
#[derive(Debug, Default)]
struct Arrived {
    /// The begin of it: of a message that is too long no more is kept than is looked at.
    kept: Vec<u8>,
    /// How long it was.
    len: usize,
}

/// Reads a stream to its end, or past the length of any message. What is kept of a hundred streams of each client has a
/// bound that way.
async fn arriving(receive: &mut RecvStream) -> Result<Arrived, quinn::ReadError> {
    let mut arrived = Arrived::default();
    while let Some(chunk) = receive.read_chunk(usize::MAX, true).await? {
        arrived.add(&chunk.bytes);
        if arrived.len > FRAME_MAX {
            break;
        }
    }
    Ok(arrived)
}

impl Arrived {
    fn add(&mut self, bytes: &[u8]) {
        let room = (2 + QUERY_MAX).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.len = self.len.saturating_add(bytes.len());
    }

    /// The one message of a stream; `None` breaks the rules (RFC 9250 §4.3.3): not just one, an id other than 0,
    /// the keep-alive option of TCP. A long one is cut, as over TCP.
    fn message(mut self) -> Option<Vec<u8>> {
        let (length, message) = self.kept.split_first_chunk::<2>()?;
        let is_whole = usize::from(u16::from_be_bytes(*length)) + 2 == self.len;
        if !is_whole || message.first_chunk::<2>()? != &[0, 0] || message.len() < HEADER {
            return None;
        }
        if Asked::of(message).keepalive {
            return None;
        }
        self.kept.drain(..2);
        Some(self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of a stream that comes in pieces of this length.
    fn message(stream: &[u8]) -> Option<Vec<u8>> {
        let read = |piece| {
            let mut arrived = Arrived::default();
            stream.chunks(piece).for_each(|bytes| arrived.add(bytes));
            assert!(arrived.kept.len() <= 2 + QUERY_MAX);
            arrived.message()
        };
        let [whole, pieces] = [usize::MAX, 7].map(read);
        assert_eq!(whole, pieces);
        whole
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    #[test]
    fn a_stream_has_one_whole_message_with_id_0() {
        let query = [&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\0\0\x01\0\x01"].concat();
        assert_eq!(message(&framed(&query)), Some(query.clone()));
        let other_id = [&[0, 7], &query[2..]].concat();
        let two = [framed(&query), framed(&query)].concat();
        let short = framed(&query[..11]);
        let cut = &framed(&query)[..20];
        for bad in [&framed(&other_id)[..], &two, &short, cut, &[], &[0], &[0, 0]] {
            assert_eq!(message(bad), None, "{bad:02x?}");
        }
        let long = [&query[..], &[0; 5000]].concat();
        assert_eq!(message(&framed(&long)), Some(long[..QUERY_MAX].to_vec()));
        let more = [framed(&long), vec![0]].concat();
        assert_eq!(message(&more), None, "a byte behind a long one");
    }

    #[test]
    fn the_keep_alive_option_of_tcp_breaks_the_rules() {
        let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x0b\0\0";
        let query = [&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1][..], b"\x01a\0\0\x01\0\x01", opt].concat();
        assert_eq!(message(&framed(&query)), None);
    }
}
