//! Time that a thread has spent on a processor.

use std::time::Duration;

/// The processor time of the calling thread, user and kernel: what its work took, whatever else
/// ran meanwhile. Cost: one system call.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a whole timespec, borrowed mutably for this call alone.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    if result != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.unsigned_abs() as u64, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time_and_never_gives_any_back() {
        let before = thread_cpu_time();
        let mut last = before;
        while last <= before {
            let now = thread_cpu_time();
            assert!(now >= last);
            last = now;
        }
    }
}
