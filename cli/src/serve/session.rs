//! A session as JSON lines: one kept request on each.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header;
use http_body_util::channel::Channel;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_whatsapp::Notification;

use super::{
    App,
    api::{Problem, bad},
    record::{Origin, Record, Verdict},
};

/// A line of the file. The body is JSON text, so it is a string.
#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    record: &'a Record,
    body: Option<&'a str>,
}

#[derive(Deserialize)]
struct Loaded {
    #[serde(flatten)]
    record: Record,
    body: Option<String>,
}

pub(super) async fn save(State(app): State<App>) -> Response {
    let records = app.store.after(0, usize::MAX);
    let (mut sender, body) = Channel::<Bytes>::new(1);
    // One line at a time: the whole file may be as large as the store.
    tokio::spawn(async move {
        for record in records {
            let Ok(line) = line(&record) else { continue };
            if sender.send_data(line.into()).await.is_err() {
                return;
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"whatsapp-webhook.jsonl\"",
        ),
    ];
    (headers, Body::new(body)).into_response()
}

fn line(record: &Arc<Record>) -> serde_json::Result<String> {
    let body = std::str::from_utf8(&record.body).ok();
    let body = body.filter(|body| !body.is_empty());
    let mut line = serde_json::to_string(&Saved { record, body })?;
    line.push('\n');
    Ok(line)
}

/// Adds the requests of a file. Nothing is added if a line is wrong.
pub(super) async fn load(State(app): State<App>, file: Bytes) -> Result<Response, Problem> {
    let text = std::str::from_utf8(&file).map_err(|_| bad("the file is not UTF-8"))?;
    let mut records = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str(line).ok().and_then(restore);
        let wrong = || {
            bad(format!(
                "line {} is not a saved request; nothing was loaded",
                index + 1
            ))
        };
        records.push(record.ok_or_else(wrong)?);
    }
    let count = records.len();
    for record in records {
        app.store.push(record);
    }
    Ok(Json(json!({ "loaded": count })).into_response())
}

fn restore(Loaded { mut record, body }: Loaded) -> Option<Record> {
    record.origin = Origin::Loaded;
    record.repeat_of = None;
    if record.verdict == Verdict::Delivery {
        let notification = Notification::parse(body?).ok()?;
        record = record.delivered(&notification);
    }
    Some(record)
}
