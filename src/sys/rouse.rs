//! A thread called away from a system call that it is blocked in, without touching what it waits for.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// Ignored where nobody handles it, so that one too many does no harm.
const SIGNAL: libc::c_int = libc::SIGURG;

/// Who may have to be called: the thread that [came by](Sleeper::here).
#[derive(Debug, Default)]
pub struct Sleeper(AtomicI32);

impl Sleeper {
    /// Makes the calling thread the one that is called. From now on its blocking calls may end as interrupted.
    ///
    /// # Errors
    /// The kernel's: the handler cannot be installed.
    pub fn here(&self) -> io::Result<()> {
        static HANDLER: OnceLock<bool> = OnceLock::new();
        if !HANDLER.get_or_init(install) {
            return Err(io::Error::other("no handler for the signal that wakes threads"));
        }
        // SAFETY: takes nothing and cannot fail.
        self.0.store(unsafe { libc::gettid() }, Ordering::Release);
        Ok(())
    }

    /// From now on nobody is called.
    pub fn gone(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Interrupts the call that the thread is in, if it is in one. It may be about to enter one: who wants to be
    /// heard calls again until it is.
    pub fn rouse(&self) {
        let thread = self.0.load(Ordering::Acquire);
        if thread > 0 {
            // SAFETY: takes numbers only. A thread of this number may have ended, and another of this process may
            // have got it: its call is interrupted for nothing.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
        }
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Without SA_RESTART: the interrupted call must return.
fn install() -> bool {
    // SAFETY: integers and pointers, for which zeros are a value: no flags, no further signals masked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: `action` is whole and outlives the call; its handler does nothing, which is safe at any point.
    unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) == 0 }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::sys::{RecvBatch, Wait};

    #[test]
    fn a_blocked_receive_ends_and_the_socket_goes_on() {
        let (sleeper, (heard, hears)) = (Arc::new(Sleeper::default()), channel());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (shared, who) = (socket.try_clone().unwrap(), Arc::clone(&sleeper));
        let thread = std::thread::spawn(move || {
            who.here().unwrap();
            let error = RecvBatch::new(false).recv(&shared, Wait::ForOne).unwrap_err();
            who.gone();
            heard.send(error.kind()).unwrap();
        });
        let kind = loop {
            sleeper.rouse();
            if let Ok(kind) = hears.recv_timeout(Duration::from_millis(1)) {
                break kind;
            }
        };
        assert_eq!(kind, io::ErrorKind::Interrupted);
        thread.join().unwrap();
        sleeper.rouse();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(socket.recv(&mut [0; 4]).unwrap(), 1);
    }
}
