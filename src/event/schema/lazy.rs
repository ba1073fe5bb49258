use std::{fmt, marker::PhantomData};

#[cfg(feature = "serde")]
use super::serialize::OptionalField;
use super::{decode::Decode, unread::UnreadPaths};
use crate::event::json::{Cursor, ValueStart};

/// An object that is decoded on demand.
///
/// Used where most callers need little of a large object, and where a type contains itself.
pub struct Lazy<'a, T> {
    /// `None` if the object is absent.
    start: Option<ValueStart<'a>>,
    object: PhantomData<fn() -> T>,
}

impl<'a, T> Lazy<'a, T> {
    pub(crate) fn new(start: Option<ValueStart<'a>>) -> Self {
        Self {
            start,
            object: PhantomData,
        }
    }
}

#[expect(private_bounds, reason = "the objects are types of this crate")]
impl<'a, T> Lazy<'a, T>
where
    T: Decode<'a, Output = T>,
{
    /// Decodes and returns the object, or `None` if it is absent. Each call decodes it again.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        T::decode(&mut self.start?.cursor())
    }
}

impl<T> Clone for Lazy<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lazy<'_, T> {}

impl<T> Default for Lazy<'_, T> {
    fn default() -> Self {
        Self {
            start: None,
            object: PhantomData,
        }
    }
}

impl<'a, T> PartialEq for Lazy<'a, T>
where
    T: Decode<'a, Output = T> + PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<'a, T> fmt::Debug for Lazy<'a, T>
where
    T: Decode<'a, Output = T> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<'a, T> Decode<'a> for Lazy<'a, T>
where
    T: Decode<'a, Output = T>,
{
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let start = (cursor.peek() == Some(b'{')).then(|| cursor.value_start());
        cursor.skip();
        Some(Self {
            start: Some(start?),
            object: PhantomData,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        T::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        T::unread(cursor, paths);
    }
}

#[cfg(feature = "serde")]
impl<'a, T> serde::Serialize for Lazy<'a, T>
where
    T: Decode<'a, Output = T> + serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<T> OptionalField for Lazy<'_, T> {
    type Value = Self;

    fn value(&self) -> Option<&Self> {
        self.start.is_some().then_some(self)
    }
}
