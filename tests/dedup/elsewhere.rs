//! What is none of the layer's business: other paths, and deliveries that were refused before it saw them.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Rejection,
    dedup::{DedupLayer, Deferral},
    testing,
    webhook::RequestBody,
};

use super::{
    host::Host,
    scripted::Scripted,
    stack::{Answer, BUDGET, Stack, Tally, request, text},
    support::{PATH, Script, Step, builder, handshake, layer},
};

/// Nothing that is refused before reaches the store.
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
    assert!(over.extensions().get::<Deferral>().is_none());

    let forged = testing::delivery(PATH, good.clone(), "another secret").map(Full::new);
    let unsigned = Request::post(PATH).body(Full::new(good.clone())).unwrap();
    let cut = request("{\"entry\":[");
    let wrong = Request::put(PATH).body(Full::new(good)).unwrap();
    for (request, status) in [(forged, 403), (unsigned, 403), (cut, 422), (wrong, 405)] {
        let response = stack.service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.extensions().get::<Rejection>().is_some());
        assert!(response.extensions().get::<Deferral>().is_none());
    }
    stack.at_rest([0, 0, 0], Tally::default()).await;
    assert_eq!((stack.host.calls(), host.calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_handshake() {
    let stack = Stack::new(Host::good());
    let get = Request::get(handshake(super::support::TOKEN, "42")).body(Full::new(Bytes::new()));
    let answer = stack.send_request(get.unwrap()).await;
    assert_eq!((answer.status, answer.body), (200, "42".into()));
    stack.at_rest([0, 0, 0], Tally::default()).await;
}

/// Delivered as unknown beside the others, under a key of its own.
#[tokio::test(start_paused = true)]
async fn one_event_that_nobody_can_read() {
    let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{
        "messages":["what is this?",{"id":"wamid.A","type":"text","text":{"body":"hi"}}]}}]}]}"#;
    let stack = Stack::new(Host::good());
    assert_eq!(stack.send_body(body).await, Answer::good());
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

/// What other paths get: their body as it comes, their own answers, and their own errors.
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
    assert!(response.extensions().get::<Deferral>().is_none());
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

    // A drained layer lets them pass still.
    handle.drain(std::time::Duration::ZERO).await;
    let streamed = elsewhere("/elsewhere", vec![Step::data("one"), Step::data("two")]);
    assert_eq!(
        service.oneshot(streamed).await.unwrap().status(),
        StatusCode::CREATED
    );
    assert_eq!((store.ops(), handle.counters().running), ([0, 0, 0], 0));
}

/// It is ready whatever it wraps is: that is readied in the task.
#[tokio::test]
async fn always_ready() {
    let mut stack = Stack::new(Host::good());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let ready = tower::Service::<Request<Full<Bytes>>>::poll_ready(&mut stack.service, &mut cx);
    assert!(matches!(ready, Poll::Ready(Ok(()))));
}
