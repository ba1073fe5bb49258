//! The services that the layer protects here, and what they got to see.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn, util::MapRequest, util::MapResponse};
use tower_whatsapp::{
    Event, Notification, Payload, Rejection, RejectionKind, Verified, WebhookLayer, event::Content,
    webhook::RequestBody,
};

use crate::support::{Counted, Counter};

/// The host's answer to what was verified: not a 200, so that it shows whether the layer makes it one.
pub(crate) const TAKEN: (StatusCode, &str) = (StatusCode::ACCEPTED, "taken");

/// The host's answer to everything else.
pub(crate) const ELSEWHERE: (StatusCode, &str) = (StatusCode::IM_A_TEAPOT, "elsewhere");

/// In every answer of the host, and in none of the layer.
pub(crate) const MARK: (&str, &str) = ("x-host", "yes");

/// One call of the host.
pub(crate) struct Seen {
    pub(crate) events: Option<Vec<String>>,
    pub(crate) secret_label: Option<String>,
    pub(crate) body: Bytes,
    /// Of the notification and of the body: the same memory.
    pub(crate) same: bool,
}

/// What happened behind and in front of the layer.
#[derive(Default)]
pub(crate) struct Log {
    seen: Mutex<Vec<Seen>>,
    rejections: Mutex<Vec<RejectionKind>>,
}

impl Log {
    pub(crate) fn take(&self) -> (Vec<Seen>, Vec<RejectionKind>) {
        (
            std::mem::take(&mut *self.seen.lock().unwrap()),
            std::mem::take(&mut *self.rejections.lock().unwrap()),
        )
    }

    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
    {
        let (parts, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::from_static(b"broken"),
        };
        let notification = parts.extensions.get::<Notification>();
        let (status, text) = if notification.is_some() {
            TAKEN
        } else {
            ELSEWHERE
        };
        self.seen.lock().unwrap().push(Seen {
            events: notification.map(|it| it.events().iter().map(summary).collect()),
            secret_label: parts
                .extensions
                .get()
                .map(|verified: &Verified| verified.secret_label().to_owned()),
            same: notification.is_some_and(|it| it.body().as_ptr() == body.as_ptr()),
            body,
        });
        Response::builder()
            .status(status)
            .header(MARK.0, MARK.1)
            .body(Full::from(text))
            .unwrap()
    }
}

/// What an event says, in a line.
fn summary(event: &Event) -> String {
    match event.payload() {
        Payload::Message(message) => {
            let text = match message.content {
                Content::Text(text) => text.body.unwrap_or("-"),
                _ => "-",
            };
            format!("message {} {text}", message.id.unwrap_or("-"))
        }
        Payload::Status(status) => {
            format!("status {} {:?}", status.id.unwrap_or("-"), status.state)
        }
        Payload::Error(error) => format!("error {:?}", error.code),
        Payload::Unknown(unknown) => {
            format!("unknown {:?} {}", unknown.reason, event.raw().len())
        }
        other => other.name().to_owned(),
    }
}

/// The layer around a host, with a count on the one side and a log on both.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) layer: WebhookLayer,
    pub(crate) log: Arc<Log>,
    pub(crate) counter: Arc<Counter>,
}

impl Subject {
    pub(crate) fn new(layer: WebhookLayer) -> Self {
        Self {
            layer,
            log: Arc::default(),
            counter: Arc::default(),
        }
    }

    /// A plain service.
    pub(crate) fn bare<B>(
        &self,
    ) -> impl Service<
        Request<B>,
        Response = Response<impl Body<Data = Bytes, Error = Infallible> + Send + use<B>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<B>
    where
        B: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    {
        let log = Arc::clone(&self.log);
        let host = service_fn(move |request: Request<RequestBody<Counted<B>>>| {
            let log = Arc::clone(&log);
            async move { Ok::<_, Infallible>(log.answer(request).await) }
        });
        self.watched(self.layer.layer(host))
    }

    /// An axum router.
    pub(crate) fn axum<B>(
        &self,
    ) -> impl Service<
        Request<B>,
        Response = Response<axum::body::Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<B>
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
    {
        let log = Arc::clone(&self.log);
        let host = move |request: axum::extract::Request| {
            let log = Arc::clone(&log);
            async move { log.answer(request).await.map(axum::body::Body::new) }
        };
        let router = axum::Router::new().fallback(host).layer(self.layer.clone());
        self.watched(router)
    }

    fn watched<S, B, R>(
        &self,
        service: S,
    ) -> impl Service<Request<B>, Response = Response<R>, Error = S::Error, Future: Send>
    + Clone
    + Send
    + use<S, B, R>
    where
        S: Service<Request<Counted<B>>, Response = Response<R>, Future: Send> + Clone + Send,
    {
        let counter = Arc::clone(&self.counter);
        let counted = MapRequest::new(service, move |request: Request<B>| {
            request.map(|body| Counted::new(body, Arc::clone(&counter)))
        });
        let log = Arc::clone(&self.log);
        MapResponse::new(counted, move |response: Response<R>| {
            if let Some(rejection) = response.extensions().get::<Rejection>() {
                log.rejections.lock().unwrap().push(rejection.kind());
            }
            response
        })
    }
}
