//! Bodies that fail, stop, or take too long before they are complete. The clock is paused.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};
#[cfg(feature = "tokio")]
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use test_support::{PATH, SECRET, Script, Step, layer, sign};
#[cfg(feature = "tokio")]
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{Rejection, RejectionKind, WebhookLayer, webhook::RequestBody};

/// The status and the reason of the rejection, for a body that is signed as `{}`.
async fn deliver(layer: WebhookLayer, steps: Vec<Step>) -> (u16, Option<RejectionKind>) {
    let calls = AtomicUsize::new(0);
    let free = layer.available_memory();
    let host = service_fn(async |_: Request<RequestBody<Script>>| {
        calls.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::post(PATH)
        .header("x-hub-signature-256", sign(SECRET, "{}"))
        .body(Script::new(steps))
        .unwrap();
    let response = layer.layer(host).oneshot(request).await.unwrap();
    let kind = response.extensions().get().map(Rejection::kind);
    assert_eq!(calls.into_inner(), usize::from(kind.is_none()));
    assert_eq!(layer.available_memory(), free);
    (response.status().as_u16(), kind)
}

fn rejected(status: u16, kind: RejectionKind) -> (u16, Option<RejectionKind>) {
    (status, Some(kind))
}

#[tokio::test]
async fn a_body_that_fails_is_400_wherever_it_fails() {
    let broken = rejected(400, RejectionKind::BodyBroken);
    for before in ["", "{", "{}"] {
        let steps = vec![Step::data(before), Step::Pending, Step::Fail];
        assert_eq!(deliver(layer(), steps).await, broken, "{before:?}");
    }
    let complete = vec![Step::data("{"), Step::Pending, Step::data("}")];
    assert_eq!(deliver(layer(), complete).await, (200, None));
}

/// A body in one frame is hashed in several polls, which a busy thread may delay.
#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn the_idle_time_does_not_run_while_a_frame_is_hashed() {
    let layer = layer();
    let host = service_fn(async |_: Request<RequestBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let body = format!("[{}]", " ".repeat(2 << 20));
    let request = Request::post(PATH)
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(Script::new([Step::data(body), Step::Pending]))
        .unwrap();
    let mut response = pin!(layer.layer(host).oneshot(request));
    let mut polls = 0;
    let status = loop {
        let polled = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx))).await;
        if let Poll::Ready(response) = polled {
            break response.unwrap().status();
        }
        polls += 1;
        tokio::time::advance(Duration::from_millis(200)).await;
    };
    assert_eq!(status, 200);
    // More than the five seconds of the idle time, less than the ten of the deadline.
    assert!((26..50).contains(&polls), "{polls}");
}

/// The defaults are written out here: 5 seconds between two frames, 10 seconds for the body.
#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn the_idle_time_begins_again_with_each_frame_that_has_data() {
    let wait = |millis| Step::Wait(Duration::from_millis(millis));
    let in_time = vec![wait(4900), Step::data("{"), wait(4900), Step::data("}")];
    assert_eq!(deliver(layer(), in_time).await, (200, None));

    let idle = rejected(408, RejectionKind::BodyIdle);
    let start = Instant::now();
    let stalled = vec![wait(3000), Step::data("{"), Step::Stall];
    assert_eq!(deliver(layer(), stalled).await, idle);
    assert_eq!(start.elapsed().as_secs(), 8);

    let start = Instant::now();
    let empty = vec![wait(3000), Step::Empty(1), Step::Stall];
    assert_eq!(deliver(layer(), empty).await, idle);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_body_that_is_never_idle() {
    let start = Instant::now();
    let step = [Step::data(" "), Step::Wait(Duration::from_secs(1))];
    let steps = step.into_iter().cycle().take(100).collect();
    let late = rejected(408, RejectionKind::BodyDeadline);
    assert_eq!(deliver(layer(), steps).await, late);
    assert_eq!(start.elapsed().as_secs(), 10);
}
