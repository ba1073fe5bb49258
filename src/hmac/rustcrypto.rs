//! HMAC-SHA256 by RustCrypto: no C and no assembly to build, and keys are zeroed. It detects the
//! processor's SHA instructions at run time.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

use super::Tag;

#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes a key of any length: hmac's `InvalidLength` cannot occur here"
    )]
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn new_mac(&self) -> Mac {
        Mac(self.0.clone())
    }
}

#[derive(Clone)]
pub(crate) struct Mac(Hmac<Sha256>);

impl Mac {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finalize(self) -> Tag {
        Tag(self.0.finalize())
    }
}
