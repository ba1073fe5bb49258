//! This crate. The handler reads every event.

use std::{error::Error, hint::black_box};

use axum::{Router, http::StatusCode, routing::post};
use tower_whatsapp::{Notification, Payload, WebhookLayer};
use tower_whatsapp_peers::{PATH, count, secret, serve};

async fn on_event(notification: Notification) -> StatusCode {
    for event in notification.events() {
        if let Payload::Message(_) | Payload::Status(_) = black_box(event.payload()) {
            count(1);
        }
    }
    StatusCode::OK
}

fn main() -> Result<(), Box<dyn Error>> {
    let whatsapp = WebhookLayer::new(PATH, secret(), "token")?;
    let router = Router::new().route(PATH, post(on_event)).layer(whatsapp);
    Ok(serve(router)?)
}
