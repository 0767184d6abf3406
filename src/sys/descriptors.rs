//! Descriptors that go from one process to another over a Unix socket (`SCM_RIGHTS`), and who is at
//! its other end.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

/// Descriptors that one message takes; the kernel's own bound is 253.
pub const MAX_DESCRIPTORS: usize = 128;

/// Room for the control message of [`MAX_DESCRIPTORS`], aligned as the kernel wants it.
type Room = [u64; 2 + MAX_DESCRIPTORS / 2];

/// Sends `bytes`, at least one, and with the first of them duplicates of `descriptors`. Returns how many
/// bytes went; the descriptors have gone with them.
///
/// # Errors
/// The kernel's; `InvalidInput` for more than [`MAX_DESCRIPTORS`].
pub fn send_with(stream: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if descriptors.len() > MAX_DESCRIPTORS || bytes.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let len = (numbers.len() * size_of::<RawFd>()) as u32;
    let mut room: Room = [0; _];
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut head = head(&mut iov);
    if !numbers.is_empty() {
        head.msg_control = room.as_mut_ptr().cast();
        // SAFETY: computes a number.
        head.msg_controllen = unsafe { libc::CMSG_SPACE(len) } as _;
        // SAFETY: `room` is large enough for one message of `MAX_DESCRIPTORS` numbers and aligned for its head, so
        // the first header lies in it, and its data has room for `numbers`.
        unsafe {
            let control = libc::CMSG_FIRSTHDR(&raw const head);
            (*control).cmsg_level = libc::SOL_SOCKET;
            (*control).cmsg_type = libc::SCM_RIGHTS;
            (*control).cmsg_len = libc::CMSG_LEN(len) as _;
            ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u8>(), libc::CMSG_DATA(control), len as usize);
        }
    }
    // SAFETY: the header points at `iov`, `bytes` and `room`, which outlive the call and are only read; the
    // descriptors are open for its length.
    let sent = unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const head, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives bytes into `buffer`, and behind `descriptors` those that came with them, closed on exec. 0 is the end
/// of the stream.
///
/// # Errors
/// The kernel's; `InvalidData` where descriptors were lost, since there were too many.
pub fn recv_with(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut room: Room = [0; _];
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut head = head(&mut iov);
    head.msg_control = room.as_mut_ptr().cast();
    head.msg_controllen = size_of_val(&room) as _;
    // SAFETY: the kernel writes `buffer` and `room` up to their lengths, and both outlive the call.
    let got = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut head, libc::MSG_CMSG_CLOEXEC) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel wrote `msg_controllen` bytes of whole messages into `room`; the macros stay within.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(&raw const head);
        while !control.is_null() {
            if ((*control).cmsg_level, (*control).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let len = ((*control).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(control).cast::<RawFd>();
                for i in 0..len / size_of::<RawFd>() {
                    // Made for this process by the kernel just now: nobody else has it.
                    descriptors.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            control = libc::CMSG_NXTHDR(&raw const head, control);
        }
    }
    if head.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors were lost on the way"));
    }
    Ok(got)
}

fn head(iov: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: integers and pointers, for which zeros are a value.
    let mut head: libc::msghdr = unsafe { std::mem::zeroed() };
    head.msg_iov = iov;
    head.msg_iovlen = 1;
    head
}

/// The user at the other end of a stream, as it was when that connected or listened (`SO_PEERCRED`).
///
/// # Errors
/// The kernel's.
pub fn peer_user(stream: &UnixStream) -> io::Result<u32> {
    let mut who = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of_val(&who) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `who`, and the length to `len`; both outlive the call.
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut who).cast(),
            &raw mut len,
        )
    };
    if done == 0 { Ok(who.uid) } else { Err(io::Error::last_os_error()) }
}

/// The user this process acts as.
pub fn own_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// A number that tells the network namespace of this thread from all others of this boot; 0 where the kernel, before
/// 5.14, does not say it.
pub fn network_namespace() -> u64 {
    /// `SO_NETNS_COOKIE`, the same on all architectures that zonelet is built for.
    const NETNS_COOKIE: libc::c_int = 71;
    let Ok((socket, _other)) = UnixStream::pair() else { return 0 };
    let mut cookie = 0u64;
    let mut len = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `cookie`, and the length to `len`; both outlive the call.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if done == 0 { cookie } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_socket_that_was_passed_on_is_the_same_socket() {
        let (here, there) = UnixStream::pair().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(send_with(&here, b"one", &[socket.as_fd(), socket.as_fd()]).unwrap(), 3);
        let (mut bytes, mut got) = ([0; 8], Vec::new());
        assert_eq!(recv_with(&there, &mut bytes, &mut got).unwrap(), 3);
        let passed: Vec<UdpSocket> = got.into_iter().map(UdpSocket::from).collect();
        let addr = socket.local_addr().unwrap();
        assert!(passed.iter().all(|s| s.local_addr().unwrap() == addr));
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"query", addr).unwrap();
        drop(socket);
        assert_eq!(passed.first().unwrap().recv(&mut bytes).unwrap(), 5);
    }

    #[test]
    fn bytes_alone_pass_and_the_end_is_seen() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(b"plain").unwrap();
        let (mut bytes, mut got) = ([0; 5], Vec::new());
        assert_eq!(recv_with(&there, &mut bytes, &mut got).unwrap(), 5);
        assert_eq!(send_with(&there, b"back", &[]).unwrap(), 4);
        here.read_exact(&mut bytes[..4]).unwrap();
        there.flush().unwrap();
        drop(here);
        assert_eq!((recv_with(&there, &mut bytes, &mut got).unwrap(), got.len()), (0, 0));
        assert!(send_with(&there, b"", &[]).is_err());
    }

    #[test]
    fn as_many_as_a_message_takes_arrive_and_more_are_refused() {
        let (here, there) = UnixStream::pair().unwrap();
        let many = vec![here.as_fd(); MAX_DESCRIPTORS];
        assert_eq!(send_with(&here, b"x", &many).unwrap(), 1);
        let mut got = Vec::new();
        assert_eq!(recv_with(&there, &mut [0; 1], &mut got).unwrap(), 1);
        assert_eq!(got.len(), MAX_DESCRIPTORS);
        assert!(send_with(&here, b"x", &vec![here.as_fd(); MAX_DESCRIPTORS + 1]).is_err());
    }

    #[test]
    fn the_peer_and_the_namespace_are_our_own() {
        let (here, _there) = UnixStream::pair().unwrap();
        assert_eq!(peer_user(&here).unwrap(), own_user());
        assert_eq!(network_namespace(), network_namespace());
    }
}
