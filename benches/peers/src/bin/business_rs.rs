//! `whatsapp-business-rs` inside an axum router, because the body limit of its own
//! server is fixed at 2 MB.

use std::{hint::black_box, io};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    routing::post,
};
use tower_whatsapp_peers::{BODY_LIMIT, PATH, count, secret, serve};
use whatsapp_business_rs::{
    WebhookHandler,
    server::{Event, EventContext},
    webhook_service::WebhookServiceBuilder,
};

#[derive(Clone)]
struct Handler;

impl WebhookHandler for Handler {
    async fn handle(&self, _: EventContext, event: Event) {
        if let Event::IncomingMessage(_) | Event::MessageUpdate(_) = black_box(event) {
            count(1);
        }
    }
}

fn main() -> io::Result<()> {
    let service = WebhookServiceBuilder::new()
        .verify_token("token")
        .verify_payload(secret())
        .build(Handler);
    let handler = post(move |request: Request| {
        let service = service.clone();
        async move { service.handle(request).await }
    });
    let webhook = Router::new()
        .route(PATH, handler)
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    serve(webhook)
}
