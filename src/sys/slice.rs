//! A thread's turn on a processor.

use std::io;
use std::time::Duration;

/// Asks the scheduler to give the calling thread short turns, and each of them soon: one that
/// works for microseconds and then waits is not to wait out the turn of a thread that computes.
///
/// Its share of the processor stays the same. Linux heeds it from 6.12 on, with 0.1 ms at least;
/// before, it means nothing.
///
/// # Errors
/// The kernel's: a filter of system calls forbids it.
pub fn take_short_turns(length: Duration) -> io::Result<()> {
    // SAFETY: takes numbers only; 0 is the calling thread. An error, -1, is a nice value as well.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: 0 is the calling thread; the structure has the size it says and outlives the call,
    // which only reads it.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_turns_are_taken_and_the_priority_stays() {
        // SAFETY: takes numbers only.
        let priority = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = priority();
        take_short_turns(Duration::from_micros(100)).unwrap();
        assert_eq!(priority(), before);
    }
}
