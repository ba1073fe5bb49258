use std::{fmt, marker::PhantomData};

#[cfg(feature = "serde")]
use super::serialize::OptionalField;
use super::{decode::Decode, unread::UnreadPaths};
use crate::event::json::{Cursor, ValueStart};

/// A list inside an event, decoded while it is iterated. It allocates nothing, whatever its length.
///
/// An element of an unexpected type is skipped. [`Event::is_known`](crate::event::Event::is_known)
/// is then false, and [`Event::raw`](crate::event::Event::raw) contains the element.
pub struct List<'a, T> {
    /// `None` if the list is absent.
    start: Option<ValueStart<'a>>,
    element: PhantomData<fn() -> T>,
}

#[expect(private_bounds, reason = "the elements are types of this crate")]
impl<'a, T> List<'a, T>
where
    T: Decode<'a, Output = T>,
{
    /// Returns an iterator over the elements. Each iteration decodes them again.
    #[must_use]
    pub fn iter(&self) -> Iter<'a, T> {
        let cursor = self.start.and_then(|start| {
            let mut cursor = start.cursor();
            cursor.enter_array()?;
            Some(cursor)
        });
        Iter {
            cursor,
            element: PhantomData,
        }
    }

    /// Returns the first element.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// Returns true if the list has no element of its type.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }
}

/// Iterator over the elements of a [`List`].
pub struct Iter<'a, T> {
    cursor: Option<Cursor<'a>>,
    element: PhantomData<fn() -> T>,
}

impl<'a, T> Iterator for Iter<'a, T>
where
    T: Decode<'a, Output = T>,
{
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let cursor = self.cursor.as_mut()?;
        while cursor.next_element() {
            if let Some(element) = T::decode(cursor) {
                return Some(element);
            }
        }
        self.cursor = None;
        None
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iter(..)")
    }
}

impl<'a, T> IntoIterator for List<'a, T>
where
    T: Decode<'a, Output = T>,
{
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &List<'a, T>
where
    T: Decode<'a, Output = T>,
{
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self {
            start: None,
            element: PhantomData,
        }
    }
}

impl<'a, T> PartialEq for List<'a, T>
where
    T: Decode<'a, Output = T> + PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T> fmt::Debug for List<'a, T>
where
    T: Decode<'a, Output = T> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T> Decode<'a> for List<'a, T>
where
    T: Decode<'a, Output = T>,
{
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let start = (cursor.peek() == Some(b'[')).then(|| cursor.value_start());
        cursor.skip();
        Some(Self {
            start: Some(start?),
            element: PhantomData,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        if cursor.enter_array().is_none() {
            return false;
        }
        let mut known = true;
        while cursor.next_element() {
            known &= T::is_known(cursor);
        }
        known
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        if cursor.enter_array().is_none() {
            paths.add();
            return;
        }
        let list = paths.enter_list();
        while cursor.next_element() {
            if !cursor.take_null() {
                T::unread(cursor, paths);
            }
        }
        paths.leave(list);
    }
}

#[cfg(feature = "serde")]
impl<'a, T> serde::Serialize for List<'a, T>
where
    T: Decode<'a, Output = T> + serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

#[cfg(feature = "serde")]
impl<T> OptionalField for List<'_, T> {
    type Value = Self;

    fn value(&self) -> Option<&Self> {
        self.start.is_some().then_some(self)
    }
}
