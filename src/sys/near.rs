//! Memory asked for before it is needed.

/// Has the processor bring near what `place` begins with, one cache line, while it goes on with
/// something else. Cost: an instruction; nothing where it is near already or the processor is
/// of another kind than those known here.
#[inline]
pub fn prefetch<T>(place: &T) {
    let place = std::ptr::from_ref(place);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing into the program and faults on no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint, which reads nothing into the program and faults on no address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_brought_near_stays_as_it_is() {
        let memory = vec![7u64; 10_000];
        memory.iter().for_each(prefetch);
        assert!(memory.iter().all(|&number| number == 7));
    }
}
