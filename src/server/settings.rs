//! `[server]` and the transport part of `[limits]`, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the transports need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Each is served over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Each is served over TLS (RFC 7858).
    pub tls: Vec<SocketAddr>,
    /// Each is served over HTTPS (RFC 8484).
    pub https: Vec<SocketAddr>,
    /// Each is served over QUIC (RFC 9250).
    pub quic: Vec<SocketAddr>,
    /// Certificate and key of those three; there must be one where one of them is served.
    pub certificate: Option<CertificateFiles>,
    /// The path of queries over HTTPS.
    pub https_path: String,
    /// UDP threads for each address.
    pub workers: usize,
    /// Open connections over all addresses, those of TLS, HTTPS and QUIC included; one more is closed at once.
    pub tcp_connections: usize,
    /// Of these, those of one client: an IPv4 address, or an IPv6 network of 64 bits.
    pub tcp_connections_per_client: usize,
    /// A connection without a query in flight is closed after this (RFC 7766 §6.2.3).
    pub tcp_idle: Duration,
    /// A client that takes longer to send one whole query, to take one answer, or to agree on keys, is cut off.
    pub tcp_stall: Duration,
    /// Unanswered queries of one connection; reading stops while there are this many.
    pub tcp_in_flight: usize,
    /// Socket receive buffer asked for, bytes; the kernel may give less.
    pub receive_buffer: usize,
}

/// Where a certificate lies, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those it was issued by.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Settings {
    /// Whether something is served that needs a certificate.
    pub fn is_encrypted(&self) -> bool {
        [&self.tls, &self.https, &self.quic].iter().any(|list| !list.is_empty())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from(([127, 0, 0, 1], 5300)),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5300)),
            ],
            tls: Vec::new(),
            https: Vec::new(),
            quic: Vec::new(),
            certificate: None,
            https_path: "/dns-query".to_owned(),
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
