//! `axum-github-webhook-extract`: GitHub uses the same signature scheme as Meta, and the extractor
//! deserialises any type.

use std::{io, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, routing::post};
use axum_github_webhook_extract::{GithubEvent, GithubToken};
use serde_json::Value;
use tower_whatsapp_peers::{BODY_LIMIT, PATH, count_json, secret, serve};

async fn on_delivery(GithubEvent(delivery): GithubEvent<Value>) -> StatusCode {
    count_json(&delivery);
    StatusCode::OK
}

fn main() -> io::Result<()> {
    let webhook = Router::new()
        .route(PATH, post(on_delivery))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(GithubToken(Arc::new(secret())));
    serve(webhook)
}
