//! Adapters that keep the body types of the host.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::Service;
use tower_layer::Layer;

#[cfg(feature = "tokio")]
use crate::dedup::{Dedup, DedupLayer, Store};
use crate::{
    body::{RequestBody, ResponseBody},
    webhook::{Webhook, WebhookLayer},
};

/// A layer that keeps the body types of the host. Created by [`WebhookLayer::host_body`] and
#[cfg_attr(
    feature = "tokio",
    doc = "[`DedupLayer::host_body`](crate::dedup::DedupLayer::host_body)."
)]
#[cfg_attr(not(feature = "tokio"), doc = "`DedupLayer::host_body`.")]
///
/// Without it, a [`WebhookLayer`] turns `Request<B>` into `Request<RequestBody<B>>` and
/// `Response<R>` into `Response<ResponseBody<R>>`. With it, the inner service receives `Request<B>`
/// and the caller receives `Response<R>`. The body types must implement `From<Bytes>`, as
/// `axum::body::Body` and `http_body_util::Full<Bytes>` do. Nothing is boxed or copied.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct HostBodyLayer<L> {
    layer: L,
}

impl WebhookLayer {
    /// Keeps the body types of the host: `Request<B>` and `Response<R>` on both sides. Requires
    /// body types that implement `From<Bytes>`, as axum's does.
    ///
    /// ```
    /// use axum::{Extension, Router, extract::Request, middleware::{Next, from_fn}};
    /// use axum::{response::Response, routing::post};
    /// use tower::{Layer, ServiceBuilder, util::option_layer};
    /// use tower_whatsapp::{Notification, WebhookLayer};
    ///
    /// async fn on_event(Extension(notification): Extension<Notification>) {}
    /// async fn inside(request: Request, next: Next) -> Response {
    ///     next.run(request).await
    /// }
    ///
    /// # fn main() -> Result<(), tower_whatsapp::ConfigError> {
    /// let whatsapp = WebhookLayer::new("/webhook", "secret", "token")?.host_body();
    ///
    /// // Middleware with axum's own types inside of the layer, in one `ServiceBuilder`.
    /// let stack = ServiceBuilder::new()
    ///     .layer(whatsapp.clone())
    ///     .layer(from_fn(inside));
    /// let app: Router = Router::new().route("/webhook", post(on_event)).layer(stack);
    ///
    /// // Around a whole router, as an optional layer.
    /// let service = option_layer(Some(whatsapp)).layer(app);
    /// # Ok(()) }
    /// ```
    pub fn host_body(self) -> HostBodyLayer<Self> {
        HostBodyLayer { layer: self }
    }
}

#[cfg(feature = "tokio")]
impl<S: Store> DedupLayer<S> {
    /// Keeps the response body type of the host: see
    /// [`WebhookLayer::host_body`](crate::WebhookLayer::host_body). The request body type never
    /// changes.
    pub fn host_body(self) -> HostBodyLayer<Self> {
        HostBodyLayer { layer: self }
    }
}

impl<S> Layer<S> for HostBodyLayer<WebhookLayer> {
    type Service = HostBody<Webhook<IntoHostBody<S>>>;

    fn layer(&self, inner: S) -> Self::Service {
        HostBody {
            inner: self.layer.layer(IntoHostBody { inner }),
        }
    }
}

#[cfg(feature = "tokio")]
impl<H, S: Store> Layer<H> for HostBodyLayer<DedupLayer<S>> {
    type Service = HostBody<Dedup<H, S>>;

    fn layer(&self, inner: H) -> Self::Service {
        HostBody {
            inner: self.layer.layer(inner),
        }
    }
}

/// Service of a [`HostBodyLayer`]: converts a [`ResponseBody`] into the host's type.
#[derive(Debug, Clone)]
pub struct HostBody<S> {
    inner: S,
}

impl<S> HostBody<S> {
    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for HostBody<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody<R>>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HostBodyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        HostBodyFuture {
            call: self.inner.call(request),
        }
    }
}

/// Inner service of a [`Webhook`] in a [`HostBody`]: converts a [`RequestBody`] into the host's
/// type.
#[derive(Debug, Clone)]
pub struct IntoHostBody<S> {
    inner: S,
}

impl<S> IntoHostBody<S> {
    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<RequestBody<B>>> for IntoHostBody<S>
where
    S: Service<Request<B>>,
    B: From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody<B>>) -> S::Future {
        self.inner.call(request.map(RequestBody::into_host_body))
    }
}

pin_project! {
    /// Response future of [`HostBody`].
    pub struct HostBodyFuture<F> {
        #[pin]
        call: F,
    }
}

impl<F, R, E> Future for HostBodyFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>>,
    R: From<Bytes>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().call.poll(cx))?;
        Poll::Ready(Ok(response.map(ResponseBody::into_host_body)))
    }
}

impl<F> fmt::Debug for HostBodyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBodyFuture").finish_non_exhaustive()
    }
}
