//! axum 0.7. The extractors of the feature `axum` need 0.8, so handlers use `Extension`.

use axum07::{
    Extension, Router, ServiceExt,
    extract::Request,
    routing::{get, post},
};
use tower::Layer;
use tower_whatsapp::Notification;

use super::support::{Http, check, layer, listener};

async fn count(Extension(notification): Extension<Notification>) -> String {
    notification.events().len().to_string()
}

fn routes() -> Router {
    Router::new()
        .route("/webhook", post(count))
        .route("/unverified", post(count))
        .route("/other", get(|| async { "other" }))
}

#[tokio::test]
async fn a_layer_of_the_router() {
    let (listener, address) = listener().await;
    let app = routes().layer(layer());
    tokio::spawn(async move { axum07::serve(listener, app).await });
    check(Http::One, address).await;
}

#[tokio::test]
async fn a_layer_around_the_router() {
    let (listener, address) = listener().await;
    let app = ServiceExt::<Request>::into_make_service(layer().host_body().layer(routes()));
    tokio::spawn(async move { axum07::serve(listener, app).await });
    check(Http::One, address).await;
}
