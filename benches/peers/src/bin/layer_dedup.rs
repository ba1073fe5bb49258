//! This crate with deduplication in memory. The handler reads every event.
//!
//! The sender repeats one delivery, so a number makes the key of each event new.

use std::{
    error::Error,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Router, routing::post};
use tower_whatsapp::{
    Event, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    event::EventKey,
};
use tower_whatsapp_peers::{PATH, read_events, secret, serve};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The default key, and a number.
fn numbered_key(event: &Event, app: &str) -> Option<EventKey> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let key = u128::from_ne_bytes(event.key_in(app).to_bytes());
    let key = key ^ u128::from(number);
    Some(EventKey::from_bytes(key.to_ne_bytes()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let whatsapp = WebhookLayer::new(PATH, secret(), "token")?;
    let dedup = DedupLayer::builder(MemoryStore::new())
        .key(numbered_key)
        .build()?;
    let router = Router::new()
        .route(PATH, post(read_events))
        .layer(dedup)
        .layer(whatsapp);
    Ok(serve(router)?)
}
