//! Warnings about the setup that depend on what is between the layer and the handler.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, middleware::map_request, routing::post};
use http::{HeaderMap, StatusCode};
use tower::ServiceExt as _;
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    webhook::SetupWarning,
};

use test_support::{
    SECRET, TOKEN, builder,
    json::{messages, one_text, text},
    sign,
};

#[derive(Clone, Default)]
struct Warned(Arc<Mutex<Vec<SetupWarning>>>);

impl Warned {
    fn layer(&self, secret: &str) -> WebhookLayer {
        let warned = Arc::clone(&self.0);
        WebhookLayer::builder()
            .any_path()
            .app_secret(secret)
            .verify_token(TOKEN)
            .on_setup_warning(move |warning| warned.lock().unwrap().push(warning))
            .build()
            .unwrap()
    }

    fn take(&self) -> Vec<SetupWarning> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn signed(secret: &str, body: String) -> Request {
    Request::post("/wh")
        .header("x-hub-signature-256", sign(secret, &body))
        .body(body.into())
        .unwrap()
}

async fn status(app: &Router, request: Request) -> u16 {
    let response = app.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

/// A middleware between two layers forwards another delivery under a secret of its own. Its events
/// are those that the handler should read: nobody can read the first ones any more.
#[tokio::test]
async fn a_delivery_that_is_replaced_on_its_way_is_not_reported_as_unread() {
    const OTHER: &str = "the secret of the second hop";

    async fn replace(request: Request) -> Request {
        let (mut parts, _) = request.into_parts();
        let body = messages(&text("wamid.other", ""));
        let signature = sign(OTHER, &body).parse().unwrap();
        parts.headers.insert("x-hub-signature-256", signature);
        parts.headers.remove("content-length");
        Request::from_parts(parts, body.into())
    }
    let read = post(async |notification: Notification| {
        assert_eq!(notification.events()[0].id(), Some("wamid.other"));
    });
    let unread = post(async || {});
    for (handler, expected) in [
        (read, &[][..]),
        // The layer whose events they are says so.
        (unread, &[SetupWarning::EventsIgnored]),
    ] {
        let [outer, inner] = [Warned::default(), Warned::default()];
        let app = Router::new()
            .route("/wh", handler)
            .layer(inner.layer(OTHER))
            .layer(map_request(replace))
            .layer(outer.layer(SECRET));
        for _ in 0..2 {
            assert_eq!(status(&app, signed(SECRET, one_text())).await, 200);
        }
        assert_eq!(inner.take(), expected);
        assert_eq!(outer.take(), []);
    }
}

/// A gRPC service answers 200 whatever happened. The layer turns that into a failure, and says
/// what the failure means.
#[tokio::test]
async fn a_grpc_failure_in_place_of_the_handler_is_reported_once() {
    use SetupWarning::{DeliveryRefused, RouteMissing};

    for (with_dedup, failure) in [(false, 503), (true, 500)] {
        for (grpc_status, is_failure, expected) in [
            ("0", false, &[][..]),
            ("8", true, &[]),
            ("12", true, &[RouteMissing]),
            ("7", true, &[DeliveryRefused]),
            ("16", true, &[DeliveryRefused]),
        ] {
            let warned = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&warned);
            let layer = builder()
                .on_setup_warning(move |warning| seen.lock().unwrap().push(warning))
                .build()
                .unwrap();
            let answer = async move |_: Notification| {
                let mut headers = HeaderMap::new();
                headers.insert("content-type", "application/grpc".parse().unwrap());
                headers.insert("grpc-status", grpc_status.parse().unwrap());
                headers
            };
            let mut app = Router::new().route("/wh", post(answer));
            if with_dedup {
                app = app.layer(DedupLayer::new(MemoryStore::new()));
            }
            let app = app.layer(layer);
            for number in 0..2 {
                let body = messages(&text(&format!("wamid.{number}"), ""));
                let found = status(&app, signed(SECRET, body)).await;
                let answered = if is_failure { failure } else { 200 };
                assert_eq!(found, answered, "{grpc_status}, {with_dedup}");
            }
            let warned = std::mem::take(&mut *warned.lock().unwrap());
            assert_eq!(warned, expected, "{grpc_status}, {with_dedup}");
        }
    }
}

/// Each status by itself: what was reported of one kind would hide the next of that kind.
#[tokio::test]
async fn each_status_says_whether_the_handler_was_reached() {
    for code in 200..600 {
        let expected = match code {
            404 | 405 => &[SetupWarning::RouteMissing][..],
            300..=399 | 401 | 403 | 407 | 413 | 415 => &[SetupWarning::DeliveryRefused],
            _ => &[],
        };
        let warned = Warned::default();
        let answer = async move |_: Notification| StatusCode::from_u16(code).unwrap();
        let app = Router::new().route("/wh", post(answer));
        let app = app.layer(warned.layer(SECRET));
        status(&app, signed(SECRET, one_text())).await;
        assert_eq!(warned.take(), expected, "{code}");
    }
}

/// Anyone can send a request with a path like that of the layer. It does not use up the report of
/// the path that Meta calls, and a flood of them does not fill the log. What needs a signature is
/// reported once.
#[tokio::test(start_paused = true)]
async fn a_missed_path_is_reported_again_after_a_minute_and_other_mistakes_are_not() {
    const SECOND: Duration = Duration::from_secs(1);

    let warned = Warned::default();
    let seen = Arc::clone(&warned.0);
    let layer = builder()
        .on_setup_warning(move |warning| seen.lock().unwrap().push(warning))
        .build()
        .unwrap();
    // Clones share the limit.
    let app = Router::new().layer(layer.clone());
    let clone = Router::new().layer(layer);
    let missed = [
        ("GET", "/?hub.challenge=1"),
        ("GET", "/wh/?hub.challenge=1"),
        ("POST", "/prod/wh"),
    ];
    let miss = async || {
        for app in [&app, &clone] {
            for (method, path) in missed {
                let request = Request::builder().method(method).uri(path);
                let request = request.header("x-hub-signature-256", "");
                let request = request.body(Body::empty()).unwrap();
                assert_eq!(status(app, request).await, 404);
            }
        }
    };
    for minute in 0..3 {
        miss().await;
        assert_eq!(warned.take(), [SetupWarning::PathMissed], "{minute}");
        tokio::time::advance(59 * SECOND).await;
        miss().await;
        assert_eq!(warned.take(), [], "{minute}");
        tokio::time::advance(SECOND).await;
    }
    for expected in [&[SetupWarning::RouteMissing][..], &[]] {
        assert_eq!(status(&app, signed(SECRET, one_text())).await, 404);
        assert_eq!(warned.take(), expected);
        tokio::time::advance(3600 * SECOND).await;
    }
}
