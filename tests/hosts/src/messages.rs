//! Mistakes that do not compile, each with the correct code: rows of the table of compiler messages
//! in `docs/hosts.md`. The other rows are in `tests/ui`.
//!
//! Two calls of `MethodRouter::layer` do not compile.
//!
//! ```compile_fail,E0283
//! # use axum::{Router, routing::post};
//! # use tower_whatsapp::{WebhookLayer, dedup::{DedupLayer, MemoryStore}};
//! # async fn on_event() {}
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let dedup = DedupLayer::new(MemoryStore::new());
//! let route = post(on_event).layer(dedup).layer(whatsapp);
//! let app: Router = Router::new().route("/webhook", route);
//! ```
//!
//! Use one builder, outermost layer first.
//!
//! ```no_run
//! # use axum::{Router, routing::post};
//! # use tower::ServiceBuilder;
//! # use tower_whatsapp::{WebhookLayer, dedup::{DedupLayer, MemoryStore}};
//! # async fn on_event() {}
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let dedup = DedupLayer::new(MemoryStore::new());
//! let route = post(on_event).layer(ServiceBuilder::new().layer(whatsapp).layer(dedup));
//! let app: Router = Router::new().route("/webhook", route);
//! ```
//!
//! An optional layer without `host_body`.
//!
//! ```compile_fail,E0271
//! # use axum::{Router, routing::post};
//! # use tower::util::option_layer;
//! # use tower_whatsapp::WebhookLayer;
//! # async fn on_event() {}
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").ok();
//! let app: Router = Router::new()
//!     .route("/webhook", post(on_event))
//!     .layer(option_layer(whatsapp));
//! ```
//!
//! An `Option` in place of a layer.
//!
//! ```compile_fail,E0277
//! # use axum::{Router, routing::post};
//! # use tower_whatsapp::WebhookLayer;
//! # async fn on_event() {}
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").ok();
//! let app: Router = Router::new().route("/webhook", post(on_event)).layer(whatsapp);
//! ```
//!
//! Use `option_layer`, with `host_body` on the layer.
//!
//! ```no_run
//! # use axum::{Router, routing::post};
//! # use tower::util::option_layer;
//! # use tower_whatsapp::WebhookLayer;
//! # async fn on_event() {}
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").ok();
//! let app: Router = Router::new()
//!     .route("/webhook", post(on_event))
//!     .layer(option_layer(whatsapp.map(WebhookLayer::host_body)));
//! ```
//!
//! `into_make_service` without the type of the request.
//!
//! ```compile_fail,E0283
//! # use axum::{Router, ServiceExt};
//! # use tower::Layer;
//! # use tower_whatsapp::WebhookLayer;
//! # async fn serve(listener: tokio::net::TcpListener) {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap().host_body();
//! let service = whatsapp.layer(Router::new());
//! axum::serve(listener, service.into_make_service()).await.unwrap();
//! # }
//! ```
//!
//! The service itself as an argument of `axum::serve`.
//!
//! ```compile_fail,E0277
//! # use axum::Router;
//! # use tower::Layer;
//! # use tower_whatsapp::WebhookLayer;
//! # async fn serve(listener: tokio::net::TcpListener) {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap().host_body();
//! axum::serve(listener, whatsapp.layer(Router::new())).await.unwrap();
//! # }
//! ```
//!
//! A builder in place of `DedupLayer`: `build` is missing.
//!
//! ```compile_fail,E0277
//! # use axum::{Router, routing::post};
//! # use tower_whatsapp::dedup::{DedupLayer, MemoryStore};
//! # async fn on_event() {}
//! let app: Router = Router::new()
//!     .route("/webhook", post(on_event))
//!     .layer(DedupLayer::builder(MemoryStore::new()));
//! ```
//!
//! A layer around a router that is then merged.
//!
//! ```compile_fail,E0277
//! # use axum::Router;
//! # use tower::Layer;
//! # use tower_whatsapp::WebhookLayer;
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let app: Router = Router::new().merge(whatsapp.layer(Router::new()));
//! ```
//!
//! A layer around a router that is then nested.
//!
//! ```compile_fail,E0308
//! # use axum::Router;
//! # use tower::Layer;
//! # use tower_whatsapp::WebhookLayer;
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let app: Router = Router::new().nest("/api", whatsapp.layer(Router::new()));
//! ```
//!
//! Use `Router::layer` for both, or `nest_service`.
//!
//! ```no_run
//! # use axum::Router;
//! # use tower::Layer;
//! # use tower_whatsapp::WebhookLayer;
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let webhook = Router::new().layer(whatsapp.clone());
//! let app: Router = Router::new()
//!     .merge(webhook)
//!     .nest_service("/api", whatsapp.layer(Router::new()));
//! ```
//!
//! `map_response` outside in one builder, without `host_body`.
//!
//! ```compile_fail,E0277
//! # use axum::{Router, middleware::map_response, response::Response, routing::post};
//! # use tower::ServiceBuilder;
//! # use tower_whatsapp::WebhookLayer;
//! # async fn on_event() {}
//! async fn outside(response: Response) -> Response {
//!     response
//! }
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token").unwrap();
//! let stack = ServiceBuilder::new().layer(map_response(outside)).layer(whatsapp);
//! let app: Router = Router::new().route("/webhook", post(on_event)).layer(stack);
//! ```
//!
//! The body before the other arguments of a handler.
//!
//! ```compile_fail,E0277
//! # use axum::{Router, body::Bytes, routing::post};
//! # use tower_whatsapp::Notification;
//! async fn on_event(body: Bytes, notification: Notification) {}
//! let app: Router = Router::new().route("/webhook", post(on_event));
//! ```
//!
//! The body goes last.
//!
//! ```no_run
//! # use axum::{Router, body::Bytes, routing::post};
//! # use tower_whatsapp::Notification;
//! async fn on_event(notification: Notification, body: Bytes) {}
//! let app: Router = Router::new().route("/webhook", post(on_event));
//! ```
