//! Scripted upstreams over every transport, with certificates of their own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Bytes;
use hyper::http::Response;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use zonelet::upstream::{Place, Protocol, Secure, UpstreamSpec};

use super::message::Question;
use super::upstream::bind_both;

/// What every certificate here is for, unless a test wants another.
pub const NAME: &str = "dns.test";

/// How a server is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Udp,
    Tcp,
    Tls,
    Https,
    #[cfg(feature = "doq")]
    Quic,
}

impl Speech {
    /// Every one.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Udp];
        all.extend(Self::streams());
        all
    }

    /// Those over connections.
    pub fn streams() -> Vec<Self> {
        vec![
            Self::Tcp,
            Self::Tls,
            Self::Https,
            #[cfg(feature = "doq")]
            Self::Quic,
        ]
    }

    /// Those over TLS.
    pub fn encrypted() -> Vec<Self> {
        Self::streams().split_off(1)
    }

    fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Udp | Self::Tcp => None,
            Self::Tls => Some(Protocol::Tls),
            Self::Https => Some(Protocol::Https),
            #[cfg(feature = "doq")]
            Self::Quic => Some(Protocol::Quic),
        }
    }
}

/// Who signs the certificates of a test.
pub struct Authority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Of two with one name the wrong one would be tried.
        let own = format!("authority {}", rand::random::<u64>());
        params.distinguished_name.push(DnType::CommonName, own);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `name`, which ends with `year`, and its key.
    pub fn sign(&self, name: &str, year: i32) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// What a server with such a certificate needs.
    pub fn server(&self, name: &str, year: i32) -> ServerConfig {
        let (certificate, key) = self.sign(name, year);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// One query as a server has heard it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub question: Question,
    /// Over which connection, from 1; 0 over UDP.
    pub connection: usize,
    /// How many came before it, over all connections.
    pub number: usize,
}

/// What a server does with a query.
pub enum Move {
    Reply(Vec<u8>),
    /// Replies, and takes nothing more over that connection.
    Last(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    Nothing,
    /// An HTTP error.
    Status(u16),
}

type Script = Arc<dyn Fn(Heard) -> Pin<Box<dyn Future<Output = Move> + Send>> + Send + Sync>;

/// A server whose script decides every reply.
#[derive(Clone)]
pub struct Speaker {
    pub addr: SocketAddr,
    pub speech: Speech,
    ca: Arc<[u8]>,
    script: Script,
    log: Arc<Mutex<Vec<Heard>>>,
    connections: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl Speaker {
    /// A server with a good certificate.
    pub async fn start<F: Future<Output = Move> + Send + 'static>(
        speech: Speech,
        script: impl Fn(Heard) -> F + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new();
        let config = authority.server(NAME, 2090);
        Self::with(speech, &authority.pem, config, script).await
    }

    /// A server with the certificate of `config`, whose clients trust `ca`.
    pub async fn with<F: Future<Output = Move> + Send + 'static>(
        speech: Speech,
        ca: &str,
        mut config: ServerConfig,
        script: impl Fn(Heard) -> F + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = bind_both(Ipv4Addr::LOCALHOST.into()).await;
        let server = Self {
            addr: udp.local_addr().unwrap(),
            speech,
            ca: ca.as_bytes().into(),
            script: Arc::new(move |heard| Box::pin(script(heard))),
            log: Arc::default(),
            connections: Arc::default(),
            resumed: Arc::default(),
        };
        match speech {
            Speech::Udp => {
                tokio::spawn(server.clone().serve_udp(Arc::new(udp)));
                tokio::spawn(server.clone().serve_tcp(tcp, None));
            }
            Speech::Tcp => drop(tokio::spawn(server.clone().serve_tcp(tcp, None))),
            Speech::Tls => {
                tokio::spawn(server.clone().serve_tcp(tcp, Some(TlsAcceptor::from(Arc::new(config)))));
            }
            Speech::Https => {
                config.alpn_protocols = vec![b"h2".to_vec()];
                tokio::spawn(server.clone().serve_tcp(tcp, Some(TlsAcceptor::from(Arc::new(config)))));
            }
            #[cfg(feature = "doq")]
            Speech::Quic => {
                config.alpn_protocols = vec![b"doq".to_vec()];
                tokio::spawn(server.clone().serve_quic(udp, config));
            }
        }
        server
    }

    /// How zonelet is told of it.
    pub fn spec(&self) -> UpstreamSpec {
        self.named(NAME, Place::Address(self.addr))
    }

    /// The same, with another name to verify, or place.
    pub fn named(&self, server_name: &str, place: Place) -> UpstreamSpec {
        let Some(protocol) = self.speech.protocol() else {
            return if self.speech == Speech::Udp {
                UpstreamSpec::Plain(self.addr)
            } else {
                UpstreamSpec::Tcp(self.addr)
            };
        };
        let (server_name, path) = (server_name.into(), "/dns-query/token".into());
        let ca = Some(Arc::clone(&self.ca));
        UpstreamSpec::Secure(Arc::new(Secure { protocol, place, server_name, path, ca }))
    }

    /// Every query so far.
    pub fn log(&self) -> Vec<Heard> {
        self.log.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Handshakes that went on with an earlier session.
    pub fn resumed(&self) -> usize {
        self.resumed.load(Ordering::Relaxed)
    }

    async fn hear(&self, message: &[u8], connection: usize) -> Move {
        let Some(question) = Question::read(message) else { return Move::Close };
        let heard = {
            let mut log = self.log.lock().unwrap();
            let heard = Heard { question, connection, number: log.len() };
            log.push(heard.clone());
            heard
        };
        (self.script)(heard).await
    }

    fn connected(&self) -> usize {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn serve_udp(self, socket: Arc<UdpSocket>) {
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let (server, socket, message) = (self.clone(), Arc::clone(&socket), buffer[..len].to_vec());
            tokio::spawn(async move {
                if let Move::Reply(mut reply) | Move::Last(mut reply) = server.hear(&message, 0).await {
                    if reply.len() > 1232 {
                        reply = Question::read(&message).unwrap().reply(0, &[], &[]);
                        reply[2] |= 0x02;
                    }
                    socket.send_to(&reply, from).await.unwrap();
                }
            });
        }
    }

    async fn serve_tcp(self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move { server.serve_connection(stream, tls).await });
        }
    }

    async fn serve_connection(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let connection = self.connected();
        let Some(tls) = tls else { return self.serve_frames(stream, connection).await };
        let Ok(stream) = tls.accept(stream).await else { return };
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.resumed.fetch_add(1, Ordering::Relaxed);
        }
        match self.speech {
            Speech::Https => self.serve_http(stream, connection).await,
            _ => self.serve_frames(stream, connection).await,
        }
    }

    async fn serve_frames(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        connection: usize,
    ) {
        let (mut read, mut write) = tokio::io::split(stream);
        let (moves, mut moved) = mpsc::unbounded_channel();
        let reading = tokio::spawn(async move {
            while let Ok(len) = read.read_u16().await {
                let mut message = vec![0; usize::from(len)];
                read.read_exact(&mut message).await.unwrap();
                let (server, moves) = (self.clone(), moves.clone());
                tokio::spawn(async move { moves.send(server.hear(&message, connection).await) });
            }
        });
        while let Some(next) = moved.recv().await {
            let is_last = matches!(next, Move::Last(_));
            match next {
                Move::Reply(reply) | Move::Last(reply) => {
                    let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
                    if write.write_all(&framed).await.is_err() || write.flush().await.is_err() || is_last {
                        break;
                    }
                }
                Move::Nothing => {}
                Move::Close | Move::Status(_) => break,
            }
        }
        let _ = write.shutdown().await;
        reading.abort();
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        connection: usize,
    ) {
        let Ok(mut http) = h2::server::handshake(stream).await else { return };
        let (close, mut closed) = mpsc::unbounded_channel();
        loop {
            tokio::select! {
                request = http.accept() => {
                    let Some(Ok((request, respond))) = request else { return };
                    let (server, close) = (self.clone(), close.clone());
                    tokio::spawn(async move { server.respond(request, respond, connection, close).await });
                }
                Some(at_once) = closed.recv() => match at_once {
                    true => return,
                    false => http.graceful_shutdown(),
                }
            }
        }
    }

    async fn respond(
        self,
        request: hyper::http::Request<h2::RecvStream>,
        mut respond: h2::server::SendResponse<Bytes>,
        connection: usize,
        close: mpsc::UnboundedSender<bool>,
    ) {
        assert_eq!((request.uri().path(), request.method().as_str()), ("/dns-query/token", "POST"));
        assert_eq!(request.uri().host(), Some(NAME));
        let (mut body, mut message) = (request.into_body(), Vec::new());
        while let Some(Ok(chunk)) = body.data().await {
            message.extend(&chunk);
            body.flow_control().release_capacity(chunk.len()).unwrap();
        }
        let next = self.hear(&message, connection).await;
        let is_last = matches!(next, Move::Last(_));
        let (status, reply) = match next {
            Move::Reply(reply) | Move::Last(reply) => (200, reply),
            Move::Status(status) => (status, b"what a page would say".to_vec()),
            Move::Close => {
                let _ = close.send(true);
                return;
            }
            Move::Nothing => std::future::pending().await,
        };
        let head = Response::builder().status(status).header("content-type", "application/dns-message");
        let Ok(mut sending) = respond.send_response(head.body(()).unwrap(), false) else { return };
        let _ = sending.send_data(reply.into(), true);
        if is_last {
            let _ = close.send(false);
        }
    }

    #[cfg(feature = "doq")]
    async fn serve_quic(self, socket: UdpSocket, config: ServerConfig) {
        let mut server =
            hickory_net::quic::QuicServer::with_socket_and_tls_config(socket, Arc::new(config)).unwrap();
        loop {
            // A handshake that fails is no end.
            if let Ok(next) = server.next().await {
                let Some((streams, _)) = next else { return };
                tokio::spawn(self.clone().serve_streams(streams));
            }
        }
    }

    #[cfg(feature = "doq")]
    async fn serve_streams(self, mut streams: hickory_net::quic::QuicStreams) {
        let connection = self.connected();
        let (close, mut closed) = mpsc::unbounded_channel();
        let mut serving = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                stream = streams.next() => {
                    let Some(Ok(mut stream)) = stream else { return };
                    let (server, close) = (self.clone(), close.clone());
                    serving.spawn(async move {
                        let Ok(message) = stream.receive_bytes().await else { return };
                        match server.hear(&message, connection).await {
                            Move::Reply(reply) | Move::Last(reply) => {
                                stream.send_bytes(reply.into()).await.unwrap();
                                stream.finish().await.unwrap();
                            }
                            Move::Nothing => std::future::pending().await,
                            Move::Close | Move::Status(_) => close.send(()).unwrap(),
                        }
                    });
                }
                Some(()) = closed.recv() => return,
            }
        }
    }
}
