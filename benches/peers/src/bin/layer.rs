//! This crate. The handler reads every event.

use std::error::Error;

use axum::{Router, routing::post};
use tower_whatsapp::WebhookLayer;
use tower_whatsapp_peers::{PATH, read_events, secret, serve};

fn main() -> Result<(), Box<dyn Error>> {
    let whatsapp = WebhookLayer::new(PATH, secret(), "token")?;
    let router = Router::new().route(PATH, post(read_events)).layer(whatsapp);
    Ok(serve(router)?)
}
