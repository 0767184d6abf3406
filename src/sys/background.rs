//! Work that nobody waits for with a query in hand.

use std::io;
use std::panic;
use std::thread;

/// How far a thread in the background stands behind the others (nice value): where they keep every
/// processor busy, it gets a tenth of one.
const NICE: libc::c_int = 10;

/// Runs `work` on a thread of its own, which gives way to all others of the process, and waits for
/// it; call it where waiting is all right. A lower priority cannot be taken back without privileges,
/// hence the thread. Panics where `work` does.
///
/// # Errors
/// The system has no thread left; `work` has not run.
pub fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("background".to_owned());
        let thread = thread.spawn_scoped(scope, || {
            give_way();
            work()
        })?;
        Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}

fn give_way() {
    // SAFETY: takes a number only. On Linux it is the calling thread alone whose priority changes
    // (sched(7)); where that is not allowed, the work is done all the same.
    unsafe {
        libc::nice(NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority() -> libc::c_int {
        // SAFETY: takes numbers only.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn only_the_thread_in_the_background_gives_way() {
        let before = priority();
        let (answer, behind) = in_background(|| (42, priority())).unwrap();
        assert_eq!(answer, 42);
        assert_eq!(behind, (before + NICE).min(19));
        assert_eq!(priority(), before);
    }
}
