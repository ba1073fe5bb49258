//! `DedupLayer` runs the handler in a separate task, so spans of outer layers do not reach it
//! unless they are propagated.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::post,
};
use bytes::Bytes;
use tower::ServiceExt;
use tower_http::trace::TraceLayer;
use tower_whatsapp::dedup::{DedupLayer, MemoryStore};
use tracing::{
    Event, Instrument, Metadata, Span, Subscriber, info_span,
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;

use super::support::{delivery, layer};

/// A subscriber that tracks the current span of one thread.
#[derive(Default)]
struct Spans {
    known: Mutex<Vec<&'static Metadata<'static>>>,
    entered: Mutex<Vec<Id>>,
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut known = self.known.lock().unwrap();
        known.push(span.metadata());
        Id::from_u64(known.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        self.entered.lock().unwrap().push(span.clone());
    }

    fn exit(&self, _: &Id) {
        self.entered.lock().unwrap().pop();
    }

    fn current_span(&self) -> Current {
        match self.entered.lock().unwrap().last() {
            Some(id) => {
                let index = usize::try_from(id.into_u64()).unwrap() - 1;
                Current::new(id.clone(), self.known.lock().unwrap()[index])
            }
            None => Current::none(),
        }
    }
}

type Seen = Arc<Mutex<Vec<Option<&'static str>>>>;

/// A route that records the name of the span in which its handler runs.
fn routes() -> (Seen, Router) {
    let seen = Seen::default();
    let note = Arc::clone(&seen);
    let handler = async move || {
        let name = Span::current().metadata().map(Metadata::name);
        note.lock().unwrap().push(name);
    };
    (seen, Router::new().route("/webhook", post(handler)))
}

async fn send(app: Router, request: http::Request<Bytes>) {
    let response = app.oneshot(request.map(Body::from)).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[derive(Clone)]
struct Outer(Span);

async fn keep(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Outer(Span::current()));
    next.run(request).await
}

async fn enter(mut request: Request, next: Next) -> Response {
    match request.extensions_mut().remove::<Outer>() {
        Some(Outer(span)) => next.run(request).instrument(span).await,
        None => next.run(request).await,
    }
}

macro_rules! trace {
    ($name:literal) => {
        TraceLayer::new_for_http()
            .make_span_with(|request: &Request| info_span!($name, path = request.uri().path()))
    };
}

/// One test on one thread, because the subscriber is thread-local.
#[tokio::test]
async fn the_request_span_reaches_the_handler_if_it_is_propagated() {
    let _guard = tracing::subscriber::set_default(Spans::default());
    let dedup = || DedupLayer::new(MemoryStore::new());

    let (seen, router) = routes();
    send(router.layer(layer()).layer(trace!("request")), delivery()).await;
    assert_eq!(*seen.lock().unwrap(), [Some("request")]);

    let (seen, router) = routes();
    let app = router.layer(dedup()).layer(layer());
    send(app.layer(trace!("request")), delivery()).await;
    assert_eq!(*seen.lock().unwrap(), [None]);

    let (seen, router) = routes();
    let app = router
        .layer(from_fn(enter))
        .layer(dedup())
        .layer(from_fn(keep))
        .layer(layer())
        .layer(trace!("request"));
    send(app, delivery()).await;
    assert_eq!(*seen.lock().unwrap(), [Some("request")]);

    let (seen, router) = routes();
    let app = router
        .layer(trace!("handler"))
        .layer(dedup())
        .layer(layer())
        .layer(trace!("request"));
    send(app, delivery()).await;
    assert_eq!(*seen.lock().unwrap(), [Some("handler")]);
}
