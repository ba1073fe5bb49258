//! The layer: one request's way in.
//!
//! # What happens to a request
//!
//! 1. Its path is not the configured one: the inner service gets it, body untouched, streaming.
//! 2. `GET`: the [handshake]. The inner service is never called.
//! 3. `POST`: the caller must be admitted, by address and certificate, if that is asked for (`admission`); the signature header must be there,
//!    once, and well formed. If the path has the name of an app in it, the app is looked up. The declared length must be within the limit; the
//!    body must not be compressed. All this before the first byte of the body is read.
//! 4. The body is received within its limit, its deadlines and the memory budget, and hashed as it arrives.
//! 5. The signature is compared, in constant time, under every secret of the app of this path.
//! 6. The JSON is taken apart into a [`Notification`](crate::Notification).
//! 7. The inner service is called with the same bytes as its body, and with the `Notification` and [`Verified`] in the
//!    extensions. `Content-Length` says how many bytes they are; `Transfer-Encoding`, `Trailer` and `Expect`, which are about how they
//!    came, are gone; all other headers are as the sender wrote them. A 2xx answer becomes exactly 200, which is the only answer that
//!    Meta does not take for a failure; every other answer passes, so that Meta sends the delivery again.
//!    A 2xx with a `grpc-status` other than 0, or with a gRPC body whose status is still to come, is a
//!    failure that becomes 503. So does an error of the inner service, unless
//!    [`on_handler_error`](WebhookLayerBuilder::on_handler_error) hands it on.
//! 8. Any other method: 405.
//!
//! A request that is not let through gets the answer of its [`RejectionKind`], with an empty body, and the [`Rejection`] in the
//! extensions of the response, where a layer around this one finds the reason without parsing text.
//!
//! # Late readiness: nothing unauthenticated touches the host, not even its permits
//!
//! [`Webhook`] is always ready. The inner service is polled for readiness, and called, on a clone, and only after the signature was
//! found right. A layer that reserves the inner service first hands its permits (those of a `ConcurrencyLimit`, say) to whoever
//! can open a connection and send a body one byte at a time. What is lost is that an *outer* `LoadShed` does not see that the
//! inner service is busy: put such a layer inside.
//!
//! # What a handler may trust
//!
//! The extension, never the path. A request whose path does not match passes through unverified; routers match more loosely than
//! this layer (a trailing slash, a nested prefix, a parameter). A handler that takes its [`Notification`](crate::Notification) from
//! the extensions cannot be reached around the verification.
//!
//! Every layer removes a `Notification` and a [`Verified`] that no layer around it has made for this request. So several layers
//! can be stacked, each with a path of its own, and nothing that is left of another request or put there by another middleware
//! is taken for verified.
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
//! // Inside the nested router: what is left of it.
//! let inside = WebhookLayer::new("/whatsapp", "secret", "token")?;
//! let hooks = Router::new().route("/whatsapp", post(on_event)).layer(inside);
//! let app: Router = Router::new().nest("/hooks", hooks);
//!
//! // On one route: no path to get wrong. The layer is around the method router and not around the handler, so the GET of the
//! // handshake reaches it.
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
//! Outermost, or at least outside of anything that changes bodies: a layer that decompresses or rewrites a body around this one
//! makes every signature wrong. Put timeouts and limits of the handler inside. Middleware that names the body types of the host, as
//! an `axum::middleware::from_fn` directly under this layer in one `ServiceBuilder` does, needs
//! [`host_body`](WebhookLayer::host_body). `docs/hosts.md` in the repository has a snippet and the traps of each framework, and the place of
//! each usual middleware.
//!
//! A request that is refused from its headers leaves its body unread. hyper then closes the connection after the answer, and a
//! sender that is still writing may see a reset instead of the answer. That is meant: the alternative is to read what nobody
//! vouches for.
//!
//! [handshake]: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint

mod app;
mod builder;
mod future;
mod layer;
mod rejection;
#[cfg(feature = "apps")]
mod resolver;
mod routes;
mod service;
mod setup;

#[cfg(feature = "tokio")]
pub(crate) use self::setup::SetupWarnings;
pub use crate::{
    body::{RequestBody, ResponseBody},
    host_body::{HostBody, HostBodyFuture, HostBodyLayer, IntoHostBody},
    verified::Verified,
};

#[cfg(feature = "apps")]
pub use self::resolver::{AppResolver, CachedResolver, CachedResolverBuilder, ResolveError};
pub use self::{
    app::{App, AppBuilder, OnForeignEvent},
    builder::{ConfigError, OnHandlerError, WebhookLayerBuilder},
    future::ResponseFuture,
    layer::WebhookLayer,
    rejection::{Rejection, RejectionKind},
    service::Webhook,
    setup::SetupWarning,
};
