//! Mistakes in composing layers that do not compile. These messages come from axum, tower or rustc,
//! and `docs/hosts.md` explains them. The crate's own messages are in `tests/mistakes`.
//!
//! A builder instead of a layer: `build` is missing.
//!
//! ```compile_fail,E0277
//! # use axum::Router;
//! # use tower_whatsapp::WebhookLayer;
//! let app: Router = Router::new().layer(WebhookLayer::builder().path("/webhook"));
//! ```
//!
//! A `Result` instead of a layer: `?` is missing.
//!
//! ```compile_fail,E0277
//! # use axum::Router;
//! # use tower_whatsapp::WebhookLayer;
//! let app: Router = Router::new().layer(WebhookLayer::new("/webhook", "secret", "token"));
//! ```
//!
//! `from_fn` inside in one `ServiceBuilder`, without `host_body`.
//!
//! ```compile_fail,E0277
//! # use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response};
//! # use tower::ServiceBuilder;
//! # use tower_whatsapp::WebhookLayer;
//! async fn inside(request: Request, next: Next) -> Response {
//!     next.run(request).await
//! }
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let stack = ServiceBuilder::new().layer(whatsapp).layer(from_fn(inside));
//! let app: Router = Router::new().layer(stack);
//! ```
//!
//! The layer around the router for `axum::serve`, without `host_body`.
//!
//! ```compile_fail,E0271
//! # use axum::{Router, ServiceExt, extract::Request};
//! # use tower::Layer;
//! # use tower_whatsapp::WebhookLayer;
//! # async fn serve(listener: tokio::net::TcpListener) {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let app = ServiceExt::<Request>::into_make_service(whatsapp.layer(Router::new()));
//! axum::serve(listener, app).await.unwrap();
//! # }
//! ```
//!
//! An optional layer around the router, without `host_body`.
//!
//! ```compile_fail,E0599
//! # use axum::{Router, body::Body, extract::Request};
//! # use tower::{Layer, ServiceExt, util::option_layer};
//! # use tower_whatsapp::WebhookLayer;
//! # async fn serve() {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let service = option_layer(Some(whatsapp)).layer(Router::new());
//! service.oneshot(Request::new(Body::empty())).await;
//! # }
//! ```
//!
//! `host_body` for a body that is not made from `Bytes`.
//!
//! ```compile_fail,E0599
//! # use http::{Request, Response};
//! # use http_body_util::Empty;
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use tower_whatsapp::WebhookLayer;
//! # async fn serve() {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap().host_body();
//! let host = service_fn(async |_: Request<Empty<bytes::Bytes>>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(axum::body::Body::empty()))
//! });
//! whatsapp.layer(host).oneshot(Request::new(Empty::new())).await;
//! # }
//! ```
//!
//! A fallible inner service under axum: `HandleErrorLayer` is missing.
//!
//! ```compile_fail,E0277
//! # use axum::Router;
//! # use tower::{ServiceBuilder, load_shed::LoadShedLayer};
//! # use tower_whatsapp::WebhookLayer;
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let stack = ServiceBuilder::new().layer(whatsapp).layer(LoadShedLayer::new());
//! let app: Router = Router::new().layer(stack);
//! ```
//!
//! An inner service that is not `Clone`.
//!
//! ```compile_fail,E0277
//! # use http::{Request, Response};
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use tower_whatsapp::{WebhookLayer, webhook::RequestBody};
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # async fn serve() {
//! struct NotClone;
//! let state = NotClone;
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let host = service_fn(move |_: Request<RequestBody<Body>>| {
//!     let _ = &state;
//!     async { Ok::<_, std::convert::Infallible>(Response::new(Body::default())) }
//! });
//! whatsapp.layer(host).oneshot(Request::new(Body::default())).await;
//! # }
//! ```
//!
//! `DedupLayer` around a service that is not `Send`.
//!
//! ```compile_fail,E0277
//! # use http::{Request, Response};
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use tower_whatsapp::dedup::{DedupLayer, MemoryStore};
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # async fn serve() {
//! let state = std::rc::Rc::new(());
//! let host = service_fn(move |_: Request<Body>| {
//!     let _ = &state;
//!     async { Ok::<_, std::convert::Infallible>(Response::new(Body::default())) }
//! });
//! let layer = DedupLayer::new(MemoryStore::new());
//! layer.layer(host).oneshot(Request::new(Body::default())).await;
//! # }
//! ```
