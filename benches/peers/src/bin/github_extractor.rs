//! `axum-github-webhook-extract`: GitHub signs as Meta does, and the extractor takes any type of serde's.

use std::{io, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, routing::post};
use axum_github_webhook_extract::{GithubEvent, GithubToken};
use serde_json::Value;
use tower_whatsapp_peers::{BODY_LIMIT, PATH, count_in, secret, serve};

async fn on_delivery(GithubEvent(delivery): GithubEvent<Value>) -> StatusCode {
    count_in(&delivery);
    StatusCode::OK
}

fn main() -> io::Result<()> {
    let webhook = Router::new()
        .route(PATH, post(on_delivery))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(GithubToken(Arc::new(secret())));
    serve(webhook)
}
