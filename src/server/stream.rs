//! What a connection reads from and writes to without waiting: TCP itself, or TLS on top of it.

use std::future::Future;
use std::io::{self, Read};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::answer::Transport;

/// A stream that is asked to read or write only what it can at once.
pub(super) trait Stream: Send + Sync + 'static {
    /// How queries that come by it are said to have come.
    const TRANSPORT: Transport;

    /// The connection below.
    fn socket(&self) -> &TcpStream;

    /// Waits until there may be something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Reads what is there; 0 is the end. Of the socket's bytes no more than `arrived`, where it is some
    /// number, which is counted down.
    ///
    /// # Errors
    /// `WouldBlock` while there is nothing; else the connection is gone.
    fn try_read(&mut self, into: &mut [u8], arrived: &mut Option<usize>) -> io::Result<usize>;

    /// Takes as many of `bytes` as can be taken now.
    ///
    /// # Errors
    /// `WouldBlock` while none can; else the connection is gone.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Hands the socket what has been taken and is held, and says whether nothing is held any more.
    ///
    /// # Errors
    /// The connection's: it is gone.
    fn try_flush(&mut self) -> io::Result<bool>;

    /// Says to the client that no more comes, as far as that can be said at once.
    fn say_goodbye(&mut self) {}
}

impl Stream for TcpStream {
    const TRANSPORT: Transport = Transport::Tcp;

    fn socket(&self) -> &TcpStream {
        self
    }

    async fn readable(&self) -> io::Result<()> {
        TcpStream::readable(self).await
    }

    fn try_read(&mut self, into: &mut [u8], arrived: &mut Option<usize>) -> io::Result<usize> {
        read_arrived(self, into, arrived)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Reads from the socket, in a drain only what had arrived when it began.
pub(super) fn read_arrived(
    socket: &TcpStream,
    into: &mut [u8],
    arrived: &mut Option<usize>,
) -> io::Result<usize> {
    let Some(arrived) = arrived else { return socket.try_read(into) };
    if *arrived == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let len = into.len().min(*arrived);
    // Asks the kernel itself: the runtime may not have heard of the latest bytes yet.
    let read = (&*SockRef::from(socket)).read(into.get_mut(..len).unwrap_or_default())?;
    *arrived -= read;
    Ok(read)
}
