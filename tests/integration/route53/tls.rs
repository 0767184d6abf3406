//! HTTPS as it is in production: verified, and through a proxy's tunnel.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::environment::{KEYS, outcome, strict};
use crate::harness::python::{PythonServer, repository};
use crate::harness::venv;

/// A proxy that opens one tunnel, to `port` of this host whatever is asked for; tells what was.
async fn tunnel(listener: TcpListener, port: u16) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let mut behind = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Either side may end it first.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
    request.trim().to_owned()
}

#[tokio::test]
async fn https_is_verified_against_the_ca_bundle_and_tunnelled_through_the_proxy() {
    let sim = strict().await;
    let dir = tempfile::tempdir().unwrap();
    let script = repository("tests/integration/harness/tls_front.py");
    let arguments = [sim.port().to_string(), dir.path().display().to_string()];
    let front = PythonServer::start_with(venv::python(), &script, &arguments);
    let bundle = dir.path().join("ca.pem");
    let trusted = ("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let direct = ("AWS_ENDPOINT_URL_ROUTE_53", front.url.as_str());

    assert_eq!(outcome("account", &[KEYS[0], KEYS[1], direct, trusted]).await, "1 zones");
    let untrusted = outcome("account", &[KEYS[0], KEYS[1], direct]).await;
    assert!(untrusted.contains("failed"), "{untrusted}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let port = front.url.rsplit(':').next().unwrap().parse().unwrap();
    let asked = tokio::spawn(tunnel(listener, port));
    let remote = ("AWS_ENDPOINT_URL_ROUTE_53", "https://route53.invalid");
    let tunnelled = [KEYS[0], KEYS[1], remote, trusted, ("HTTPS_PROXY", proxy.as_str())];
    assert_eq!(outcome("account", &tunnelled).await, "1 zones");
    assert_eq!(asked.await.unwrap(), "CONNECT route53.invalid:443 HTTP/1.1");
}
