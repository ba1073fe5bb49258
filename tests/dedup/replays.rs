//! A request that the handler kept, and that is sent in again with all that the layers put into it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use test_support::layer;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Event, Notification,
    dedup::{Claim, DedupLayer, Store, Token},
    event::EventKey,
};

use super::{
    host::Host,
    scripted::Scripted,
    stack::{LEASE, Stack, keys, millis, request, text},
};

/// Keeps the head of each request, and what it was given.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Parts>>>);

impl Kept {
    async fn handle<B>(self, request: Request<B>) -> Result<Response<()>, Infallible> {
        self.0.lock().unwrap().push(request.into_parts().0);
        Ok(Response::new(()))
    }

    fn events(&self, call: usize) -> usize {
        self.keys(call).len()
    }

    fn keys(&self, call: usize) -> Vec<EventKey> {
        let kept = self.0.lock().unwrap();
        let notification = kept[call].extensions.get::<Notification>();
        notification
            .unwrap()
            .events()
            .iter()
            .map(Event::key)
            .collect()
    }
}

/// One of two events is in flight elsewhere, and fails there. The replay brings it again.
#[tokio::test(start_paused = true)]
async fn a_replay_is_deduplicated_again() {
    let store = Scripted::new();
    let kept = Kept::default();
    let dedup = DedupLayer::new(store.clone());
    let handler = {
        let kept = kept.clone();
        service_fn(move |request| kept.clone().handle(request))
    };
    let service = layer().layer(dedup.layer(handler));
    let (elsewhere, token) = (keys(&text("A")), Token::random());
    let inner = store.inner();
    let claims = inner.claim(&elsewhere, token, LEASE).await.unwrap();
    assert_eq!(claims, [Claim::Claimed]);
    let body = text("A").and(text("B")).body();
    let first = service.clone().oneshot(request(body.clone())).await;
    assert_eq!(first.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    inner.release(&elsewhere, token).await.unwrap();
    tokio::time::sleep(millis(10)).await;

    let parts = kept.0.lock().unwrap()[0].clone();
    let replay = Request::from_parts(parts, Full::new(body));
    let second = service.oneshot(replay).await;
    assert_eq!(second.unwrap().status(), StatusCode::OK);
    assert_eq!((kept.events(0), kept.events(1)), (1, 1));
    let counters = dedup.handle().counters();
    assert_eq!((counters.delivered, counters.suppressed), (2, 2));
}

/// A handler may pass its extensions on, with another delivery.
#[tokio::test(start_paused = true)]
async fn another_delivery_with_the_extensions_of_one_in_flight() {
    let kept = Kept::default();
    let dedup = DedupLayer::new(Scripted::new());
    let handler = {
        let kept = kept.clone();
        service_fn(move |request| kept.clone().handle(request))
    };
    let inside = layer().layer(dedup.layer(handler));
    let sends = {
        let inside = inside.clone();
        service_fn(move |first: Request<_>| {
            let mut other = request(text("B").body());
            *other.extensions_mut() = first.into_parts().0.extensions;
            inside.clone().oneshot(other)
        })
    };
    let outside = layer().layer(dedup.layer(sends));
    let sent = outside.oneshot(request(text("A").body())).await;
    assert_eq!(sent.unwrap().status(), StatusCode::OK);
    let repeat = inside.oneshot(request(text("B").body())).await;
    assert_eq!(repeat.unwrap().status(), StatusCode::OK);
    assert_eq!(kept.0.lock().unwrap().len(), 1);
    assert_eq!(kept.keys(0), keys(&text("B")));
    let counters = dedup.handle().counters();
    assert_eq!((counters.delivered, counters.suppressed), (2, 1));
}

/// Without a `WebhookLayer`, in which a host makes the notifications itself.
#[tokio::test(start_paused = true)]
async fn a_replay_without_a_webhook_layer() {
    let kept = Kept::default();
    let dedup = DedupLayer::new(Scripted::new());
    let handler = {
        let kept = kept.clone();
        service_fn(move |request| kept.clone().handle(request))
    };
    let service = dedup.layer(handler);
    let mut delivery = Request::new(());
    delivery.extensions_mut().insert(text("A").notification());
    service.clone().oneshot(delivery).await.unwrap();
    tokio::time::sleep(millis(10)).await;
    let parts = kept.0.lock().unwrap()[0].clone();
    let replay = Request::from_parts(parts, ());
    service.oneshot(replay).await.unwrap();
    assert_eq!(kept.0.lock().unwrap().len(), 1);
    assert_eq!(dedup.handle().counters().suppressed, 1);
}

/// The marks of a request that is over are gone: one that passed a `DedupLayer` outside keeps no
/// other from its events.
#[tokio::test(start_paused = true)]
async fn a_replay_of_a_request_that_bypassed_a_layer() {
    let kept = Kept::default();
    let outside = DedupLayer::new(Scripted::new());
    let handler = {
        let kept = kept.clone();
        service_fn(move |request| kept.clone().handle(request))
    };
    let service = outside.layer(layer().layer(handler));
    let body = text("A").body();
    service
        .clone()
        .oneshot(request(body.clone()))
        .await
        .unwrap();
    assert_eq!(outside.handle().counters().bypassed, 1);
    let parts = kept.0.lock().unwrap()[0].clone();
    let stack = Stack::new(Host::good());
    let replay = Request::from_parts(parts, Full::new(body));
    assert_eq!(stack.send_request(replay).await.status, 200);
    assert_eq!(stack.host.handled(), keys(&text("A")));
    assert_eq!(outside.handle().counters().bypassed, 1);
    stack.rest().await;
}
