//! Readiness of the inner service: when it is polled and called, and how its response and errors
//! are passed on.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::{Ready, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{
    Layer, Service, ServiceExt,
    limit::ConcurrencyLimit,
    load_shed::{LoadShed, error::Overloaded},
    service_fn,
};
use tower_test::mock;
use tower_whatsapp::{
    Rejection, RejectionKind,
    webhook::{OnHandlerError, RequestBody},
};

use test_support::{SECRET, Script, Step, handshake, json::one_text, layer, sign};

type Inner = Request<RequestBody<Script>>;

fn good() -> Request<Script> {
    signed(sign(SECRET, one_text()), [Step::data(one_text())])
}

fn signed(signature: String, steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    Request::post("/wh")
        .header("x-hub-signature-256", signature)
        .body(Script::new(steps))
        .unwrap()
}

fn stalled() -> Request<Script> {
    signed(sign(SECRET, one_text()), [Step::data("{"), Step::Stall])
}

/// Requests that never reach the inner service.
fn refused() -> Vec<Request<Script>> {
    let get = |query: &str| {
        Request::get(handshake(query, "1"))
            .body(Script::new([]))
            .unwrap()
    };
    vec![
        signed(sign("another", one_text()), [Step::data(one_text())]),
        signed(String::new(), [Step::data(one_text())]),
        signed(sign(SECRET, "not JSON"), [Step::data("not JSON")]),
        signed(sign(SECRET, one_text()), [Step::Fail]),
        get("wrong"),
        get(test_support::TOKEN),
        Request::put("/wh").body(Script::new([])).unwrap(),
    ]
}

async fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let mut future = Some(future);
    poll_fn(move |cx| Poll::Ready(future.take().expect("polled once").poll(cx))).await
}

#[tokio::test]
async fn a_busy_host_is_not_waited_for_before_the_verdict() {
    // Without a permit the mock is not ready.
    let (inner, mut host) = mock::pair::<Inner, Response<Full<Bytes>>>();
    host.allow(0);
    let mut service = layer().layer(inner);
    for request in refused() {
        assert!(
            poll_fn(|cx| Poll::Ready(service.poll_ready(cx)))
                .await
                .is_ready()
        );
        let response = service.call(request).await.unwrap();
        let answered = response.extensions().get::<Rejection>().is_some();
        assert!(answered || response.status() == 200);
    }
    let mut delivery = Box::pin(service.call(good()));
    assert!(poll_once(delivery.as_mut()).await.is_pending());
    host.allow(1);
    let (response, ()) = tokio::join!(delivery, async {
        let (_, answer) = host.next_request().await.unwrap();
        answer.send_response(Response::new(Full::default()));
    });
    assert_eq!(response.unwrap().status(), 200);
}

/// The mock panics in `call` unless this instance was made ready.
#[tokio::test]
async fn what_is_called_was_readied() {
    let (inner, mut host) = mock::pair::<Inner, Response<Full<Bytes>>>();
    host.allow(3);
    let answers = tokio::spawn(async move {
        let mut answered = 0;
        while let Some((request, answer)) = host.next_request().await {
            assert!(request.uri().path().starts_with('/'));
            answer.send_response(Response::new(Full::default()));
            answered += 1;
        }
        answered
    });
    let service = layer().layer(inner);
    let elsewhere = Request::post("/elsewhere").body(Script::new([])).unwrap();
    for request in [good(), elsewhere, good()] {
        let mut clone = service.clone();
        assert_eq!(clone.call(request).await.unwrap().status(), 200);
    }
    drop(service);
    assert_eq!(answers.await.unwrap(), 3);
}

/// The body type of the host is converted by a service between the layer and the host.
#[tokio::test]
async fn what_keeps_its_body_type_was_readied_too() {
    let (inner, mut host) = mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    host.allow(0);
    let mut service = layer().host_body().layer(inner);
    let requests = [
        Request::post("/wh").header("x-hub-signature-256", sign(SECRET, one_text())),
        Request::post("/elsewhere"),
    ];
    for request in requests {
        let request = request.body(Full::from(one_text())).unwrap();
        let mut call = Box::pin(service.call(request));
        assert!(poll_once(call.as_mut()).await.is_pending());
        host.allow(1);
        let (response, ()) = tokio::join!(call, async {
            let (_, answer) = host.next_request().await.unwrap();
            answer.send_response(Response::new(Full::default()));
        });
        assert_eq!(response.unwrap().status(), 200);
    }
    host.send_error(OfTheHost);
    let request = Request::post("/elsewhere").body(Full::default()).unwrap();
    let error = service.call(request).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&OfTheHost));
}

/// Counts polls for readiness and calls.
#[derive(Clone, Default)]
struct Counting {
    readied: Arc<AtomicUsize>,
    called: Arc<AtomicUsize>,
}

impl Service<Inner> for Counting {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.readied.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Inner) -> Self::Future {
        self.called.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn nobody_unverified_touches_the_host() {
    let inner = Counting::default();
    let counts = || {
        (
            inner.readied.load(Ordering::SeqCst),
            inner.called.load(Ordering::SeqCst),
        )
    };
    let mut service = layer().layer(inner.clone());
    for request in refused() {
        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        service.call(request).await.unwrap();
        assert_eq!(counts(), (0, 0));
    }
    let mut stalled = Box::pin(service.call(stalled()));
    assert!(poll_once(stalled.as_mut()).await.is_pending());
    assert_eq!(counts(), (0, 0));
    service.call(good()).await.unwrap();
    assert_eq!(counts(), (1, 1));
}

// With a paused clock, 100 ms pass only if nothing else can run.
#[tokio::test(start_paused = true)]
async fn stalled_senders_do_not_hold_the_permits_of_the_host() {
    let service = layer().layer(ConcurrencyLimit::new(Counting::default(), 1));
    let mut senders = Vec::new();
    for _ in 0..10 {
        let mut sender = Box::pin(service.clone().oneshot(stalled()));
        assert!(poll_once(sender.as_mut()).await.is_pending());
        senders.push(sender);
    }
    let answer = tokio::time::timeout(Duration::from_millis(100), service.oneshot(good())).await;
    assert_eq!(answer.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_inside_sees_that_the_host_is_busy() {
    let (inner, mut host) = mock::pair::<Inner, Response<Full<Bytes>>>();
    let service = layer().layer(LoadShed::new(inner));
    host.allow(0);
    let response = service.clone().oneshot(good()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(reason(&response), Some(RejectionKind::HandlerFailed));
    let elsewhere = Request::post("/elsewhere").body(Script::new([])).unwrap();
    let error = service.clone().oneshot(elsewhere).await.unwrap_err();
    assert!(error.is::<Overloaded>());
    // Rejected requests are not shed.
    for request in refused() {
        assert!(service.clone().oneshot(request).await.is_ok());
    }
    host.allow(1);
    let (response, ()) = tokio::join!(service.oneshot(good()), async {
        let (_, answer) = host.next_request().await.unwrap();
        answer.send_response(Response::new(Full::default()));
    });
    assert_eq!(response.unwrap().status(), 200);
}

#[derive(Debug, PartialEq)]
struct OfTheHost;

impl fmt::Display for OfTheHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of the host")
    }
}

impl Error for OfTheHost {}

fn reason<B>(response: &Response<B>) -> Option<RejectionKind> {
    let rejection = response.extensions().get::<Rejection>();
    rejection.map(Rejection::kind)
}

/// Outer layers could turn the error into a 200, as tonic does.
#[tokio::test]
async fn an_error_of_the_host_is_503_for_a_delivery_and_passes_elsewhere() {
    let host = service_fn(async |_: Inner| Err::<Response<Full<Bytes>>, _>(OfTheHost));
    let layer = layer();
    let free = layer.available_memory();
    let response = layer.layer(host).oneshot(good()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(reason(&response), Some(RejectionKind::HandlerFailed));
    let elsewhere = Request::post("/elsewhere").body(Script::new([])).unwrap();
    let error = layer.layer(host).oneshot(elsewhere).await.unwrap_err();
    assert_eq!(error, OfTheHost);
    assert_eq!(layer.available_memory(), free);
}

#[tokio::test]
async fn an_error_of_the_host_is_handed_on_if_it_wants_that() {
    let host = service_fn(async |_: Inner| Err::<Response<Full<Bytes>>, _>(OfTheHost));
    let builder = test_support::builder().on_handler_error(OnHandlerError::Propagate);
    let layer = builder.build().unwrap();
    let free = layer.available_memory();
    let error = layer.layer(host).oneshot(good()).await.unwrap_err();
    assert_eq!(error, OfTheHost);
    assert_eq!(layer.available_memory(), free);
}

/// Fails in `poll_ready`, as a `Buffer` whose worker has died does.
#[derive(Clone)]
struct NeverReady;

impl Service<Inner> for NeverReady {
    type Response = Response<Full<Bytes>>;
    type Error = OfTheHost;
    type Future = Ready<Result<Self::Response, OfTheHost>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OfTheHost>> {
        Poll::Ready(Err(OfTheHost))
    }

    fn call(&mut self, _: Inner) -> Self::Future {
        panic!("called before it was ready")
    }
}

#[tokio::test]
async fn an_error_of_readiness_counts_as_one_of_the_handler() {
    let layer = layer();
    let free = layer.available_memory();
    let response = layer.layer(NeverReady).oneshot(good()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(reason(&response), Some(RejectionKind::HandlerFailed));
    assert_eq!(layer.available_memory(), free);
    let elsewhere = Request::post("/elsewhere").body(Script::new([])).unwrap();
    let error = layer.layer(NeverReady).oneshot(elsewhere).await;
    assert_eq!(error.unwrap_err(), OfTheHost);

    let builder = test_support::builder().on_handler_error(OnHandlerError::Propagate);
    let layer = builder.build().unwrap();
    let error = layer.layer(NeverReady).oneshot(good()).await.unwrap_err();
    assert_eq!(error, OfTheHost);
    assert_eq!(layer.available_memory(), free);
}

/// Ready at once, and panics when it is called.
#[derive(Clone)]
struct Panics;

impl Service<Inner> for Panics {
    type Response = Response<Full<Bytes>>;
    type Error = OfTheHost;
    type Future = Ready<Result<Self::Response, OfTheHost>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OfTheHost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Inner) -> Self::Future {
        panic!("a bug of the host")
    }
}

/// A mistake of an executor, or of a combinator around the future. It shows, and does not hang.
#[tokio::test]
async fn a_response_future_that_has_ended_panics_when_it_is_polled_again() {
    /// Whether one poll ends the future, or the text of its panic.
    async fn poll_caught<F: Future>(mut future: Pin<&mut F>) -> Result<bool, String> {
        let caught = poll_fn(|cx| {
            let poll = AssertUnwindSafe(|| future.as_mut().poll(cx).is_ready());
            Poll::Ready(catch_unwind(poll))
        });
        caught.await.map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            text.unwrap_or_default()
        })
    }

    /// Polls until the end, which is an output or a panic, and then once more.
    async fn poll_beyond_the_end<F: Future>(future: F) -> Result<bool, String> {
        let mut future = pin!(future);
        while let Ok(false) = poll_caught(future.as_mut()).await {}
        poll_caught(future).await
    }

    let propagate = test_support::builder().on_handler_error(OnHandlerError::Propagate);
    let propagate = propagate.build().unwrap();
    let completed = Err("polled after completion".to_owned());
    let ended = poll_beyond_the_end(propagate.layer(NeverReady).call(good())).await;
    assert_eq!(ended, completed);
    let ended = poll_beyond_the_end(layer().layer(Panics).call(good())).await;
    assert_eq!(ended, completed);
    let refused = signed(String::new(), [Step::data(one_text())]);
    let ended = poll_beyond_the_end(layer().layer(Panics).call(refused)).await;
    assert_eq!(ended, completed);
}

/// gRPC responds with 200 and reports the failure elsewhere.
#[tokio::test]
async fn a_failure_of_grpc_is_503() {
    for (headers, expected) in [
        (&[("grpc-status", "0")][..], 200),
        (
            &[("content-type", "application/grpc"), ("grpc-status", "0")],
            200,
        ),
        (
            &[("content-type", "application/grpc"), ("grpc-status", "12")],
            503,
        ),
        (&[("grpc-status", "16")], 503),
        (&[("content-type", "application/grpc")], 503),
    ] {
        let host = service_fn(move |_: Inner| async move {
            let mut response = Response::builder();
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
        });
        let response = layer().layer(host).oneshot(good()).await.unwrap();
        assert_eq!(response.status(), expected, "{headers:?}");
        let elsewhere = Request::post("/elsewhere").body(Script::new([])).unwrap();
        let response = layer().layer(host).oneshot(elsewhere).await.unwrap();
        assert_eq!(response.status(), 200, "{headers:?}");
    }
}

async fn answered(status: u16, request: Request<Script>) -> (StatusCode, Bytes) {
    let host = service_fn(|_: Inner| async move {
        let mut response = Response::new(Full::new(Bytes::from_static(b"of the host")));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("x-host", 1.into());
        response.extensions_mut().insert(7u8);
        Ok::<_, Infallible>(response)
    });
    let response = layer().layer(host).oneshot(request).await.unwrap();
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["x-host"], "1");
    assert_eq!(response.extensions().get(), Some(&7u8));
    assert!(response.extensions().get::<Rejection>().is_none());
    let status = response.status();
    (status, response.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn every_success_becomes_200_and_nothing_else_does() {
    for status in 100..1000 {
        let expected = if (200..300).contains(&status) {
            200
        } else {
            status
        };
        let (found, body) = answered(status, good()).await;
        assert_eq!((found.as_u16(), &body[..]), (expected, &b"of the host"[..]));
    }
}

#[tokio::test]
async fn another_path_keeps_its_status() {
    for status in 100..1000 {
        let elsewhere = Request::post("/elsewhere").body(Script::new([])).unwrap();
        assert_eq!(answered(status, elsewhere).await.0.as_u16(), status);
    }
}
