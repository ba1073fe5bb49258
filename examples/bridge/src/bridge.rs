//! The bridge: a request with its whole body in, a response out. Take this file along.

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

/// The layer around a handler of yours, for any framework.
#[derive(Clone)]
pub struct Bridge<H> {
    service: HostBody<Webhook<IntoHostBody<H>>>,
}

/// What the layer lets through: a delivery that it has verified, or a request to another path.
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

/// Puts the layer around a handler of deliveries.
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
    /// Answers a request.
    ///
    /// The framework must hand over the body as it came: not decompressed, not decoded, not parsed.
    /// It must also bound the length of it and the time that it takes, since the layer sees the body
    /// only when all of it is there.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request.map(Body::new);
        let Ok(response) = self.service.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body).await;
        let body = body.map_or_else(|never| match never {}, |body| body.to_bytes());
        Response::from_parts(parts, body)
    }
}
