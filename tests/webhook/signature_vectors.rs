//! Signatures computed by other implementations.

use serde_json::Value;
use tower_whatsapp::{
    secret::AppSecret,
    signature::{Signature, Verifier},
};

/// Computed with Python's `hmac`: secret, body, and signature header. The last one is
/// from RFC 4231, 4.3.
const VECTORS: [(&str, &str, &str); 6] = [
    (
        "test_app_secret",
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
        "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
    ),
    (
        "test_app_secret",
        r#"{"object": "whatsapp_business_account", "entry": []}"#,
        "sha256=56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a",
    ),
    (
        "otro_secreto",
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
        "sha256=769b03d8c2ae6498f2d1e1f7299c0ba55448c69d741e7b0bb243d852d8a8d8c7",
    ),
    (
        "test_app_secret",
        r#"{"object":"whatsapp_business_account","entry":[{"id":"0","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","t":"\u00e4\u00f6\u00e5 a\/b \u003C \u0025 \u0040"}}]}]}"#,
        "sha256=9f5ec6c47e3e7f0b67ed5ccce320b1c18281c92d794388a53937c0bb0fbaee19",
    ),
    // The previous one, parsed and serialised again without escapes.
    (
        "test_app_secret",
        r#"{"object":"whatsapp_business_account","entry":[{"id":"0","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","t":"äöå a/b < % @"}}]}]}"#,
        "sha256=8f26cf14cf46abafaa43918e6f22ea8ea1736af718fd6d7ac89a612ab783fdab",
    ),
    (
        "Jefe",
        "what do ya want for nothing?",
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
];

fn accepts(secret: &[u8], body: &[u8], header: &[u8]) -> bool {
    let Ok(signature) = Signature::parse(header) else {
        return false;
    };
    let mut verifier = Verifier::new(&[AppSecret::new(secret).unwrap()]);
    verifier.update(body);
    verifier.verify(&signature).is_ok()
}

/// Each header is valid for its own secret and body only.
#[test]
fn each_header_belongs_to_its_own_line() {
    for (secret, body, _) in VECTORS {
        for (other_secret, other_body, header) in VECTORS {
            let own = (secret, body) == (other_secret, other_body);
            let accepted = accepts(secret.as_bytes(), body.as_bytes(), header.as_bytes());
            assert_eq!(accepted, own, "{secret} {body} {header}");
        }
    }
}

#[test]
fn the_secret_that_matched_is_told() {
    let secrets = VECTORS.map(|(secret, ..)| AppSecret::new(secret).unwrap());
    for (index, (secret, body, header)) in VECTORS.into_iter().enumerate() {
        let mut verifier = Verifier::new(&secrets);
        verifier.update(body.as_bytes());
        let first = VECTORS.iter().position(|(other, ..)| *other == secret);
        let signature = Signature::parse(header.as_bytes()).unwrap();
        assert_eq!(verifier.verify(&signature).ok(), first, "{index}");
    }
}

/// More vectors, which are next to the crate during development and not published.
#[test]
fn further_vectors_if_they_are_there() {
    let path = test_support::shared("signatures.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        test_support::not_run("further vectors: ../shared/signatures.json is missing");
        return;
    };
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    for vector in &vectors {
        let field = |name| vector[name].as_str().unwrap();
        let expected = match field("expect") {
            "accept" => true,
            "reject" => false,
            other => panic!("{other}"),
        };
        let secret = unhex(field("secret_hex"));
        // RFC 4231 has keys of control characters that count as white space. Such
        // secrets are rejected.
        if secret.iter().all(u8::is_ascii_whitespace) || secret.iter().all(|byte| *byte == 0x0b) {
            assert!(AppSecret::new(&secret).is_err(), "{}", field("name"));
            continue;
        }
        let accepted = accepts(
            &secret,
            &unbase64(field("body_base64")),
            field("header").as_bytes(),
        );
        assert_eq!(accepted, expected, "{}", field("name"));
    }
    println!("{} further vectors", vectors.len());
    assert!(vectors.len() >= 30);
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other}"),
    };
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | u32::from(digit(byte));
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
