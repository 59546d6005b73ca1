//! Asking for memory before it is needed, where the processor cannot foresee where that will be.

/// Starts to bring the cache line of `place` near, to be written. Costs an instruction; any place will do, there or not.
#[inline]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(place: *const T) {
    // SAFETY: a prefetch is a hint. It gives nothing back, changes nothing that a program can see, and does not fault,
    // whatever the address; and every processor of this architecture has the instruction.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(place.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}
