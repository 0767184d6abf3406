//! One datagram to or from a connected socket, without what the C library does around the call.
//!
//! Its `send` and `recv` are places where a thread may be cancelled, which they say and take back
//! with two atomic writes each: a sixtieth of a miss. Threads here are never cancelled.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

/// Sends `message` to whom the socket is connected to.
///
/// # Errors
/// The kernel's; also an error that an earlier datagram met with.
pub fn send(socket: &UdpSocket, message: &[u8]) -> io::Result<()> {
    let (to, len): (*const libc::c_void, usize) = (ptr::null(), 0);
    // SAFETY: the kernel reads `message`, which outlives the call, and no address.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_sendto,
            socket.as_raw_fd(),
            message.as_ptr(),
            message.len(),
            libc::MSG_NOSIGNAL,
            to,
            len,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives a datagram into `buffer`, as far as it fits, and returns how long it then is.
///
/// # Errors
/// The kernel's; `WouldBlock` from a socket that does not block and has none.
pub fn recv(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    let (from, len): (*mut libc::c_void, *mut libc::socklen_t) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the kernel writes `buffer` up to its length, and no address.
    let got = unsafe {
        libc::syscall(libc::SYS_recvfrom, socket.as_raw_fd(), buffer.as_mut_ptr(), buffer.len(), 0, from, len)
    };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_go_to_and_fro_and_errors_come_back() {
        let [one, two] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        one.connect(two.local_addr().unwrap()).unwrap();
        two.connect(one.local_addr().unwrap()).unwrap();
        one.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(recv(&one, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        send(&two, b"there and").unwrap();
        send(&two, b"").unwrap();
        assert_eq!((recv(&one, &mut buffer).unwrap(), &buffer), (4, b"ther"));
        assert_eq!(recv(&one, &mut buffer).unwrap(), 0);
        drop(two);
        send(&one, b"x").unwrap();
        assert_eq!(send(&one, b"x").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
