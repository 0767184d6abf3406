//! What the process may have open.

use std::io;

/// Lets this process open as many descriptors as it may have at all: raises the soft limit of
/// `RLIMIT_NOFILE` to the hard one, and returns it.
///
/// A login shell and systemd give a soft limit of 1024, for the sake of programs that use
/// `select`. That is less than the connections and upstream sockets of the default settings.
///
/// # Errors
/// The kernel's; the limit then stays as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit, borrowed mutably for this call alone.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel only reads `limit`, which outlives the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_descriptors_may_be_open_as_the_hard_limit_says() {
        let raised = raise_descriptor_limit().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
        let both: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(both, [raised, raised]);
    }
}
