//! Asking a server one question at a time, and holding the answer against the right one.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hickory_proto::op::Message;
use hickory_proto::rr::RData;

use super::dns::{A, Case, Data, Record};
use super::process::Process;
use super::ready::ASKED;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a question is asked before an answer counts as wrong: servers that have just started may
/// fail once.
const TRIES: usize = 3;
/// Between two questions whether a server is up.
const POLL: Duration = Duration::from_millis(2);

/// A socket to one server.
pub struct Client(UdpSocket);

impl Client {
    /// # Errors
    /// No socket can be had.
    pub fn new(server: SocketAddr, patience: Duration) -> Result<Self> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).context("a client's socket")?;
        socket.connect(server).with_context(|| format!("connect to {server}"))?;
        socket.set_read_timeout(Some(patience)).context("time-out")?;
        Ok(Self(socket))
    }

    /// The response to a case's question.
    ///
    /// # Errors
    /// None came in time, or it cannot be read.
    pub fn ask(&self, case: &Case, with_edns: bool, id: u16) -> Result<Message> {
        let mut query = case.query(with_edns);
        if let Some(bytes) = query.first_chunk_mut() {
            *bytes = id.to_be_bytes();
        }
        self.0.send(&query).context("send")?;
        let mut buffer = [0; 4096];
        loop {
            let len = self.0.recv(&mut buffer).context("no answer")?;
            let message = Message::from_vec(buffer.get(..len).unwrap_or_default()).context("unreadable")?;
            if message.metadata.id == id {
                return Ok(message);
            }
        }
    }
}

/// Asks all cases and compares response codes and answer sections.
///
/// # Errors
/// The first wrong answer, with what was expected.
pub fn check(server: SocketAddr, cases: &[Case], with_edns: bool) -> Result<()> {
    let client = Client::new(server, PATIENCE)?;
    for (index, case) in cases.iter().enumerate() {
        let mut verdict = Ok(());
        for attempt in 0..TRIES {
            let id = (index * TRIES + attempt) as u16;
            verdict = client.ask(case, with_edns, id).and_then(|message| judge(case, &message));
            if verdict.is_ok() {
                break;
            }
            sleep(Duration::from_millis(200 * attempt as u64));
        }
        verdict.with_context(|| format!("{} type {}", case.qname, case.qtype))?;
    }
    Ok(())
}

/// The same over one TCP connection.
///
/// # Errors
/// The first wrong answer, or a connection that fails.
pub fn check_stream(server: SocketAddr, cases: &[Case], with_edns: bool) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).context("connect over TCP")?;
    stream.set_read_timeout(Some(PATIENCE)).context("time-out")?;
    for case in cases {
        let query = case.query(with_edns);
        let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        stream.write_all(&framed).context("send over TCP")?;
        let mut len = [0; 2];
        stream.read_exact(&mut len).context("no answer over TCP")?;
        let mut response = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut response).context("half an answer over TCP")?;
        let message = Message::from_vec(&response).context("unreadable")?;
        judge(case, &message).with_context(|| format!("over TCP: {} type {}", case.qname, case.qtype))?;
    }
    Ok(())
}

fn judge(case: &Case, message: &Message) -> Result<()> {
    let rcode = u16::from(message.metadata.response_code);
    let mut came: Vec<Record> = message.answers.iter().filter_map(read).collect();
    let mut wanted = case.records.clone();
    came.sort();
    wanted.sort();
    if rcode != u16::from(case.rcode()) || came != wanted || message.answers.len() != wanted.len() {
        bail!("rcode {rcode} and {came:?} where {} and {wanted:?} is right", case.rcode());
    }
    Ok(())
}

fn read(record: &hickory_proto::rr::Record) -> Option<Record> {
    let text = |name: &hickory_proto::rr::Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let data = match &record.data {
        RData::A(address) => Data::A(address.0),
        RData::AAAA(address) => Data::Aaaa(address.0),
        RData::CNAME(target) => Data::Cname(text(&target.0)),
        _ => return None,
    };
    Some(Record { owner: text(&record.name), data })
}

/// Waits until a server gives a case's right answer; how long that took.
///
/// # Errors
/// It ended, or gave no right answer in `limit`.
pub fn wait_for(process: &mut Process, server: SocketAddr, case: &Case, limit: Duration) -> Result<Duration> {
    let began = Instant::now();
    let client = Client::new(server, Duration::from_millis(50))?;
    let mut id = 0;
    while began.elapsed() < limit {
        id += 1;
        if client.ask(case, false, id).and_then(|message| judge(case, &message)).is_ok() {
            return Ok(began.elapsed());
        }
        if !process.is_running() {
            bail!("it ended: {}", process.last_words());
        }
        sleep(POLL);
    }
    bail!("no right answer in {limit:?}: {}", process.last_words())
}

/// How many queries our upstream has answered.
///
/// # Errors
/// It does not say.
pub fn asked_of(upstream: SocketAddr) -> Result<u64> {
    let case = Case::positive(ASKED.into(), A, ASKED, Vec::new());
    let message = Client::new(upstream, PATIENCE)?.ask(&case, false, 1)?;
    match message.answers.first().map(|record| &record.data) {
        Some(RData::A(count)) => Ok(u32::from(count.0).into()),
        _ => bail!("the upstream did not say how often it was asked"),
    }
}
