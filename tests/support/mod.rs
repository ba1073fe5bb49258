//! What the test files share: who signs, what is sent, and bodies made by hand.
#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

mod body;
pub(crate) mod json;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower_whatsapp::{WebhookLayer, WebhookLayerBuilder};

pub(crate) use self::body::{Broken, Counted, Counter, Script, Step};

/// Easy to find again in any output.
pub(crate) const SECRET: &str = "canary-app-secret-5f1d";
pub(crate) const TOKEN: &str = "canary-verify-token-77";
pub(crate) const CHALLENGE: &str = "1158201444";
pub(crate) const PATH: &str = "/wh";

/// The default of the crate, written out again: a test must notice when it moves.
pub(crate) const BODY_LIMIT: usize = 4 * 1024 * 1024;

pub(crate) fn builder() -> WebhookLayerBuilder {
    WebhookLayer::builder()
        .path(PATH)
        .app_secret(SECRET)
        .verify_token(TOKEN)
}

pub(crate) fn layer() -> WebhookLayer {
    builder().build().expect("the settings are good")
}

pub(crate) fn tag(secret: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).expect("any length will do");
    mac.update(body.as_ref());
    mac.finalize().into_bytes().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of the header, made without the crate's own code.
pub(crate) fn sign(secret: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
    format!("sha256={}", hex(&tag(secret, body)))
}

/// The query of a good handshake.
pub(crate) fn handshake(token: &str, challenge: &str) -> String {
    format!("{PATH}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge={challenge}")
}
