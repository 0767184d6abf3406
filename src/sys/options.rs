//! Socket options that socket2 does not have.

use std::io;
use std::mem::size_of;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use libc::c_int;
use socket2::SockRef;

/// Makes the kernel say to which of our addresses each datagram was sent
/// (`IP_PKTINFO`, `IPV6_RECVPKTINFO`). Needed on wildcard sockets only.
///
/// # Errors
/// The kernel's, which has had both options for decades.
pub fn report_local_address(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv4() {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    }
}

/// How many datagrams the kernel has dropped on their way into this socket, most of them because
/// its queue was full (`SO_MEMINFO`). Wraps around.
///
/// Cost: a system call, and nothing for a datagram, unlike `SO_RXQ_OVFL`, which adds a control
/// message to each (5 % of a query).
///
/// # Errors
/// The kernel's, which has had the option since 4.12.
pub fn lost_datagrams(socket: &UdpSocket) -> io::Result<u32> {
    let mut info = [0u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut len = size_of_val(&info) as libc::socklen_t;
    let fd = socket.as_raw_fd();
    // SAFETY: the kernel writes at most `len` bytes to `info`, and the length to `len`; both
    // outlive the call, and any bytes are a `u32`.
    let done = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if done == 0 { Ok(info[libc::SK_MEMINFO_DROPS as usize]) } else { Err(io::Error::last_os_error()) }
}

/// Makes responses ignore path MTU discovery: they are never fragmented, here or on the way
/// (RFC 9715 §3.1), and forged ICMP messages cannot shrink them. One that is longer than the
/// interface's MTU is an error when it is sent.
///
/// Cost: less than nothing. Without DF the kernel draws an identification for each datagram.
///
/// # Errors
/// The kernel's.
pub fn ignore_path_mtu(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv4() {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    }
}

/// Asks for a receive buffer of `bytes` and returns what the kernel gave.
///
/// With CAP_NET_ADMIN the system's limit does not count; without it the kernel silently gives at
/// most `net.core.rmem_max`.
///
/// # Errors
/// The kernel's.
pub fn receive_buffer(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    let asked = c_int::try_from(bytes).unwrap_or(c_int::MAX / 2);
    let plain = SockRef::from(socket);
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, asked).is_err() {
        plain.set_recv_buffer_size(bytes)?;
    }
    // The kernel books twice what was asked for, for its own overhead.
    Ok(plain.recv_buffer_size()? / 2)
}

/// How many bytes of a stream have arrived and were not read (`FIONREAD`).
///
/// # Errors
/// The kernel's.
pub fn readable_bytes(stream: &impl AsFd) -> io::Result<usize> {
    let mut bytes: c_int = 0;
    let fd = stream.as_fd().as_raw_fd();
    // SAFETY: this request writes one `c_int` to the pointer, which outlives the call.
    let done = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut bytes) };
    if done == 0 { Ok(usize::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

fn set(socket: &UdpSocket, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<c_int>()` bytes from `value`, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn unread_bytes_of_a_stream_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(readable_bytes(&server).unwrap(), 0);
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 2]).unwrap();
        assert_eq!(readable_bytes(&server).unwrap(), 3);
    }

    #[test]
    fn every_option_is_taken_on_both_families() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let socket = UdpSocket::bind(bind).unwrap();
            report_local_address(&socket).unwrap();
            assert_eq!(lost_datagrams(&socket).unwrap(), 0);
            ignore_path_mtu(&socket).unwrap();
            let small = receive_buffer(&socket, 8 << 10).unwrap();
            assert_eq!(small, 8 << 10);
            assert!(receive_buffer(&socket, 64 << 10).unwrap() > small);
        }
    }
    #[test]
    fn datagrams_that_find_no_room_are_counted() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        receive_buffer(&server, 1).unwrap();
        for _ in 0..200 {
            client.send_to(&[0; 512], server.local_addr().unwrap()).unwrap();
        }
        server.set_nonblocking(true).unwrap();
        let got = std::iter::from_fn(|| server.recv(&mut [0; 512]).ok()).count();
        assert_eq!(lost_datagrams(&server).unwrap() as usize, 200 - got);
        assert!(got < 200);
    }
}
