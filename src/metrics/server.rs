//! What the transports count beside the [`Tally`](super::Tally): things of sockets, not of queries.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, Weak};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Datagrams lost because a worker's receive queue was full, as the kernel counts them.
pub const RECEIVE_DROPS: &str = "zonelet_server_receive_drops_total";
/// Query datagrams longer than the receive buffer, judged by their first 4096 bytes.
pub const OVERSIZED: &str = "zonelet_server_oversized_total";
/// Receive calls that failed.
pub const RECEIVE_ERRORS: &str = "zonelet_server_receive_errors_total";
/// The smallest receive buffer the kernel gave to a UDP socket.
pub const RECEIVE_BUFFER: &str = "zonelet_server_receive_buffer_bytes";
/// Open connections: of TCP, TLS, HTTPS and QUIC.
pub const TCP_CONNECTIONS: &str = "zonelet_server_tcp_connections";
/// Connections of these kinds taken, those included that then could not agree on keys.
pub const TCP_ACCEPTED: &str = "zonelet_server_tcp_accepted_total";
/// Connections closed at once because `limits.tcp_connections` were open, or their client had
/// `limits.tcp_connections_per_client`.
pub const TCP_REFUSED: &str = "zonelet_server_tcp_refused_total";
/// Accepts that failed, for want of descriptors, say.
pub const TCP_ACCEPT_ERRORS: &str = "zonelet_server_tcp_accept_errors_total";
/// Connections closed. `reason`: `client`, `reset`, `idle`, `slow_query`, `slow_reader`,
/// `memory`, `not_dns`, `handshake`, `certificate`, `dropped`, `drain` or `cut`.
pub const TCP_CLOSED: &str = "zonelet_server_tcp_closed_total";
/// Bytes of responses that wait for their clients, over all connections.
pub const TCP_QUEUED: &str = "zonelet_server_tcp_queued_bytes";
/// Responses over HTTPS. `status`: that of HTTP, `200` for every DNS message, whatever its code.
pub const HTTPS_RESPONSES: &str = "zonelet_server_https_responses_total";
/// When the certificate of the encrypted listeners ends, seconds since 1970; not there without one.
pub const CERTIFICATE_EXPIRY: &str = "zonelet_server_certificate_expiry_seconds";
/// Whether the files of the certificate cannot be used: 1 or 0; not there without encrypted listeners. What was in force
/// stays so; where nothing was, `zonelet_server_certificate_expiry_seconds` is not there, and encrypted connections are
/// closed at once.
pub const CERTIFICATE_UNUSABLE: &str = "zonelet_server_certificate_unusable";
/// Certificate files that changed, or were bad at the start. `result`: `taken`, or `refused`: the old one, if any, stays.
pub const CERTIFICATE_RELOADS: &str = "zonelet_server_certificate_reloads_total";

/// The statuses that are counted by themselves; everything else is the last.
const STATUSES: [(u16, &str); 9] = [
    (200, "200"),
    (400, "400"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (415, "415"),
    (503, "503"),
    (0, "other"),
];

/// A socket whose lost datagrams the kernel counts.
pub trait Losses: Send + Sync {
    /// Datagrams lost since the last call.
    fn take(&self) -> u32;
}

/// Why a TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed it, and has its answers.
    Client,
    /// The client reset it.
    Reset,
    /// Nothing was asked for the idle time.
    Idle,
    /// A query was begun and not finished in time.
    SlowQuery,
    /// A response was not taken in time.
    SlowReader,
    /// Too many bytes wait for slow clients.
    Memory,
    /// A message too short for a DNS header: the stream is not DNS, or has lost its framing.
    NotDns,
    /// No keys were agreed on in time, or none could be.
    Handshake,
    /// There is no certificate to show.
    Certificate,
    /// A rule has a query dropped that came over HTTP/1.1, where one cannot be left out.
    Dropped,
    /// The server drains; every query that had arrived is answered.
    Drain,
    /// The grace period of the drain was over first.
    Cut,
}

impl CloseReason {
    /// Every value, in order.
    pub const ALL: [Self; 12] = [
        Self::Client,
        Self::Reset,
        Self::Idle,
        Self::SlowQuery,
        Self::SlowReader,
        Self::Memory,
        Self::NotDns,
        Self::Handshake,
        Self::Certificate,
        Self::Dropped,
        Self::Drain,
        Self::Cut,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::SlowQuery => "slow_query",
            Self::SlowReader => "slow_reader",
            Self::Memory => "memory",
            Self::NotDns => "not_dns",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Dropped => "dropped",
            Self::Drain => "drain",
            Self::Cut => "cut",
        }
    }
}

/// The cells of one server. Counting is one relaxed add; names and labels are looked up only by
/// [`ServerMetrics::publish`].
#[derive(Debug, Default)]
pub struct ServerMetrics {
    sockets: Mutex<Vec<Weak<dyn Losses>>>,
    receive_drops: AtomicU64,
    oversized: AtomicU64,
    receive_errors: AtomicU64,
    receive_buffer: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    queued: AtomicU64,
    https: [AtomicU64; STATUSES.len()],
    /// 0 where none is needed, 1 where the files can be used, 2 where they cannot.
    certificate: AtomicU64,
    /// 0 for none.
    certificate_expiry: AtomicU64,
    certificates_taken: AtomicU64,
    certificates_refused: AtomicU64,
}

impl ServerMetrics {
    /// Asks `socket` for its losses whenever [`RECEIVE_DROPS`] is read, for as long as it lives.
    pub fn watch(&self, socket: Weak<dyn Losses>) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    }

    /// Counts a query datagram that was cut.
    pub fn oversized(&self) {
        self.oversized.fetch_add(1, Relaxed);
    }

    /// Counts a failed receive.
    pub fn receive_error(&self) {
        self.receive_errors.fetch_add(1, Relaxed);
    }

    /// Notes the smallest receive buffer, in bytes.
    pub fn set_receive_buffer(&self, bytes: usize) {
        self.receive_buffer.store(bytes as u64, Relaxed);
    }

    /// Counts a connection taken.
    pub fn tcp_accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// Counts a connection over the cap.
    pub fn tcp_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a failed accept.
    pub fn tcp_accept_error(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    /// Counts a connection that ended.
    pub fn tcp_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts bytes that begin to wait for a TCP client.
    pub fn tcp_queued(&self, bytes: usize) {
        self.queued.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes that no longer wait.
    pub fn tcp_unqueued(&self, bytes: usize) {
        self.queued.fetch_sub(bytes as u64, Relaxed);
    }

    /// Bytes that wait for TCP clients, [`TCP_QUEUED`].
    pub fn queued_bytes(&self) -> u64 {
        self.queued.load(Relaxed)
    }

    /// Counts a response of this status over HTTPS.
    pub fn https_response(&self, status: u16) {
        let at = STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(STATUSES.len() - 1);
        self.https[at].fetch_add(1, Relaxed);
    }

    /// Notes whether the certificate's files can be used, and when the one in force ends, in seconds since 1970.
    pub fn set_certificate(&self, is_usable: bool, end: Option<u64>) {
        self.certificate.store(1 + u64::from(!is_usable), Relaxed);
        self.certificate_expiry.store(end.unwrap_or(0), Relaxed);
    }

    /// Counts a certificate that replaced another.
    pub fn certificate_taken(&self) {
        self.certificates_taken.fetch_add(1, Relaxed);
    }

    /// Counts a certificate that could not.
    pub fn certificate_refused(&self) {
        self.certificates_refused.fetch_add(1, Relaxed);
    }

    /// The smallest receive buffer, [`RECEIVE_BUFFER`].
    pub fn receive_buffer(&self) -> u64 {
        self.receive_buffer.load(Relaxed)
    }

    /// Datagrams lost so far, [`RECEIVE_DROPS`]. Cost: a system call for each socket; what a socket
    /// has lost when it closes is known only if this is called before.
    pub fn lost_datagrams(&self) -> u64 {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| {
            let Some(socket) = socket.upgrade() else { return false };
            self.receive_drops.fetch_add(socket.take().into(), Relaxed);
            true
        });
        self.receive_drops.load(Relaxed)
    }

    /// Connections over the cap so far, [`TCP_REFUSED`].
    pub fn refusals(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Connections that ended for `reason` so far.
    pub fn closings(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize].load(Relaxed)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|cell| cell.load(Relaxed)).sum();
        self.accepted.load(Relaxed).saturating_sub(closed)
    }

    /// Brings the exporter up to date; called at scrape, by one task.
    pub fn publish(&self) {
        describe();
        self.lost_datagrams();
        for (name, cell) in [
            (RECEIVE_DROPS, &self.receive_drops),
            (OVERSIZED, &self.oversized),
            (RECEIVE_ERRORS, &self.receive_errors),
            (TCP_ACCEPTED, &self.accepted),
            (TCP_REFUSED, &self.refused),
            (TCP_ACCEPT_ERRORS, &self.accept_errors),
        ] {
            counter!(name).absolute(cell.load(Relaxed));
        }
        for reason in CloseReason::ALL {
            counter!(TCP_CLOSED, "reason" => reason.label()).absolute(self.closings(reason));
        }
        for ((_, status), cell) in STATUSES.iter().zip(&self.https) {
            counter!(HTTPS_RESPONSES, "status" => *status).absolute(cell.load(Relaxed));
        }
        let reloads = [("taken", &self.certificates_taken), ("refused", &self.certificates_refused)];
        for (result, cell) in reloads {
            counter!(CERTIFICATE_RELOADS, "result" => result).absolute(cell.load(Relaxed));
        }
        if let Some(unusable) = self.certificate.load(Relaxed).checked_sub(1) {
            gauge!(CERTIFICATE_UNUSABLE).set(unusable as f64);
        }
        let expiry = self.certificate_expiry.load(Relaxed);
        if expiry > 0 {
            gauge!(CERTIFICATE_EXPIRY).set(expiry as f64);
        }
        gauge!(RECEIVE_BUFFER).set(self.receive_buffer() as f64);
        gauge!(TCP_CONNECTIONS).set(self.open_connections() as f64);
        gauge!(TCP_QUEUED).set(self.queued_bytes() as f64);
    }
}

fn describe() {
    for (name, text) in [
        (RECEIVE_DROPS, "Datagrams lost because a receive queue was full."),
        (OVERSIZED, "Query datagrams that were cut to the receive buffer."),
        (RECEIVE_ERRORS, "Receive calls that failed."),
        (TCP_ACCEPTED, "Connections taken."),
        (TCP_REFUSED, "Connections closed at once because too many were open."),
        (TCP_ACCEPT_ERRORS, "Accepts of TCP connections that failed."),
        (TCP_CLOSED, "Connections closed, by reason."),
        (HTTPS_RESPONSES, "Responses over HTTPS, by status."),
        (CERTIFICATE_RELOADS, "Certificate files that changed, by what became of it."),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    describe_gauge!(RECEIVE_BUFFER, Unit::Bytes, "Smallest receive buffer of a UDP socket.");
    describe_gauge!(TCP_CONNECTIONS, Unit::Count, "Open connections.");
    describe_gauge!(CERTIFICATE_UNUSABLE, Unit::Count, "Whether the certificate's files cannot be used.");
    describe_gauge!(CERTIFICATE_EXPIRY, Unit::Seconds, "When the certificate ends, since 1970.");
    describe_gauge!(TCP_QUEUED, Unit::Bytes, "Responses that wait for their clients.");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// A socket that loses one more datagram than before each time it is asked.
    #[derive(Default)]
    struct Lossy(AtomicU64);

    impl Losses for Lossy {
        fn take(&self) -> u32 {
            self.0.fetch_add(1, Relaxed) as u32 + 1
        }
    }

    #[test]
    fn losses_add_up_over_sockets_and_stay_when_one_closes() {
        let metrics = ServerMetrics::default();
        let (one, two) = (Arc::new(Lossy::default()), Arc::new(Lossy::default()));
        for socket in [&one, &two] {
            let socket: Arc<dyn Losses> = Arc::clone(socket) as _;
            metrics.watch(Arc::downgrade(&socket));
        }
        assert_eq!(metrics.lost_datagrams(), 2);
        drop(two);
        assert_eq!(metrics.lost_datagrams(), 4);
        drop(one);
        assert_eq!(metrics.lost_datagrams(), 4);
    }

    #[test]
    fn every_reason_has_its_own_cell_and_label() {
        let metrics = ServerMetrics::default();
        for (i, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            metrics.tcp_accepted();
            metrics.tcp_closed(reason);
            assert_eq!(metrics.closings(reason), 1);
        }
        let mut labels = CloseReason::ALL.map(CloseReason::label);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(metrics.open_connections(), 0);
        metrics.tcp_accepted();
        assert_eq!(metrics.open_connections(), 1);
    }

    #[test]
    fn what_was_counted_is_published_and_the_rest_stands_at_zero() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = ServerMetrics::default();
        let lossy: Arc<dyn Losses> = Arc::new(Lossy::default());
        metrics.watch(Arc::downgrade(&lossy));
        metrics.set_receive_buffer(4096);
        metrics.tcp_accepted();
        metrics.tcp_queued(10);
        metrics.tcp_unqueued(4);
        metrics::with_local_recorder(&recorder, || {
            metrics.publish();
            metrics.publish();
        });
        let text = recorder.handle().render();
        for line in [
            "zonelet_server_receive_drops_total 3",
            "zonelet_server_receive_buffer_bytes 4096",
            "zonelet_server_tcp_connections 1",
            "zonelet_server_tcp_queued_bytes 6",
            "zonelet_server_tcp_refused_total 0",
            "zonelet_server_tcp_closed_total{reason=\"slow_reader\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(CloseReason::ALL.iter().all(|reason| text.contains(reason.label())));
    }
}
