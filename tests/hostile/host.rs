//! The inner services, and a record of what they received.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use test_support::{Counted, Counter};
use tower::{Layer, Service, service_fn, util::MapRequest, util::MapResponse};
use tower_whatsapp::{
    Event, Notification, Payload, Rejection, RejectionKind, Verified, WebhookLayer, event::Content,
    webhook::RequestBody,
};
#[cfg(feature = "tokio")]
use tower_whatsapp::{dedup::DedupLayer, event::EventKey};

use crate::row::Dress;
#[cfg(feature = "tokio")]
use crate::scripted::Scripted;

/// The host's response to a verified delivery. It is not 200, to show whether the layer changes it.
pub(crate) const TAKEN: (StatusCode, &str) = (StatusCode::ACCEPTED, "taken");

/// The host's response to all other requests.
pub(crate) const ELSEWHERE: (StatusCode, &str) = (StatusCode::IM_A_TEAPOT, "elsewhere");

/// A header in every response of the host, and in none of the layer.
pub(crate) const MARK: (&str, &str) = ("x-host", "yes");

/// One call of the host.
pub(crate) struct Seen {
    /// All events of the delivery, including those that were handled before.
    pub(crate) events: Option<Vec<String>>,
    /// Events to be handled now.
    #[cfg(feature = "tokio")]
    pub(crate) keys: Vec<EventKey>,
    pub(crate) verified: Option<Verified>,
    pub(crate) body: Bytes,
    /// Whether the notification and the body share their memory.
    pub(crate) same: bool,
}

/// Records of what happened inside and outside the layer.
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
        let verified: Option<&Verified> = parts.extensions.get();
        self.seen.lock().unwrap().push(Seen {
            events: notification.map(|it| {
                let all = it.suppressed().iter().chain(it.events());
                all.map(summary).collect()
            }),
            #[cfg(feature = "tokio")]
            keys: notification.map_or_else(Vec::new, |it| {
                let app = verified.map_or("", Verified::app);
                let events = it
                    .events()
                    .iter()
                    .filter(|event| event.is_distinguishable());
                events.map(|event| event.key_in(app)).collect()
            }),
            verified: verified.cloned(),
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

/// A summary of an event, as one line.
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

/// The layer around a host, with a counter outside and logs on both sides.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) layer: WebhookLayer,
    pub(crate) log: Arc<Log>,
    pub(crate) counter: Arc<Counter>,
    /// The store of [`remembering`](Self::remembering).
    #[cfg(feature = "tokio")]
    pub(crate) store: Scripted,
    dress: Dress,
}

impl Subject {
    pub(crate) fn new(layer: WebhookLayer) -> Self {
        Self {
            layer,
            log: Arc::default(),
            counter: Arc::default(),
            #[cfg(feature = "tokio")]
            store: Scripted::new(),
            dress: |_| {},
        }
    }

    /// Behind a server that adds this to the extensions of every request.
    pub(crate) fn dressed(mut self, dress: Dress) -> Self {
        self.dress = dress;
        self
    }

    fn host<B>(
        &self,
    ) -> impl Service<
        Request<RequestBody<Counted<B>>>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<B>
    where
        B: Body<Data = Bytes, Error: Into<axum::BoxError> + Send> + Send + Unpin + 'static,
    {
        let log = Arc::clone(&self.log);
        service_fn(move |request| {
            let log = Arc::clone(&log);
            async move { Ok(log.answer(request).await) }
        })
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
        B: Body<Data = Bytes, Error: Into<axum::BoxError> + Send> + Send + Unpin + 'static,
    {
        self.watched(self.layer.layer(self.host()))
    }

    /// A plain service that handles each event once.
    #[cfg(feature = "tokio")]
    pub(crate) fn remembering<B>(
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
        B: Body<Data = Bytes, Error: Into<axum::BoxError> + Send> + Send + Unpin + 'static,
    {
        // A timeout that is long enough for 32,768 events on a busy machine.
        let dedup = DedupLayer::builder(self.store.clone())
            .store_timeout(test_support::PATIENCE)
            .response_deadline(2 * test_support::PATIENCE)
            .handler_deadline(2 * test_support::PATIENCE)
            .lease(4 * test_support::PATIENCE)
            .build()
            .unwrap();
        self.watched(self.layer.layer(dedup.layer(self.host())))
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
        let dress = self.dress;
        let counted = MapRequest::new(service, move |mut request: Request<B>| {
            dress(request.extensions_mut());
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
