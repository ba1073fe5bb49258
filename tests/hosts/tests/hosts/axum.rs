//! axum 0.8 over a socket. `placement` tests the places of the layers.

use axum::{
    Router, ServiceExt,
    extract::Request,
    routing::{get, post},
};
use tower::Layer;
use tower_whatsapp::Notification;

use super::support::{Http, check, layer, listener};

async fn count(notification: Notification) -> String {
    notification.events().len().to_string()
}

fn routes() -> Router {
    Router::new()
        .route("/webhook", post(count))
        .route("/unverified", post(count))
        .route("/other", get(async || "other"))
}

#[tokio::test]
async fn a_layer_of_the_router() {
    let (listener, address) = listener().await;
    tokio::spawn(axum::serve(listener, routes().layer(layer())).into_future());
    check(Http::One, address).await;
    check(Http::Two, address).await;
}

/// Needed if a layer must see a request before the router does.
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
