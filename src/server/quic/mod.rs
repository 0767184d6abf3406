//! DNS over QUIC (RFC 9250): a stream for each query, so that none waits for another.
//!
//! quinn speaks QUIC, address validation and the bound on amplification (RFC 9000 §8) included. What happens
//! on a connection is [`served`]'s.
//!
//! A connection's keys cannot be handed over. So a successor has a socket of its own beside that of the process before,
//! and packets are told apart by the tag in the ids that each makes for its connections ([`ids`],
//! `sys::steer_by_tag`): new connections come to the successor, those that are open stay where they are, until
//! they have been answered and closed in order. Two processes can be told apart so, not three: [`Sockets::settle`] says when
//! the one before has gone.
//!
//! [`Sockets::settle`]: super::Sockets::settle

mod ids;
mod served;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TransportConfig, VarInt};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::bind;
use super::certificate::Identity;
use super::door::FrontSocket;
use super::tcp::{Door, Limits, Place, Shared};
use super::tls;
use crate::answer::Responder;
use crate::metrics::CloseReason;
use crate::sys;
use served::{FRAME_MAX, Served, accept};

pub(super) use ids::Tag;

/// The protocol's name in the handshake (RFC 9250 §4.1.1).
const PROTOCOL: &[u8] = b"doq";

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

/// The socket of a listener, and the tag of its connections. Beside that of another process it is bound only now, and
/// what belongs to that one's connections goes on coming to it.
///
/// # Errors
/// The kernel's.
pub(super) fn bound(socket: FrontSocket, addr: SocketAddr) -> io::Result<(UdpSocket, Tag)> {
    let (before, theirs) = match socket {
        FrontSocket::Datagram(socket) => return Ok((socket, Tag::other_than(None))),
        FrontSocket::Beside(before, theirs) => (before, theirs),
        FrontSocket::Stream(_) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    // So that nothing goes wrong meanwhile. A socket that has never had another beside it cannot be told yet.
    let early = sys::steer_by_tag(&before, theirs);
    let socket = bind::quic_socket(addr, false)?;
    if let Err(error) = early.or_else(|_| sys::steer_by_tag(&socket, theirs)) {
        warn!(%addr, %error, "connections over QUIC of the process before may be cut short");
    }
    Ok((socket, Tag::other_than(Some(theirs))))
}

/// A listener for QUIC.
pub(super) struct Listener {
    endpoint: Endpoint,
    config: ServerConfig,
    identity: Arc<Identity>,
    /// A second descriptor of the socket, for who wants to hand it over.
    pub socket: Arc<OwnedFd>,
}

impl Listener {
    /// Over a bound socket, whose connections get ids with this tag; must be called on the runtime.
    ///
    /// # Errors
    /// The kernel's, or the library's: it was built without what it takes.
    pub fn new(socket: UdpSocket, tag: Tag, identity: &Arc<Identity>) -> io::Result<Self> {
        let tls = tls::config(identity, &[&rustls::version::TLS13], &[PROTOCOL]).map_err(io::Error::other)?;
        let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config
            .max_incoming(WAITING)
            .incoming_buffer_size(WAITING_BYTES)
            .incoming_buffer_size_total(WAITING as u64 * WAITING_BYTES);
        let second = Arc::new(sys::duplicate(&socket)?);
        let mut ids = EndpointConfig::default();
        ids.cid_generator(move || Box::new(tag));
        let endpoint = Endpoint::new(ids, Some(config.clone()), socket, Arc::new(quinn::TokioRuntime))?;
        Ok(Self { endpoint, config, identity: Arc::clone(identity), socket: second })
    }

    /// Accepts until the door is closed, and stays until the last connection has ended.
    pub async fn run<R: Responder>(self, shared: Arc<Shared<R>>, door: Arc<Door>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.admit(incoming, &shared, &door, &mut connections),
                    None => break,
                },
                Some(_) = connections.join_next() => {}
                () = door.closed() => break,
            }
        }
        self.end(connections, &door).await;
    }

    /// Waits for the last connection's end.
    async fn end(&self, mut connections: JoinSet<()>, door: &Door) {
        let ended = async {
            while connections.join_next().await.is_some() {}
            let _ = timeout(LINGER, self.endpoint.wait_idle()).await;
        };
        tokio::select! {
            // Whoever has come by now is told, also where nothing is to be waited for.
            biased;
            () = self.turn_away(door) => {}
            () = ended => {}
        }
    }

    /// Who comes only now has asked before another process took over, and asks again soon: by then the packets are
    /// that one's. Where there is none it is refused at once, and goes elsewhere. So is who comes because of a Retry:
    /// it was given an id of this process (RFC 9000 §17.2.5.2), and would come back here for ever.
    async fn turn_away(&self, door: &Door) {
        while let Some(incoming) = self.endpoint.accept().await {
            if door.is_handed_over() && incoming.may_retry() { incoming.ignore() } else { incoming.refuse() }
        }
        pending().await
    }

    fn admit<R: Responder>(
        &self,
        incoming: Incoming,
        shared: &Arc<Shared<R>>,
        door: &Arc<Door>,
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
        if !self.identity.is_there() {
            // As over TLS: told at once is better than a handshake that fails.
            shared.metrics.tcp_closed(CloseReason::Certificate);
            return incoming.refuse();
        }
        let (shared, door, config) = (Arc::clone(shared), Arc::clone(door), self.config_for(&limits));
        connections.spawn(async move {
            let reason = match accept(incoming, config, limits, &shared).await {
                Ok(connection) => {
                    Served { connection, client, limits, shared: Arc::clone(&shared), door }.run().await
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
