//! The end of a connection whose client still sends: it is to read what it was told.

use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::stream::Stream;
use super::tls::Encrypted;
use crate::metrics::CloseReason;

/// What a client goes on sending is read for so long, and up to so many bytes.
const LAST_WAIT: Duration = Duration::from_secs(1);
const LAST_BYTES: usize = 256 << 10;

/// Bytes thrown away at a time.
const GULP: usize = 4096;

/// Ends a connection of HTTPS, for `reason`.
///
/// Bytes that lie unread when a socket is closed have the kernel send a reset, and the client loses the status or the
/// GOAWAY that it was just sent. So our half is closed first, and what comes is read and thrown away until the client
/// has closed its own. The connection keeps its place meanwhile, so that there are no more of these than of others.
pub(super) async fn close(stream: TlsStream<TcpStream>, reason: CloseReason) {
    if matches!(reason, CloseReason::Cut | CloseReason::SlowReader) {
        return;
    }
    let mut stream = Encrypted::new(stream);
    stream.say_goodbye();
    let socket = stream.socket();
    if SockRef::from(socket).shutdown(Shutdown::Write).is_err() {
        return;
    }
    // Who has been silent for long is not waited for: it has nothing to say.
    let is_silent = matches!(reason, CloseReason::Idle | CloseReason::Drain);
    let _ = timeout(LAST_WAIT, throw_away(socket, is_silent)).await;
}

async fn throw_away(socket: &TcpStream, is_silent: bool) {
    let mut left = LAST_BYTES;
    loop {
        match socket.try_read(&mut [0; GULP]) {
            Ok(0) => return,
            Ok(read) => left = left.saturating_sub(read),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock && !is_silent => {}
            Err(_) => return,
        }
        if left == 0 || socket.readable().await.is_err() {
            return;
        }
    }
}
