//! A typical handwritten webhook of forty lines, with a raised body limit.

use std::io;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tower_whatsapp_peers::{BODY_LIMIT, PATH, count_json, secret, serve};

async fn on_delivery(State(secret): State<String>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !verified(&secret, &headers, &body) {
        return StatusCode::FORBIDDEN;
    }
    let Ok(delivery) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    count_json(&delivery);
    StatusCode::OK
}

fn verified(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let signature = headers
        .get("x-hub-signature-256")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("sha256="))
        .and_then(|digits| hex::decode(digits).ok());
    let Some(signature) = signature else {
        return false;
    };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC accepts keys of any length");
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

fn main() -> io::Result<()> {
    let webhook = Router::new()
        .route(PATH, post(on_delivery))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(secret());
    serve(webhook)
}
