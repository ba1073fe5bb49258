//! Serialization of JSON that is kept as text (feature `serde`).

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{cursor::Cursor, document::Document};

/// Serializes a JSON text verbatim. Text that is not JSON by itself becomes a string.
///
/// A host must not fail on what a user wrote. `serde_json::Value` and databases refuse a lone
/// surrogate, so it becomes U+FFFD as in all texts. A number beyond their range becomes a string.
pub(crate) fn serialize<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if serde_json::from_str::<Representable>(json).is_ok()
        && let Ok(json) = serde_json::from_str::<&RawValue>(json)
    {
        return json.serialize(serializer);
    }
    match Document::new(Bytes::copy_from_slice(json.as_bytes())) {
        Ok(document) => representable(&mut document.cursor()).serialize(serializer),
        Err(_) => serializer.serialize_str(json),
    }
}

/// Returns the closest value that `serde_json` can represent. Recursion is bounded: a document has
/// a maximum depth.
fn representable(cursor: &mut Cursor<'_>) -> Value {
    match cursor.peek() {
        Some(b'{') => {
            let mut members = serde_json::Map::new();
            if cursor.enter_object().is_some() {
                while let Some(key) = cursor.next_key() {
                    let key = String::from_utf8_lossy(key).into_owned();
                    members.insert(key, representable(cursor));
                }
            }
            members.into()
        }
        Some(b'[') => {
            let mut elements = Vec::new();
            if cursor.enter_array().is_some() {
                while cursor.next_element() {
                    elements.push(representable(cursor));
                }
            }
            elements.into()
        }
        Some(b'"') => cursor.string().map_or(Value::Null, Value::from),
        _ => {
            let text = cursor.raw_value();
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
    }
}

/// JSON that `serde_json::Value` can represent. Checked without building a value.
struct Representable;

impl<'de> Deserialize<'de> for Representable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Check)
    }
}

struct Check;

impl<'de> Visitor<'de> for Check {
    type Value = Representable;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Representable, E> {
        Ok(Representable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Representable, E> {
        Ok(Representable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Representable, E> {
        Ok(Representable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Representable, E> {
        Ok(Representable)
    }

    fn visit_str<E>(self, _: &str) -> Result<Representable, E> {
        Ok(Representable)
    }

    fn visit_unit<E>(self) -> Result<Representable, E> {
        Ok(Representable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Representable, A::Error> {
        while seq.next_element::<Representable>()?.is_some() {}
        Ok(Representable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Representable, A::Error> {
        while map.next_entry::<Representable, Representable>()?.is_some() {}
        Ok(Representable)
    }
}
