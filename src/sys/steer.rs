//! Which of two sockets on one address a QUIC packet comes to.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use libc::sock_filter;

/// The socket that has had the address for longer, and the one that came after it: sockets of a group are numbered in
/// the order in which they were bound.
const BEFORE: u32 = 0;
const AFTER: u32 = 1;

/// Has packets of QUIC whose connection id is eight bytes and begins with `tag` come to the first socket of the group
/// that `socket` is in, and all others to the second one.
///
/// Packets of a connection hold the id that the server has chosen (RFC 9000 §17): behind the first byte where the
/// header is short, behind version and length where it is long. As long as there is no second socket, and again once
/// there is only one, the kernel passes over what this says.
///
/// # Errors
/// The kernel's: it has no groups of sockets that can be told so, or `socket` is in none.
pub fn steer_by_tag(socket: &impl AsFd, tag: u16) -> io::Result<()> {
    let mut program = program(tag);
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads a `sock_fprog` of the given size and copies the instructions that it points at, which
    // live until the call returns.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the one UDP socket at just this address is the only one there, in this process and all others of its network
/// namespace. The one that asks is counted: it must have one there.
///
/// A socket is there until the last process that has a descriptor of it has closed that: what the kernel says is right
/// where a process has crashed, too.
///
/// # Errors
/// The kernel does not tell, or knows of none at all there.
pub fn is_alone(addr: SocketAddr) -> io::Result<bool> {
    // Twice: the table is read in pieces, and one that changes between two of them may lack a line.
    Ok(sockets_at(addr)? == 1 && sockets_at(addr)? == 1)
}

/// Counts the lines of the kernel's table that have `addr` in their second column.
fn sockets_at(addr: SocketAddr) -> io::Result<usize> {
    let table = if addr.is_ipv4() { "/proc/self/net/udp" } else { "/proc/self/net/udp6" };
    let (table, wanted) = (fs::read_to_string(table)?, in_hex(addr));
    let count = table.lines().filter(|line| line.split_whitespace().nth(1) == Some(&wanted)).count();
    if count == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(count) }
}

/// An address as it stands in the table: words of 32 bits of this machine, in hexadecimal, and the port.
fn in_hex(addr: SocketAddr) -> String {
    let bytes = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.as_chunks::<4>().0.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word)));
    format!("{}:{:04X}", words.collect::<String>(), addr.port())
}

/// In the kernel's first packet language; offsets count from the begin of the datagram.
fn program(tag: u16) -> [sock_filter; 10] {
    const BYTE: u16 = 0x30;
    const HALF: u16 = 0x28;
    const IF_ANY_BIT: u16 = 0x45;
    const IF_EQUAL: u16 = 0x15;
    const GO_ON: u16 = 0x05;
    const RETURN: u16 = 0x06;
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let test = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    [
        step(BYTE, 0),
        test(IF_ANY_BIT, 0x80, 2, 0),
        // A short header.
        step(HALF, 1),
        step(GO_ON, 3),
        // A long one: the length of the id, then the id.
        step(BYTE, 5),
        test(IF_EQUAL, 8, 0, 3),
        step(HALF, 6),
        test(IF_EQUAL, tag.into(), 0, 1),
        step(RETURN, BEFORE),
        step(RETURN, AFTER),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn grouped(bind: SocketAddr) -> UdpSocket {
        let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, None).unwrap();
        socket.set_reuse_port(bind.port() != 0).unwrap();
        socket.bind(&bind.into()).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.into()
    }

    fn read(socket: &UdpSocket) -> Vec<Vec<u8>> {
        socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 64];
        std::iter::from_fn(|| socket.recv(&mut bytes).ok().map(|len| bytes[..len].to_vec())).collect()
    }

    #[test]
    fn packets_go_to_whom_their_connection_id_was_made_by_and_new_ones_to_the_newer_socket() {
        const TAG: u16 = 0xa5c3;
        for bind in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let before = grouped(bind.parse().unwrap());
            let mut to = before.local_addr().unwrap();
            let after = grouped(to);
            steer_by_tag(&after, TAG).unwrap();
            to.set_ip(if bind.starts_with('0') { [127, 0, 0, 1].into() } else { to.ip() });
            let long = |len: u8, id: &[u8]| [&[0xc0, 0, 0, 0, 1, len], id, &[0; 8]].concat();
            let short = |id: &[u8]| [&[0x40], id, &[0; 8]].concat();
            let theirs = [short(&[0xa5, 0xc3, 1]), long(8, &[0xa5, 0xc3, 1])];
            let ours = [
                short(&[0xa5, 0xc4, 1]),
                long(8, &[0xa4, 0xc3, 1]),
                // What a client has drawn for its first packet.
                long(20, &[0xa5, 0xc3, 1]),
            ];
            for packet in theirs.iter().chain(&ours) {
                // From many ports, which the kernel would spread over both.
                for _ in 0..8 {
                    UdpSocket::bind((to.ip(), 0)).unwrap().send_to(packet, to).unwrap();
                }
            }
            let counted =
                |packets: &[Vec<u8>]| packets.iter().flat_map(|p| vec![p.clone(); 8]).collect::<Vec<_>>();
            assert_eq!((read(&before), read(&after)), (counted(&theirs), counted(&ours)), "{bind}");
            // One alone gets everything.
            drop(before);
            for packet in &theirs {
                UdpSocket::bind((to.ip(), 0)).unwrap().send_to(packet, to).unwrap();
            }
            assert_eq!(read(&after).len(), theirs.len(), "{bind}");
        }
    }

    /// A packet of a connection whose id begins with `tag`.
    fn of_connection(tag: u16) -> Vec<u8> {
        [&[0x40], &tag.to_be_bytes()[..], &[0; 14]].concat()
    }

    /// Sends `packet` from many ports, which the kernel would spread over all, and returns what comes to each.
    fn spread(packet: &[u8], to: SocketAddr, sockets: &[&UdpSocket]) -> Vec<usize> {
        for _ in 0..12 {
            UdpSocket::bind((to.ip(), 0)).unwrap().send_to(packet, to).unwrap();
        }
        sockets.iter().map(|socket| read(socket).len()).collect()
    }

    #[test]
    fn who_is_left_keeps_its_connections_whoever_comes_later() {
        let (first, second, third) = (0x1111, 0x2222, 0x3333);
        let a = grouped("127.0.0.1:0".parse().unwrap());
        let to = a.local_addr().unwrap();
        let b = grouped(to);
        steer_by_tag(&b, first).unwrap();
        assert_eq!(spread(&of_connection(first), to, &[&a, &b]), [12, 0]);
        assert_eq!(spread(&of_connection(second), to, &[&a, &b]), [0, 12]);
        drop(a);
        assert!(is_alone(to).unwrap());
        steer_by_tag(&b, second).unwrap();
        let c = grouped(to);
        assert_eq!(spread(&of_connection(second), to, &[&b, &c]), [12, 0], "what is open stays");
        assert_eq!(spread(&of_connection(third), to, &[&b, &c]), [0, 12], "what is new is the newer one's");
        drop(c);
        assert_eq!(spread(&of_connection(third), to, &[&b]), [12]);
    }

    #[test]
    fn a_socket_is_alone_until_another_has_its_very_address_and_again_once_that_is_closed() {
        for bind in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let one = grouped(bind.parse().unwrap());
            let addr = one.local_addr().unwrap();
            assert!(is_alone(addr).unwrap(), "{bind}");
            let other = grouped(addr);
            assert!(!is_alone(addr).unwrap(), "{bind}");
            let second = other.try_clone().unwrap();
            drop(other);
            assert!(!is_alone(addr).unwrap(), "{bind}: a descriptor is left of it");
            drop(second);
            assert!(is_alone(addr).unwrap(), "{bind}");
            drop(one);
            assert!(is_alone(addr).is_err(), "{bind}: nobody is there");
        }
    }

    #[test]
    fn a_socket_without_a_group_is_an_error() {
        let alone = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(steer_by_tag(&alone, 1).is_err());
    }
}
