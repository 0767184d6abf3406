//! DNS over QUIC (RFC 9250): a stream for each query, so that none waits for another.
//!
//! quinn speaks QUIC, address validation and the bound on amplification (RFC 9000 §8) included.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, ReadToEndError, RecvStream, SendStream,
    ServerConfig, TransportConfig, VarInt,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::certificate::Identity;
use super::framing::prefix;
use super::single::{self, Unanswered};
use super::tcp::{Limits, Place, Shared};
use super::tls;
use crate::answer::{Asker, Responder, Transport};
use crate::metrics::CloseReason;
use crate::sys::QUERY_MAX;
use crate::wire::finished::has_keepalive;

/// The protocol's name in the handshake (RFC 9250 §4.1.1).
const PROTOCOL: &[u8] = b"doq";

/// Error codes (RFC 9250 §4.3).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// The longest message with its length.
const FRAME_MAX: usize = 2 + 65_535;
/// Bytes that a client may send ahead of being read, on one stream and on a connection.
const STREAM_WINDOW: u32 = FRAME_MAX as u32;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// Responses on their way to one client, bytes.
const SEND_WINDOW: u64 = 256 << 10;
/// Handshakes that wait to be accepted, and the bytes each may bring along.
const WAITING: usize = 256;
const WAITING_BYTES: u64 = 8 << 10;
/// What goes out last is waited for no longer than this.
const LINGER: Duration = Duration::from_millis(500);

/// A listener for QUIC.
pub(super) struct Listener {
    endpoint: Endpoint,
    config: ServerConfig,
}

impl Listener {
    /// Over a bound socket; must be called on the runtime.
    ///
    /// # Errors
    /// The kernel's, or the library's: it was built without what it takes.
    pub fn new(socket: UdpSocket, identity: &Arc<Identity>) -> io::Result<Self> {
        let tls = tls::config(identity, &[&rustls::version::TLS13], &[PROTOCOL]).map_err(io::Error::other)?;
        let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config
            .max_incoming(WAITING)
            .incoming_buffer_size(WAITING_BYTES)
            .incoming_buffer_size_total(WAITING as u64 * WAITING_BYTES);
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config.clone()), socket, runtime)?;
        Ok(Self { endpoint, config })
    }

    /// Accepts until the drain, and stays until the last connection has ended.
    pub async fn run<R: Responder>(self, shared: Arc<Shared<R>>) {
        let mut connections = JoinSet::new();
        let drain = shared.lifeline.drain.clone();
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.admit(incoming, &shared, &mut connections),
                    None => break,
                },
                Some(_) = connections.join_next() => {}
                () = drain.cancelled() => break,
            }
        }
        // Whoever comes now is refused at once, and goes elsewhere.
        self.endpoint.set_server_config(None);
        while connections.join_next().await.is_some() {}
        let _ = timeout(LINGER, self.endpoint.wait_idle()).await;
    }

    fn admit<R: Responder>(
        &self,
        incoming: Incoming,
        shared: &Arc<Shared<R>>,
        connections: &mut JoinSet<()>,
    ) {
        let limits = shared.limits();
        let client = incoming.remote_address();
        let Some(place) = shared.take_place(client.ip()) else {
            shared.metrics.tcp_refused();
            return incoming.refuse();
        };
        // Where it gets crowded, whoever wants in shows that it is where it says (RFC 9000 §8.1.2).
        if place.is_in_upper_half() && !incoming.remote_address_validated() && incoming.may_retry() {
            // Fails only for one that has been validated.
            let _ = incoming.retry();
            return;
        }
        shared.metrics.tcp_accepted();
        let (shared, config) = (Arc::clone(shared), self.config_for(&limits));
        connections.spawn(async move {
            let reason = match accept(incoming, config, limits, &shared).await {
                Ok(connection) => {
                    Served { connection, client, limits, shared: Arc::clone(&shared) }.run().await
                }
                Err(reason) => reason,
            };
            shared.metrics.tcp_closed(reason);
            debug!(%client, reason = reason.label(), "QUIC connection closed");
            drop::<Place>(place);
        });
    }

    fn config_for(&self, limits: &Limits) -> Arc<ServerConfig> {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(u32::try_from(limits.in_flight).unwrap_or(u32::MAX).into())
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(CONNECTION_WINDOW.into())
            .send_window(SEND_WINDOW)
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(IdleTimeout::try_from(limits.idle.max(limits.stall) * 2).ok());
        let mut config = self.config.clone();
        config.transport_config(Arc::new(transport));
        Arc::new(config)
    }
}

async fn accept<R: Responder>(
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
struct Served<R> {
    connection: Connection,
    client: SocketAddr,
    limits: Limits,
    shared: Arc<Shared<R>>,
}

impl<R: Responder> Served<R> {
    async fn run(self) -> CloseReason {
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
                () = lifeline.drain.cancelled() => return self.drain(streams).await,
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
            std::task::Poll::Ready(stream) => std::task::Poll::Ready(stream.ok()),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
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
    let query = match timeout(stall, receive.read_to_end(FRAME_MAX)).await {
        Ok(Ok(bytes)) => message(&bytes).map(<[u8]>::to_vec),
        Ok(Err(ReadToEndError::TooLong)) => None,
        // The client has thought better of it.
        Ok(Err(ReadToEndError::Read(_))) => return give_up(&mut send, NO_ERROR),
        Err(_) => {
            let _ = receive.stop(EXCESSIVE_LOAD);
            return give_up(&mut send, EXCESSIVE_LOAD);
        }
    };
    let Some(query) = query else {
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

/// The one message of a stream; `None` breaks the rules (RFC 9250 §4.3.3): not just one, an id other than 0,
/// the keep-alive option of TCP. A long one is cut, as over TCP.
fn message(stream: &[u8]) -> Option<&[u8]> {
    let (length, message) = stream.split_first_chunk::<2>()?;
    let is_whole = usize::from(u16::from_be_bytes(*length)) == message.len();
    if !is_whole || message.first_chunk::<2>()? != &[0, 0] || message.len() < 12 {
        return None;
    }
    let message = message.get(..QUERY_MAX).unwrap_or(message);
    (!has_keepalive(message)).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    #[test]
    fn a_stream_has_one_whole_message_with_id_0() {
        let query = [&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\0\0\x01\0\x01"].concat();
        assert_eq!(message(&framed(&query)), Some(&*query));
        let other_id = [&[0, 7], &query[2..]].concat();
        let two = [framed(&query), framed(&query)].concat();
        let short = framed(&query[..11]);
        let cut = &framed(&query)[..20];
        for bad in [&framed(&other_id)[..], &two, &short, cut, &[], &[0], &[0, 0]] {
            assert_eq!(message(bad), None, "{bad:02x?}");
        }
        let long = [&query[..], &[0; 5000]].concat();
        assert_eq!(message(&framed(&long)).map(<[u8]>::len), Some(QUERY_MAX));
    }

    #[test]
    fn the_keep_alive_option_of_tcp_breaks_the_rules() {
        let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x0b\0\0";
        let query = [&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1][..], b"\x01a\0\0\x01\0\x01", opt].concat();
        assert_eq!(message(&framed(&query)), None);
    }
}
