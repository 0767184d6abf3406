//! Time that outlives a process: since the machine was started.

use std::time::Duration;

/// How long the machine has been up, the time it slept included (`CLOCK_BOOTTIME`). Steps of the wall clock do not
/// show in it; it means something within one [`boot_id`] only.
pub fn since_boot() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which outlives the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    (done == 0).then(|| Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec as u32))
}

/// What tells this start of the machine from all others; empty where that cannot be read.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_been_up_for_a_while_and_has_a_name_for_it() {
        let (one, two) = (since_boot().unwrap(), since_boot().unwrap());
        assert!(Duration::ZERO < one && one <= two);
        assert_eq!(boot_id(), boot_id());
    }
}
