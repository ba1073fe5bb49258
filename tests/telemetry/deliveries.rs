//! How a delivery ended, and what was wrong with a signed one.

use std::{
    future::pending,
    task::{Context, Waker},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::Response,
    routing::{any, post},
};
use test_support::{
    CHALLENGE, SECRET, TOKEN, builder,
    json::{messages, one_text, text},
    layer, sign,
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_whatsapp::{Notification, webhook::OnHandlerError};
use tracing::level_filters::LevelFilter;

use crate::capture::Lines;

async fn accept(_: Notification) {}

fn signed(body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    Request::post("/wh")
        .header("content-length", body.len())
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(body.into())
        .unwrap()
}

async fn status(app: &Router, request: Request) -> u16 {
    let response: Response = app.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

/// The lines of a level that contain `part`.
fn count(lines: &Lines, level: &str, part: &str) -> usize {
    let text = lines.text();
    let found = text
        .lines()
        .filter(|line| line.contains(level) && line.contains(part));
    found.count()
}

/// Without a `DedupLayer` nothing else tells of it.
#[tokio::test]
async fn a_handler_that_panics_is_a_warning() {
    let (lines, _guard) = Lines::collect(LevelFilter::DEBUG);
    let panics = async |_: Notification| -> StatusCode { panic!("a bug of the host") };
    let app = Router::new().route("/wh", post(panics)).layer(layer());
    for _ in 0..2 {
        let (app, request) = (app.clone(), signed(one_text()));
        let task = tokio::spawn(async move { status(&app, request).await });
        assert!(task.await.unwrap_err().is_panic());
    }
    let text = "panicked, or the inner service returned an error";
    assert_eq!(count(&lines, " WARN ", text), 1, "{}", lines.text());
    assert_eq!(count(&lines, "DEBUG ", text), 1, "{}", lines.text());
    assert_eq!(count(&lines, " WARN ", "outcome=\"failed\""), 1);
}

/// Either the rejection or the end of the delivery is the warning.
#[tokio::test]
async fn an_error_of_the_inner_service_is_one_warning() {
    for (what, told) in [
        (OnHandlerError::Respond, "reason=\"handler_failed\""),
        (OnHandlerError::Propagate, "returned an error"),
    ] {
        let (lines, _guard) = Lines::collect(LevelFilter::WARN);
        let host = service_fn(async |_: http::Request<_>| Err::<Response<Body>, _>("the host"));
        let layer = builder().on_handler_error(what).build();
        let response = layer.unwrap().layer(host).oneshot(signed(one_text())).await;
        assert_eq!(response.is_err(), what == OnHandlerError::Propagate);
        assert_eq!(count(&lines, " WARN ", ""), 1, "{}", lines.text());
        lines.only(told);
    }
}

/// A server drops the response when the sender has disconnected.
#[tokio::test]
async fn a_delivery_without_a_response_is_a_warning() {
    let (lines, _guard) = Lines::collect(LevelFilter::INFO);
    let hangs = async |_: Notification| pending::<()>().await;
    let app = Router::new().route("/wh", post(hangs)).layer(layer());
    for _ in 0..2 {
        let mut response = Box::pin(status(&app, signed(one_text())));
        let mut context = Context::from_waker(Waker::noop());
        assert!(response.as_mut().poll(&mut context).is_pending());
    }
    let line = lines.only(" WARN ");
    for part in [
        "handler is too slow",
        "path=\"/wh\"",
        "outcome=\"abandoned\"",
    ] {
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn a_signed_body_that_is_not_parsed_tells_why() {
    let nested = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for (body, detail) in [
        (b"{".to_vec(), "the body is not JSON"),
        (b"\"\xff\"".to_vec(), "the body is not UTF-8"),
        (nested.into_bytes(), "the body is nested too deeply"),
    ] {
        let (lines, _guard) = Lines::collect(LevelFilter::WARN);
        let app = Router::new().route("/wh", any(accept)).layer(layer());
        assert_eq!(status(&app, signed(body)).await, 422);
        let line = lines.only("not_json");
        assert!(line.contains(&format!("detail={detail} ")), "{line}");
    }
}

/// Such a caller knows the token.
#[tokio::test]
async fn another_mode_than_subscribe_asks_for_another_token() {
    let (lines, _guard) = Lines::collect(LevelFilter::WARN);
    let app = Router::new().route("/wh", any(accept)).layer(layer());
    for (token, reason) in [(TOKEN, "handshake_mode"), ("other", "handshake_token")] {
        let query = format!("hub.mode=other&hub.verify_token={token}&hub.challenge={CHALLENGE}");
        let request = Request::get(format!("/wh?{query}")).body(Body::empty());
        assert_eq!(status(&app, request.unwrap()).await, 403);
        lines.only(reason);
    }
    let line = lines.only("handshake_mode");
    assert!(line.contains("somebody knows the token"), "{line}");
}

/// Hashing a longer event would delay the other tasks of the thread.
#[tokio::test]
async fn the_first_key_is_that_of_an_event_of_at_most_64_kib() {
    const MAX: usize = 64 * 1024;
    for (length, is_shown) in [(MAX, true), (MAX + 1, false)] {
        let (lines, _guard) = Lines::collect(LevelFilter::INFO);
        let empty = text("wamid.A", "").len();
        let event = text("wamid.A", &"a".repeat(length - empty));
        assert_eq!(event.len(), length);
        let reads = async |notification: Notification| {
            tracing::info!(length = notification.events()[0].raw().len(), "read");
        };
        let app = Router::new().route("/wh", post(reads)).layer(layer());
        assert_eq!(status(&app, signed(messages(&event))).await, 200);
        let line = lines.only("read");
        assert!(line.contains(&format!("read length={length}")), "{line}");
        assert_eq!(line.contains("first_key="), is_shown, "{length}: {line}");
    }
}
