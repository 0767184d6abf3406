//! The messages of dnstap (dnstap.proto), as far as zonelet sends them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use prost::Message as _;

use super::super::feed::{Head, Kind, Parts};
use crate::metrics::Proto;

/// `Dnstap`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dnstap {
    /// Who sends it.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub identity: Option<Vec<u8>>,
    /// What sends it.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub version: Option<Vec<u8>>,
    /// What it holds.
    #[prost(message, optional, tag = "14")]
    pub message: Option<Message>,
    /// Always [`MESSAGE`].
    #[prost(int32, required, tag = "15")]
    pub kind: i32,
}

/// `Dnstap.Type.MESSAGE`.
pub const MESSAGE: i32 = 1;
/// `Message.Type.CLIENT_QUERY`.
pub const CLIENT_QUERY: i32 = 5;
/// `Message.Type.CLIENT_RESPONSE`.
pub const CLIENT_RESPONSE: i32 = 6;
/// `Message.Type.FORWARDER_QUERY`.
pub const FORWARDER_QUERY: i32 = 7;
/// `Message.Type.FORWARDER_RESPONSE`.
pub const FORWARDER_RESPONSE: i32 = 8;

/// `Message`: a DNS message, with where and when.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// One of the above.
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    /// 1 for IPv4, 2 for IPv6.
    #[prost(int32, optional, tag = "2")]
    pub socket_family: Option<i32>,
    /// 1 for UDP, 2 for TCP.
    #[prost(int32, optional, tag = "3")]
    pub socket_protocol: Option<i32>,
    /// Of who asks: the client's, or ours where it is known.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub query_address: Option<Vec<u8>>,
    /// Of who answers: ours where it is known, or the upstream's.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub response_address: Option<Vec<u8>>,
    /// Of who asks.
    #[prost(uint32, optional, tag = "6")]
    pub query_port: Option<u32>,
    /// Of who answers.
    #[prost(uint32, optional, tag = "7")]
    pub response_port: Option<u32>,
    /// Since the epoch.
    #[prost(uint64, optional, tag = "8")]
    pub query_time_sec: Option<u64>,
    /// The rest of a second.
    #[prost(fixed32, optional, tag = "9")]
    pub query_time_nsec: Option<u32>,
    /// As it came.
    #[prost(bytes = "vec", optional, tag = "10")]
    pub query_message: Option<Vec<u8>>,
    /// Since the epoch.
    #[prost(uint64, optional, tag = "12")]
    pub response_time_sec: Option<u64>,
    /// The rest of a second.
    #[prost(fixed32, optional, tag = "13")]
    pub response_time_nsec: Option<u32>,
    /// As it left.
    #[prost(bytes = "vec", optional, tag = "14")]
    pub response_message: Option<Vec<u8>>,
}

/// Makes the two messages of a query, reusing its memory.
pub struct Encoder {
    query: Dnstap,
    response: Dnstap,
}

impl Encoder {
    /// For a sender of this name; an empty one is the host's.
    pub fn new(identity: &str) -> Self {
        let identity = match identity {
            "" => host_name().unwrap_or_default(),
            given => given.as_bytes().to_vec(),
        };
        let of = |kind| Dnstap {
            identity: Some(identity.clone()).filter(|identity| !identity.is_empty()),
            version: Some(format!("zonelet {}", env!("CARGO_PKG_VERSION")).into_bytes()),
            message: Some(Message { kind, ..Message::default() }),
            kind: MESSAGE,
        };
        Self { query: of(CLIENT_QUERY), response: of(CLIENT_RESPONSE) }
    }

    /// Appends both messages through `frame`, which puts each into a frame; only the one that there is of a query that got
    /// no response, and of a message to or from an upstream.
    /// `began` is the clock's start.
    pub fn encode(
        &mut self,
        head: &Head,
        [query, response, _]: Parts<'_>,
        began: SystemTime,
        mut frame: impl FnMut(&Dnstap),
    ) {
        let kinds = match head.kind {
            Kind::Client => [CLIENT_QUERY, CLIENT_RESPONSE],
            Kind::ForwarderQuery | Kind::ForwarderResponse => [FORWARDER_QUERY, FORWARDER_RESPONSE],
        };
        for (told, kind) in [&mut self.query, &mut self.response].into_iter().zip(kinds) {
            let Some(message) = &mut told.message else { continue };
            message.kind = kind;
            message.place(head);
            (message.query_time_sec, message.query_time_nsec) = since_epoch(began, head.asked);
        }
        if let Some(message) = &mut self.query.message {
            refill(&mut message.query_message, query);
        }
        if let Some(message) = &mut self.response.message {
            (message.response_time_sec, message.response_time_nsec) = since_epoch(began, head.answered);
            refill(&mut message.response_message, response);
        }
        if head.kind != Kind::ForwarderResponse {
            frame(&self.query);
        }
        if !response.is_empty() {
            frame(&self.response);
        }
    }
}

impl Message {
    fn place(&mut self, head: &Head) {
        let (ip, port) = (head.peer.ip().to_canonical(), Some(head.peer.port().into()));
        // An upstream that goes by its name is somewhere, but it is not said where.
        let ip = Some(ip).filter(|ip| head.kind == Kind::Client || !ip.is_unspecified());
        self.socket_family = ip.map(|ip| if ip.is_ipv4() { 1 } else { 2 });
        self.socket_protocol = Some(match head.proto {
            Proto::Udp => 1,
            Proto::Tcp => 2,
            Proto::Tls => 3,
            Proto::Https => 4,
            Proto::Quic => 7,
        });
        let local = head.local.map(|local| local.to_canonical());
        let (asks, answers, ports) = match head.kind {
            Kind::Client => (ip, local, (port, None)),
            Kind::ForwarderQuery | Kind::ForwarderResponse => (local, ip, (None, port)),
        };
        refill_address(&mut self.query_address, asks);
        refill_address(&mut self.response_address, answers);
        (self.query_port, self.response_port) = ports;
    }
}

fn refill(place: &mut Option<Vec<u8>>, bytes: &[u8]) {
    let kept = place.get_or_insert_default();
    kept.clear();
    kept.extend_from_slice(bytes);
}

fn refill_address(place: &mut Option<Vec<u8>>, address: Option<IpAddr>) {
    match address {
        Some(IpAddr::V4(ip)) => refill(place, &ip.octets()),
        Some(IpAddr::V6(ip)) => refill(place, &ip.octets()),
        None => *place = None,
    }
}

fn since_epoch(began: SystemTime, at: Duration) -> (Option<u64>, Option<u32>) {
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_add(at);
    (Some(since.as_secs()), Some(since.subsec_nanos()))
}

/// The host's name, as the kernel has it.
fn host_name() -> Option<Vec<u8>> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().as_bytes().to_vec())
}

/// The bytes of a message.
#[cfg(test)]
pub fn bytes(told: &Dnstap) -> Vec<u8> {
    told.encode_to_vec()
}

/// Appends a message to `out` behind its length, as a frame has it.
pub fn append(told: &Dnstap, out: &mut Vec<u8>) {
    let len = u32::try_from(told.encoded_len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    // A vector has room for all.
    let _ = told.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::feed::tests::head;

    #[test]
    fn both_messages_read_back_with_what_was_seen() {
        let mut encoder = Encoder::new("node-7");
        let mut all = Vec::new();
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let seen = Head { local: Some("192.0.2.1".parse().unwrap()), ..head("[::ffff:10.0.0.1]:4711") };
        encoder.encode(&seen, [b"longer query", b"longer response", b""], began, |_| {});
        let v6 = Head { proto: Proto::Tcp, ..head("[2001:db8::1]:99") };
        for head in [&seen, &v6] {
            encoder.encode(head, [b"query", b"response", b""], began, |told| all.push(bytes(told)));
        }
        let read: Vec<Dnstap> = all.iter().map(|bytes| Dnstap::decode(bytes.as_slice()).unwrap()).collect();
        let messages: Vec<&Message> = read.iter().map(|told| told.message.as_ref().unwrap()).collect();
        assert_eq!(messages.iter().map(|m| m.kind).collect::<Vec<_>>(), [5, 6, 5, 6]);
        assert!(read.iter().all(|told| told.kind == MESSAGE && told.identity.as_deref() == Some(b"node-7")));
        let want = Message {
            kind: CLIENT_RESPONSE,
            socket_family: Some(1),
            socket_protocol: Some(1),
            query_address: Some(vec![10, 0, 0, 1]),
            response_address: Some(vec![192, 0, 2, 1]),
            query_port: Some(4711),
            response_port: None,
            query_time_sec: Some(1_700_000_001),
            query_time_nsec: Some(0),
            query_message: None,
            response_time_sec: Some(1_700_000_001),
            response_time_nsec: Some(5_000_000),
            response_message: Some(b"response".to_vec()),
        };
        assert_eq!(messages[1], &want);
        let query = Message {
            kind: CLIENT_QUERY,
            query_message: Some(b"query".to_vec()),
            response_time_sec: None,
            response_time_nsec: None,
            response_message: None,
            ..want
        };
        assert_eq!(messages[0], &query);
        assert_eq!((messages[2].socket_family, messages[2].socket_protocol), (Some(2), Some(2)));
        assert_eq!(
            (messages[2].query_address.as_ref().unwrap().len(), messages[2].response_address.as_ref()),
            (16, None)
        );
    }

    #[test]
    fn messages_to_and_from_an_upstream_are_one_each_with_its_address() {
        let mut encoder = Encoder::new("node-7");
        // What was a client's leaves nothing behind.
        encoder.encode(&head("10.0.0.1:1"), [b"q", b"r", b""], SystemTime::UNIX_EPOCH, |_| {});
        let mut told = |kind, peer: &str, parts: Parts<'_>| {
            let (head, mut messages) = (Head { kind, proto: Proto::Tls, ..head(peer) }, Vec::new());
            encoder
                .encode(&head, parts, SystemTime::UNIX_EPOCH, |told| messages.extend(told.message.clone()));
            <[Message; 1]>::try_from(messages).unwrap()
        };
        let [query] = told(Kind::ForwarderQuery, "192.0.2.53:853", [b"query", b"", b""]);
        assert_eq!(
            (query.kind, query.socket_family, query.socket_protocol),
            (FORWARDER_QUERY, Some(1), Some(3))
        );
        assert_eq!((query.query_address, query.query_port), (None, None));
        assert_eq!((query.response_address, query.response_port), (Some(vec![192, 0, 2, 53]), Some(853)));
        assert_eq!((query.query_message, query.response_message), (Some(b"query".to_vec()), None));
        let [reply] = told(Kind::ForwarderResponse, "0.0.0.0:853", [b"", b"reply", b""]);
        assert_eq!((reply.kind, reply.response_message), (FORWARDER_RESPONSE, Some(b"reply".to_vec())));
        assert_eq!((reply.response_address, reply.socket_family), (None, None), "it goes by its name");
        assert_eq!((reply.query_time_sec, reply.response_time_nsec), (Some(1), Some(5_000_000)));
    }

    #[test]
    fn a_query_that_got_no_response_is_one_message() {
        let (mut encoder, mut kinds) = (Encoder::new("node-7"), Vec::new());
        encoder.encode(&head("10.0.0.1:1"), [b"query", b"", b""], SystemTime::UNIX_EPOCH, |told| {
            kinds.extend(told.message.as_ref().map(|message| message.kind));
        });
        assert_eq!(kinds, [CLIENT_QUERY]);
    }

    #[test]
    fn the_host_has_a_name_where_none_is_given() {
        let mut encoder = Encoder::new("");
        let mut identity = None;
        encoder.encode(&head("10.0.0.1:1"), [b"", b"", b""], SystemTime::UNIX_EPOCH, |told| {
            identity = told.identity.clone()
        });
        assert!(identity.is_some_and(|name| !name.is_empty()));
    }
}
