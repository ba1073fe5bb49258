/// A list that usually has one element. The first element is stored inline, without an allocation.
#[derive(Debug)]
pub(crate) struct OneOrMany<T> {
    first: Option<T>,
    more: Vec<T>,
}

impl<T> OneOrMany<T> {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            more: Vec::new(),
        }
    }

    pub(crate) fn one(first: T) -> Self {
        Self {
            first: Some(first),
            more: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// Heap memory in use, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.more.capacity() * size_of::<T>()
    }

    pub(crate) fn push(&mut self, element: T) {
        if self.first.is_none() {
            self.first = Some(element);
        } else {
            self.more.push(element);
        }
    }

    /// Removes the last element.
    pub(crate) fn pop(&mut self) {
        if self.more.pop().is_none() {
            self.first = None;
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.more.get(index),
        }
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(1) {
            None => self.first.as_mut(),
            Some(index) => self.more.get_mut(index),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_like_a_vec() {
        let (mut list, mut vec) = (OneOrMany::new(), Vec::new());
        for pushes in [1, 0, 3, 1, 0, 0, 2] {
            for _ in 0..pushes {
                list.push(vec.len());
                vec.push(vec.len());
            }
            if let Some(last) = vec.last_mut() {
                *last += 100;
                *list.get_mut(vec.len() - 1).unwrap() += 100;
            }
            assert_eq!(list.len(), vec.len());
            assert!(list.iter().eq(&vec));
            assert!((0..10).all(|index| list.get(index) == vec.get(index)));
            assert!(list.get_mut(vec.len()).is_none());
            list.pop();
            vec.pop();
        }
        assert!(OneOrMany::one(7).iter().eq(&[7]));
    }
}
