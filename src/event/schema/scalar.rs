//! Decoders of single values.

use std::fmt;

use super::decode::Decode;
use crate::event::json::Cursor;

/// A text that Meta wrote, such as the title of an error. Shown by `Debug`.
#[derive(Debug)]
pub(crate) struct MetaText;

impl<'a> Decode<'a> for MetaText {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar()
    }
}

/// A text that a person wrote; may be empty. Hidden by `Debug`.
#[derive(Debug)]
pub(crate) struct UserText;

impl<'a> Decode<'a> for UserText {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = false;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar()
    }
}

/// An identifier of a thing, written as a string or a number. The empty string means absent.
#[derive(Debug)]
pub(crate) struct Id;

impl<'a> Decode<'a> for Id {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = true;
    const EMPTY_IS_ABSENT: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar().filter(|text| !text.is_empty())
    }
}

/// An identifier of a person, such as a phone number, or one that contains it: Meta encodes phone
/// numbers in the ids of messages, calls and groups. Hidden by `Debug`. The empty string, which
/// Meta has used for "not known", means absent.
#[derive(Debug)]
pub(crate) struct PersonalId;

impl<'a> Decode<'a> for PersonalId {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = false;
    const EMPTY_IS_ABSENT: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar().filter(|text| !text.is_empty())
    }
}

/// An [`Id`] or a [`PersonalId`] as bytes, for a reader that needs no text: a conversion costs more
/// than finding the id.
#[derive(Debug)]
pub(crate) struct IdBytes;

impl<'a> Decode<'a> for IdBytes {
    type Output = &'a [u8];
    const DEBUG_VISIBLE: bool = false;
    const EMPTY_IS_ABSENT: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
        cursor.scalar_bytes().filter(|id| !id.is_empty())
    }
}

/// The tag of a tagged union (`type`). Of several tags the last one counts, and if it is neither a
/// text nor a number, there is no tag.
#[derive(Debug)]
pub(crate) struct Tag;

impl<'a> Decode<'a> for Tag {
    type Output = Option<&'a str>;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
        Some(Id::decode(cursor))
    }
}

/// A name or number that is an element of a [`List`](super::List).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a> Decode<'a> for Name<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.scalar().map(Self)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Name<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// A value that no field reads. Always absent.
#[derive(Debug)]
pub(crate) struct Ignored;

impl<'a> Decode<'a> for Ignored {
    type Output = ();
    const DEBUG_VISIBLE: bool = false;

    fn decode(cursor: &mut Cursor<'a>) -> Option<()> {
        cursor.skip();
        None
    }
}

/// A value that is kept as JSON text because its shape is not stable.
#[derive(Debug)]
pub(crate) struct RawJson;

impl<'a> Decode<'a> for RawJson {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = false;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        Some(cursor.raw_value())
    }

    #[cfg(feature = "serde")]
    fn serialize<S>(value: &&'a str, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        crate::event::json::serialize(value, serializer)
    }
}

impl<'a> Decode<'a> for bool {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.boolean()
    }
}

impl<'a> Decode<'a> for i64 {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    /// Accepts a whole number with a fraction (`2.0`), as some senders write it.
    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let text = cursor.scalar()?;
        text.parse().ok().or_else(|| parse_integral(text))
    }
}

/// Parses a whole number that is written with a fraction or an exponent, up to 2^53: beyond that a
/// float is not exact.
pub(super) fn parse_integral(text: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number: f64 = text.parse().ok()?;
    let is_whole = number.fract() == 0.0 && number.abs() < EXACT;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    is_whole.then_some(number as i64)
}

/// Serializes a whole number without a fraction, as Meta does.
#[cfg(feature = "serde")]
fn serialize_number<S: serde::Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match parse_integral(&number.to_string()) {
        Some(whole) => serializer.serialize_i64(whole),
        None => serializer.serialize_f64(number),
    }
}

/// A quantity or a price, for example. Shown by `Debug`.
impl<'a> Decode<'a> for f64 {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let number: Self = cursor.scalar()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    #[cfg(feature = "serde")]
    fn serialize<S: serde::Serializer>(number: &Self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(*number, serializer)
    }
}

/// A latitude or longitude, degrees. Hidden by `Debug`.
#[derive(Debug)]
pub(crate) struct Coordinate;

impl<'a> Decode<'a> for Coordinate {
    type Output = f64;
    const DEBUG_VISIBLE: bool = false;

    fn decode(cursor: &mut Cursor<'a>) -> Option<f64> {
        <f64 as Decode<'_>>::decode(cursor)
    }

    #[cfg(feature = "serde")]
    fn serialize<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(*number, serializer)
    }
}
