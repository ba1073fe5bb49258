//! What the page asks for and does.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tower::ServiceExt;
use tower_whatsapp::{
    Event, Notification,
    testing::{self, sample},
};

use super::{
    App,
    record::{Origin, now},
    webhook::Number,
};
use crate::{
    client::{self, Answer},
    failure::chain,
    tls::TlsArgs,
};

/// Time for the response to a resent delivery.
const RESEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Events in one answer.
const EVENTS: usize = 50;

/// An answer for the page's error line.
pub(super) struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        (status, Json(json!({ "error": text }))).into_response()
    }
}

fn gone() -> Problem {
    Problem(
        StatusCode::NOT_FOUND,
        "this request is no longer kept".to_owned(),
    )
}

pub(super) fn bad(text: impl Into<String>) -> Problem {
    Problem(StatusCode::BAD_REQUEST, text.into())
}

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    from: usize,
}

/// Events of a delivery: the typed view, the raw text, and the keys that are not read.
pub(super) async fn detail(
    State(app): State<App>,
    Path(number): Path<u64>,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let record = app.store.get(number).ok_or_else(gone)?;
    let described = spawn_blocking(move || {
        let notification = Notification::parse(record.body.clone()).ok();
        let events = notification.as_ref().map_or(&[][..], Notification::events);
        let shown: Vec<_> = events
            .iter()
            .skip(page.from)
            .take(EVENTS)
            .map(describe)
            .collect();
        json!({ "record": &*record, "from": page.from, "total": events.len(), "events": shown })
    });
    let described = described.await.map_err(|error| bad(error.to_string()))?;
    Ok(Json(described).into_response())
}

fn describe(event: &Event) -> Value {
    let payload = event.payload();
    let typed = serde_json::to_string(&payload).ok();
    json!({
        "kind": payload.name(),
        "subtype": payload.subtype(),
        "id": event.id(),
        "field": event.field(),
        "entry_id": event.entry_id(),
        "number": event.display_phone_number().or(event.phone_number_id()),
        "known": event.is_known(),
        "unread": event.unread(),
        // As texts: JavaScript would round large numbers.
        "typed": typed,
        "raw": event.raw(),
    })
}

/// The body as it arrived, never as a type that a browser runs.
pub(super) async fn body(
    State(app): State<App>,
    Path(number): Path<u64>,
) -> Result<Response, Problem> {
    let record = app.store.get(number).ok_or_else(gone)?;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, record.body.clone()).into_response())
}

#[derive(Deserialize)]
pub(super) struct Search {
    text: String,
}

/// Numbers of the requests whose body contains the text. ASCII letters match in either case.
pub(super) async fn search(
    State(app): State<App>,
    Query(search): Query<Search>,
) -> Result<Response, Problem> {
    let found = spawn_blocking(move || {
        let needle = search.text.to_ascii_lowercase().into_bytes();
        let all = app.store.after(0, usize::MAX).into_iter();
        all.filter(|record| contains(&record.body, &needle))
            .map(|record| record.number)
            .collect::<Vec<_>>()
    });
    let found = found.await.map_err(|error| bad(error.to_string()))?;
    Ok(Json(found).into_response())
}

/// `needle` is in lower case.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return true;
    };
    haystack.windows(needle.len()).any(|window| {
        window
            .first()
            .is_some_and(|byte| byte.to_ascii_lowercase() == *first)
            && window.eq_ignore_ascii_case(needle)
    })
}

#[derive(Deserialize)]
pub(super) struct Sending {
    sample: Option<String>,
    body: Option<String>,
    #[serde(default)]
    forged: bool,
}

/// Sends a sample or pasted text through the layer.
pub(super) async fn send(
    State(app): State<App>,
    Json(sending): Json<Sending>,
) -> Result<Response, Problem> {
    let body = match (sending.body, sending.sample) {
        (Some(body), _) => body.into(),
        (None, Some(name)) => {
            let sample = sample::named(&name).ok_or_else(|| bad("there is no such sample"))?;
            sample.lenient().timestamp(now() / 1000).body()
        }
        (None, None) => return Err(bad("choose a sample or paste a body")),
    };
    let secret = if sending.forged {
        "the secret of a forger"
    } else {
        &app.app_secret
    };
    let mut request = testing::delivery(&app.path, body, secret).map(Body::from);
    request.extensions_mut().insert(Origin::Page);
    let response = match app.webhook.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let number = response
        .extensions()
        .get::<Number>()
        .map(|Number(number)| *number);
    let status = response.status().as_u16();
    Ok(Json(json!({ "status": status, "number": number })).into_response())
}

#[derive(Deserialize)]
pub(super) struct Resending {
    number: u64,
    url: String,
}

/// Sends a kept delivery to another URL, signed with the app secret.
pub(super) async fn resend(
    State(app): State<App>,
    Json(resending): Json<Resending>,
) -> Result<Response, Problem> {
    let record = app.store.get(resending.number).ok_or_else(gone)?;
    if record.body.is_empty() {
        return Err(bad("only the body of an accepted delivery is kept"));
    }
    let url = client::parse_url(resending.url.trim()).map_err(bad)?;
    let config = TlsArgs::default()
        .config(client::uses_tls(&url))
        .map_err(|failure| bad(failure.to_string()))?;
    let request = testing::delivery(&url.to_string(), record.body.clone(), &app.app_secret);
    let start = Instant::now();
    let client = client::new(config);
    let answer = timeout(RESEND_TIMEOUT, async {
        let response = client.request(request.map(Full::new)).await?;
        Ok::<_, hyper_util::client::legacy::Error>(Answer::read(response).await)
    });
    let answer = answer
        .await
        .map_err(|_| bad("no response within 10 s"))?
        .map_err(|error| bad(chain(&error)))?;
    let millis = start.elapsed().as_millis();
    Ok(Json(json!({ "status": answer.status().as_u16(), "ms": millis })).into_response())
}

pub(super) async fn clear(State(app): State<App>) -> StatusCode {
    app.store.clear();
    StatusCode::NO_CONTENT
}
