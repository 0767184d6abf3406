//! DNS over TLS (RFC 7858): the stream of [`super::connection`], encrypted, and how it comes to be.
//!
//! rustls is handed what the socket has and asked what it wants to send, as it is without a socket of
//! its own; the connection above goes on deciding when to read and when to write.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Identity;
use super::connection::Connection;
use super::stream::{Stream, read_arrived};
use super::tcp::{Limits, Shared};
use crate::answer::{Responder, Transport};
use crate::metrics::CloseReason;

/// The protocol's name in the handshake (RFC 7858 §3.1, RFC 8310); clients need not name one.
pub(super) const PROTOCOL: &[u8] = b"dot";

/// Plain bytes that are encrypted at a time: one record (RFC 8446 §5.1). No more is taken before the
/// socket has it, so that a slow client's bytes wait where they are counted.
pub(super) const RECORD: usize = 16 << 10;

/// What a handshake that is under way when the drain begins gets, to come to the query behind it.
const LAST_HANDSHAKES: Duration = Duration::from_secs(1);

/// What listeners are that agree on keys: `identity` is shown, `protocols` are spoken (RFC 7301).
///
/// # Errors
/// The library's: it was built without what it takes.
pub(super) fn config(
    identity: &Arc<Identity>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver: Arc<Identity> = Arc::clone(identity);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Clients that come back skip half of the handshake, without a session being kept for each here.
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config))
}

/// How connections of one listener come to agree on keys.
#[derive(Clone)]
pub(super) struct Acceptor {
    tls: TlsAcceptor,
    identity: Arc<Identity>,
}

impl Acceptor {
    /// As [`config`], with all versions of TLS.
    ///
    /// # Errors
    /// As [`config`].
    pub fn new(identity: &Arc<Identity>, protocols: &[&[u8]]) -> Result<Self, rustls::Error> {
        let tls = config(identity, rustls::ALL_VERSIONS, protocols)?.into();
        Ok(Self { tls, identity: Arc::clone(identity) })
    }
}

/// Agrees on keys with a client, who gets the time of one query for it. As long as there is no certificate to be shown
/// the connection ends at once: the client goes elsewhere sooner than it would after a handshake that fails.
pub(super) async fn handshake<R: Responder>(
    acceptor: Acceptor,
    stream: TcpStream,
    limits: Limits,
    shared: &Shared<R>,
) -> Result<TlsStream<TcpStream>, CloseReason> {
    if !acceptor.identity.is_there() {
        return Err(CloseReason::Certificate);
    }
    let accept = acceptor.tls.accept(stream);
    let mut deadline = Instant::now() + limits.stall;
    let mut is_draining = false;
    tokio::pin!(accept);
    loop {
        tokio::select! {
            stream = &mut accept => return stream.map_err(|_| CloseReason::Handshake),
            () = shared.lifeline.cut.cancelled() => return Err(CloseReason::Cut),
            () = shared.lifeline.drain.cancelled(), if !is_draining => {
                is_draining = true;
                deadline = deadline.min(Instant::now() + LAST_HANDSHAKES);
            }
            () = sleep_until(deadline) => return Err(CloseReason::Handshake),
        }
    }
}

/// Serves one client that connected to a listener for TLS.
pub(super) async fn serve<R: Responder>(
    acceptor: Acceptor,
    stream: TcpStream,
    client: SocketAddr,
    limits: Limits,
    shared: Arc<Shared<R>>,
) -> CloseReason {
    match handshake(acceptor, stream, limits, &shared).await {
        Ok(stream) => Connection::new(Encrypted::new(stream), client, limits, shared).run().await,
        Err(reason) => reason,
    }
}

/// A TCP connection with keys agreed on.
pub(super) struct Encrypted {
    socket: TcpStream,
    tls: ServerConnection,
    /// Decrypted bytes that have not been read.
    readable: usize,
    /// The client has said that no more comes: nothing need come by the socket for that to be read.
    has_ended: bool,
}

impl Encrypted {
    pub fn new(stream: TlsStream<TcpStream>) -> Self {
        let (socket, mut tls) = stream.into_inner();
        // A query may have come with the end of the handshake.
        let (readable, has_ended) = tls
            .process_new_packets()
            .map_or((0, false), |state| (state.plaintext_bytes_to_read(), state.peer_has_closed()));
        Self { socket, tls, readable, has_ended }
    }

    /// Decrypts what the socket has; `false` at its end.
    fn refill(&mut self, arrived: &mut Option<usize>) -> io::Result<bool> {
        if self.tls.read_tls(&mut Below { socket: &self.socket, arrived })? == 0 {
            return Ok(false);
        }
        match self.tls.process_new_packets() {
            Ok(state) => {
                self.readable = state.plaintext_bytes_to_read();
                self.has_ended = state.peer_has_closed();
            }
            Err(error) => {
                // Says to the client what was wrong.
                let _ = self.try_flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(true)
    }
}

impl Stream for Encrypted {
    const TRANSPORT: Transport = Transport::Tls;

    fn socket(&self) -> &TcpStream {
        &self.socket
    }

    async fn readable(&self) -> io::Result<()> {
        if self.readable > 0 || self.has_ended { Ok(()) } else { self.socket.readable().await }
    }

    fn try_read(&mut self, into: &mut [u8], arrived: &mut Option<usize>) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Ok(read) => {
                    self.readable = self.readable.saturating_sub(read);
                    return Ok(read);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The client has gone without saying so: many do, and each query has its length.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(e) => return Err(e),
            }
            self.readable = 0;
            if !self.refill(arrived)? {
                return Ok(0);
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.try_flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.tls.writer().write(bytes.get(..RECORD).unwrap_or(bytes))?;
        self.try_flush()?;
        Ok(taken)
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Below { socket: &self.socket, arrived: &mut None }) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
        let _ = self.try_flush();
    }
}

/// The socket as rustls wants it.
struct Below<'a> {
    socket: &'a TcpStream,
    arrived: &'a mut Option<usize>,
}

impl Read for Below<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_arrived(self.socket, into, self.arrived)
    }
}

impl Write for Below<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
