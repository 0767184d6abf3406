//! Asking, and an upstream that knows the answer to everything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};

/// How long a server on the same host may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A question with all that decides on its answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name on the wire, its case as asked.
    pub qname: Vec<u8>,
    pub qtype: u16,
    /// UDP payload size and DO.
    pub edns: Option<(u16, bool)>,
    pub tcp: bool,
}

impl Question {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0x4d, 0x2a, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())];
        out.extend(&self.qname);
        out.extend(self.qtype.to_be_bytes());
        out.extend([0, 1]);
        if let Some((size, dnssec_ok)) = self.edns {
            out.extend([0, 0, 41]);
            out.extend(size.to_be_bytes());
            out.extend([0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
        }
        out
    }

    /// The most bytes that may come back.
    pub fn limit(&self) -> usize {
        match (self.tcp, self.edns) {
            (true, _) => 65_535,
            (false, None) => 512,
            (false, Some((size, _))) => usize::from(size).clamp(512, 1232),
        }
    }

    /// The same over TCP.
    pub fn over_tcp(&self) -> Self {
        Self { tcp: true, ..self.clone() }
    }
}

/// What a server said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub rcode: u16,
    pub aa: bool,
    pub tc: bool,
    pub edns: bool,
    /// In the order they came.
    pub answers: Vec<Record>,
    /// SOA records of the authority section.
    pub soas: Vec<Record>,
    /// The NS records of a referral.
    pub referral: Vec<Record>,
    /// Bytes of the message.
    pub len: usize,
}

impl Said {
    fn read(bytes: &[u8], question: &Question) -> Self {
        let message =
            Message::from_vec(bytes).unwrap_or_else(|e| panic!("{question:?}: {e} in {bytes:02x?}"));
        let end = 12 + question.qname.len() + 4;
        assert_eq!(bytes.get(12..end), question.to_bytes().get(12..end), "the question comes back as asked");
        assert!(bytes.len() <= question.limit(), "{} bytes to {question:?}", bytes.len());
        let (referral, others): (Vec<Record>, Vec<Record>) =
            message.authorities.into_iter().partition(|r| r.record_type() == RecordType::NS);
        Self {
            rcode: u16::from(message.metadata.response_code),
            aa: message.metadata.authoritative,
            tc: message.metadata.truncation,
            edns: message.edns.is_some(),
            answers: message.answers,
            soas: others.into_iter().filter(|r| r.record_type() == RecordType::SOA).collect(),
            referral,
            len: bytes.len(),
        }
    }

    /// The name that the answer's last CNAME leads to, if nothing stands behind it.
    pub fn open_end(&self) -> Option<Vec<u8>> {
        match &self.answers.last()?.data {
            RData::CNAME(target) => Some(wire(&target.0)),
            _ => None,
        }
    }
}

/// A name on the wire, in lower case.
pub fn wire(name: &hickory_proto::rr::Name) -> Vec<u8> {
    let labels = name.iter().flat_map(|label| [&[label.len() as u8], label].concat());
    labels.chain([0]).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// One server, asked one question at a time.
pub struct Client {
    udp: UdpSocket,
    tcp: TcpStream,
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        udp.connect(server).expect("connected");
        udp.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let tcp = TcpStream::connect(server).expect("it listens on TCP");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self { udp, tcp }
    }

    pub fn ask(&mut self, question: &Question) -> Said {
        let query = question.to_bytes();
        let answer = if question.tcp { self.over_tcp(&query) } else { self.over_udp(&query) };
        Said::read(&answer.unwrap_or_else(|e| panic!("{question:?}: {e}")), question)
    }

    fn over_udp(&self, query: &[u8]) -> std::io::Result<Vec<u8>> {
        self.udp.send(query)?;
        let mut answer = vec![0; 65_535];
        let len = self.udp.recv(&mut answer)?;
        answer.truncate(len);
        Ok(answer)
    }

    fn over_tcp(&mut self, query: &[u8]) -> std::io::Result<Vec<u8>> {
        self.tcp.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())?;
        let mut len = [0; 2];
        self.tcp.read_exact(&mut len)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        self.tcp.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// The address that the upstream gives to every name.
pub const ADDRESS: [u8; 4] = [192, 0, 2, 53];

/// Starts the upstream: an address for A, nothing for other types, and a TTL of 0, so that what it
/// says does not depend on when it was asked. It answers as long as the test runs.
pub fn upstream() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((len, client)) = socket.recv_from(&mut query) {
            if let Some(answer) = upstream_answer(&query[..len]) {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    address
}

fn upstream_answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += 1 + usize::from(query[end]);
    }
    let question = query.get(12..end + 5)?;
    let is_address = question[question.len() - 4..] == [0, 1, 0, 1];
    let counts = if is_address { [0, 1, 0, 0] } else { [0, 0, 0, 1] };
    let mut out = [&query[..2], &[0x81, 0x80, 0, 1], &counts, &[0, 0], question].concat();
    if is_address {
        out.extend([&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4][..], &ADDRESS].concat());
    } else {
        // The root's SOA, all zeros.
        out.extend([0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22]);
        out.extend([0; 22]);
    }
    Some(out)
}
