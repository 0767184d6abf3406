//! How a UDP socket is taken out of service without losing what has reached it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, UdpSocket};
use std::time::Duration;

use socket2::{SockFilter, SockRef};

/// BPF `ret 0`: keep no byte of any packet.
const NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Takes the socket out of its SO_REUSEPORT group, while it can still read its queue and send.
///
/// It is connected to a peer that never speaks, the discard port of its own host: the kernel
/// then hands new datagrams to the other sockets on the address, those of a process that takes
/// over, say, and sends with an explicit destination still work.
///
/// # Errors
/// The kernel's. The socket is then still in its group and only [`drop_everything`] stops it.
pub fn leave_group(socket: &UdpSocket) -> io::Result<()> {
    let mut peer = socket.local_addr()?;
    peer.set_port(9);
    match peer.ip() {
        ip if !ip.is_unspecified() => {}
        IpAddr::V4(_) => peer.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => peer.set_ip(Ipv6Addr::LOCALHOST.into()),
    }
    socket.connect(peer)
}

/// Lets nothing more into the socket's queue; what is queued stays readable.
///
/// # Errors
/// The kernel's.
pub fn drop_everything(socket: &UdpSocket) -> io::Result<()> {
    SockRef::from(socket).attach_filter(&[NOTHING])
}

/// Ends a receive that another thread is blocked in, now or later: it returns one empty message
/// without a sender. What is queued comes first, and can still be read afterwards.
pub fn wake(socket: &UdpSocket) {
    // Linux says ENOTCONN of an unconnected socket, and wakes its readers all the same.
    let _ = SockRef::from(socket).shutdown(Shutdown::Read);
}

/// Waits until datagrams that were on their way into a socket, past a point that has changed
/// since, are in its queue.
///
/// The kernel delivers within one read-side section of RCU, and this barrier waits for all of
/// those (a few milliseconds). Where it is denied, a pause much longer than a delivery has to do.
pub fn settle() {
    // SAFETY: the call takes three integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if done != 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::sys::{RecvBatch, Wait, send_late};

    fn grouped(bind: std::net::SocketAddr) -> UdpSocket {
        let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, None).unwrap();
        // On port 0 only after the bind: the kernel may pick a port that another group has.
        socket.set_reuse_port(bind.port() != 0).unwrap();
        socket.bind(&bind.into()).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.into()
    }

    fn drained(socket: &UdpSocket) -> usize {
        let mut batch = RecvBatch::new(false);
        std::iter::from_fn(|| batch.recv(socket, Wait::Never).ok()).sum()
    }

    #[test]
    fn a_filtered_socket_keeps_its_queue_and_takes_no_more() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        client.send_to(b"before", to).unwrap();
        drop_everything(&server).unwrap();
        client.send_to(b"after", to).unwrap();
        settle();
        assert_eq!(drained(&server), 1);
    }

    #[test]
    fn a_socket_that_left_its_group_hands_new_queries_to_the_others_and_still_sends() {
        for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let leaving = grouped(bind.parse().unwrap());
            let mut to = leaving.local_addr().unwrap();
            let staying = grouped(to);
            if to.ip().is_unspecified() {
                to.set_ip(if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
            }
            leave_group(&leaving).unwrap();
            settle();
            for _ in 0..50 {
                let client = UdpSocket::bind((to.ip(), 0)).unwrap();
                client.send_to(b"x", to).unwrap();
            }
            assert_eq!((drained(&leaving), drained(&staying)), (0, 50), "{bind}");
            let client = UdpSocket::bind((to.ip(), 0)).unwrap();
            send_late(&leaving, b"late", client.local_addr().unwrap(), None).unwrap();
            let mut bytes = [0; 8];
            assert_eq!(client.recv_from(&mut bytes).unwrap(), (4, to), "{bind}");
        }
    }
}
