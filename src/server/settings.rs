//! `[server]` and the transport part of `[limits]`, checked.

use std::net::SocketAddr;
use std::time::Duration;

/// What the transports need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Each is served over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP threads for each address.
    pub workers: usize,
    /// Open TCP connections over all addresses; one more is closed at once.
    pub tcp_connections: usize,
    /// Of these, those of one client: an IPv4 address, or an IPv6 network of 64 bits.
    pub tcp_connections_per_client: usize,
    /// A TCP connection without a query in flight is closed after this (RFC 7766 §6.2.3).
    pub tcp_idle: Duration,
    /// A client that takes longer to send one whole query, or to take one answer, is cut off.
    pub tcp_stall: Duration,
    /// Unanswered queries of one TCP connection; reading stops while there are this many.
    pub tcp_in_flight: usize,
    /// Socket receive buffer asked for, bytes; the kernel may give less.
    pub receive_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from(([127, 0, 0, 1], 5300)),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5300)),
            ],
            workers: std::thread::available_parallelism().map_or(1, |n| n.get().min(2)),
            tcp_connections: 1024,
            tcp_connections_per_client: 1024,
            tcp_idle: Duration::from_secs(10),
            tcp_stall: Duration::from_secs(5),
            tcp_in_flight: 100,
            receive_buffer: 4 << 20,
        }
    }
}
