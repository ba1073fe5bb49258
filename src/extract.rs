//! axum: the events of a delivery as a handler argument (feature `axum`).
//!
//! ```
//! use axum::{Router, http::StatusCode, routing::post};
//! use tower_whatsapp::{Notification, Verified, WebhookLayer};
//!
//! async fn on_event(verified: Verified, notification: Notification) -> StatusCode {
//!     println!("{} events, signed with secret {}", notification.events().len(), verified.secret_label());
//!     StatusCode::OK
//! }
//!
//! # fn main() -> Result<(), tower_whatsapp::ConfigError> {
//! let whatsapp = WebhookLayer::new("/webhook", "secret", "token")?;
//! let app: Router = Router::new().route("/webhook", post(on_event)).layer(whatsapp);
//! # Ok(()) }
//! ```
//!
//! `Option<Notification>` is `None` where the layer was not passed, for a handler that serves both; `Extension<Notification>` works
//! too, without this feature. Nothing is to be configured for deliveries over axum's default limit of 2 MB: the extractor does not
//! read the body, and for handlers that do (`Bytes`, `String`, `Json`), the layer lifts that limit on the requests that it has
//! verified, whose bodies it has bounded itself.

use std::{convert::Infallible, error::Error, fmt};

use axum_core::{
    extract::{DefaultBodyLimit, FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode, request::Parts};

use crate::{event::Notification, verified::Verified};

/// The handler was reached by a request that did not pass through a [`WebhookLayer`](crate::WebhookLayer).
///
/// A mistake in the set-up of the host, not of the sender: the route is not the layer's path, or the layer is missing. Answered with
/// 500, so that Meta tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerMissing;

impl fmt::Display for LayerMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the request did not pass through WebhookLayer: is the layer's path that of the route?",
        )
    }
}

impl Error for LayerMissing {}

impl IntoResponse for LayerMissing {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S> FromRequestParts<S> for Notification
where
    S: Send + Sync,
{
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        parts.extensions.get().cloned().ok_or(LayerMissing)
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
        parts.extensions.get().cloned().ok_or(LayerMissing)
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

/// Lets `Bytes`, `String` and `Json` read a verified body of any length: it is in memory already.
pub(crate) fn lift_body_limit<B>(mut request: Request<B>) -> Request<B> {
    DefaultBodyLimit::disable().apply(&mut request);
    request
}
