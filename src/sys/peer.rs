//! Addresses of peers as the kernel reads and writes them.

use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A place for the address of either family, no larger than it has to be.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union Peer {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Bytes of an IPv4 address with its port and family.
const V4: usize = size_of::<libc::sockaddr_in>();
/// Bytes of an IPv6 address with its port, flow, scope and family.
const V6: usize = size_of::<libc::sockaddr_in6>();

impl Peer {
    /// No address.
    pub const NOBODY: Self = Self {
        // SAFETY: integers, for which zeros are a value.
        v6: unsafe { std::mem::zeroed() },
    };

    /// The length that a receive may fill.
    pub const ROOM: libc::socklen_t = size_of::<Self>() as libc::socklen_t;

    /// The address that the kernel wrote, and said to be `len` bytes long; `None` if there is none
    /// or it is of another family.
    pub fn get(&self, len: libc::socklen_t) -> Option<SocketAddr> {
        // SAFETY: all bytes are initialised since `NOBODY`, the fields are integers, and both
        // variants begin with the family.
        let (family, v4) = unsafe { (i32::from(self.v4.sin_family), &self.v4) };
        match (family, len as usize) {
            (libc::AF_INET, V4) => {
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            (libc::AF_INET6, V6) => {
                // SAFETY: as above.
                let v6 = unsafe { &self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// Puts an address in, and says how long it is.
    pub fn set(&mut self, addr: SocketAddr) -> libc::socklen_t {
        match addr {
            SocketAddr::V4(addr) => {
                // SAFETY: integers, for which zeros are a value.
                let mut v4: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                v4.sin_family = libc::AF_INET as libc::sa_family_t;
                v4.sin_port = addr.port().to_be();
                v4.sin_addr.s_addr = u32::from_ne_bytes(addr.ip().octets());
                self.v4 = v4;
                V4 as libc::socklen_t
            }
            SocketAddr::V6(addr) => {
                // SAFETY: integers, for which zeros are a value.
                let mut v6: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
                v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                v6.sin6_port = addr.port().to_be();
                v6.sin6_flowinfo = addr.flowinfo();
                v6.sin6_addr.s6_addr = addr.ip().octets();
                v6.sin6_scope_id = addr.scope_id();
                self.v6 = v6;
                V6 as libc::socklen_t
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_got_back_and_the_kernel_agrees() {
        for text in ["127.0.0.2:53", "255.255.255.255:65535", "[::1]:53", "[fe80::1%7]:5353"] {
            let addr: SocketAddr = text.parse().unwrap();
            let mut peer = Peer::NOBODY;
            let len = peer.set(addr);
            assert_eq!(peer.get(len), Some(addr));
            assert!(len <= Peer::ROOM);
            let other = socket2::SockAddr::from(addr);
            assert_eq!(len, other.len());
        }
    }

    #[test]
    fn a_length_or_family_that_does_not_fit_is_no_address() {
        let mut peer = Peer::NOBODY;
        assert_eq!(peer.get(0), None);
        assert_eq!(peer.get(V4 as libc::socklen_t), None);
        let len = peer.set("127.0.0.1:53".parse().unwrap());
        assert_eq!((peer.get(len - 1), peer.get(V6 as libc::socklen_t)), (None, None));
    }
}
