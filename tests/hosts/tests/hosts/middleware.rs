//! Other middleware outside both layers, between them, and inside `DedupLayer`. The result must
//! match the table of middleware in `docs/hosts.md`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::DefaultBodyLimit, routing::post};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_http::{
    compression::CompressionLayer, cors::CorsLayer, decompression::RequestDecompressionLayer,
    timeout::TimeoutLayer,
};
use tower_whatsapp::{
    WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    testing,
    webhook::SetupWarning,
};

use super::support::{BODY, PATH, SECRET, at, delivery, delivery_to, layer};

async fn status(app: &Router, request: http::Request<Bytes>) -> u16 {
    let request = request.map(Body::from);
    app.clone()
        .oneshot(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

fn dedup() -> DedupLayer<MemoryStore> {
    DedupLayer::new(MemoryStore::new())
}

/// Sends three deliveries, one after the other, to a handler that exceeds the timeout. Returns
/// their statuses, and how often the handler completed.
async fn exceed_timeout(place: &str) -> ([u16; 3], usize) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let handler = async move || {
        sleep(Duration::from_millis(600)).await;
        count.fetch_add(1, Ordering::Relaxed);
    };
    let routes = Router::new().route("/webhook", post(handler));
    let limit = Duration::from_millis(200);
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limit);
    let app = match place {
        "outside" => routes.layer(dedup()).layer(layer()).layer(timeout),
        "between" => routes.layer(dedup()).layer(timeout).layer(layer()),
        "inside" => routes.layer(timeout).layer(dedup()).layer(layer()),
        _ => routes.layer(timeout).layer(layer()),
    };
    let mut statuses = [0; 3];
    for seen in &mut statuses {
        *seen = status(&app, delivery()).await;
        sleep(Duration::from_secs(1)).await;
    }
    (statuses, ended.load(Ordering::Relaxed))
}

/// `DedupLayer` lets the handler complete, unless the timeout is inside it.
#[tokio::test]
async fn a_timeout_inside_the_dedup_layer_drops_the_handler() {
    let places = ["outside", "between", "inside", "without a dedup layer"];
    let [outside, between, inside, alone] = places.map(exceed_timeout);
    let (outside, between, inside, alone) = tokio::join!(outside, between, inside, alone);
    assert_eq!(outside, ([408, 200, 200], 1));
    assert_eq!(between, ([408, 200, 200], 1));
    assert_eq!(inside, ([500; 3], 0));
    assert_eq!(alone, ([408; 3], 0));
}

/// Returns the number of concurrent handlers under a limit of one.
async fn run_limited(is_inside: bool) -> usize {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let handler = async move || {
        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(now, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
        running.fetch_sub(1, Ordering::SeqCst);
    };
    let dedup = DedupLayer::builder(MemoryStore::new())
        .store_timeout(Duration::from_millis(50))
        .in_flight_wait(Duration::ZERO)
        .response_deadline(Duration::from_millis(100))
        .build()
        .unwrap();
    let routes = Router::new().route("/webhook", post(handler));
    let limit = ConcurrencyLimitLayer::new(1);
    let app = if is_inside {
        routes.layer(limit).layer(dedup).layer(layer())
    } else {
        routes.layer(dedup).layer(limit).layer(layer())
    };
    // As `axum::serve` does. Otherwise axum applies the layers per request, and each request has
    // its own limit.
    let app = app.with_state(());
    for id in ["wamid.A", "wamid.B"] {
        let body = BODY.replace("wamid.A", id);
        let delivery = testing::delivery(PATH, body, SECRET);
        assert_eq!(status(&app, delivery).await, 503);
    }
    // Wait until both handlers have completed, one after the other if they are limited.
    sleep(Duration::from_millis(2500)).await;
    most.load(Ordering::SeqCst)
}

/// Between the layers a permit is released at the response deadline, while the handler still runs.
#[tokio::test]
async fn a_concurrency_limit_counts_handlers_only_inside_the_dedup_layer() {
    let (inside, between) = tokio::join!(run_limited(true), run_limited(false));
    assert_eq!((inside, between), (1, 2));
}

/// The layer responds to all other methods on its path itself.
#[tokio::test]
async fn cors_inside_never_sees_a_preflight_request() {
    let preflight = || {
        let request = http::Request::options(PATH)
            .header("origin", "https://example.com")
            .header("access-control-request-method", "POST");
        request.body(Bytes::new()).unwrap()
    };
    let routes = || Router::new().route("/webhook", post(async || ()));
    let cors = CorsLayer::permissive;
    let inside = routes().layer(cors()).layer(layer());
    assert_eq!(status(&inside, preflight()).await, 405);
    let outside = routes().layer(layer()).layer(cors());
    assert_eq!(status(&outside, preflight()).await, 200);
}

/// A delivery compressed with `Content-Encoding: gzip`.
async fn compressed() -> Bytes {
    let plain = service_fn(async |_: http::Request<Body>| {
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(BODY)))
    });
    let request = http::Request::get("/").header("accept-encoding", "gzip");
    let request = request.body(Body::empty()).unwrap();
    let response = CompressionLayer::new().layer(plain).oneshot(request).await;
    let response = response.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    response.into_body().collect().await.unwrap().to_bytes()
}

/// It changes only encoded bodies. The signature covers the bytes as sent.
#[tokio::test]
async fn decompression_outside_breaks_only_signatures_of_encoded_bodies() {
    let gzip = async || {
        let mut request = testing::delivery(PATH, compressed().await, SECRET);
        let encoding = HeaderValue::from_static("gzip");
        request.headers_mut().insert("content-encoding", encoding);
        request
    };
    let routes = || Router::new().route("/webhook", post(async || ()));
    let alone = routes().layer(layer());
    let outside = routes()
        .layer(layer())
        .layer(RequestDecompressionLayer::new());
    let inside = routes()
        .layer(RequestDecompressionLayer::new())
        .layer(layer());
    for app in [&alone, &outside, &inside] {
        assert_eq!(status(app, delivery()).await, 200);
    }
    assert_eq!(status(&alone, gzip().await).await, 415);
    assert_eq!(status(&outside, gzip().await).await, 403);
    assert_eq!(status(&inside, gzip().await).await, 415);
}

/// The layer lifts axum's limit of 2 MB for verified deliveries. A limit inside applies again.
#[tokio::test]
async fn the_body_limit_of_axum() {
    let read = || Router::new().route("/webhook", post(async |_: Bytes| ()));
    let limit = || DefaultBodyLimit::max(100);
    let app = read().layer(limit()).layer(layer());
    assert_eq!(status(&app, delivery()).await, 413);
    let app = read().layer(layer()).layer(limit());
    assert_eq!(status(&app, delivery()).await, 200);
    let large = BODY.replace("hi", &"x".repeat(3_000_000));
    let large = testing::delivery(PATH, large, SECRET);
    assert_eq!(status(&read().layer(layer()), large).await, 200);
}

/// GitHub and Messenger use the same signature header, so their deliveries look like missed ones.
#[tokio::test]
async fn the_webhook_of_another_service_is_reported_as_missed() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let layer = WebhookLayer::builder()
        .path(PATH)
        .app_secret(SECRET)
        .verify_token("token")
        .on_setup_warning(move |warning| report.lock().unwrap().push(warning))
        .build()
        .unwrap();
    let app = Router::new().route("/github/webhook", post(async || ()));
    let app = app.layer(layer);
    for _ in 0..2 {
        assert_eq!(status(&app, delivery_to("/github/webhook")).await, 200);
    }
    assert_eq!(*reported.lock().unwrap(), [SetupWarning::PathMissed]);
}

/// `Router::layer` wraps what was added before, so a later call is the outer layer.
#[tokio::test]
async fn a_dedup_layer_outside_suppresses_nothing() {
    let dedup = dedup();
    let handle = dedup.handle();
    let app = Router::new().route("/webhook", post(async || ()));
    let app = app.layer(at(PATH)).layer(dedup);
    for _ in 0..2 {
        assert_eq!(status(&app, delivery()).await, 200);
    }
    let counters = handle.counters();
    assert_eq!((counters.suppressed, counters.bypassed), (0, 2));
}
