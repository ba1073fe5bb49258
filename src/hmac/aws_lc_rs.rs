//! HMAC-SHA256 by aws-lc-rs: assembly, with the processor's SHA instructions if available.

use std::sync::{Mutex, PoisonError};

use ::aws_lc_rs::hmac::{self, Context, HMAC_SHA256};

use super::Tag;

#[derive(Clone)]
pub(crate) struct Key(hmac::Key);

impl Key {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, key))
    }

    pub(crate) fn new_mac(&self) -> Mac {
        Mac(Mutex::new(Context::with_key(&self.0)))
    }
}

/// The library's `Context` is not `Sync`, and a feature must not remove `Sync` from public types.
/// Only `clone` takes the lock.
pub(crate) struct Mac(Mutex<Context>);

impl Mac {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        let context = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        context.update(piece);
    }

    pub(crate) fn finalize(self) -> Tag {
        let context = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        Tag::from_slice(context.sign().as_ref())
    }
}

impl Clone for Mac {
    fn clone(&self) -> Self {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self(Mutex::new(context.clone()))
    }
}
