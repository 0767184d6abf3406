//! Listening sockets by name: how a process knows again what another one hands it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};
use socket2::{SockRef, Type};

/// What a listening socket is called. Two processes of one configuration have the same names for theirs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SocketName {
    /// What is spoken on it: `udp`, `tcp`, `tls`, `https`, `quic`, `http`, `admin`. A kind that nobody knows is left
    /// alone.
    pub kind: String,
    /// The address as configured, where port 0 may stand; a path for Unix sockets.
    pub asked: String,
    /// The address as bound.
    pub addr: String,
    /// Which of several of the same address; of `quic`, what its connections' ids begin with.
    #[serde(default)]
    pub index: u32,
}

impl SocketName {
    /// The name of socket `index` bound to `addr` because `asked` was configured.
    pub fn new(kind: &str, asked: SocketAddr, addr: SocketAddr, index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self { kind: kind.to_owned(), asked: asked.to_string(), addr: addr.to_string(), index }
    }

    /// The name of a Unix socket.
    pub fn of_path(kind: &str, path: &std::path::Path) -> Self {
        let path = path.to_string_lossy().into_owned();
        Self { kind: kind.to_owned(), asked: path.clone(), addr: path, index: 0 }
    }
}

/// Sockets that another process has handed over, each to be taken once. What is not taken is closed here and stays
/// the other's.
#[derive(Debug, Default)]
pub struct Estate {
    sockets: Vec<(SocketName, OwnedFd)>,
    taken: Vec<SocketName>,
}

impl Estate {
    /// These sockets, none of them taken.
    pub fn new(sockets: Vec<(SocketName, OwnedFd)>) -> Self {
        Self { sockets, taken: Vec::new() }
    }

    /// The address that the first socket of `kind` for `asked` is bound to.
    pub fn addr_of(&self, kind: &str, asked: SocketAddr) -> Option<SocketAddr> {
        let asked = asked.to_string();
        let name = self.sockets.iter().map(|(name, _)| name).find(|n| n.kind == kind && n.asked == asked);
        name.and_then(|name| name.addr.parse().ok())
    }

    /// Takes the socket of `kind` that is bound to `addr`: of several the one with the lowest index. One that is not
    /// what its name says is passed over.
    pub fn take(&mut self, kind: &str, addr: SocketAddr, is_stream: bool) -> Option<OwnedFd> {
        self.take_named(kind, addr, is_stream).map(|(_, socket)| socket)
    }

    /// [`Estate::take`] with the socket's index.
    pub fn take_named(&mut self, kind: &str, addr: SocketAddr, is_stream: bool) -> Option<(u32, OwnedFd)> {
        self.take_where(|name, socket| {
            name.kind == kind && name.addr == addr.to_string() && is_bound(socket, addr, is_stream)
        })
    }

    /// Takes the Unix socket of `kind` at `path`.
    pub fn take_path(&mut self, kind: &str, path: &std::path::Path) -> Option<OwnedFd> {
        let wanted = SocketName::of_path(kind, path);
        self.take_where(|name, socket| {
            let listens = || SockRef::from(&socket).is_listener().unwrap_or(false);
            *name == wanted && listens()
        })
        .map(|(_, socket)| socket)
    }

    fn take_where(&mut self, is_it: impl Fn(&SocketName, &OwnedFd) -> bool) -> Option<(u32, OwnedFd)> {
        let all = self.sockets.iter().enumerate().filter(|(_, (name, socket))| is_it(name, socket));
        let (at, _) = all.min_by_key(|(_, (name, _))| name.index)?;
        let (name, socket) = self.sockets.swap_remove(at);
        let index = name.index;
        self.taken.push(name);
        Some((index, socket))
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.sockets.len()
    }

    /// The names of what was taken so far.
    pub fn taken(&self) -> &[SocketName] {
        &self.taken
    }

    /// The names of what was taken; the rest is closed.
    pub fn close(self) -> Vec<SocketName> {
        self.taken
    }
}

fn is_bound(socket: &OwnedFd, addr: SocketAddr, is_stream: bool) -> bool {
    let socket = SockRef::from(socket);
    let kind = if is_stream { Type::STREAM } else { Type::DGRAM };
    socket.local_addr().is_ok_and(|local| local.as_socket() == Some(addr))
        && socket.r#type().is_ok_and(|found| found == kind)
        && (!is_stream || socket.is_listener().unwrap_or(false))
}

/// A second descriptor of the same socket.
///
/// # Errors
/// No descriptor is left.
pub fn duplicate(socket: &impl AsFd) -> io::Result<OwnedFd> {
    socket.as_fd().try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn sockets_are_taken_once_by_name_and_only_if_they_are_what_it_says() {
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let [u, t] = [udp.local_addr().unwrap(), tcp.local_addr().unwrap()];
        let asked: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let second = duplicate(&udp).unwrap();
        let mut estate = Estate::new(vec![
            (SocketName::new("udp", asked, u, 1), second),
            (SocketName::new("udp", asked, u, 0), udp.into()),
            (SocketName::new("tcp", asked, t, 0), tcp.into()),
            (SocketName::new("tcp", asked, u, 0), UdpSocket::bind("127.0.0.1:0").unwrap().into()),
            (SocketName::new("smoke signals", asked, u, 0), UdpSocket::bind("127.0.0.1:0").unwrap().into()),
        ]);
        assert_eq!(estate.addr_of("udp", asked), Some(u));
        assert_eq!(estate.addr_of("udp", u), None);
        assert!(estate.take("tcp", u, true).is_none(), "a UDP socket called tcp");
        assert!(estate.take("tcp", t, true).is_some() && estate.take("tcp", t, true).is_none());
        assert!(estate.take("udp", u, false).is_some() && estate.take("udp", u, false).is_some());
        assert_eq!(estate.left(), 2);
        let taken = estate.close();
        let names: Vec<_> = taken.iter().map(|name| (name.kind.as_str(), name.index)).collect();
        assert_eq!(names, [("tcp", 0), ("udp", 0), ("udp", 1)]);
    }
}
