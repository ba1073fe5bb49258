//! Setups that are broken on purpose, each with the line that tells the operator what to do.

use std::time::Duration;

use axum::{
    Router, body::Body, extract::Request, http::StatusCode, response::Response, routing::post,
};
use test_support::{
    CHALLENGE, SECRET, TOKEN, builder, handshake,
    json::{messages, one_text, text},
    layer, sign,
};
use tower::ServiceExt as _;
use tower_whatsapp::{
    App, Credentials, Notification, Verified, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    testing::{FaultRates, FaultyStore},
    webhook::{AppResolver, CachedResolver, ResolveError},
};
use tracing::level_filters::LevelFilter;

use crate::capture::Lines;

const WARN: LevelFilter = LevelFilter::WARN;

async fn accept(_: Notification) {}

fn signed(path: &str, secret: &str, body: &str) -> Request {
    Request::post(path)
        .header("content-length", body.len())
        .header("x-hub-signature-256", sign(secret, body))
        .body(body.to_owned().into())
        .unwrap()
}

fn host(layer: WebhookLayer) -> Router {
    Router::new().route("/wh", post(accept)).layer(layer)
}

async fn status(app: &Router, request: Request) -> u16 {
    let response: Response = app.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn wrong_secret() {
    let (lines, _guard) = Lines::collect(WARN);
    let app = host(layer());
    assert_eq!(
        status(&app, signed("/wh", "another", &one_text())).await,
        403
    );
    let line = lines.only("signature_mismatch");
    let length = one_text().len();
    for part in [
        " WARN tower_whatsapp: ".to_owned(),
        "App settings > Basic".to_owned(),
        format!("declared_length={length} received_length={length}"),
        "path=\"/wh\"".to_owned(),
        "secret_labels=[\"0\"] verified_since_start=0".to_owned(),
    ] {
        assert!(line.contains(&part), "{part}: {line}");
    }
}

/// A host of two apps, at `/shop` and `/bank`, with the secrets `secret of shop` and `secret of
/// bank`.
fn host_of_two_apps() -> Router {
    let app = |label: &str| {
        let secrets = [("2026", format!("secret of {label}"))];
        App::new(label, Credentials::new(secrets, [("1", TOKEN)]).unwrap()).unwrap()
    };
    let layer = (WebhookLayer::builder())
        .route("/shop", app("shop"))
        .route("/bank", app("bank"))
        .build()
        .unwrap();
    Router::new()
        .route("/shop", post(accept))
        .route("/bank", post(accept))
        .layer(layer)
}

#[tokio::test]
async fn what_strangers_send_to_one_app_hides_nothing_about_another() {
    let (lines, _guard) = Lines::collect(WARN);
    let app = host_of_two_apps();
    for path in ["/bank", "/bank", "/shop"] {
        let request = signed(path, "another", &one_text());
        assert_eq!(status(&app, request).await, 403);
        let query = "hub.mode=subscribe&hub.verify_token=another&hub.challenge=1";
        let request = Request::get(format!("{path}?{query}")).body(Body::empty());
        assert_eq!(status(&app, request.unwrap()).await, 403);
    }
    for (reason, app) in [
        ("signature_mismatch", "bank"),
        ("signature_mismatch", "shop"),
        ("handshake_token", "bank"),
        ("handshake_token", "shop"),
    ] {
        let text = lines.text();
        let of_app = format!("app=\"{app}\"");
        let found = text
            .lines()
            .filter(|line| line.contains(reason) && line.contains(&of_app));
        assert_eq!(found.count(), 1, "{reason} {app}:\n{text}");
    }
}

#[tokio::test]
async fn secret_of_another_app() {
    let (lines, _guard) = Lines::collect(WARN);
    let app = host_of_two_apps();
    // What other apps receive says nothing about this one.
    let genuine = signed("/bank", "secret of bank", &one_text());
    assert_eq!(status(&app, genuine).await, 200);
    let request = signed("/shop", "secret of bank", &one_text());
    assert_eq!(status(&app, request).await, 403);
    let line = lines.only("signature_mismatch");
    assert!(line.contains("app=\"shop\" path=\"/shop\""), "{line}");
    let labels = "secret_labels=[\"2026\"] verified_since_start=0";
    assert!(line.contains(labels), "{line}");
}

#[tokio::test]
async fn wrong_token() {
    let (lines, _guard) = Lines::collect(WARN);
    let request = |uri: &str| Request::get(uri).body("".into()).unwrap();
    let app = host(layer());
    assert_eq!(
        status(&app, request(&handshake("another", CHALLENGE))).await,
        403
    );
    let line = lines.only("handshake_token");
    assert!(line.contains("WhatsApp > Configuration"), "{line}");
    assert_eq!(status(&app, request("/wh?hub.mode=subscribe")).await, 403);
    let line = lines.only("handshake_incomplete");
    assert!(line.contains("detail=hub.verify_token"), "{line}");
}

#[test]
fn token_with_a_newline() {
    let error = WebhookLayer::new("/wh", SECRET, "token\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`verify_token`: must not begin or end with white space, such as the newline at the end of \
         a file"
    );
}

#[tokio::test]
async fn path_with_a_trailing_slash() {
    let (lines, _guard) = Lines::collect(WARN);
    let app = host(layer());
    assert_eq!(status(&app, signed("/wh/", SECRET, &one_text())).await, 404);
    let line = lines.only("path_missed");
    assert!(line.contains("trailing slash"), "{line}");
    assert!(line.contains("path=\"/wh/\" layer_paths=\"/wh\""), "{line}");
}

#[tokio::test]
async fn nested_path() {
    let (lines, _guard) = Lines::collect(LevelFilter::DEBUG);
    let app = Router::new().nest("/hooks", host(layer()));
    // Inside of `nest` the path is `/wh`, so the layer takes it.
    assert_eq!(
        status(&app, signed("/hooks/wh", SECRET, &one_text())).await,
        200
    );
    let outside = WebhookLayer::new("/wh", SECRET, TOKEN).unwrap();
    let inner = Router::new().route("/wh", post(accept));
    let app = Router::new().nest("/hooks", inner).layer(outside);
    assert_eq!(
        status(&app, signed("/hooks/wh", SECRET, &one_text())).await,
        500
    );
    lines.only("path_missed");
    lines.only("layer_missing");
}

#[tokio::test]
async fn layers_in_the_wrong_order() {
    let (lines, _guard) = Lines::collect(WARN);
    let dedup = DedupLayer::new(MemoryStore::new());
    let app = host(layer()).layer(dedup);
    assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 200);
    lines.only("dedup_bypassed");
}

#[tokio::test]
async fn layer_that_is_missing() {
    let (lines, _guard) = Lines::collect(WARN);
    let app = Router::new().route("/wh", post(accept));
    assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 500);
    let line = lines.only("layer_missing");
    assert!(line.contains("without passing a WebhookLayer"), "{line}");
}

/// A handler that asks with `Option` also serves requests of which the layer knows nothing.
#[tokio::test]
async fn layer_that_may_be_missing() {
    let (lines, _guard) = Lines::collect(WARN);
    let notification = async |_: Option<Notification>| ();
    let verified = async |_: Option<Verified>| ();
    for route in [post(notification), post(verified)] {
        let app = Router::new().route("/wh", route);
        assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 200);
    }
    assert_eq!(lines.text(), "");
}

/// A proxy that changes the body, and says so in no header.
#[tokio::test]
async fn proxy_that_changes_bodies() {
    let (lines, _guard) = Lines::collect(WARN);
    let app = host(layer()).layer(axum::middleware::map_request(async |request: Request| {
        let body = axum::body::to_bytes(request.into_body(), 4096)
            .await
            .unwrap();
        let spaced = String::from_utf8(body.to_vec()).unwrap().replace(':', ": ");
        let signature = sign(SECRET, one_text());
        let request = Request::post("/wh").header("x-hub-signature-256", signature);
        request.body(Body::from(spaced)).unwrap()
    }));
    assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 403);
    let line = lines.only("signature_mismatch");
    assert!(line.contains("a proxy that changes bodies"), "{line}");
}

#[tokio::test]
async fn handler_that_is_slower_than_the_answer_may_take() {
    let (lines, _guard) = Lines::collect(WARN);
    let dedup = DedupLayer::builder(MemoryStore::new())
        .response_deadline(Duration::from_millis(500))
        .in_flight_wait(Duration::from_millis(100))
        .build()
        .unwrap();
    let slow = async |_: Notification| tokio::time::sleep(Duration::from_secs(2)).await;
    let app = Router::new()
        .route("/wh", post(slow))
        .layer(dedup)
        .layer(layer());
    assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 503);
    let line = lines.only("response_deadline");
    assert!(line.contains("goes on"), "{line}");
}

/// Meta's retries are deferred each time. The span has the key of the event.
#[tokio::test(start_paused = true)]
async fn handler_that_hangs() {
    let (lines, _guard) = Lines::collect(WARN);
    let dedup = DedupLayer::builder(MemoryStore::new())
        .handler_deadline(None)
        .build()
        .unwrap();
    let app = Router::new()
        .route("/wh", post(std::future::pending::<()>))
        .layer(dedup)
        .layer(layer());
    for _ in 0..3 {
        assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 503);
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
    let line = lines.only("dedup_outcome=\"stuck\"");
    assert!(line.contains("a handler hangs"), "{line}");
}

/// A drain is for good. A process that goes on after it refuses everything.
#[tokio::test]
async fn a_layer_that_is_served_after_its_drain() {
    let (lines, _guard) = Lines::collect(WARN);
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let app = Router::new()
        .route("/wh", post(accept))
        .layer(dedup)
        .layer(layer());
    handle.drain(Duration::ZERO).await;
    for _ in 0..2 {
        assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 503);
    }
    let line = lines.only("reason=\"draining\"");
    assert!(line.contains("build a new layer"), "{line}");
}

#[cfg(feature = "redis")]
#[tokio::test]
#[ignore = "needs redis-server"]
async fn redis_with_a_password() {
    let server = test_support::redis::Server::with(&["--requirepass", "canary-password"]);
    let (lines, _guard) = Lines::collect(WARN);
    let store =
        tower_whatsapp::dedup::RedisStore::open(&format!("redis://{}", server.address())).unwrap();
    let app = Router::new()
        .route("/wh", post(accept))
        .layer(DedupLayer::new(store))
        .layer(layer());
    assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 503);
    let line = lines.only("operation=\"claim\"");
    assert!(line.contains("requires a password"), "{line}");
    assert!(!line.contains("canary"), "{line}");
}

#[tokio::test]
async fn test_button() {
    let (lines, _guard) = Lines::collect(LevelFilter::INFO);
    let sample = messages(&text("wamid.A", "this is a text message"));
    let app = host(layer());
    assert_eq!(status(&app, signed("/wh", SECRET, &sample)).await, 200);
    let sample = sample.replace("102290129340398", "0");
    assert_eq!(status(&app, signed("/wh", SECRET, &sample)).await, 200);
    let line = lines.only("Test button");
    assert!(line.contains(" INFO "), "{line}");
}

/// A stranger cannot fill the log: the rest of a minute is on level DEBUG.
#[tokio::test]
async fn one_warning_per_minute_and_kind() {
    let (lines, _guard) = Lines::collect(LevelFilter::DEBUG);
    let app = host(layer());
    for _ in 0..100 {
        assert_eq!(
            status(&app, signed("/wh", "another", &one_text())).await,
            403
        );
    }
    let text = lines.text();
    let of = |level: &str| text.lines().filter(|line| line.contains(level)).count();
    assert_eq!((of(" WARN "), of("DEBUG ")), (1, 99));
}

#[tokio::test]
async fn the_events_of_a_handler_are_in_the_span_of_its_delivery() {
    let (lines, _guard) = Lines::collect(LevelFilter::INFO);
    let handler = async |_: Notification| tracing::info!("handled");
    let dedup = DedupLayer::new(MemoryStore::new());
    for app in [
        Router::new().route("/wh", post(handler)).layer(layer()),
        (Router::new().route("/wh", post(handler)).layer(dedup)).layer(layer()),
    ] {
        assert_eq!(status(&app, signed("/wh", SECRET, &one_text())).await, 200);
    }
    let text = lines.text();
    let handled: Vec<_> = text
        .lines()
        .filter(|line| line.ends_with("handled"))
        .collect();
    let [plain, deduplicated] = handled[..] else {
        panic!("{text}");
    };
    for line in [plain, deduplicated] {
        assert!(
            line.contains("whatsapp.delivery{path=\"/wh\" secret_label=\"0\""),
            "{line}"
        );
        assert!(line.contains("events=1 "), "{line}");
        assert!(line.contains("first_key="), "{line}");
    }
}

#[tokio::test]
async fn each_unread_key_is_reported_once() {
    let (lines, _guard) = Lines::collect(LevelFilter::INFO);
    let app = host(layer());
    let body = messages(r#"{"id":"wamid.A","type":"text","text":{"body":"a","font":"serif"}}"#);
    for _ in 0..2 {
        assert_eq!(status(&app, signed("/wh", SECRET, &body)).await, 200);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let line = lines.only("text.font");
    assert!(line.contains("kind=\"message\""), "{line}");
}

#[tokio::test]
async fn start_and_handshake() {
    let (lines, _guard) = Lines::collect(LevelFilter::INFO);
    let app = host(builder().build().unwrap());
    lines.only("built a webhook layer");
    let query = handshake(TOKEN, CHALLENGE);
    let request = Request::get(query).body("".into()).unwrap();
    assert_eq!(status(&app, request).await, StatusCode::OK.as_u16());
    lines.only("answered a callback URL check");
}

/// With the feature and no subscriber, or one that leaves the warning out, it must not be lost.
#[test]
fn without_a_subscriber_warnings_go_to_standard_error() {
    let program = std::env::current_exe().unwrap();
    let name = "setups::swapped_layers_without_a_subscriber";
    let output = std::process::Command::new(program)
        .args([name, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("tower-whatsapp: dedup_bypassed: "),
        "{stderr}"
    );
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn swapped_layers_without_a_subscriber() {
    let dedup = DedupLayer::new(MemoryStore::new());
    let app = host(layer()).layer(dedup);
    let request = signed("/wh", SECRET, &one_text());
    assert_eq!(status(&app, request).await, 200);
}

/// Builds each app again and again, as from rows of a database.
struct Tenants;

impl AppResolver for Tenants {
    async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
        let secrets = [("2026", format!("secret of {name}"))];
        let credentials = Credentials::new(secrets, [("1", TOKEN)]).unwrap();
        Ok(Some(App::new(name, credentials).unwrap()))
    }
}

#[tokio::test]
async fn an_app_that_is_resolved_again_keeps_its_history() {
    let (lines, _guard) = Lines::collect(WARN);
    let resolver = CachedResolver::builder(Tenants)
        .time_to_live(Duration::from_millis(10))
        .build()
        .unwrap();
    let layer = WebhookLayer::builder().app_resolver("/{app}", resolver);
    let app = Router::new()
        .route("/{app}", post(accept))
        .layer(layer.build().unwrap());
    for secret in ["secret of shop", "another", "another"] {
        let expected = if secret == "another" { 403 } else { 200 };
        let request = signed("/shop", secret, &one_text());
        assert_eq!(status(&app, request).await, expected);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line = lines.only("signature_mismatch");
    let verified = "verified_since_start=1 seconds_since_verified=0";
    assert!(line.contains(verified), "{line}");
}

#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    let (lines, _guard) = Lines::collect(LevelFilter::DEBUG);
    let panics = async |_: Notification| -> StatusCode { panic!("a bug of the host") };
    let app = Router::new().route("/wh", post(panics)).layer(layer());
    let request = signed("/wh", SECRET, &one_text());
    let task = tokio::spawn(async move { status(&app, request).await });
    assert!(task.await.unwrap_err().is_panic());
    lines.only("outcome=\"failed\"");
}

#[tokio::test]
async fn what_goes_wrong_after_the_response_is_in_the_span_of_the_delivery() {
    let (lines, _guard) = Lines::collect(LevelFilter::INFO);
    let always = FaultRates::none().error(1.0);
    let store = FaultyStore::new(MemoryStore::new(), 1).on_commit(always);
    let dedup = DedupLayer::builder(store)
        .store_timeout(Duration::from_millis(100))
        .lease(Duration::from_secs(1))
        .build()
        .unwrap();
    let handle = dedup.handle();
    let app = Router::new()
        .route("/wh", post(accept))
        .layer(dedup)
        .layer(layer());
    status(&app, signed("/wh", SECRET, &one_text())).await;
    handle.drain(Duration::from_secs(5)).await;
    let line = lines.only("did not confirm");
    assert!(line.contains("whatsapp.delivery{path=\"/wh\""), "{line}");
}
