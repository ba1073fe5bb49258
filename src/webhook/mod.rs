//! [`WebhookLayer`]: verifies deliveries, answers the handshake, and calls the inner service.
//!
//! # How a request is processed
//!
//! 1. If the path is not configured, the request passes through to the inner service, with its body
//!    untouched and streaming.
//! 2. `GET`: the [handshake]. The inner service is not called.
//! 3. `POST`: the head is checked before the first byte of the body is read. The sender must be
//!    admitted by address and certificate, if configured (`admission`). The signature header must
//!    be present once and well formed. If the path contains the name of an app, the app is
//!    resolved. The declared length must be within the limit, and the body must not be compressed.
//! 4. The body is received within its limit, its deadlines and the memory budget, and hashed as it
//!    arrives.
//! 5. The signature is compared in constant time under every secret of the app of this path.
//! 6. The JSON is parsed into a [`Notification`](crate::Notification).
//! 7. The inner service is called with the same bytes as its body, and with the `Notification` and
//!    [`Verified`] in the extensions. `Content-Length` is the length of those bytes;
//!    `Transfer-Encoding`, `Trailer` and `Expect` are removed, because they describe the original
//!    transfer; all other headers are unchanged.
//! 8. A 2xx response becomes 200, the only status that Meta treats as success. Any other status is
//!    passed on, and Meta retries the delivery. Two kinds of failure become 503: a 2xx with a
//!    `grpc-status` other than 0, or with a gRPC body whose status follows in the trailers; and an
//!    error of the inner service, unless
//!    [`on_handler_error`](WebhookLayerBuilder::on_handler_error) propagates it.
//! 9. Any other method is answered with 405.
//!
//! A rejected request is answered with the status of its [`RejectionKind`] and an empty body. The
//! [`Rejection`] is in the extensions of the response, where an outer layer can read the reason.
//!
//! # Late readiness
//!
//! [`Webhook`] is always ready. The inner service is polled for readiness, and called, on a clone,
//! and only after the signature has been verified. No unauthenticated request can therefore use
//! the host's resources, not even its permits. A layer that reserves the inner service first hands
//! its permits (those of a `ConcurrencyLimit`, for example) to anyone who opens a connection and
//! sends a body one byte at a time. The cost is that an *outer* `LoadShed` does not see that the
//! inner service is busy: put such a layer inside.
//!
//! # What a handler may trust
//!
//! Trust the extension, never the path. A request whose path does not match passes through
//! unverified, and routers match more loosely than this layer (a trailing slash, a nested prefix, a
//! parameter). A handler that takes its [`Notification`](crate::Notification) from the extensions
//! can only be reached with a verified request, unless the host inserts one itself. Nobody but the
//! layer can make a [`Verified`].
//!
//! Every layer removes a `Notification` and a [`Verified`] unless an outer layer inserted them for
//! this request. Several layers, each with its own path, can therefore be stacked, and values from
//! another middleware, or from another request that has been answered, never count as verified. A
//! handler that sends a request with a clone of its extensions into the router passes both on.
//!
//! axum's `nest` strips its prefix from the path that a layer *inside* the nested router sees:
//!
//! ```
//! use axum::{Router, routing::post};
//! use tower_whatsapp::WebhookLayer;
//!
//! # async fn on_event() {}
//! # fn main() -> Result<(), tower_whatsapp::ConfigError> {
//! // Around the outer router: the whole path.
//! let outside = WebhookLayer::new("/hooks/whatsapp", "secret", "token")?;
//! let app: Router = Router::new()
//!     .nest("/hooks", Router::new().route("/whatsapp", post(on_event)))
//!     .layer(outside);
//!
//! // Inside the nested router: the path without the prefix.
//! let inside = WebhookLayer::new("/whatsapp", "secret", "token")?;
//! let hooks = Router::new().route("/whatsapp", post(on_event)).layer(inside);
//! let app: Router = Router::new().nest("/hooks", hooks);
//!
//! // On one route: no path to configure. The layer is around the method router rather than the
//! // handler, so that the GET handshake reaches it.
//! let on_route = WebhookLayer::builder()
//!     .any_path()
//!     .app_secret("secret")
//!     .verify_token("token")
//!     .build()?;
//! let app: Router = Router::new().route("/hooks/whatsapp", post(on_event).layer(on_route));
//! # Ok(()) }
//! ```
//!
//! # Placement
//!
//! Put the layer outside of anything that changes bodies: an outer layer that decompresses or
//! rewrites them invalidates every signature. Put timeouts and limits of the handler inside.
//! Middleware that names the host's body types, such as an `axum::middleware::from_fn` directly
//! under this layer in one `ServiceBuilder`, requires [`host_body`](WebhookLayer::host_body).
//! `docs/hosts.md` in the repository has a snippet and the pitfalls of each framework, and the
//! place of each common middleware.
//!
//! A request that is rejected from its head leaves its body unread. With HTTP/1, hyper discards a
//! small body that has already arrived and keeps the connection. Otherwise it closes the
//! connection after the response, and a sender that is still writing may see a reset instead of the
//! response. The alternative would be to read the bodies of unauthenticated senders.
//!
//! [handshake]: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint

mod app;
mod builder;
mod config;
mod content_length;
mod context;
mod delivery;
mod error;
mod event_filter;
mod future;
#[cfg(feature = "tokio")]
mod labels;
mod layer;
mod preconditions;
mod rejection;
mod rejection_detail;
#[cfg(feature = "apps")]
mod resolver;
mod routes;
mod service;
mod setup_warning;
mod warning_reporter;

#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(crate) use self::event_filter::TEST_ENTRY_ID;
#[cfg(feature = "tokio")]
pub(crate) use self::{labels::Labels, warning_reporter::WarningReporter};
pub use crate::{
    body::{RequestBody, ResponseBody},
    handshake::{HandshakeParameter, MalformedHandshake},
    host_body::{HostBody, HostBodyFuture, HostBodyLayer, IntoHostBody},
    verified::Verified,
};

#[cfg(feature = "apps")]
pub use self::resolver::{
    AppResolver, CachedResolver, CachedResolverBuilder, ResolveError, ResolverCounters,
};
pub use self::{
    app::{App, AppBuilder},
    builder::WebhookLayerBuilder,
    config::OnHandlerError,
    error::ConfigError,
    event_filter::OnForeignEvent,
    future::ResponseFuture,
    layer::WebhookLayer,
    rejection::{Rejection, RejectionKind},
    rejection_detail::RejectionDetail,
    service::Webhook,
    setup_warning::SetupWarning,
};
