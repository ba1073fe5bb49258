//! What the servers in Rust share: one thread, a port of their own, and a count of the events that their handlers were given.

use std::{
    env, io,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Router, routing::get};
use serde_json::Value;
use tokio::{net::TcpListener, runtime};

pub const PATH: &str = "/webhook";

/// That of `tower-whatsapp`, for peers whose framework has 2 MB by default and lets it be raised.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

static EVENTS: AtomicU64 = AtomicU64::new(0);

pub fn count(events: usize) {
    EVENTS.fetch_add(events as u64, Ordering::Relaxed);
}

/// Counts what handlers get who are given no more than JSON: messages and statuses.
pub fn count_in(delivery: &Value) {
    let list = |value: &Value, name: &str| value[name].as_array().map_or(0, Vec::len);
    let entries = delivery["entry"].as_array().into_iter().flatten();
    for change in entries.flat_map(|entry| entry["changes"].as_array().into_iter().flatten()) {
        let value = &change["value"];
        count(list(value, "messages") + list(value, "statuses"));
    }
}

#[must_use]
pub fn secret() -> String {
    env::var("WHATSAPP_APP_SECRET").expect("the sender sets it")
}

/// Serves until it is killed. Prints its port when it listens.
pub fn serve(webhook: Router) -> io::Result<()> {
    let router = webhook.route(
        "/count",
        get(async || EVENTS.load(Ordering::Relaxed).to_string()),
    );
    // One thread, because there is one core.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        axum::serve(listener, router).await
    })
}
