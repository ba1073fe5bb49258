//! tonic: gRPC responses have status 200, and report failures in `grpc-status`.
//!
//! Each setup is checked from both sides: the response to Meta, and the events that the store of a
//! `DedupLayer` considers done.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, routing::post};
use http::StatusCode;
use tokio::sync::Semaphore;
use tonic::{
    Status,
    service::{InterceptorLayer, Routes},
    transport::{Server, server::TcpIncoming},
};
use tonic_web::GrpcWebLayer;
use tower::{
    ServiceBuilder, layer::util::Identity, limit::GlobalConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
};
use tower_whatsapp::{
    Notification,
    dedup::{DedupHandle, DedupLayer, MemoryStore},
    webhook::SetupWarning,
};

use super::support::{
    CHALLENGE, HANDSHAKE, Http, at, check, delivery, delivery_to, forged, get, layer, listener,
    send, take_warnings,
};

async fn count(Extension(notification): Extension<Notification>) -> String {
    notification.events().len().to_string()
}

/// The gRPC health service, with axum routes beside it.
fn routes(webhook: Router) -> Routes {
    let (_, health) = tonic_health::server::health_reporter();
    let other = post(count).get(async || "other");
    let router = Routes::new(health).into_axum_router();
    Routes::from(router.merge(webhook).route("/other", other))
}

fn webhook() -> Router {
    Router::new()
        .route("/webhook", post(count))
        .route("/unverified", post(count))
}

fn busy() -> Router {
    Router::new().route("/webhook", post(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Serves with a `WebhookLayer` or with both layers, and with another layer inside. Returns the
/// address and the handle of the `DedupLayer`.
macro_rules! serve {
    ($layer:expr, $routes:expr) => {{
        let (listener, address) = listener().await;
        let server = Server::builder()
            .accept_http1(true)
            .layer(ServiceBuilder::new().layer(layer()).layer($layer))
            .add_routes(routes($routes));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }};
    (dedup, $layer:expr, $routes:expr) => {{
        let dedup = DedupLayer::new(MemoryStore::new());
        let handle = dedup.handle();
        let stack = ServiceBuilder::new().layer(dedup).layer($layer);
        (serve!(stack, $routes), handle)
    }};
}

/// Checks a setup in which a delivery is not handled, with the status that Meta gets. A
/// `DedupLayer` turns other statuses into 500, and must not record the delivery as done.
macro_rules! not_handled {
    ($status:literal, $layer:expr, $routes:expr) => {{
        let address = serve!($layer, $routes);
        for http in [Http::One, Http::Two] {
            let handshake = send(http, address, get(HANDSHAKE)).await;
            assert_eq!(handshake, (200, CHALLENGE.to_owned()));
            assert_eq!(send(http, address, forged()).await.0, 403);
            assert_eq!(send(http, address, delivery()).await.0, $status);
        }
        let (address, handle) = serve!(dedup, $layer, $routes);
        for http in [Http::One, Http::Two] {
            assert_eq!(send(http, address, delivery()).await.0, 500);
        }
        assert_seen(&handle, 2, 0);
    }};
}

/// Checks how many events were handled inside the layer, and how many were suppressed
/// as duplicates.
fn assert_seen(handle: &DedupHandle, handled: u64, suppressed: u64) {
    let counters = handle.counters();
    assert_eq!(
        (counters.delivered, counters.suppressed),
        (handled, suppressed)
    );
}

#[tokio::test]
async fn a_route_beside_grpc_services() {
    let address = serve!(Identity::new(), webhook());
    check(Http::One, address).await;
    check(Http::Two, address).await;
    let (address, handle) = serve!(dedup, Identity::new(), webhook());
    for http in [Http::One, Http::Two] {
        assert_eq!(send(http, address, delivery()).await.0, 200);
    }
    assert_seen(&handle, 1, 1);
}

/// `grpc-status: 12`.
#[tokio::test]
async fn no_route() {
    not_handled!(503, Identity::new(), Router::new());
    // One with the layer alone, one with a `DedupLayer`.
    assert_eq!(take_warnings(), [SetupWarning::RouteMissing; 2]);
}

/// `grpc-status: 16`.
#[tokio::test]
async fn an_interceptor_that_denies_the_request() {
    let deny = |_: tonic::Request<()>| Err(Status::unauthenticated("no"));
    not_handled!(503, InterceptorLayer::new(deny), webhook());
    assert_eq!(take_warnings(), [SetupWarning::DeliveryRefused; 2]);
}

/// An error of the inner service, which tonic turns into `grpc-status: 8`.
#[tokio::test]
async fn load_shed_inside() {
    let none = || Arc::new(Semaphore::new(0));
    let shed = || {
        let limit = GlobalConcurrencyLimitLayer::with_semaphore(none());
        ServiceBuilder::new()
            .layer(LoadShedLayer::new())
            .layer(limit)
            .into_inner()
    };
    not_handled!(503, shed(), webhook());
    assert_eq!(take_warnings(), []);
}

#[tokio::test]
async fn a_handler_that_fails() {
    not_handled!(500, Identity::new(), busy());
}

/// A gRPC method at the layer's path cannot read a delivery, and reports this with status 200.
#[tokio::test]
async fn a_grpc_method_at_the_path() {
    const METHOD: &str = "/grpc.health.v1.Health/Check";
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let (plain, plain_address) = listener().await;
    let (deduplicated, dedup_address) = listener().await;
    let builder = || Server::builder().accept_http1(true).layer(at(METHOD));
    let server = builder().add_routes(routes(Router::new()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(plain)));
    let server = builder().layer(dedup).add_routes(routes(Router::new()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(deduplicated)));
    for (address, status) in [(plain_address, 503), (dedup_address, 500)] {
        let delivery = delivery_to(METHOD);
        assert_eq!(send(Http::Two, address, delivery).await.0, status);
    }
    assert_seen(&handle, 1, 0);
}

/// In tonic's `Server::layer` the first call is the outermost, unlike axum's `Router::layer`.
#[tokio::test]
async fn the_first_layer_of_the_server_is_the_outermost() {
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let (listener, address) = listener().await;
    let server = Server::builder().accept_http1(true);
    let mut server = server.layer(layer()).layer(dedup);
    let server = server.add_routes(routes(webhook()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    for http in [Http::One, Http::Two] {
        assert_eq!(send(http, address, delivery()).await.0, 200);
    }
    assert_seen(&handle, 1, 1);
}

/// A pitfall that the layers cannot detect: the server's timeout acts outside them. tonic answers
/// 200, even with a `DedupLayer`.
#[tokio::test]
async fn the_timeout_of_the_server_is_outside() {
    let slow = || {
        let slow = async || tokio::time::sleep(Duration::from_secs(60)).await;
        routes(Router::new().route("/webhook", post(slow)))
    };
    let timeout = Duration::from_millis(50);
    let builder = || Server::builder().accept_http1(true).timeout(timeout);
    let (plain, plain_address) = listener().await;
    let server = builder().layer(layer()).add_routes(slow());
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(plain)));
    assert_eq!(send(Http::One, plain_address, delivery()).await.0, 200);

    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let (deduplicated, dedup_address) = listener().await;
    let server = builder().layer(layer()).layer(dedup).add_routes(slow());
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(deduplicated)));
    assert_eq!(send(Http::One, dedup_address, delivery()).await.0, 200);
    // The handler keeps running.
    assert_eq!(handle.counters().running, 1);
}

/// The same pitfall: the request is shed before it reaches a layer, and Meta gets a 200.
#[tokio::test]
async fn the_load_shedding_of_the_server_is_outside() {
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let (listener, address) = listener().await;
    let server = Server::builder()
        .accept_http1(true)
        .load_shed(true)
        // The limit is always reached.
        .concurrency_limit_per_connection(0)
        .layer(layer())
        .layer(dedup)
        .add_routes(routes(webhook()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    assert_eq!(send(Http::One, address, delivery()).await.0, 200);
    assert_seen(&handle, 0, 0);
}

/// `GrpcWebLayer` rejects HTTP/1 requests that are not gRPC-Web, so use it for gRPC services only.
#[tokio::test]
async fn grpc_web_inside_refuses_http1() {
    let address = serve!(GrpcWebLayer::new(), webhook());
    assert_eq!(send(Http::One, address, delivery()).await.0, 400);
    assert_eq!(send(Http::Two, address, delivery()).await.0, 200);
    let (address, handle) = serve!(dedup, GrpcWebLayer::new(), webhook());
    assert_eq!(send(Http::One, address, delivery()).await.0, 500);
    assert_eq!(send(Http::Two, address, delivery()).await.0, 200);
    assert_seen(&handle, 2, 0);
}
