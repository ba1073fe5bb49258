//! axum 0.8.

use axum::{
    Router, ServiceExt,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{get as on_get, post},
};
use bytes::Bytes;
use tower::{Layer, ServiceExt as _};
use tower_http::normalize_path::NormalizePathLayer;
use tower_whatsapp::{Notification, WebhookLayer};

use super::support::{
    CHALLENGE, HANDSHAKE, Http, SECRET, check, delivery, delivery_to, get, layer, listener, read,
};

async fn count(notification: Notification) -> String {
    notification.events().len().to_string()
}

fn routes() -> Router {
    Router::new()
        .route("/webhook", post(count))
        .route("/unverified", post(count))
        .route("/other", on_get(async || "other"))
}

#[tokio::test]
async fn a_layer_of_the_router() {
    let (listener, address) = listener().await;
    tokio::spawn(axum::serve(listener, routes().layer(layer())).into_future());
    check(Http::One, address).await;
    check(Http::Two, address).await;
}

/// Which is also the way to have a layer see a request before the router does.
#[tokio::test]
async fn a_layer_around_the_router() {
    let (listener, address) = listener().await;
    let service = layer().host_body().layer(routes());
    tokio::spawn(
        axum::serve(listener, ServiceExt::<Request>::into_make_service(service)).into_future(),
    );
    check(Http::One, address).await;
    check(Http::Two, address).await;
}

fn on_route() -> WebhookLayer {
    let builder = WebhookLayer::builder().any_path();
    let builder = builder.app_secret(SECRET).verify_token("token");
    builder.build().unwrap()
}

async fn ask(app: &Router, request: http::Request<Bytes>) -> (u16, String) {
    let request = request.map(axum::body::Body::from);
    read(app.clone().oneshot(request).await.unwrap().into_response()).await
}

/// Where the GET of the handshake reaches a layer on one route.
#[tokio::test]
async fn placements_on_one_route() {
    let green = (200, CHALLENGE.to_owned());
    let refused = (405, String::new());
    for (app, handshake) in [
        (
            Router::new().route("/webhook", post(count).layer(on_route())),
            &green,
        ),
        (
            Router::new()
                .route("/webhook", post(count))
                .route_layer(on_route()),
            &green,
        ),
        (
            Router::new().route("/webhook", post(count).route_layer(on_route())),
            &refused,
        ),
        (
            Router::new().route("/webhook", post(count.layer(on_route()))),
            &refused,
        ),
    ] {
        assert_eq!(ask(&app, get(HANDSHAKE)).await, *handshake);
        assert_eq!(ask(&app, delivery()).await, (200, "1".to_owned()));
    }
}

/// `Router::layer` acts after routing: what rewrites the path belongs around the router.
#[tokio::test]
async fn normalize_path() {
    let handshake = HANDSHAKE.replace("/webhook", "/webhook/");
    let as_layer = routes()
        .layer(layer())
        .layer(NormalizePathLayer::trim_trailing_slash());
    assert_eq!(ask(&as_layer, get(&handshake)).await.0, 200);
    assert_eq!(ask(&as_layer, delivery_to("/webhook/")).await.0, 404);

    let around = NormalizePathLayer::trim_trailing_slash().layer(routes().layer(layer()));
    let request = delivery_to("/webhook/").map(axum::body::Body::from);
    let response = around.oneshot(Request::from(request)).await.unwrap();
    assert_eq!(read(response).await, (200, "1".to_owned()));
}
