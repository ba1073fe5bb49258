//! Helpers of the Rust servers: one thread, a free port, and a count of the events
//! that handlers received.

use std::{
    env,
    hint::black_box,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Router, http::StatusCode, routing::get};
use serde_json::Value;
use tokio::{net::TcpListener, runtime};
use tower_whatsapp::{Notification, Payload};

pub const PATH: &str = "/webhook";

/// The body limit of `tower-whatsapp`, for frameworks with a default of 2 MB.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

static EVENTS: AtomicU64 = AtomicU64::new(0);

pub fn count(events: usize) {
    EVENTS.fetch_add(events as u64, Ordering::Relaxed);
}

/// The handler of the servers with this crate.
pub async fn read_events(notification: Notification) -> StatusCode {
    for event in notification.events() {
        if let Payload::Message(_) | Payload::Status(_) = black_box(event.payload()) {
            count(1);
        }
    }
    StatusCode::OK
}

/// Counts the messages and statuses in untyped JSON.
pub fn count_json(delivery: &Value) {
    let list = |value: &Value, name: &str| value[name].as_array().map_or(0, Vec::len);
    let entries = delivery["entry"].as_array().into_iter().flatten();
    for change in entries.flat_map(|entry| entry["changes"].as_array().into_iter().flatten()) {
        let value = &change["value"];
        count(list(value, "messages") + list(value, "statuses"));
    }
}

#[must_use]
pub fn secret() -> String {
    env::var("WHATSAPP_APP_SECRET").expect("WHATSAPP_APP_SECRET must be set; the sender sets it")
}

/// Serves until it is killed. Prints its port when it is listening.
pub fn serve(webhook: Router) -> io::Result<()> {
    let router = webhook.route(
        "/count",
        get(async || EVENTS.load(Ordering::Relaxed).to_string()),
    );
    // One thread, because the server is pinned to one core.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        axum::serve(listener, router).await
    })
}
