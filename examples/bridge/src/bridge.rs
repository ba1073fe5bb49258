//! Connects the layer to any framework: takes a request with its whole body, returns a response.
//! Copy this file into your project.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, WebhookLayer,
    webhook::{HostBody, IntoHostBody, Webhook},
};

type Body = Full<Bytes>;

/// The layer around an event handler, without a framework.
#[derive(Clone)]
pub struct Bridge<H> {
    service: HostBody<Webhook<IntoHostBody<H>>>,
}

/// Handles what passes the layer: a verified delivery, or a request to another path.
async fn dispatch<F>(request: Request<Body>, on_event: F) -> Result<Response<Body>, Infallible>
where
    F: AsyncFn(&Notification) -> StatusCode,
{
    let status = match request.extensions().get::<Notification>() {
        Some(notification) => on_event(notification).await,
        None => StatusCode::NOT_FOUND,
    };
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    Ok(response)
}

/// Wraps an event handler in the layer.
pub fn bridge<F>(
    layer: WebhookLayer,
    on_event: F,
) -> Bridge<impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone>
where
    F: AsyncFn(&Notification) -> StatusCode + Clone,
{
    let host = service_fn(move |request| dispatch(request, on_event.clone()));
    Bridge {
        service: layer.host_body().layer(host),
    }
}

impl<H> Bridge<H>
where
    H: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    /// Returns the response to a request.
    ///
    /// The framework must pass on the body as received: not decompressed, decoded or parsed. It
    /// must also limit the length of the body and the time to receive it, because the layer sees
    /// the body only when it is complete.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request.map(Body::new);
        let Ok(response) = self.service.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body).await;
        let body = body.map_or_else(|never| match never {}, |body| body.to_bytes());
        Response::from_parts(parts, body)
    }
}
