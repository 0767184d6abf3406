//! Opening a connection to an upstream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::hosts::Host;
use crate::upstream::bootstrap::UpstreamNames;
use crate::upstream::secure::{Place, Secure};
use crate::upstream::server::Transport;

/// How long one address of a host is tried alone.
const STAGGER: Duration = Duration::from_millis(300);

/// What it takes to open a connection.
#[derive(Debug)]
pub(super) struct Dialer {
    at: At,
    how: How,
}

#[derive(Debug)]
enum At {
    Address(SocketAddr),
    Host(Host),
}

/// How it is spoken with.
#[derive(Clone, Debug)]
enum How {
    Tcp,
    #[cfg(feature = "tls")]
    Secure(Arc<super::tls::Trust>),
    #[cfg(not(feature = "tls"))]
    Secure(Arc<Secure>),
}

/// An open connection.
pub(super) enum Link {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    #[cfg(feature = "tls")]
    Https(hickory_net::h2::HttpsClientStream),
    #[cfg(feature = "doq")]
    Quic(hickory_net::quic::QuicClientStream),
}

impl Dialer {
    pub(super) fn new(address: SocketAddr, transport: &Transport, names: Arc<UpstreamNames>) -> Self {
        let Transport::Secure(secure) = transport else {
            return Self { at: At::Address(address), how: How::Tcp };
        };
        let at = match &secure.place {
            Place::Address(address) => At::Address(*address),
            Place::Host(name, port) => At::Host(Host::new(name.clone(), *port, names)),
        };
        Self { at, how: How::Secure(trust(secure)) }
    }

    /// Opens a connection to whichever address answers first. Of several one is tried alone for a
    /// moment, another one first each time.
    ///
    /// # Errors
    /// What the last address said.
    pub(super) async fn dial(&self) -> io::Result<Link> {
        let mut addresses = match &self.at {
            At::Address(address) => return self.how.clone().dial(*address).await,
            At::Host(host) => host.addresses().await?,
        };
        let first = rand::random_range(0..addresses.len().max(1));
        addresses.rotate_left(first);
        let mut next = addresses.into_iter();
        let (mut dialling, mut failed) = (JoinSet::new(), None);
        loop {
            let started = next.next().map(|address| dialling.spawn(self.how.clone().dial(address))).is_some();
            if !started && dialling.is_empty() {
                return Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
            }
            tokio::select! {
                Some(joined) = dialling.join_next() => match joined {
                    Ok(Ok(link)) => return Ok(link),
                    Ok(Err(error)) => failed = Some(error),
                    Err(_) => {}
                },
                () = sleep(STAGGER), if started => {}
            }
        }
    }
}

#[cfg(feature = "tls")]
fn trust(secure: &Arc<Secure>) -> Arc<super::tls::Trust> {
    super::tls::Trust::new(Arc::clone(secure))
}

#[cfg(not(feature = "tls"))]
fn trust(secure: &Arc<Secure>) -> Arc<Secure> {
    Arc::clone(secure)
}

impl How {
    async fn dial(self, address: SocketAddr) -> io::Result<Link> {
        match self {
            Self::Tcp => Ok(Link::Tcp(tcp(address).await?)),
            #[cfg(feature = "tls")]
            Self::Secure(trust) => trust.dial(address).await,
            #[cfg(not(feature = "tls"))]
            Self::Secure(secure) => {
                let text = format!("{address} is not asked: built without {}", secure.protocol.feature());
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }
}

/// A TCP connection that sends what it is given at once.
pub(super) async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
