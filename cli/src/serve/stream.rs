//! Server-sent events: what is kept, and what comes.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::channel::Sender;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tower_whatsapp::testing::sample;

use super::{
    App,
    fed::Fed,
    record::Record,
    store::{Store, Totals},
};

/// Rows in one event.
const BATCH: usize = 500;
/// Minimum time between two events: a page cannot show more.
const PAUSE: Duration = Duration::from_millis(50);
/// Time without news after which a comment is sent, so that closed connections are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(super) struct Position {
    /// Number of the last row that the page has.
    #[serde(default)]
    after: u64,
}

#[derive(Serialize)]
struct Rows<'a> {
    rows: Vec<&'a Record>,
    totals: Totals,
}

pub(super) async fn stream(
    State(app): State<App>,
    Query(position): Query<Position>,
    headers: HeaderMap,
) -> Response {
    // A browser that reconnects sends the id of the last event.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let resumed = last.and_then(|id| {
        id.strip_prefix(&*app.instance)?
            .strip_prefix('-')?
            .parse()
            .ok()
    });
    let after = resumed.unwrap_or(position.after);
    let Ok(page) = Arc::clone(&app.pages).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let body = Fed::new(page, |sender| feed(app, after, sender));
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::new(body)).into_response()
}

async fn feed(app: App, mut after: u64, mut sender: Sender<Bytes, io::Error>) {
    let names: Vec<_> = sample::all().into_iter().map(|(name, _)| name).collect();
    let hello = json!({
        "instance": &*app.instance,
        "url": &*app.webhook_url,
        "samples": names,
        "version": env!("CARGO_PKG_VERSION"),
    });
    if send(
        &mut sender,
        format!("retry: 500\nevent: hello\ndata: {hello}\n\n"),
    )
    .await
    .is_none()
    {
        return;
    }
    let mut changes = app.store.subscribe();
    changes.mark_changed();
    loop {
        match timeout(KEEP_ALIVE, changes.changed()).await {
            // The store lives as long as the app.
            Ok(Err(_)) => return,
            Ok(Ok(())) => {
                if send_rows(&app, &mut after, &mut sender).await.is_none() {
                    return;
                }
            }
            Err(_) => {
                if send(&mut sender, ":\n\n".to_owned()).await.is_none() {
                    return;
                }
            }
        }
        sleep(PAUSE).await;
    }
}

async fn send_rows(
    app: &App,
    after: &mut u64,
    sender: &mut Sender<Bytes, io::Error>,
) -> Option<()> {
    let store: &Store = &app.store;
    loop {
        let rows = store.after(*after, BATCH);
        let totals = store.totals();
        *after = rows.last().map_or(*after, |row| row.number);
        let is_last = rows.len() < BATCH;
        let data = serde_json::to_string(&Rows {
            rows: rows.iter().map(AsRef::as_ref).collect(),
            totals,
        });
        let id = format!("{}-{after}", app.instance);
        let event = format!("id: {id}\nevent: rows\ndata: {}\n\n", data.ok()?);
        send(sender, event).await?;
        if is_last {
            return Some(());
        }
    }
}

async fn send(sender: &mut Sender<Bytes, io::Error>, event: String) -> Option<()> {
    sender.send_data(event.into()).await.ok()
}
