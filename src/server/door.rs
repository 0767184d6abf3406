//! Listeners beside plain UDP and TCP: for TLS, HTTPS and QUIC.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::bind::BindError;
use super::settings::Settings;
use super::tcp::{Door, Shared};
use crate::answer::Responder;
use crate::metrics::{Proto, ServerMetrics};
#[cfg(feature = "tls")]
use crate::sys::SocketName;

/// What is accepted by a TCP listener.
#[derive(Clone)]
pub(super) enum Kind {
    /// DNS as it is.
    Plain,
    /// DNS over TLS.
    #[cfg(feature = "tls")]
    Tls(super::tls::Acceptor),
    /// DNS over HTTPS, at this path.
    #[cfg(feature = "tls")]
    Https(super::tls::Acceptor, Arc<str>),
}

/// A bound listener of an encrypted transport.
#[derive(Debug)]
pub(super) struct Front {
    pub proto: Proto,
    /// As it was asked for: port 0 may stand in it.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "nothing is bound then"))]
    pub asked: SocketAddr,
    /// With its real port.
    pub addr: SocketAddr,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "nothing is bound then"))]
    pub socket: FrontSocket,
}

/// The socket of a [`Front`].
#[derive(Debug)]
pub(super) enum FrontSocket {
    /// For TLS and HTTPS.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "nothing is bound then"))]
    Stream(TcpListener),
    /// For QUIC.
    #[cfg_attr(not(feature = "doq"), allow(dead_code, reason = "nothing is bound then"))]
    Datagram(UdpSocket),
    /// For QUIC, beside this socket of another process, whose connections have ids that begin so. It is bound only
    /// when it is served: from then on all new connections come by it.
    #[cfg_attr(not(feature = "doq"), allow(dead_code, reason = "nothing is bound then"))]
    Beside(OwnedFd, u16),
}

/// The certificate of all encrypted listeners.
#[cfg(feature = "tls")]
pub(super) type Identity = super::certificate::Identity;
/// There is none without the feature `tls`.
#[cfg(not(feature = "tls"))]
pub(super) type Identity = std::convert::Infallible;

/// Reads the certificate, where one is needed. One that cannot be used is waited for: nothing else may suffer from it.
pub(super) fn identity(
    settings: &Settings,
    metrics: &Arc<ServerMetrics>,
) -> Result<Option<Arc<Identity>>, BindError> {
    if !settings.is_encrypted() {
        return Ok(None);
    }
    for (list, proto, is_built) in [
        (&settings.tls, Proto::Tls, cfg!(feature = "tls")),
        (&settings.https, Proto::Https, cfg!(feature = "tls")),
        (&settings.quic, Proto::Quic, cfg!(feature = "doq")),
    ] {
        if !is_built && !list.is_empty() {
            return Err(BindError::NotBuilt(proto));
        }
    }
    load(settings, metrics).map(Some)
}

#[cfg(feature = "tls")]
fn load(settings: &Settings, metrics: &Arc<ServerMetrics>) -> Result<Arc<Identity>, BindError> {
    let files = settings.certificate.clone().ok_or(BindError::NoCertificate)?;
    Ok(Arc::new(Identity::load(files, Arc::clone(metrics))))
}

#[cfg(not(feature = "tls"))]
fn load(_: &Settings, _: &Arc<ServerMetrics>) -> Result<Arc<Identity>, BindError> {
    Err(BindError::NotBuilt(Proto::Tls))
}

/// Starts accepting; runs on the runtime. Returns what another process can take over.
#[cfg(feature = "tls")]
pub(super) fn open<R: Responder>(
    fronts: Vec<Front>,
    identity: Option<&Arc<Identity>>,
    path: &str,
    shared: &Arc<Shared<R>>,
) -> io::Result<Vec<Arc<Door>>> {
    use super::{https, tls};

    let mut doors = Vec::new();
    let Some(identity) = identity else { return Ok(doors) };
    let acceptor = |protocols: &[&[u8]]| tls::Acceptor::new(identity, protocols).map_err(io::Error::other);
    let tasks = &shared.lifeline.tasks;
    // No connection's task: who waits for those to end must not wait for this one.
    tokio::spawn(Arc::clone(identity).run(shared.lifeline.drain.clone()));
    for front in fronts {
        match front.socket {
            FrontSocket::Stream(listener) => {
                let kind = match front.proto {
                    Proto::Https => Kind::Https(acceptor(&https::PROTOCOLS)?, path.into()),
                    _ => Kind::Tls(acceptor(&[tls::PROTOCOL])?),
                };
                let name = SocketName::new(front.proto.label(), front.asked, front.addr, 0);
                let listener = Arc::new(tokio::net::TcpListener::from_std(listener)?);
                let door = Door::new(name, &listener, &shared.lifeline);
                doors.push(Arc::clone(&door));
                tasks.spawn(Arc::clone(shared).accept(listener, door, kind));
            }
            #[cfg(feature = "doq")]
            FrontSocket::Datagram(_) | FrontSocket::Beside(..) => {
                let (socket, tag) = super::quic::bound(front.socket, front.addr)?;
                let listener = super::quic::Listener::new(socket, tag, identity)?;
                let name = SocketName::new(front.proto.label(), front.asked, front.addr, tag.number().into());
                let door = Door::new(name, &listener.socket, &shared.lifeline);
                doors.push(Arc::clone(&door));
                tasks.spawn(listener.run(Arc::clone(shared), door));
            }
            #[cfg(not(feature = "doq"))]
            FrontSocket::Datagram(_) | FrontSocket::Beside(..) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
    }
    Ok(doors)
}

/// There is nothing to be opened without the feature `tls`: nothing was bound.
#[cfg(not(feature = "tls"))]
pub(super) fn open<R: Responder>(
    _: Vec<Front>,
    _: Option<&Arc<Identity>>,
    _: &str,
    _: &Arc<Shared<R>>,
) -> io::Result<Vec<Arc<Door>>> {
    Ok(Vec::new())
}
