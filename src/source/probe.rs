//! Whether an address that records lead to answers from here.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time;

use crate::zone::ProbeTarget;

/// Probes one address within `timeout`: a TCP connection has to open, and where a path is given a GET
/// of it has to be answered with a status below 400, as Route 53's own checkers have it. Nothing of a
/// reply but its head is read.
pub async fn probe(target: &ProbeTarget, timeout: Duration) -> bool {
    let address = SocketAddr::new(target.address, target.probe.port);
    let attempt = async {
        let stream = TcpStream::connect(address).await.ok()?;
        match &target.probe.path {
            None => Some(true),
            Some(path) => get(stream, address, path).await,
        }
    };
    time::timeout(timeout, attempt).await.ok().flatten().unwrap_or(false)
}

/// Whether a GET is answered well; `None` where it cannot be sent or is not answered in HTTP.
async fn get(stream: TcpStream, address: SocketAddr, path: &str) -> Option<bool> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = hyper::Request::get(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, concat!("zonelet/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let mut reply = pin!(sender.send_request(request));
    let reply = tokio::select! {
        reply = &mut reply => reply,
        // Who answers may close at once.
        _ = connection => reply.await,
    };
    Some(reply.ok()?.status().as_u16() < 400)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::zone::Probe;

    const LONG: Duration = Duration::from_secs(30);

    fn target(listener: &TcpListener, path: Option<&str>) -> ProbeTarget {
        let address = listener.local_addr().unwrap();
        ProbeTarget {
            address: address.ip(),
            probe: Probe { port: address.port(), path: path.map(Into::into) },
        }
    }

    /// Answers one request with `reply` and gives its first line.
    async fn serve(listener: &TcpListener, reply: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        stream.write_all(reply.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_port_that_accepts_connections_is_well_and_one_that_refuses_them_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(&listener, None);
        assert!(probe(&target, LONG).await);
        drop(listener);
        assert!(!probe(&target, LONG).await);
    }

    #[tokio::test]
    async fn a_path_has_to_answer_with_a_status_below_400() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(&listener, Some("/healthz?deep=1"));
        for (reply, is_well) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", true),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", false),
            ("SSH-2.0-OpenSSH\r\n", false),
            ("", false),
        ] {
            let (found, line) = tokio::join!(probe(&target, LONG), serve(&listener, reply));
            assert_eq!((found, line.as_str()), (is_well, "GET /healthz?deep=1 HTTP/1.1"), "{reply}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(!probe(&target(&listener, Some("/")), Duration::from_secs(2)).await);
    }
}
