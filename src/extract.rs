//! axum extractors: the events of a delivery as a handler argument (feature `axum`).
//!
//! ```
//! use axum::{Router, http::StatusCode, routing::post};
//! use tower_whatsapp::{Notification, Verified, WebhookLayer};
//!
//! async fn on_event(verified: Verified, notification: Notification) -> StatusCode {
//!     let count = notification.events().len();
//!     println!("{count} events, signed with secret {}", verified.secret_label());
//!     StatusCode::OK
//! }
//!
//! # fn main() -> Result<(), tower_whatsapp::ConfigError> {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token")?;
//! let app: Router = Router::new().route("/webhook", post(on_event)).layer(whatsapp);
//! # Ok(()) }
//! ```
//!
//! `Option<Notification>` is `None` for requests that did not pass through the layer, for handlers
//! that serve both. `Extension<Notification>` works too, without this feature.
//!
//! Deliveries above axum's default body limit of 2 MB need no configuration. The extractors do not
//! read the body. For handlers that do (`Bytes`, `String`, `Json`), the layer lifts that limit on
//! requests that it has verified, because it has bounded their bodies itself.

use std::{convert::Infallible, error::Error, fmt};

use axum_core::{
    extract::{DefaultBodyLimit, FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode, request::Parts};

use crate::{event::Notification, verified::Verified};

/// A request reached the handler without passing through a [`WebhookLayer`](crate::WebhookLayer).
///
/// This is a configuration error of the host: the route differs from the path of the layer, the
/// layer is missing, or a middleware in between has made a new request without the extensions. The
/// response is 500, so that Meta redelivers. It has this value in its extensions, where an outer
/// layer of the host can find and log it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerMissing;

impl fmt::Display for LayerMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the request did not pass through WebhookLayer: is the layer's path that of the route, or has a middleware in between made a new request?",
        )
    }
}

impl Error for LayerMissing {}

impl IntoResponse for LayerMissing {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl<S> FromRequestParts<S> for Notification
where
    S: Send + Sync,
{
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        find(parts)
    }
}

impl<S> OptionalFromRequestParts<S> for Notification
where
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

impl<S> FromRequestParts<S> for Verified
where
    S: Send + Sync,
{
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        find(parts)
    }
}

impl<S> OptionalFromRequestParts<S> for Verified
where
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Returns what the layer inserted, or reports that there is none.
fn find<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, LayerMissing> {
    parts.extensions.get().cloned().ok_or_else(|| {
        crate::telemetry::layer_missing(parts.uri.path());
        LayerMissing
    })
}

/// Lets `Bytes`, `String` and `Json` read a verified body of any length: it is already in memory.
pub(crate) fn lift_body_limit<B>(mut request: Request<B>) -> Request<B> {
    DefaultBodyLimit::disable().apply(&mut request);
    request
}
