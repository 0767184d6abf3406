//! Memory that was freed, given back to the kernel.

/// Returns freed memory of the process to the kernel, as far as whole pages of it are free.
///
/// glibc keeps what is freed for the next allocation, which after a large import may be a day away.
/// Cost: up to some milliseconds on this thread, during which other threads may have to wait for
/// the allocator; call it seldom, and never from a thread that answers. Does nothing with other C
/// libraries.
pub fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and the allocator's own locks are held where they must be.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_is_left_alone() {
        let kept: Vec<Box<usize>> = (0..10_000).map(Box::new).collect();
        drop((0..100_000).map(Box::new).collect::<Vec<_>>());
        release_freed_memory();
        assert!(kept.iter().enumerate().all(|(at, number)| at == **number));
    }
}
