//! A thread's turn on a processor.

use std::io;
use std::time::Duration;

/// `struct sched_attr` of sched_setattr(2), in its first version.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Leaves the policy as it is (`SCHED_FLAG_KEEP_POLICY`).
const KEEP_POLICY: u64 = 0x08;

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
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: 0,
        flags: KEEP_POLICY,
        nice,
        priority: 0,
        runtime: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
        deadline: 0,
        period: 0,
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
