//! `tower-github-webhook`: a layer that verifies the signature; the handler parses the JSON.

use std::io;

use axum::{Json, Router, extract::DefaultBodyLimit, http::StatusCode, routing::post};
use serde_json::Value;
use tower_github_webhook::ValidateGitHubWebhookLayer;
use tower_whatsapp_peers::{BODY_LIMIT, PATH, count_json, secret, serve};

async fn on_delivery(Json(delivery): Json<Value>) -> StatusCode {
    count_json(&delivery);
    StatusCode::OK
}

fn main() -> io::Result<()> {
    let webhook = Router::new()
        .route(PATH, post(on_delivery))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(ValidateGitHubWebhookLayer::new(secret()));
    serve(webhook)
}
