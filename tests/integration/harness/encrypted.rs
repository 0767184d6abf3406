//! Clients over TLS, HTTPS and QUIC, and who issues the certificates they are shown.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use zonelet::metrics::Proto;
use zonelet::server::Settings;
use zonelet::server::settings::CertificateFiles;

use super::client::{PATIENCE, framed, id_of, recv_framed};
use super::program::{Home, Program, outside};

/// The name in every certificate; the address 127.0.0.1 is another.
pub const NAME: &str = "dns.test";

/// Issues certificates into files of a directory of its own.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    /// One that has issued a first certificate.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of another name than what it issues, which would pass for self-signed.
        params.distinguished_name.push(rcgen::DnType::CommonName, "zonelet test authority");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("root.pem"), root.pem()).unwrap();
        let authority = Self { dir, root: root.der().clone(), issuer: Issuer::new(params, key) };
        authority.issue();
        authority
    }

    /// Puts a new certificate and its key in place of the old ones.
    pub fn issue(&self) {
        let params = CertificateParams::new(vec![NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = self.files();
        for (path, content) in [(files.chain, certificate.pem()), (files.key, key.serialize_pem())] {
            let swap = path.with_extension("tmp");
            fs::write(&swap, content).unwrap();
            fs::rename(swap, path).unwrap();
        }
    }

    /// Of the certificate issued last.
    pub fn files(&self) -> CertificateFiles {
        CertificateFiles { chain: self.path("chain.pem"), key: self.path("key.pem") }
    }

    /// The file of the authority's own certificate.
    pub fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Has a server listen for everything that this build has.
    pub fn add_to(&self, settings: &mut Settings) {
        let any = || vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        (settings.tls, settings.https) = (any(), any());
        if cfg!(feature = "doq") {
            settings.quic = any();
        }
        settings.certificate = Some(self.files());
    }

    /// The configuration of a program that shows its certificates; `keys` of `[server]` behind those that every test's
    /// begins with.
    pub fn home(&self, keys: &str) -> Home {
        let mut home = Home::new("");
        let files = self.files();
        for (key, value) in
            [("CERTIFICATE", files.chain.display().to_string()), ("KEY", files.key.display().to_string())]
        {
            home.variable(&format!("ZONELET_SERVER__{key}"), value);
        }
        for pair in keys.split_whitespace() {
            let (key, value) = pair.split_once('=').unwrap();
            home.variable(&format!("ZONELET_SERVER__{key}"), value);
        }
        home
    }

    /// What a client trusts.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        roots
    }

    /// What a client trusts and speaks.
    pub fn client(&self, protocols: &[&[u8]]) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}

/// Where a program listens for `proto`.
pub fn listener(program: &Program, proto: Proto) -> SocketAddr {
    let word = format!("({})", proto.label().to_uppercase());
    let banner = program.banner();
    let line = banner.iter().find(|line| line.contains(&word)).unwrap_or_else(|| panic!("{banner:#?}"));
    line.split_whitespace().find_map(|word| word.parse().ok()).expect("an address")
}

/// The address of the listener for `proto`.
pub fn addr_of(encrypted: &[(Proto, SocketAddr)], proto: Proto) -> SocketAddr {
    encrypted.iter().find(|(other, _)| *other == proto).expect("a listener").1
}

fn name() -> ServerName<'static> {
    NAME.try_into().unwrap()
}

/// A connection over TLS, blocking as that over TCP.
pub struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    pub fn connect(authority: &Authority, server: SocketAddr) -> Self {
        Self::connect_with(Arc::new(authority.client(&[b"dot"])), server).expect("a handshake")
    }

    /// With the handshake done, if it can be.
    pub fn connect_with(config: Arc<ClientConfig>, server: SocketAddr) -> Result<Self, std::io::Error> {
        let socket = TcpStream::connect_timeout(&server, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let tls = ClientConnection::new(config, name()).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// The certificate that was shown.
    pub fn shown(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
    }

    pub fn tls(&self) -> &ClientConnection {
        &self.0.conn
    }

    pub fn send(&mut self, query: &[u8]) {
        self.write(&framed(query));
    }

    /// Sends `bytes` in one record, if they fit.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
        self.0.flush().unwrap();
    }

    /// Sends `bytes` below TLS.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.sock.write_all(bytes).unwrap();
    }

    /// As [`TlsClient::write`], where the server may have closed the connection, or reads no more.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.sock.set_write_timeout(Some(std::time::Duration::from_secs(2)))?;
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// All that comes until the server closes the connection, in order or not.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = self.read_to_the_end(&mut all);
        all
    }

    /// All that came until the server closed; `None` when it closed with something left to read,
    /// which resets the connection and takes with it what it had said.
    pub fn said_to_its_end(&mut self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        self.read_to_the_end(&mut all).ok().map(|()| all)
    }

    fn read_to_the_end(&mut self, into: &mut Vec<u8>) -> Result<(), ErrorKind> {
        let Err(e) = self.0.read_to_end(into) else { return Ok(()) };
        let waited = matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!waited, "no end came: {into:02x?}");
        Err(e.kind())
    }

    /// The next response; `None` when the connection is closed.
    pub fn recv(&mut self) -> Option<Vec<u8>> {
        recv_framed(&mut self.0)
    }

    pub fn ask(&mut self, query: &[u8]) -> Vec<u8> {
        self.send(query);
        let response = self.recv().expect("the server closed the connection");
        assert_eq!(id_of(&response), id_of(query), "the response has another id");
        response
    }

    /// Whether the server has closed, and said so in TLS.
    pub fn is_closed_in_order(&mut self) -> bool {
        matches!(self.end(), Ok(0))
    }

    /// What comes in place of a response.
    pub fn end(&mut self) -> std::io::Result<usize> {
        self.0.read(&mut [0; 1])
    }

    /// Ends the client's half of TLS, and goes on reading.
    pub fn half_close(&mut self) {
        self.0.conn.send_close_notify();
        self.0.flush().unwrap();
    }
}

/// What came of a request.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

type Sent = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Sent> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await.map(|()| Box::pin(sender.send_request(request)) as Sent)
            }
            Self::Http2(sender) => {
                sender.ready().await.map(|()| Box::pin(sender.send_request(request)) as Sent)
            }
        }
    }
}

/// A connection over HTTPS. Any number of requests may be under way on one of HTTP/2.
pub struct HttpsClient {
    sender: Mutex<Sender>,
    is_http2: bool,
    authority: String,
}

impl HttpsClient {
    /// Speaks `protocol`: `h2` or `http/1.1`.
    pub fn connect(authority: &Authority, server: SocketAddr, protocol: &[u8]) -> Self {
        let config = Arc::new(authority.client(&[protocol]));
        outside().block_on(async {
            let socket = tokio::net::TcpStream::connect(server).await.unwrap();
            socket.set_nodelay(true).unwrap();
            let stream = TlsConnector::from(config).connect(name(), socket).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
            let io = TokioIo::new(stream);
            let sender = if protocol == b"h2" {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http2(sender)
            } else {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http1(sender)
            };
            Self {
                sender: Mutex::new(sender),
                is_http2: protocol == b"h2",
                authority: format!("{NAME}:{}", server.port()),
            }
        })
    }

    /// A request for `path`.
    pub fn request(&self, method: Method, path: &str, body: &[u8]) -> Request<Full<Bytes>> {
        let builder = Request::builder().method(method);
        let builder = match self.is_http2 {
            false => builder.uri(path).header(HOST, &self.authority),
            true => builder.uri(format!("https://{}{path}", self.authority)),
        };
        builder.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    /// The query in a POST.
    pub fn post(&self, query: &[u8]) -> Request<Full<Bytes>> {
        let mut request = self.request(Method::POST, "/dns-query", query);
        request.headers_mut().insert(CONTENT_TYPE, "application/dns-message".parse().unwrap());
        request
    }

    /// The query in a GET.
    pub fn get(&self, query: &[u8]) -> Request<Full<Bytes>> {
        self.request(Method::GET, &format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(query)), b"")
    }

    /// Sends it now; what is returned waits for the response.
    pub fn start(
        &self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Answered, hyper::Error>> + use<> {
        let mut sender = self.sender.lock().unwrap();
        // Sent in the order in which they are started.
        let sent = outside().block_on(sender.send(request)).map(|sent| {
            let _context = outside().enter();
            // Whoever gives up waiting resets the stream.
            AbortOnDropHandle::new(tokio::spawn(sent))
        });
        async move {
            let response = sent?.await.expect("no panic")?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.into_body().collect().await?.to_bytes().to_vec();
            Ok(Answered { status, headers, body })
        }
    }

    /// Waits for the response, too.
    pub fn send(&self, request: Request<Full<Bytes>>) -> Answered {
        let answered = self.start(request);
        outside()
            .block_on(async { timeout(PATIENCE, answered).await })
            .expect("no response came")
            .expect("a response")
    }

    /// The message that answers `query`.
    pub fn ask(&self, query: &[u8]) -> Vec<u8> {
        let answered = self.send(self.post(query));
        assert_eq!((answered.status, answered.header("content-type")), (200, "application/dns-message"));
        answered.body
    }
}

/// A connection over QUIC.
#[cfg(feature = "doq")]
pub struct QuicClient {
    pub connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

#[cfg(feature = "doq")]
impl QuicClient {
    pub fn connect(authority: &Authority, server: SocketAddr) -> Self {
        Self::try_connect(authority, server).expect("a handshake")
    }

    pub fn try_connect(authority: &Authority, server: SocketAddr) -> Result<Self, quinn::ConnectionError> {
        use quinn::crypto::rustls::QuicClientConfig;
        let crypto = QuicClientConfig::try_from(authority.client(&[b"doq"])).unwrap();
        outside().block_on(async {
            let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let config = quinn::ClientConfig::new(Arc::new(crypto));
            let connecting = endpoint.connect_with(config, server, NAME).unwrap();
            let connection = timeout(PATIENCE, connecting).await.expect("neither keys nor an error")?;
            Ok(Self { connection, _endpoint: endpoint })
        })
    }

    /// Sends `bytes` on a stream of their own and ends it; what is returned waits for all that comes back.
    pub fn start(
        &self,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, quinn::ReadToEndError>> + use<> {
        let mut receive = outside().block_on(async {
            let (mut send, receive) = self.connection.open_bi().await.unwrap();
            send.write_all(&bytes).await.unwrap();
            send.finish().unwrap();
            receive
        });
        async move {
            let all = receive.read_to_end(1 << 17);
            timeout(PATIENCE, all).await.expect("neither a response nor an end")
        }
    }

    /// The response to one query, whose id must be 0.
    pub fn ask(&self, query: &[u8]) -> Vec<u8> {
        let bytes = outside().block_on(self.start(framed(query))).expect("a response");
        let (len, response) = bytes.split_first_chunk::<2>().expect("a length");
        assert_eq!(usize::from(u16::from_be_bytes(*len)), response.len());
        response.to_vec()
    }

    /// The code that the server ends the connection with.
    pub fn end(&self) -> Option<u64> {
        let end = async { timeout(PATIENCE, self.connection.closed()).await };
        let reason = outside().block_on(end).expect("an end");
        match reason {
            quinn::ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
            _ => None,
        }
    }
}
