use super::unread::UnreadPaths;
use crate::event::json::Cursor;

/// Decodes one kind of value. Implemented by the declared types and by markers such as
/// [`Id`](super::Id).
pub(crate) trait Decode<'a> {
    /// The decoded value.
    type Output;

    /// Whether `Debug` shows the value. False for text that a person wrote and for anything that
    /// identifies a person.
    const DEBUG_VISIBLE: bool;

    /// Whether an empty string means absent, and is known.
    const EMPTY_IS_ABSENT: bool = false;

    /// Decodes the next value, which is not `null`. Skips it whether or not it can be decoded.
    fn decode(cursor: &mut Cursor<'a>) -> Option<Self::Output>;

    /// Whether this version knows all parts of the next value. Skips the value.
    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        if Self::EMPTY_IS_ABSENT {
            cursor.scalar().is_some()
        } else {
            Self::decode(cursor).is_some()
        }
    }

    /// Adds the paths of the keys that [`decode`](Self::decode) ignores in the next value. Skips
    /// the value.
    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let mut again = *cursor;
        // Where no text is expected, Meta writes an empty string for an absent value.
        if Self::decode(cursor).is_none() && again.string() != Some("") {
            paths.add();
        }
    }

    /// Serializes a decoded value in the form in which Meta sends it.
    #[cfg(feature = "serde")]
    fn serialize<S>(value: &Self::Output, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
        Self::Output: serde::Serialize,
    {
        serde::Serialize::serialize(value, serializer)
    }
}

/// A declared object. It is read into a value of the caller, because a large one costs as much to
/// move as to read.
pub(crate) trait Object<'a>: Default {
    /// Reads the members of the next value, and skips it. Returns `None` if it is not an object.
    fn read(&mut self, cursor: &mut Cursor<'a>) -> Option<()>;
}

impl<'a> Cursor<'a> {
    /// Decodes one member of the object that follows. Of equal keys, the last one that can be
    /// decoded counts.
    pub(crate) fn member<D: Decode<'a>>(mut self, name: &[u8]) -> Option<D::Output> {
        self.enter_object()?;
        let mut value = None;
        while let Some(key) = self.next_key() {
            if key != name {
                self.skip();
            } else if !self.take_null() {
                value = D::decode(&mut self).or(value);
            }
        }
        value
    }
}
