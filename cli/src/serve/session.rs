//! A session as JSON lines: one kept request on each.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::channel::Sender;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{task::spawn_blocking, time::timeout};
use tower_whatsapp::Notification;

use super::{
    App,
    api::{Problem, bad},
    fed::Fed,
    record::{Origin, Record, Refusal, Verdict},
};
use crate::output;

/// Time for a browser to take one line.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A line of the file. The body is JSON text, so it is a string.
#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    record: &'a Record,
    body: Option<&'a str>,
}

/// What is read of a line. The rest is computed from the body, or set by the store. Without
/// `flatten`, which would keep unknown keys in memory.
#[derive(Deserialize)]
struct Loaded {
    at: u64,
    method: String,
    path: String,
    verdict: Verdict,
    status: u16,
    micros: u64,
    refusal: Option<Refusal>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    length: usize,
    body: Option<String>,
}

pub(super) async fn save(State(app): State<App>) -> Response {
    let Ok(permit) = Arc::clone(&app.saves).try_acquire_owned() else {
        let text = "too many sessions are being saved\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let records = app.store.after(0, usize::MAX);
    let body = Fed::new(permit, |sender| send(records, sender));
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"whatsapp-webhook.jsonl\"",
        ),
    ];
    (headers, Body::new(body)).into_response()
}

/// One line at a time: the whole file may be as large as the store.
async fn send(records: Vec<Arc<Record>>, mut sender: Sender<Bytes, io::Error>) {
    for record in records {
        let Ok(line) = line(&record) else { continue };
        match timeout(SEND_TIMEOUT, sender.send_data(line.into())).await {
            Ok(Ok(())) => {}
            // As an error, so that the file is not taken for a whole one.
            _ => return sender.abort(io::ErrorKind::TimedOut.into()),
        }
    }
}

fn line(record: &Arc<Record>) -> serde_json::Result<String> {
    let body = std::str::from_utf8(&record.body).ok();
    let body = body.filter(|body| !body.is_empty());
    output::json_line(&Saved { record, body })
}

/// Adds the requests of a file. Nothing is added if a line is wrong.
pub(super) async fn load(State(app): State<App>, file: Bytes) -> Result<Response, Problem> {
    let loaded = spawn_blocking(move || {
        let text = std::str::from_utf8(&file).map_err(|_| bad("the file is not UTF-8"))?;
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
        // Twice, because all records together may take more memory than the store.
        for (index, line) in lines.clone() {
            let number = index + 1;
            let wrong = match parse(line) {
                Some(record) if record.size() <= app.store.max_bytes() => continue,
                Some(_) => "larger than --keep-mib",
                None => "not a saved request",
            };
            return Err(bad(format!("line {number} is {wrong}; nothing was loaded")));
        }
        let mut count = 0;
        for record in lines.filter_map(|(_, line)| parse(line)) {
            app.store.push(record);
            count += 1;
        }
        Ok(count)
    });
    let count: usize = loaded.await.map_err(|error| bad(error.to_string()))??;
    Ok(Json(json!({ "loaded": count })).into_response())
}

fn parse(line: &str) -> Option<Record> {
    let loaded: Loaded = serde_json::from_str(line).ok()?;
    let Loaded {
        at,
        method,
        path,
        status,
        micros,
        ..
    } = loaded;
    let time = Duration::from_micros(micros);
    let record = Record::new(Origin::Loaded, at, &method, &path, status, time);
    if loaded.verdict == Verdict::Delivery {
        let notification = Notification::parse(loaded.body?).ok()?;
        return Some(record.delivered(&notification));
    }
    let refusal = loaded.refusal.map(Refusal::shortened);
    Some(record.loaded(loaded.verdict, &loaded.title, loaded.length, refusal))
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, channel::Channel};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_not_read_is_given_up() {
        let record = Record::new(Origin::Live, 1, "GET", "/", 404, Duration::ZERO);
        let (sender, body) = Channel::new(1);
        let records = std::iter::repeat_n(Arc::new(record), 9).collect();
        let sending = timeout(SEND_TIMEOUT * 2, send(records, sender));
        assert!(sending.await.is_ok());
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn texts_of_a_loaded_request_are_shortened() {
        let long = "x".repeat(100_000);
        let refusal = json!({ "reason": long, "text": long, "detail": long, "advice": long });
        for verdict in ["refused", "handshake", "missed"] {
            let line = json!({
                "at": 1, "method": long, "path": long, "verdict": verdict, "status": 403,
                "micros": 1, "title": long, "kinds": vec![&long; 100], "numbers": vec![&long; 100],
                "refusal": refusal,
            });
            let record = parse(&line.to_string()).unwrap();
            assert!(record.size() < 6_000, "{verdict} {}", record.size());
        }
    }
}
