use super::unread::UnreadPaths;
use crate::event::json::Cursor;

/// Reads one value of a kind.
pub(crate) trait Decode<'a> {
    /// What comes out.
    type Output;

    /// Whether `Debug` may show it: no text that a person wrote, no number that names one.
    const DEBUG_VISIBLE: bool;

    /// Whether an empty string stands for absence, and is nothing odd.
    const EMPTY_IS_ABSENT: bool = false;

    /// Reads the next value, which is not `null`, and passes over it in any case.
    fn decode(cursor: &mut Cursor<'a>) -> Option<Self::Output>;

    /// Whether the next value is known in all its parts. Passes over it.
    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        if Self::EMPTY_IS_ABSENT {
            cursor.scalar().is_some()
        } else {
            Self::decode(cursor).is_some()
        }
    }

    /// Notes the paths of what [`decode`](Self::decode) ignores in the next value. Passes over it.
    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let mut again = *cursor;
        // An empty string stands for absence wherever it is not a text.
        if Self::decode(cursor).is_none() && again.string() != Some("") {
            paths.note();
        }
    }

    /// Writes a value that was read, in the form in which Meta sends it.
    #[cfg(feature = "serde")]
    fn serialize<S>(value: &Self::Output, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
        Self::Output: serde::Serialize,
    {
        serde::Serialize::serialize(value, serializer)
    }
}

impl<'a> Cursor<'a> {
    /// The value of a member of the object that the cursor is before. Of several equal keys the last counts that can be read.
    pub(crate) fn member<R: Decode<'a>>(mut self, name: &[u8]) -> Option<R::Output> {
        self.enter_object()?;
        let mut value = None;
        while let Some(key) = self.next_key() {
            if key != name {
                self.skip();
            } else if !self.take_null() {
                value = R::decode(&mut self).or(value);
            }
        }
        value
    }
}
