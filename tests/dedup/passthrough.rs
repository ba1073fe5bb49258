//! Requests that the layer must not touch: other paths, and deliveries that were rejected before.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use test_support::{PATH, SECRET, Script, Step, builder, handshake, layer};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Rejection,
    dedup::{DedupLayer, DedupRejection},
    testing,
    webhook::RequestBody,
};

use super::{
    host::Host,
    scripted::Scripted,
    stack::{Answer, BUDGET, Stack, Tally, now, request, text},
};

/// Rejected requests never reach the store.
#[tokio::test(start_paused = true)]
async fn what_is_refused_before() {
    let stack = Stack::new(Host::good());
    let good = text("A").body();
    let small = builder()
        .memory_budget(BUDGET)
        .body_limit(64)
        .build()
        .unwrap();
    let host = Host::good();
    let limited = small.layer(DedupLayer::new(stack.store.clone()).layer(host.clone()));
    let over = limited.oneshot(request(good.clone())).await.unwrap();
    assert_eq!(over.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(over.extensions().get::<DedupRejection>().is_none());

    let forged = testing::delivery(PATH, good.clone(), "another secret").map(Full::new);
    let unsigned = Request::post(PATH).body(Full::new(good.clone())).unwrap();
    let cut = request("{\"entry\":[");
    let wrong = Request::put(PATH).body(Full::new(good)).unwrap();
    for (request, status) in [(forged, 403), (unsigned, 403), (cut, 422), (wrong, 405)] {
        let response = stack.service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.extensions().get::<Rejection>().is_some());
        assert!(response.extensions().get::<DedupRejection>().is_none());
    }
    stack.at_rest([0, 0, 0], Tally::default()).await;
    assert_eq!((stack.host.calls(), host.calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_handshake() {
    let stack = Stack::new(Host::good());
    let get = Request::get(handshake(test_support::TOKEN, "42")).body(Full::new(Bytes::new()));
    let answer = stack.send_request(get.unwrap()).await;
    assert_eq!((answer.status, answer.body), (200, "42".into()));
    stack.at_rest([0, 0, 0], Tally::default()).await;
}

/// Delivered as unknown events, each under its own key. Without an id and a time a duplicate cannot
/// be told from a later event with the same content.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_from_a_later_event_is_never_suppressed() {
    let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{
        "errors":[{"code":130429,"title":"Rate limit hit"}]}}]}]}"#;
    let stack = Stack::new(Host::good());
    for times in 1..=3 {
        assert_eq!(stack.send_body(body).await, Answer::good());
        assert_eq!(stack.host.handled().len(), times);
    }
}

#[tokio::test(start_paused = true)]
async fn one_event_that_nobody_can_read() {
    let now = now();
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","time":{now},"changes":[{{"field":"messages","value":{{
        "messages":["what is this?",{{"id":"wamid.A","type":"text","text":{{"body":"hi"}}}}]}}}}]}}]}}"#
    );
    let stack = Stack::new(Host::good());
    assert_eq!(stack.send_body(body.clone()).await, Answer::good());
    assert_eq!(stack.host.handled().len(), 2);
    assert_eq!(stack.send_body(body).await, Answer::known());
    stack
        .at_rest([2, 1, 0], Tally::handled(2).and_suppressed(2))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_without_events_reaches_the_host() {
    let stack = Stack::new(Host::good());
    for _ in 0..2 {
        let empty = r#"{"object":"whatsapp_business_account","entry":[]}"#;
        assert_eq!(stack.send_body(empty).await, Answer::good());
    }
    assert_eq!(stack.host.calls(), 2);
    assert!(stack.host.handled().is_empty());
    stack.at_rest([0, 0, 0], Tally::default()).await;
}

/// Other paths keep their streaming body, their own responses, and their own errors.
#[tokio::test(start_paused = true)]
async fn other_paths_pass_untouched() {
    let store = Scripted::new();
    let dedup = DedupLayer::new(store.clone());
    let handle = dedup.handle();
    let inner = service_fn(|request: Request<RequestBody<Script>>| async move {
        if request.uri().path() == "/broken" {
            return Err(BoxError::from("the inner service failed"));
        }
        let mut body = request.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first, second), (Bytes::from("one"), Bytes::from("two")));
        let mut response = Response::new(Full::<Bytes>::from("created"));
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    });
    let service = layer().layer(dedup.layer(inner));
    let elsewhere =
        |path: &str, steps: Vec<Step>| Request::post(path).body(Script::new(steps)).unwrap();

    let streamed = elsewhere(
        "/elsewhere",
        vec![Step::data("one"), Step::data("two"), Step::Stall],
    );
    let response = service.clone().oneshot(streamed).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.extensions().get::<DedupRejection>().is_none());
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "created"
    );

    let error = service
        .clone()
        .oneshot(elsewhere("/broken", vec![]))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the inner service failed");

    // They also pass a drained layer.
    handle.drain(std::time::Duration::ZERO).await;
    let streamed = elsewhere("/elsewhere", vec![Step::data("one"), Step::data("two")]);
    assert_eq!(
        service.oneshot(streamed).await.unwrap().status(),
        StatusCode::CREATED
    );
    assert_eq!((store.ops(), handle.counters().running), ([0, 0, 0], 0));
}

/// The common mistake with axum: the layer that is added last is the outermost.
#[tokio::test(start_paused = true)]
async fn a_layer_outside_of_the_webhook_layer_counts_what_it_misses() {
    let store = Scripted::new();
    let dedup = DedupLayer::new(store.clone());
    let handle = dedup.handle();
    let host = Host::good();
    let outside = dedup.layer(layer().layer(host.clone()));
    for time in 1..=2 {
        let answered = outside.clone().oneshot(request(text("A").body())).await;
        // The event is handled: another status would cause a retry.
        assert_eq!(answered.unwrap().status(), StatusCode::OK);
        assert_eq!(
            (host.calls(), handle.counters().bypassed),
            (time, time as u64)
        );
    }
    assert_eq!(store.ops(), [0, 0, 0]);

    // Rejected or unsigned requests, and those on other paths, do not count as missed.
    let body = text("A").body();
    let forged = testing::delivery(PATH, body.clone(), "another secret").map(Full::new);
    let unsigned = Request::post(PATH).body(Full::new(body.clone())).unwrap();
    for request in [forged, unsigned] {
        let refused = outside.clone().oneshot(request).await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    let elsewhere = testing::delivery("/elsewhere", body, SECRET).map(Full::new);
    let other = service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    });
    let passed = dedup.layer(layer().layer(other)).oneshot(elsewhere).await;
    assert_eq!(passed.unwrap().status(), StatusCode::OK);
    assert_eq!(handle.counters().bypassed, 2);
}

/// A delivery that passes one layer on the way to another does not count as missed.
#[tokio::test(start_paused = true)]
async fn a_layer_around_another_one_misses_nothing() {
    let inner = DedupLayer::new(Scripted::new());
    let outer = DedupLayer::new(Scripted::new());
    let service = outer.layer(layer().layer(inner.layer(Host::good())));
    let answered = service.oneshot(request(text("A").body())).await;
    assert_eq!(answered.unwrap().status(), StatusCode::OK);
    let [inner, outer] = [inner, outer].map(|layer| layer.handle().counters());
    assert_eq!((inner.delivered, inner.bypassed), (1, 0));
    assert_eq!((outer.delivered, outer.bypassed), (0, 0));
}

/// It is always ready. The inner service is made ready in the task.
#[tokio::test]
async fn always_ready() {
    let mut stack = Stack::new(Host::good());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let ready = tower::Service::<Request<Full<Bytes>>>::poll_ready(&mut stack.service, &mut cx);
    assert!(matches!(ready, Poll::Ready(Ok(()))));
}
