//! A list that mostly holds one.

/// A list whose first element needs no memory of its own.
#[derive(Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    more: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, more: Vec::new() }
    }
}

impl<T> Few<T> {
    pub(super) fn of(first: T) -> Self {
        Self { first: Some(first), more: Vec::new() }
    }

    pub(super) fn push(&mut self, value: T) {
        match self.first {
            None => self.first = Some(value),
            Some(_) => self.more.push(value),
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.more)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.more)
    }

    /// Takes out the one that `is_it` finds first; the order of the others may change.
    pub(super) fn take(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        if self.first.as_ref().is_some_and(&is_it) {
            return std::mem::replace(&mut self.first, self.more.pop());
        }
        let index = self.more.iter().position(is_it)?;
        Some(self.more.swap_remove(index))
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_taken_out_the_others_stay() {
        for taken in 0..4 {
            let mut few = Few::of(0);
            (1..4).for_each(|i| few.push(i));
            assert_eq!(few.take(|i| *i == taken), Some(taken));
            assert_eq!((few.take(|i| *i == taken), few.len()), (None, 3));
            let mut left: Vec<_> = few.into_iter().collect();
            left.sort_unstable();
            assert_eq!(left, (0..4).filter(|i| *i != taken).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_can_be_taken_and_put_again() {
        let mut few = Few::default();
        for round in 0..3 {
            assert!(few.is_empty());
            few.push(round);
            assert_eq!((few.iter().count(), few.iter_mut().count()), (1, 1));
            assert_eq!(few.take(|_| true), Some(round));
        }
    }
}
