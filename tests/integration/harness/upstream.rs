//! Upstreams on loopback: a scripted server, and a plain forwarder for loops.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::message::Question;

/// What a scripted server was sent.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The query.
    pub question: Question,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Where it came from.
    pub from: SocketAddr,
    /// How many came before it.
    pub number: usize,
}

/// What a scripted server sends.
#[derive(Clone, Debug)]
pub enum Out {
    /// To whoever asked.
    Reply(Vec<u8>),
    /// To whoever asked, after a while (UDP).
    After(Duration, Vec<u8>),
    /// To whoever asked, from another port (UDP).
    FromElsewhere(Vec<u8>),
    /// To somebody else (UDP).
    To(SocketAddr, Vec<u8>),
    /// Over TCP: closes the connection.
    Close,
}

type Script = Arc<dyn Fn(&Asked) -> Vec<Out> + Send + Sync>;

/// A server whose closure decides every reply; it counts every query.
#[derive(Clone)]
pub struct Scripted {
    /// Where it listens, UDP and TCP.
    pub addr: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// A server on 127.0.0.1.
    pub async fn start(script: impl Fn(&Asked) -> Vec<Out> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = bind_both(Ipv4Addr::LOCALHOST.into()).await;
        let server = Self { addr: udp.local_addr().unwrap(), log: Arc::default() };
        let script: Script = Arc::new(script);
        tokio::spawn(server.clone().serve_udp(udp, Arc::clone(&script)));
        tokio::spawn(server.clone().serve_tcp(tcp, script));
        server
    }

    /// A server that answers every question with an address of this TTL.
    pub async fn answering(ttl: u32) -> Self {
        Self::start(move |asked| vec![Out::Reply(asked.question.address(ttl, 1))]).await
    }

    /// A server that never says a word.
    pub async fn silent() -> Self {
        Self::start(|_| Vec::new()).await
    }

    /// Every query so far.
    pub fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// How many queries have come, probes for loops left out.
    pub fn count(&self) -> usize {
        self.log().iter().filter(|a| !is_probe(&a.question)).count()
    }

    fn note(&self, question: Question, tcp: bool, from: SocketAddr) -> Asked {
        let mut log = self.log.lock().unwrap();
        let asked = Asked { question, tcp, from, number: log.len() };
        log.push(asked.clone());
        asked
    }

    async fn serve_udp(self, socket: UdpSocket, script: Script) {
        let socket = Arc::new(socket);
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let Some(question) = Question::read(&buffer[..len]) else { continue };
            for out in script(&self.note(question, false, from)) {
                let _ = match out {
                    Out::Reply(message) => socket.send_to(&message, from).await,
                    Out::After(wait, message) => {
                        let socket = Arc::clone(&socket);
                        tokio::spawn(async move {
                            tokio::time::sleep(wait).await;
                            let _ = socket.send_to(&message, from).await;
                        });
                        Ok(0)
                    }
                    Out::To(other, message) => socket.send_to(&message, other).await,
                    Out::FromElsewhere(message) => {
                        let elsewhere = UdpSocket::bind((self.addr.ip(), 0)).await.unwrap();
                        elsewhere.send_to(&message, from).await
                    }
                    Out::Close => Ok(0),
                };
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener, script: Script) {
        while let Ok((stream, from)) = listener.accept().await {
            tokio::spawn(self.clone().serve_stream(stream, from, Arc::clone(&script)));
        }
    }

    async fn serve_stream(self, mut stream: TcpStream, from: SocketAddr, script: Script) {
        while let Ok(len) = stream.read_u16().await {
            let mut message = vec![0; usize::from(len)];
            stream.read_exact(&mut message).await.unwrap();
            let Some(question) = Question::read(&message) else { return };
            for out in script(&self.note(question, true, from)) {
                let Out::Reply(message) = out else { return };
                // Byte by byte: whoever reads must put the pieces together.
                for byte in (message.len() as u16).to_be_bytes().into_iter().chain(message) {
                    stream.write_all(&[byte]).await.unwrap();
                }
            }
        }
    }
}

/// Whether it is a probe for a forwarding loop.
pub fn is_probe(question: &Question) -> bool {
    question.qname.to_string().contains("-zonelet-probe.")
}

/// UDP and TCP on one port of `ip`.
pub async fn bind_both(ip: IpAddr) -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((ip, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

/// What a plain forwarder does with queries.
#[derive(Clone)]
pub struct Relay {
    /// Forwards names at or below this one, and answers all others with an address.
    pub domain: zonelet::wire::Name,
    /// Where to.
    pub to: SocketAddr,
    /// Drops the OPT record on the way.
    pub strip_edns: bool,
    /// Sets CD on the way, as a forwarder that validates by itself may.
    pub set_cd: bool,
}

/// A forwarder that neither caches nor joins questions, on an address of its own.
#[derive(Clone)]
pub struct RelayServer {
    /// Where it listens.
    pub addr: SocketAddr,
    log: Arc<Mutex<Vec<Question>>>,
}

impl RelayServer {
    /// Starts on 127.0.1.`host`. `relay` is asked for each query, so that it can change.
    pub async fn start(host: u8, relay: impl Fn() -> Relay + Send + Sync + 'static) -> Self {
        let ip = Ipv4Addr::new(127, 0, 1, host);
        let socket = Arc::new(UdpSocket::bind((ip, 0)).await.unwrap());
        let server = Self { addr: socket.local_addr().unwrap(), log: Arc::default() };
        let log = Arc::clone(&server.log);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                let Some(question) = Question::read(&buffer[..len]) else { continue };
                log.lock().unwrap().push(question.clone());
                let relay = relay();
                if question.qname.as_ref().is_at_or_below(relay.domain.as_ref()) {
                    tokio::spawn(pass_on(Arc::clone(&socket), question, from, relay));
                } else {
                    socket.send_to(&question.address(300, 7), from).await.unwrap();
                }
            }
        });
        server
    }

    /// How many queries have come, probes for loops left out.
    pub fn count(&self) -> usize {
        self.log.lock().unwrap().iter().filter(|q| !is_probe(q)).count()
    }

    /// How many queries for a name have come.
    pub fn asked_for(&self, name: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|q| q.qname.to_string() == name).count()
    }

    /// How many probes for loops have come.
    pub fn probes(&self) -> usize {
        self.log.lock().unwrap().iter().filter(|q| is_probe(q)).count()
    }
}

async fn pass_on(socket: Arc<UdpSocket>, question: Question, from: SocketAddr, relay: Relay) {
    let onward = UdpSocket::bind((socket.local_addr().unwrap().ip(), 0)).await.unwrap();
    let mut message = if relay.strip_edns { question.without_opt() } else { question.message.clone() };
    if relay.set_cd {
        message[3] |= 0x10;
    }
    let id: [u8; 2] = rand::random();
    message[..2].copy_from_slice(&id);
    onward.send_to(&message, relay.to).await.unwrap();
    let mut buffer = [0; 4096];
    // A forwarder's patience; in tests time is driven by hand.
    let received = tokio::time::timeout(Duration::from_secs(5), onward.recv(&mut buffer)).await;
    if let Ok(Ok(len)) = received
        && buffer[..2] == id
    {
        buffer[..2].copy_from_slice(&question.message[..2]);
        socket.send_to(&buffer[..len], from).await.unwrap();
    }
}
