//! Single values, and what they may be written as.

use std::fmt;

use super::decode::Decode;
use crate::event::json::Cursor;

/// A text of Meta's own, such as the title of an error. Shown by `Debug`.
#[derive(Debug)]
pub(crate) struct Words;

impl<'a> Decode<'a> for Words {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar()
    }
}

/// A text, which may be empty. Not shown by `Debug`: it is what somebody wrote.
#[derive(Debug)]
pub(crate) struct Text;

impl<'a> Decode<'a> for Text {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = false;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar()
    }
}

/// A name or number of a thing, written as a string or as a number. The empty string is absence.
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

/// A name or number of a person, a phone number among them. Not shown by `Debug`; the empty string, which Meta has used for "not
/// known", is absence.
#[derive(Debug)]
pub(crate) struct Person;

impl<'a> Decode<'a> for Person {
    type Output = &'a str;
    const DEBUG_VISIBLE: bool = false;
    const EMPTY_IS_ABSENT: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<&'a str> {
        cursor.scalar().filter(|text| !text.is_empty())
    }
}

/// A name or number in a list of such.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// The name.
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

/// A value that has no place.
#[derive(Debug)]
pub(crate) struct Nothing;

impl<'a> Decode<'a> for Nothing {
    type Output = ();
    const DEBUG_VISIBLE: bool = false;

    fn decode(cursor: &mut Cursor<'a>) -> Option<()> {
        cursor.skip();
        None
    }
}

/// A value that is kept as JSON, because it has no shape that would last.
#[derive(Debug)]
pub(crate) struct Json;

impl<'a> Decode<'a> for Json {
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

    /// Some senders write whole numbers with a fraction (`2.0`).
    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let text = cursor.scalar()?;
        text.parse().ok().or_else(|| parse_whole(text))
    }
}

/// A whole number that is written with a fraction or an exponent, as far as a float holds it exactly.
pub(super) fn parse_whole(text: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number: f64 = text.parse().ok()?;
    let is_whole = number.fract() == 0.0 && number.abs() < EXACT;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    is_whole.then_some(number as i64)
}

/// A number that is whole is written without a fraction, as Meta writes it.
#[cfg(feature = "serde")]
fn serialize_number<S: serde::Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match parse_whole(&number.to_string()) {
        Some(whole) => serializer.serialize_i64(whole),
        None => serializer.serialize_f64(number),
    }
}

/// Shown by `Debug`: a quantity or a price, say.
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

/// A place on the earth, which is not shown by `Debug`.
#[derive(Debug)]
pub(crate) struct Degrees;

impl<'a> Decode<'a> for Degrees {
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
