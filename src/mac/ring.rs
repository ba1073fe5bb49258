//! By ring: assembly, and the SHA instructions of the processor where they are. Its keys are not zeroed.

use ::ring::hmac::{self, Context, HMAC_SHA256};

use super::Tag;

#[derive(Clone)]
pub(crate) struct Key(hmac::Key);

impl Key {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, key))
    }

    pub(crate) fn start(&self) -> Mac {
        Mac(Context::with_key(&self.0))
    }
}

#[derive(Clone)]
pub(crate) struct Mac(Context);

impl Mac {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> Tag {
        Tag::copied(self.0.sign().as_ref())
    }
}
