//! Memory whose address never changes, for the headers of batched calls, which point at each other.

use std::ptr::NonNull;

/// A fixed array that is reached by raw pointer, so that pointers into it, stored in headers,
/// stay good while other parts of it are borrowed.
///
/// Invariant `fixed-bufs`: the allocation is made once, holds `len` initialised values and is
/// freed only by `Drop`.
pub(super) struct Slots<T> {
    first: NonNull<T>,
    len: usize,
}

impl<T> Slots<T> {
    /// Takes over a boxed slice.
    pub fn new(values: Box<[T]>) -> Self {
        let len = values.len();
        Self { first: NonNull::from(Box::leak(values)).cast(), len }
    }

    /// Where value `i` lies; `None` past the end.
    pub fn at(&self, i: usize) -> Option<NonNull<T>> {
        // SAFETY: `i < len`, so the offset stays inside the one allocation of `fixed-bufs`.
        (i < self.len).then(|| unsafe { self.first.add(i) })
    }

    /// Value `i`.
    pub fn get(&self, i: usize) -> Option<&T> {
        // SAFETY: in bounds and initialised (`fixed-bufs`); `&self` keeps writers in this process
        // away, and the kernel writes only during a call that borrows the owner mutably.
        self.at(i).map(|slot| unsafe { slot.as_ref() })
    }

    /// Value `i`, to be changed.
    pub fn get_mut(&mut self, i: usize) -> Option<&mut T> {
        // SAFETY: as in `get`, and `&mut self` makes it the only reference.
        self.at(i).map(|mut slot| unsafe { slot.as_mut() })
    }

    /// `count` values from `start` on; `None` where that reaches past the end.
    pub fn range(&self, start: usize, count: usize) -> Option<&[T]> {
        let first = self.span(start, count)?;
        // SAFETY: `span` has checked the bounds; the rest as in `get`.
        Some(unsafe { std::slice::from_raw_parts(first.as_ptr(), count) })
    }

    /// As [`Slots::range`], to be changed.
    pub fn range_mut(&mut self, start: usize, count: usize) -> Option<&mut [T]> {
        let first = self.span(start, count)?;
        // SAFETY: `span` has checked the bounds; the rest as in `get_mut`.
        Some(unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), count) })
    }

    fn span(&self, start: usize, count: usize) -> Option<NonNull<T>> {
        (start.checked_add(count)? <= self.len).then(|| self.at(start)).flatten()
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        let values = std::ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.len);
        // SAFETY: pointer and length are those of the box leaked in `new`, given back once.
        drop(unsafe { Box::from_raw(values) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_past_the_end_is_handed_out() {
        let mut slots = Slots::new(vec![1u8, 2, 3].into_boxed_slice());
        assert_eq!(slots.get(2), Some(&3));
        assert!(slots.get(3).is_none() && slots.at(usize::MAX).is_none());
        assert_eq!(slots.range(1, 2), Some(&[2, 3][..]));
        assert!(slots.range(2, 2).is_none() && slots.range(1, usize::MAX).is_none());
        if let Some(tail) = slots.range_mut(1, 2) {
            tail.fill(9);
        }
        assert_eq!(slots.range(0, 3), Some(&[1, 9, 9][..]));
    }
}
