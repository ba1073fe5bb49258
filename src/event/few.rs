//! A list that most often has one element.

/// The first element is kept in place, so that one alone takes no allocation.
#[derive(Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    more: Vec<T>,
}

impl<T> Few<T> {
    pub(super) const fn new() -> Self {
        Self {
            first: None,
            more: Vec::new(),
        }
    }

    pub(super) fn of(first: T) -> Self {
        Self {
            first: Some(first),
            more: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// Bytes that are allocated.
    pub(super) fn memory(&self) -> usize {
        self.more.capacity() * size_of::<T>()
    }

    pub(super) fn push(&mut self, element: T) {
        if self.first.is_none() {
            self.first = Some(element);
        } else {
            self.more.push(element);
        }
    }

    /// Takes the last one away.
    pub(super) fn pop(&mut self) {
        if self.more.pop().is_none() {
            self.first = None;
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.more.get(index),
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(1) {
            None => self.first.as_mut(),
            Some(index) => self.more.get_mut(index),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_a_vec_is() {
        let (mut few, mut vec) = (Few::new(), Vec::new());
        for pushes in [1, 0, 3, 1, 0, 0, 2] {
            for _ in 0..pushes {
                few.push(vec.len());
                vec.push(vec.len());
            }
            if let Some(last) = vec.last_mut() {
                *last += 100;
                *few.get_mut(vec.len() - 1).unwrap() += 100;
            }
            assert_eq!(few.len(), vec.len());
            assert!(few.iter().eq(&vec));
            assert!((0..10).all(|index| few.get(index) == vec.get(index)));
            assert!(few.get_mut(vec.len()).is_none());
            few.pop();
            vec.pop();
        }
        assert!(Few::of(7).iter().eq(&[7]));
    }
}
