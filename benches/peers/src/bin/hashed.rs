//! The lower bound of any receiver that verifies: axum reads the body, hashes it with the app
//! secret and drops it. Nothing is parsed.

use std::{hint::black_box, io};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower_whatsapp_peers::{BODY_LIMIT, PATH, secret, serve};

type Keyed = Hmac<Sha256>;

async fn on_delivery(State(keyed): State<Keyed>, body: Bytes) -> StatusCode {
    black_box(keyed.chain_update(body).finalize());
    StatusCode::OK
}

fn main() -> io::Result<()> {
    let keyed =
        Keyed::new_from_slice(secret().as_bytes()).expect("HMAC accepts keys of any length");
    let webhook = Router::new()
        .route(PATH, post(on_delivery))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(keyed);
    serve(webhook)
}
