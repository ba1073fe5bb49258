//! The signature header: what is accepted, and that it is parsed correctly. The lines of the input
//! are the values of the header.

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use test_support::{SECRET, tag};
use tower_whatsapp::{
    secret::AppSecret,
    signature::{MalformedSignature, SIGNATURE_HEADER, Signature, SignatureError, Verifier},
};

/// The seeds contain its signature.
const BODY: &[u8] = b"{}";

static GOOD: LazyLock<(Verifier, [u8; 32])> = LazyLock::new(|| {
    let mut verifier = Verifier::new(&[AppSecret::new(SECRET).unwrap()]);
    verifier.update(BODY);
    (verifier, tag(SECRET, BODY))
});

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut readings = Vec::new();
    for value in data.split(|byte| *byte == b'\n') {
        let expected = reference(value);
        check(Signature::parse(value), expected);
        if let Ok(header) = HeaderValue::from_bytes(value) {
            // The old SHA-1 header must be ignored.
            headers.append("x-hub-signature", header.clone());
            headers.append(SIGNATURE_HEADER, header);
            readings.push(expected);
        }
    }
    let found = Signature::from_headers(&headers);
    match *readings {
        [] => assert_eq!(found.err(), Some(SignatureError::Missing)),
        [expected] => check(found, expected),
        _ => {
            let repeated = SignatureError::Malformed(MalformedSignature::Repeated);
            assert_eq!(found.err(), Some(repeated));
        }
    }
});

fn check(found: Result<Signature, SignatureError>, expected: Option<[u8; 32]>) {
    let Some(expected) = expected else {
        assert!(matches!(found, Err(SignatureError::Malformed(_))));
        return;
    };
    let (verifier, good) = &*GOOD;
    let verdict = verifier
        .clone()
        .verify(&found.expect("the signature is well formed"));
    let right = if expected == *good {
        Ok(0)
    } else {
        Err(SignatureError::Mismatch)
    };
    assert_eq!(verdict, right);
}

/// A reference parser by Meta's documentation.
fn reference(value: &[u8]) -> Option<[u8; 32]> {
    const DIGITS: &str = "0123456789abcdef";
    let text = std::str::from_utf8(value).ok()?;
    let (name, digits) = text.split_once('=')?;
    if name != "sha256" || digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, digit) in digits.chars().enumerate() {
        let value = u8::try_from(DIGITS.find(digit)?).ok()?;
        bytes[place / 2] = bytes[place / 2] * 16 + value;
    }
    Some(bytes)
}
