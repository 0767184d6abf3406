//! Sockets for every listen address, bound before anything starts.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

use super::Settings;
use super::door::{Front, FrontSocket};
use crate::metrics::Proto;
use crate::sys::{self, Estate};

/// Connections the kernel completes ahead of `accept`.
pub(super) const BACKLOG: i32 = 1024;

/// Kernel memory for one TCP connection's queries and responses; both are set so that they do not
/// grow to the megabytes that a client which only sends, or never reads, could otherwise fill.
const TCP_RECEIVE_BUFFER: usize = 64 << 10;
const TCP_SEND_BUFFER: usize = 128 << 10;

/// How often a port that UDP got is given up because TCP could not have it.
const PORT_TRIES: usize = 16;

/// The longest a worker waits for room in a socket's send buffer.
const SEND_WAIT: Duration = Duration::from_millis(100);

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The settings name no address.
    #[error("no address to listen on")]
    NoAddress,
    /// Every address was of a family that this host does not have.
    #[error("this host has none of the address families of {}", list(.0))]
    NoFamily(Vec<SocketAddr>),
    /// The settings name an encrypted listener that this build does not have.
    #[error("{} is not part of this build", .0.label())]
    NotBuilt(Proto),
    /// The settings name an encrypted listener and no certificate.
    #[error("encrypted listeners need server.certificate and server.key")]
    NoCertificate,
    /// One address could not be had; needs an operator.
    #[error("cannot listen on {addr} over {}: {hint}", proto.label())]
    Refused {
        /// The address as asked for.
        addr: SocketAddr,
        /// What it was asked for.
        proto: Proto,
        /// What to do about it.
        hint: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

fn list(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// The sockets of one listen address.
#[derive(Debug)]
pub(super) struct Place {
    /// As it was asked for: port 0 may stand in it.
    pub asked: SocketAddr,
    /// With its real port, the same for UDP and TCP.
    pub addr: SocketAddr,
    /// One for each worker, in one SO_REUSEPORT group.
    pub udp: Vec<UdpSocket>,
    /// Workers without a socket yet, see [`Place::complete`].
    pub lacking: usize,
    /// Listening, non-blocking.
    pub tcp: TcpListener,
    /// The smallest receive buffer the kernel gave, bytes.
    pub receive_buffer: usize,
}

impl Place {
    /// Binds the sockets that are lacking, just before all are read: one that joins the group of sockets that another
    /// process reads gets its share of the queries at once.
    ///
    /// # Errors
    /// The kernel's; those that are there will do.
    pub fn complete(&mut self, settings: &Settings) -> io::Result<()> {
        for _ in 0..std::mem::take(&mut self.lacking) {
            let (socket, given) = udp_socket(self.addr, false, settings)?;
            self.receive_buffer = self.receive_buffer.min(given);
            self.udp.push(socket);
        }
        Ok(())
    }
}

/// What the sockets of DNS over UDP and over TCP are called when they are handed over.
pub(super) const UDP: &str = "udp";
pub(super) const TCP: &str = "tcp";

/// Has everything `settings` asks for, or nothing: what `estate` has of it is taken, the rest is bound.
pub(super) fn bind_all(settings: &Settings, estate: &mut Estate) -> Result<Vec<Place>, BindError> {
    let wanted = distinct(&settings.listen);
    let mut places = Vec::with_capacity(wanted.len());
    for &addr in &wanted {
        match bind_place(addr, settings, estate) {
            Ok(place) => places.push(place),
            Err((_, e)) if is_missing_family(addr, &e) => {
                warn!(%addr, error = %e, "this host lacks the address family, not listening there");
            }
            Err((proto, source)) => {
                return Err(BindError::Refused { addr, proto, hint: hint(addr, &source), source });
            }
        }
    }
    match (wanted.is_empty(), places.is_empty()) {
        (true, _) => Err(BindError::NoAddress),
        (false, true) => Err(BindError::NoFamily(wanted)),
        (false, false) => Ok(places),
    }
}

/// Binds the listeners of encrypted transports that `settings` asks for, or none.
pub(super) fn bind_fronts(settings: &Settings, estate: &mut Estate) -> Result<Vec<Front>, BindError> {
    let lists = [(Proto::Tls, &settings.tls), (Proto::Https, &settings.https), (Proto::Quic, &settings.quic)];
    let wanted =
        lists.into_iter().flat_map(|(proto, list)| distinct(list).into_iter().map(move |a| (proto, a)));
    let mut fronts = Vec::new();
    for (proto, addr) in wanted {
        match bind_front(proto, addr, estate) {
            Ok(front) => fronts.push(front),
            Err(e) if is_missing_family(addr, &e) => {
                warn!(%addr, error = %e, "this host lacks the address family, not listening there");
            }
            Err(source) => return Err(BindError::Refused { addr, proto, hint: hint(addr, &source), source }),
        }
    }
    Ok(fronts)
}

fn bind_front(proto: Proto, asked: SocketAddr, estate: &mut Estate) -> io::Result<Front> {
    let addr = estate.addr_of(proto.label(), asked).unwrap_or(asked);
    let is_alone = addr.port() == 0;
    if proto != Proto::Quic {
        let listener = match estate.take(proto.label(), addr, true) {
            Some(taken) => taken.into(),
            None => tcp_listener(addr, is_alone)?,
        };
        return Ok(Front {
            proto,
            asked,
            addr: listener.local_addr()?,
            socket: FrontSocket::Stream(listener),
        });
    }
    let before = estate.take_named(proto.label(), addr, false);
    if let Some((tag, before)) = before.and_then(|(index, socket)| Some((u16::try_from(index).ok()?, socket)))
    {
        return Ok(Front { proto, asked, addr, socket: FrontSocket::Beside(before, tag) });
    }
    let socket = quic_socket(addr, is_alone)?;
    Ok(Front { proto, asked, addr: socket.local_addr()?, socket: FrontSocket::Datagram(socket) })
}

/// A socket for QUIC; on an address that is served already it gets its share of the packets at once.
pub(super) fn quic_socket(addr: SocketAddr, is_alone: bool) -> io::Result<UdpSocket> {
    let socket = bound(addr, Type::DGRAM, Protocol::UDP, is_alone)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Each address once, v4-mapped ones as what they are. Port 0 is a new port every time.
fn distinct(listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut wanted: Vec<SocketAddr> = Vec::with_capacity(listen.len());
    for addr in listen {
        let addr = match addr.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::from((ip, addr.port())),
            IpAddr::V6(_) => *addr,
        };
        if addr.port() == 0 || !wanted.contains(&addr) {
            wanted.push(addr);
        }
    }
    wanted
}

fn bind_place(
    addr: SocketAddr,
    settings: &Settings,
    estate: &mut Estate,
) -> Result<Place, (Proto, io::Error)> {
    if let Some(real) = estate.addr_of(UDP, addr).or_else(|| estate.addr_of(TCP, addr)) {
        return take_place(addr, real, settings, estate);
    }
    let mut tries = if addr.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match try_place(addr, settings) {
            Err((Proto::Tcp, e)) if tries > 0 && e.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

/// The place that another process had at `real`, with as many of its sockets as there are to be workers. Those that it
/// did not have are lacking.
fn take_place(
    asked: SocketAddr,
    real: SocketAddr,
    settings: &Settings,
    estate: &mut Estate,
) -> Result<Place, (Proto, io::Error)> {
    let udp_failed = |e| (Proto::Udp, e);
    let (mut udp, mut receive_buffer) = (Vec::new(), usize::MAX);
    while udp.len() < settings.workers {
        let Some(taken) = estate.take(UDP, real, false) else { break };
        let (socket, given) = configured(taken.into(), real, settings).map_err(udp_failed)?;
        receive_buffer = receive_buffer.min(given);
        udp.push(socket);
    }
    if udp.is_empty() {
        let (socket, given) = udp_socket(real, false, settings).map_err(udp_failed)?;
        receive_buffer = given;
        udp.push(socket);
    }
    let lacking = settings.workers - udp.len();
    let tcp = match estate.take(TCP, real, true) {
        Some(taken) => Ok(taken.into()),
        None => tcp_listener(real, false),
    };
    let tcp = tcp.map_err(|e| (Proto::Tcp, e))?;
    Ok(Place { asked, addr: real, udp, lacking, tcp, receive_buffer })
}

fn try_place(addr: SocketAddr, settings: &Settings) -> Result<Place, (Proto, io::Error)> {
    let udp_failed = |e| (Proto::Udp, e);
    let (first, mut receive_buffer) = udp_socket(addr, addr.port() == 0, settings).map_err(udp_failed)?;
    let real = first.local_addr().map_err(udp_failed)?;
    let mut udp = vec![first];
    while udp.len() < settings.workers {
        let (socket, given) = udp_socket(real, false, settings).map_err(udp_failed)?;
        receive_buffer = receive_buffer.min(given);
        udp.push(socket);
    }
    let tcp = tcp_listener(real, addr.port() == 0).map_err(|e| (Proto::Tcp, e))?;
    Ok(Place { asked: addr, addr: real, udp, lacking: 0, tcp, receive_buffer })
}

/// A worker's socket and the receive buffer it got.
fn udp_socket(addr: SocketAddr, is_alone: bool, settings: &Settings) -> io::Result<(UdpSocket, usize)> {
    configured(bound(addr, Type::DGRAM, Protocol::UDP, is_alone)?, addr, settings)
}

/// The same for a socket that is bound.
fn configured(socket: Socket, addr: SocketAddr, settings: &Settings) -> io::Result<(UdpSocket, usize)> {
    socket.set_write_timeout(Some(SEND_WAIT))?;
    let socket = UdpSocket::from(socket);
    sys::ignore_path_mtu(&socket)?;
    if addr.ip().is_unspecified() {
        sys::report_local_address(&socket)?;
    }
    let given = sys::receive_buffer(&socket, settings.receive_buffer)?;
    Ok((socket, given))
}

fn tcp_listener(addr: SocketAddr, is_alone: bool) -> io::Result<TcpListener> {
    let socket = bound(addr, Type::STREAM, Protocol::TCP, is_alone)?;
    socket.set_nonblocking(true)?;
    // Inherited by every connection.
    socket.set_recv_buffer_size(TCP_RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(TCP_SEND_BUFFER)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A bound socket in the SO_REUSEPORT group of its port. `is_alone` asks for a port that nobody
/// has yet: it joins only afterwards, since on port 0 the kernel may pick the port of a group.
fn bound(addr: SocketAddr, kind: Type, protocol: Protocol, is_alone: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(!is_alone)?;
    socket.bind(&addr.into())?;
    socket.set_reuse_port(true)?;
    Ok(socket)
}

/// Whether `e` means that the host has no such addresses at all: the family is compiled out, or
/// IPv6 is switched off and not even loopback is there.
fn is_missing_family(addr: SocketAddr, e: &io::Error) -> bool {
    let is_unsupported = e.raw_os_error() == Some(libc::EAFNOSUPPORT);
    let is_loopback = addr.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST);
    is_unsupported || (is_loopback && e.kind() == io::ErrorKind::AddrNotAvailable)
}

fn hint(addr: SocketAddr, e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::PermissionDenied if addr.port() < 1024 => "ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::PermissionDenied => "not permitted to this user",
        io::ErrorKind::AddrInUse => "another program listens there; find it with `ss -lntup`",
        io::ErrorKind::AddrNotAvailable => "no interface of this host has the address",
        _ => "the kernel refused",
    }
}

#[cfg(test)]
mod tests;
