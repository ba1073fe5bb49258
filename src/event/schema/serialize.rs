use super::decode::Decode;

/// A field that may be absent.
pub(crate) trait OptionalField {
    type Value;

    fn value(&self) -> Option<&Self::Value>;
}

impl<T> OptionalField for Option<T> {
    type Value = T;

    fn value(&self) -> Option<&T> {
        self.as_ref()
    }
}

/// A value that is serialized by its reader.
pub(crate) struct SerializeWith<'v, 'a, R: Decode<'a>>(pub(crate) &'v R::Output);

impl<'a, R> serde::Serialize for SerializeWith<'_, 'a, R>
where
    R: Decode<'a>,
    R::Output: serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        R::serialize(self.0, serializer)
    }
}
