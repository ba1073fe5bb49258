//! Random JSON for the tests of this room.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::document::Document;

pub(super) fn document(text: &str) -> Document {
    Document::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub(super) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        r#"[\\"/\[\]{},: \n]{0,8}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Escapes a JSON text as Meta does: every `/` and every character outside ASCII.
pub(super) fn escaped(text: &str) -> String {
    let mut units = [0; 2];
    text.chars()
        .map(|c| match c {
            '/' => "\\/".to_owned(),
            c if c.is_ascii() => c.to_string(),
            c => c
                .encode_utf16(&mut units)
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect(),
        })
        .collect()
}
