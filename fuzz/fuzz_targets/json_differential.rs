//! Arbitrary bytes: whether they are JSON, by this crate and by three general parsers.
//!
//! serde_json's `IgnoredAny` checks the grammar of RFC 8259 alone, as this crate does, so both must
//! agree. sonic-rs's `LazyValue` does too, but for the digits of `\u` escapes. The others also
//! decode, and refuse what their values cannot represent: `DECODERS` has the rules of each.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use test_support::mutants::depth;
use tower_whatsapp::{Notification, event::ParseError};

/// Maximum depth that this crate accepts.
const MAX_DEPTH: usize = 127;

/// White space that makes a text too long for the short form of the check.
const PADDING: [u8; 4096] = [b' '; 4096];

struct Decoder {
    name: &'static str,
    accepts: fn(&str) -> bool,
    /// Why the decoder refuses valid JSON.
    refuses: fn(&Strange) -> bool,
}

const DECODERS: [Decoder; 3] = [
    Decoder {
        name: "serde_json Value",
        accepts: |text| serde_json::from_str::<serde_json::Value>(text).is_ok(),
        refuses: |it| it.lone_surrogate || it.huge_number || it.depth > MAX_DEPTH,
    },
    Decoder {
        name: "sonic-rs Value",
        accepts: |text| sonic_rs::from_str::<sonic_rs::Value>(text).is_ok(),
        refuses: |it| it.lone_surrogate || it.huge_number,
    },
    Decoder {
        name: "simd-json BorrowedValue",
        accepts: |text| simd_json::to_borrowed_value(&mut text.as_bytes().to_vec()).is_ok(),
        refuses: |it| it.lone_surrogate || it.huge_number || it.long_integer,
    },
];

fuzz_target!(|data: &[u8]| {
    let verdict = Notification::parse(Bytes::copy_from_slice(data)).map(drop);
    let padded = Bytes::from([&PADDING[..], data].concat());
    assert_eq!(Notification::parse(padded).map(drop), verdict, "padded");

    let Ok(text) = std::str::from_utf8(data) else {
        assert_eq!(verdict, Err(ParseError::NotUtf8));
        // The others do not check strings for UTF-8 in this form, or panic in debug builds.
        assert!(serde_json::from_slice::<serde_json::Value>(data).is_err());
        assert!(simd_json::to_borrowed_value(&mut data.to_vec()).is_err());
        return;
    };
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    let lazy = sonic_rs::from_str::<sonic_rs::LazyValue<'_>>(text).is_ok();
    let is_lax = lazy && has_bad_digits(text);
    assert!(lazy == is_json || is_lax, "sonic-rs LazyValue: {lazy}");
    match verdict {
        Ok(()) => assert!(is_json && depth(text) <= MAX_DEPTH, "accepted"),
        Err(ParseError::TooDeep) => assert!(depth(text) > MAX_DEPTH, "refused as too deep"),
        Err(error) => assert!(!is_json, "{error}"),
    }

    let strange = is_json.then(|| Strange::find(text)).unwrap_or_default();
    for Decoder {
        name,
        accepts,
        refuses,
    } in DECODERS
    {
        let expected = is_json && !refuses(&strange);
        assert_eq!(accepts(text), expected, "{name}");
    }
});

/// Whether the digits of a `\u` escape are not hexadecimal.
fn has_bad_digits(text: &str) -> bool {
    let is_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let mut after = text.split("\\u").skip(1).map(str::as_bytes);
    after.any(|rest| !rest.get(..4).is_some_and(is_digits))
}

/// What a valid JSON text has that not every decoder can represent.
#[derive(Default)]
struct Strange {
    depth: usize,
    /// Half of a surrogate pair, as an escape.
    lone_surrogate: bool,
    /// A number beyond `f64`.
    huge_number: bool,
    /// An integer beyond `i64` and `u64`.
    long_integer: bool,
}

impl Strange {
    fn find(text: &str) -> Self {
        let mut found = Self {
            depth: depth(text),
            ..Self::default()
        };
        let mut rest = text;
        while let Some(start) =
            rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        {
            rest = &rest[start..];
            if let Some(string) = rest.strip_prefix('"') {
                rest = found.string(string);
            } else {
                let in_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
                let end = rest.find(|c| !in_number(c)).unwrap_or(rest.len());
                found.number(&rest[..end]);
                rest = &rest[end..];
            }
        }
        found
    }

    fn number(&mut self, number: &str) {
        let is_integer = !number.contains(['.', 'e', 'E']);
        let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
        self.long_integer |= is_integer && !fits;
        self.huge_number |= number.parse::<f64>().is_ok_and(f64::is_infinite);
    }

    /// Returns the text after the string.
    fn string<'a>(&mut self, mut rest: &'a str) -> &'a str {
        let mut high = false;
        loop {
            let unit = rest.strip_prefix("\\u").and_then(|digits| {
                let unit = u16::from_str_radix(digits.get(..4)?, 16).ok()?;
                rest = &digits[4..];
                Some(unit)
            });
            let low = matches!(unit, Some(0xdc00..=0xdfff));
            self.lone_surrogate |= high != low;
            high = matches!(unit, Some(0xd800..=0xdbff));
            if unit.is_some() {
                continue;
            }
            let mut characters = rest.chars();
            match characters.next() {
                Some('"') | None => return characters.as_str(),
                Some('\\') => drop(characters.next()),
                Some(_) => {}
            }
            rest = characters.as_str();
        }
    }
}
