//! The layer in an axum application, and the extractors of the feature `axum`.

use axum::{
    Extension, Json, Router,
    body::Body,
    middleware::map_request,
    routing::{any, post},
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_whatsapp::{Notification, Verified, WebhookLayer, extract::LayerMissing};

use test_support::{
    CHALLENGE, SECRET, TOKEN, builder, handshake,
    json::{one_text, padded},
    layer, sign,
};

fn delivery(path: &str) -> Request<Body> {
    large(path, one_text())
}

fn large(path: &str, body: String) -> Request<Body> {
    Request::post(path)
        .header("x-hub-signature-256", sign(SECRET, &body))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

fn get(target: String) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> (u16, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn at(path: &str) -> WebhookLayer {
    WebhookLayer::new(path, SECRET, TOKEN).unwrap()
}

fn on_route() -> WebhookLayer {
    WebhookLayer::builder()
        .any_path()
        .app_secret(SECRET)
        .verify_token(TOKEN)
        .build()
        .unwrap()
}

async fn count(notification: Notification) -> String {
    notification.events().len().to_string()
}

async fn maybe(notification: Option<Notification>, verified: Option<Verified>) -> String {
    format!("{} {}", notification.is_some(), verified.is_some())
}

#[tokio::test]
async fn the_arguments_of_a_handler() {
    async fn with_extension(Extension(notification): Extension<Notification>) -> String {
        count(notification).await
    }
    async fn with_verified(verified: Verified, _: Notification) -> String {
        verified.secret_label().to_owned()
    }
    let handlers = [
        (post(count), "1"),
        (post(maybe), "true true"),
        (post(with_extension), "1"),
        (post(with_verified), "0"),
    ];
    for (handler, answer) in handlers {
        let app = Router::new().route("/wh", handler).layer(layer());
        assert_eq!(send(&app, delivery("/wh")).await, (200, answer.to_owned()));
    }
}

#[tokio::test]
async fn without_the_layer_500_and_a_text_that_helps() {
    async fn verified(_: Verified) {}
    let text = "the request did not pass through WebhookLayer: is the layer's path that of the route, or has a middleware in between made a new request?";
    for app in [
        Router::new().route("/wh/", post(count)),
        Router::new().route("/wh/", post(verified)),
        Router::new().route("/wh/", post(count)).layer(layer()),
    ] {
        assert_eq!(send(&app, delivery("/wh/")).await, (500, text.to_owned()));
        // For the operator's own layer outside.
        let response = app.oneshot(delivery("/wh/")).await.unwrap();
        let missing = response.extensions().get::<LayerMissing>();
        assert_eq!(missing.unwrap().to_string(), text);
    }
    let remade = map_request(async |request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        let mut remade = Request::new(body);
        (*remade.method_mut(), *remade.uri_mut()) = (parts.method, parts.uri);
        remade
    });
    let app = Router::new().route("/wh", post(count)).layer(remade);
    let response = app.layer(layer()).oneshot(delivery("/wh")).await.unwrap();
    assert!(response.extensions().get::<LayerMissing>().is_some());
    let app = Router::new().route("/wh/", post(maybe)).layer(layer());
    assert_eq!(
        send(&app, delivery("/wh/")).await,
        (200, "false false".to_owned())
    );
}

/// A layer on the outer router sees the whole path, one inside `nest` only the rest of it.
#[tokio::test]
async fn nested_routers() {
    let hooks = || Router::new().route("/whatsapp", post(count));
    let outside = |path| Router::new().nest("/hooks", hooks()).layer(at(path));
    let inside = |path| Router::new().nest("/hooks", hooks().layer(at(path)));
    for (app, status) in [
        (outside("/hooks/whatsapp"), 200),
        (outside("/whatsapp"), 500),
        (inside("/whatsapp"), 200),
        (inside("/hooks/whatsapp"), 500),
    ] {
        let (found, _) = send(&app, delivery("/hooks/whatsapp")).await;
        assert_eq!(found, status);
    }
}

#[tokio::test]
async fn the_handshake_reaches_a_layer_on_a_router() {
    let app = Router::new().route("/wh", post(count)).layer(layer());
    let (status, body) = send(&app, get(handshake(TOKEN, CHALLENGE))).await;
    assert_eq!((status, &*body), (200, CHALLENGE));
}

/// A layer on a handler or on a method router: the router decides which methods reach it.
#[tokio::test]
async fn a_layer_on_one_route() {
    use axum::handler::Handler;

    let handler = || count.layer(on_route());
    // Routers, and whether the handshake reaches the layer.
    let apps = [
        (Router::new().route("/x", any(handler())), true),
        (
            Router::new().route("/x", any(count).layer(on_route())),
            true,
        ),
        (
            Router::new().route("/x", post(count).layer(on_route())),
            POST_LAYER_GETS_GET,
        ),
        (
            Router::new()
                .route("/x", post(count))
                .route_layer(on_route()),
            POST_LAYER_GETS_GET,
        ),
        (Router::new().route("/x", post(handler())), false),
    ];
    for (index, (app, reached)) in apps.into_iter().enumerate() {
        assert_eq!(
            send(&app, delivery("/x")).await,
            (200, "1".to_owned()),
            "{index}"
        );
        let handshake = get(handshake(TOKEN, CHALLENGE).replace("/wh", "/x"));
        let (status, body) = send(&app, handshake).await;
        let expected = if reached { (200, CHALLENGE) } else { (405, "") };
        assert_eq!((status, &*body), expected, "{index}");
        let mut forged = delivery("/x");
        *forged.body_mut() = "{}".into();
        assert_eq!(send(&app, forged).await.0, 403, "{index}");
    }
}

/// axum adds `Allow: POST` to every response of a `post` route's fallback. That would contradict
/// the handshake's GET.
#[tokio::test]
async fn handshakes_and_other_methods_are_told_get_and_post() {
    let apps = [
        Router::new().route("/wh", post(count)).layer(layer()),
        Router::new().route("/wh", post(count).layer(on_route())),
        Router::new().route("/wh", any(count).layer(on_route())),
        Router::new()
            .route("/wh", post(count))
            .route_layer(on_route()),
    ];
    let good = handshake(TOKEN, CHALLENGE);
    for (index, app) in apps.iter().enumerate() {
        for (method, target, expected) in [
            ("GET", &*good, 200),
            ("HEAD", &good, 405),
            ("OPTIONS", "/wh", 405),
            ("PUT", "/wh", 405),
            ("DELETE", "/wh", 405),
            ("PATCH", "/wh", 405),
            ("PROPFIND", "/wh", 405),
        ] {
            let request = Request::builder().method(method).uri(target);
            let request = request.body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            let allow: Vec<_> = response.headers().get_all("allow").iter().collect();
            assert_eq!(
                (response.status().as_u16(), &*allow),
                (
                    expected,
                    &[HeaderValue::from_static("GET, POST")].each_ref()[..]
                ),
                "{index} {method} {target}"
            );
        }
    }
}

/// `MethodRouter::layer` also wraps the response to other methods.
const POST_LAYER_GETS_GET: bool = true;

/// axum's limit is 2 MiB, but deliveries have up to 3 MB.
#[tokio::test]
async fn handlers_may_read_bodies_over_the_limit_of_axum() {
    async fn bytes(_: Notification, body: Bytes) -> String {
        body.len().to_string()
    }
    async fn string(_: Notification, body: String) -> String {
        body.len().to_string()
    }
    async fn json(_: Notification, Json(body): Json<serde_json::Value>) -> String {
        body["entry"].as_array().unwrap().len().to_string()
    }
    const LEN: usize = 2_621_440;
    for (handler, answer) in [(post(bytes), LEN), (post(string), LEN), (post(json), 1)] {
        let app = Router::new().route("/wh", handler).layer(layer());
        let found = send(&app, large("/wh", padded(LEN))).await;
        assert_eq!(found, (200, answer.to_string()));
    }
}

/// The limit is lifted for verified deliveries only.
#[tokio::test]
async fn other_paths_keep_the_limit_of_axum() {
    async fn bytes(body: Bytes) -> String {
        body.len().to_string()
    }
    let app = Router::new()
        .route("/wh", post(bytes))
        .route("/other", post(bytes))
        .layer(builder().build().unwrap());
    let (status, _) = send(&app, large("/other", padded(2_621_440))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = send(&app, large("/wh", padded(4 * 1024 * 1024 + 1))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
