//! tonic: gRPC answers 200 and says in `grpc-status` that it failed.
//!
//! Each setup is seen from both sides: what Meta is answered, and what the store of a `DedupLayer`
//! takes for handled.

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

/// The gRPC service of the health protocol, and axum routes beside it.
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

/// Serves with a `WebhookLayer`, or with both layers, and with one more inside. Returns the
/// address, and the handle of the second layer.
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

/// A setup under which a delivery is not handled, and the status that Meta gets for it. A
/// `DedupLayer` turns what is no 5xx into 500, and must not take the delivery for done.
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

/// How many events reached what is inside of the layer, and how many it took for done.
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
    // One of the layer alone, one with a `DedupLayer`.
    assert_eq!(take_warnings(), [SetupWarning::RouteMissing; 2]);
}

/// `grpc-status: 16`.
#[tokio::test]
async fn an_interceptor_that_denies() {
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
async fn a_handler_that_refuses() {
    not_handled!(500, Identity::new(), busy());
}

/// A gRPC method at the path of the layer: it cannot read a delivery, and says so in a 200.
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

/// `Server::layer` puts the first call outside, other than axum's `Router::layer`.
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

/// A trap that no layer can see: what acts outside of it. tonic answers 200, also with a
/// `DedupLayer`.
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
    // The handler goes on.
    assert_eq!(handle.counters().running, 1);
}

/// The same trap: the delivery is shed before it reaches a layer, and Meta is answered 200.
#[tokio::test]
async fn the_load_shedding_of_the_server_is_outside() {
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let (listener, address) = listener().await;
    let server = Server::builder()
        .accept_http1(true)
        .load_shed(true)
        // Always at its limit.
        .concurrency_limit_per_connection(0)
        .layer(layer())
        .layer(dedup)
        .add_routes(routes(webhook()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    assert_eq!(send(Http::One, address, delivery()).await.0, 200);
    assert_seen(&handle, 0, 0);
}

/// It refuses whatever is HTTP/1 and not gRPC-Web, so it belongs around gRPC services alone.
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
