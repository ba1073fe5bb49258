//! The lower bound: axum reads the body and drops it. Nothing is verified or parsed.

use std::io;

use axum::{Router, body::Bytes, extract::DefaultBodyLimit, http::StatusCode, routing::post};
use tower_whatsapp_peers::{BODY_LIMIT, PATH, serve};

async fn on_delivery(_: Bytes) -> StatusCode {
    StatusCode::OK
}

fn main() -> io::Result<()> {
    let webhook = Router::new()
        .route(PATH, post(on_delivery))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    serve(webhook)
}
