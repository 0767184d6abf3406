//! Control messages: the local address of a datagram.
//!
//! They are walked as bytes with checked arithmetic, so that no content can make it panic.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::c_int;

/// Room for the control messages of one datagram: packet info needs 40 bytes.
pub(super) const CONTROL_MAX: usize = 64;

/// One datagram's control buffer, aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control(pub [u8; CONTROL_MAX]);

/// The address of ours that a datagram was sent to, and that the response must come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address. Never a multicast one.
    pub ip: IpAddr,
    /// The interface; 0 leaves it to the routing table, which is right for all but the
    /// link-local addresses of IPv6.
    pub ifindex: u32,
}

/// The address of ours that the kernel put into a control buffer; `None` when it was not asked for.
///
/// Unknown messages are skipped, and anything that does not hold together ends the walk.
pub(super) fn local_address(bytes: &[u8]) -> Option<Local> {
    messages(bytes).find_map(|(level, kind, data)| match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => local_v4(data),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => local_v6(data),
        _ => None,
    })
}

impl Control {
    /// An empty buffer.
    pub const EMPTY: Self = Self([0; CONTROL_MAX]);

    /// Writes the message that sets the source address, and says how long it is.
    pub fn set_source(&mut self, local: Local) -> usize {
        match local.ip {
            IpAddr::V4(ip) => {
                let mut info: libc::in_pktinfo = zero();
                info.ipi_spec_dst.s_addr = u32::from_ne_bytes(ip.octets());
                info.ipi_ifindex = c_int::try_from(local.ifindex).unwrap_or(0);
                self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, info)
            }
            IpAddr::V6(ip) => {
                let mut info: libc::in6_pktinfo = zero();
                info.ipi6_addr.s6_addr = ip.octets();
                info.ipi6_ifindex = local.ifindex;
                self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
            }
        }
    }

    fn put<T: Plain>(&mut self, level: c_int, kind: c_int, value: T) -> usize {
        let mut head: libc::cmsghdr = zero();
        head.cmsg_len = (HEAD + size_of::<T>()) as _;
        head.cmsg_level = level;
        head.cmsg_type = kind;
        write(&mut self.0, 0, head);
        write(&mut self.0, HEAD, value);
        HEAD + align(size_of::<T>())
    }
}

/// A header and the padding behind it.
const HEAD: usize = align(size_of::<libc::cmsghdr>());

const fn align(len: usize) -> usize {
    (len + size_of::<usize>() - 1) & !(size_of::<usize>() - 1)
}

fn messages(mut rest: &[u8]) -> impl Iterator<Item = (c_int, c_int, &[u8])> {
    std::iter::from_fn(move || {
        let head: libc::cmsghdr = read(rest)?;
        let len = head.cmsg_len as usize;
        let data = rest.get(HEAD..len)?;
        rest = rest.get(align(len)..).unwrap_or_default();
        Some((head.cmsg_level, head.cmsg_type, data))
    })
}

fn local_v4(data: &[u8]) -> Option<Local> {
    let info: libc::in_pktinfo = read(data)?;
    let ip = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
    (!ip.is_multicast()).then_some(Local { ip: ip.into(), ifindex: 0 })
}

fn local_v6(data: &[u8]) -> Option<Local> {
    let info: libc::in6_pktinfo = read(data)?;
    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    let ifindex = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
    (!ip.is_multicast()).then_some(Local { ip: ip.into(), ifindex })
}

/// A kernel structure made of integers only.
///
/// # Safety
/// Every pattern of bytes must be a value of the type.
unsafe trait Plain: Copy {}
// SAFETY: integers and arrays of them.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for libc::cmsghdr {}
// SAFETY: as above.
unsafe impl Plain for libc::in_pktinfo {}
// SAFETY: as above.
unsafe impl Plain for libc::in6_pktinfo {}

fn zero<T: Plain>() -> T {
    // SAFETY: zeros are a value of every `Plain` type.
    unsafe { std::mem::zeroed() }
}

fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    let raw = bytes.get(..size_of::<T>())?;
    // SAFETY: `raw` is as long as `T`, any bytes make a `T`, and the read is an unaligned one.
    Some(unsafe { raw.as_ptr().cast::<T>().read_unaligned() })
}

fn write<T: Plain>(bytes: &mut [u8], at: usize, value: T) {
    if let Some(raw) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..size_of::<T>())) {
        // SAFETY: `raw` is as long as `T`, and the write is an unaligned one.
        unsafe { raw.as_mut_ptr().cast::<T>().write_unaligned(value) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built(ip: &str, ifindex: u32) -> (Control, usize) {
        let mut control = Control::EMPTY;
        let len = control.set_source(Local { ip: ip.parse().unwrap(), ifindex });
        (control, len)
    }

    #[test]
    fn what_is_set_as_source_is_read_as_local_address() {
        for (ip, ifindex, kept) in [("127.0.0.2", 3, 0), ("fd00::2", 3, 0), ("fe80::1", 3, 3)] {
            let (control, len) = built(ip, ifindex);
            let local = local_address(&control.0[..len]);
            assert_eq!(local, Some(Local { ip: ip.parse().unwrap(), ifindex: kept }));
        }
    }

    #[test]
    fn a_multicast_destination_is_no_source() {
        for ip in ["224.0.0.1", "ff02::1"] {
            let (control, len) = built(ip, 1);
            assert_eq!(local_address(&control.0[..len]), None);
        }
    }

    #[test]
    fn other_messages_are_passed_over_and_cut_ones_are_none() {
        let mut other = Control::EMPTY;
        let front = other.put(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 77u32);
        let (control, len) = built("127.0.0.2", 0);
        let both = [&other.0[..front], &control.0[..len]].concat();
        assert_eq!(local_address(&both).map(|l| l.ip.to_string()), Some("127.0.0.2".into()));
        for cut in 0..front + HEAD {
            assert_eq!(local_address(&both[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = local_address(&bytes);
            prop_assert!(messages(&bytes).count() <= bytes.len());
        }
    }
}
