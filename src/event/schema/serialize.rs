//! Serialization of declared objects (feature `serde`).

use super::decode::Decode;

/// A field of a declared object. Absent fields are not serialized.
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

/// Serializes a value with [`Decode::serialize`] of its decoder.
pub(crate) struct SerializeWith<'v, 'a, D: Decode<'a>>(pub(crate) &'v D::Output);

impl<'a, D> serde::Serialize for SerializeWith<'_, 'a, D>
where
    D: Decode<'a>,
    D::Output: serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        D::serialize(self.0, serializer)
    }
}
