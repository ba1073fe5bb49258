//! The comparisons that both methods examine.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower_whatsapp::{
    secret::AppSecret,
    signature::{Signature, Verifier},
};

pub const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;
pub const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
pub const TOKEN: &[u8; 32] = b"a token of thirty-two characters";

/// The correct tag of [`BODY`] under [`SECRET`].
#[must_use]
pub fn tag() -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("HMAC accepts keys of any length");
    mac.update(BODY);
    mac.finalize().into_bytes().into()
}

#[must_use]
pub fn signature(tag: &[u8; 32]) -> Signature {
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    Signature::parse(format!("sha256={hex}").as_bytes()).expect("well formed")
}

/// Returns a verifier that has hashed [`BODY`] under each of these secrets.
#[must_use]
pub fn verifier(secrets: &[&[u8]]) -> Verifier {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| AppSecret::new(secret).expect("not blank"))
        .collect();
    let mut verifier = Verifier::new(&secrets);
    verifier.update(BODY);
    verifier
}

/// The control: a comparison that returns at the first difference.
#[must_use]
#[inline(never)]
pub fn naive(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}
