//! A DNS client that does what a stub resolver never would: odd sources, odd timing, odd bytes.
//!
//! Blocking, for tests that run beside the server's runtime. Nothing waits longer than
//! [`PATIENCE`]: a hang is a failed test.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RecordType};

/// How long anything is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A query being put together.
#[derive(Clone, Debug)]
pub struct Ask(Message);

/// A query with RD set, id 0 and no EDNS.
pub fn ask(qname: &str, qtype: RecordType) -> Ask {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_str(qname).unwrap(), qtype));
    Ask(message)
}

impl Ask {
    pub fn id(mut self, id: u16) -> Self {
        self.0.metadata.id = id;
        self
    }

    pub fn class(mut self, class: DNSClass) -> Self {
        for query in &mut self.0.queries {
            query.set_query_class(class);
        }
        self
    }

    pub fn edns(mut self, payload: u16, dnssec_ok: bool) -> Self {
        let mut edns = Edns::new();
        edns.set_max_payload(payload).set_version(0).set_dnssec_ok(dnssec_ok);
        self.0.set_edns(edns);
        self
    }

    /// For flags and sections without a method here.
    pub fn with(mut self, change: impl FnOnce(&mut Message)) -> Self {
        change(&mut self.0);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.to_vec().unwrap()
    }
}

/// What hickory-proto reads in `bytes`.
pub fn message(bytes: &[u8]) -> Message {
    Message::from_vec(bytes).unwrap_or_else(|e| panic!("not a DNS message: {e}: {bytes:02x?}"))
}

/// The id in front of a message.
pub fn id_of(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// A UDP socket of a client.
pub struct UdpClient(UdpSocket);

impl UdpClient {
    /// Bound to `source`, on a port of its own.
    pub fn from(source: IpAddr) -> Self {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// From the loopback address of `server`'s family.
    pub fn near(server: SocketAddr) -> Self {
        Self::from(if server.is_ipv4() { [127, 0, 0, 1].into() } else { "::1".parse().unwrap() })
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn send(&self, bytes: &[u8], server: SocketAddr) {
        self.0.send_to(bytes, server).unwrap();
    }

    /// The next datagram and its sender.
    pub fn recv(&self) -> (Vec<u8>, SocketAddr) {
        let mut bytes = vec![0; 65535];
        let (len, from) = self.0.recv_from(&mut bytes).expect("no response came");
        bytes.truncate(len);
        (bytes, from)
    }

    /// Sends `query` and takes the response, which must come from where it was asked.
    pub fn ask(&self, query: &[u8], server: SocketAddr) -> Vec<u8> {
        self.send(query, server);
        let (response, from) = self.recv();
        assert_eq!(from, server, "the response comes from another address");
        assert_eq!(id_of(&response), id_of(query), "the response has another id");
        response
    }

    /// Whether nothing has arrived by now.
    pub fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let seen = self.0.peek_from(&mut [0; 1]);
        self.0.set_nonblocking(false).unwrap();
        matches!(seen, Err(e) if e.kind() == ErrorKind::WouldBlock)
    }
}

/// A TCP connection of a client; each write is its own segment.
pub struct TcpClient(TcpStream);

impl TcpClient {
    pub fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Sends one query behind its length.
    pub fn send(&mut self, query: &[u8]) {
        self.write(&framed(query));
    }

    /// Sends `bytes` as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Sends one query, a byte in each segment.
    pub fn send_bytewise(&mut self, query: &[u8]) {
        for byte in framed(query) {
            self.write(&[byte]);
        }
    }

    /// The next response; `None` when the server has closed the connection, in order or by a reset.
    pub fn recv(&mut self) -> Option<Vec<u8>> {
        recv_framed(&mut self.0)
    }

    pub fn ask(&mut self, query: &[u8]) -> Vec<u8> {
        self.send(query);
        let response = self.recv().expect("the server closed the connection");
        assert_eq!(id_of(&response), id_of(query), "the response has another id");
        response
    }

    /// As [`TcpClient::ask`], where the server may have closed the connection already.
    pub fn recv_after(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        self.0.write_all(&framed(query)).ok()?;
        self.recv()
    }

    /// Whether the server has closed in order, with no byte left to read.
    pub fn is_closed_in_order(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]), Ok(0))
    }

    /// Says that no more queries come, and goes on reading.
    pub fn half_close(&mut self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// The next message of a stream; `None` when it has ended.
pub fn recv_framed(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut read_whole = |into: &mut [u8]| match stream.read_exact(into) {
        Ok(()) => Some(()),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("neither a response nor a close came")
        }
        Err(_) => None,
    };
    let mut len = [0; 2];
    read_whole(&mut len)?;
    let mut response = vec![0; usize::from(u16::from_be_bytes(len))];
    read_whole(&mut response)?;
    Some(response)
}

/// A message behind its length (RFC 1035 §4.2.2).
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}
