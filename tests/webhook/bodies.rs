//! How the host and the sender see bodies, and that the memory of a body is always released.

use std::{
    cell::Cell,
    convert::Infallible,
    fmt::Debug,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_whatsapp::{
    Event, Notification, Rejection, Verified, WebhookLayer, WebhookLayerBuilder,
    webhook::{RequestBody, ResponseBody, ResponseFuture, Webhook},
};

use test_support::{
    BODY_LIMIT, SECRET, Script, Step, builder, handshake, json::one_text, layer, sign,
};

type Inner = Request<RequestBody<Script>>;

fn trailers() -> Step {
    let mut fields = HeaderMap::new();
    fields.insert("x-trailer", HeaderValue::from_static("kept"));
    Step::Trailers(Box::new(fields))
}

fn delivery(steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, one_text()))
        .body(Script::new(steps))
        .unwrap()
}

fn halves() -> [Step; 2] {
    let body = Bytes::from(one_text());
    [Step::Data(body.slice(..50)), Step::Data(body.slice(50..))]
}

/// The request as the host receives it.
async fn received(request: Request<Script>) -> Inner {
    let (kept, mut found) = tokio::sync::mpsc::unbounded_channel();
    let host = service_fn(move |request: Inner| {
        kept.send(request).unwrap();
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    layer().layer(host).oneshot(request).await.unwrap();
    found.recv().await.unwrap()
}

async fn frames<B>(mut body: B) -> Vec<String>
where
    B: Body<Data = Bytes, Error: Debug> + Unpin,
{
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(match frame.map(Frame::into_data) {
            Ok(Ok(data)) => format!("{} bytes", data.len()),
            Ok(Err(other)) => format!("trailers {:?}", other.into_trailers().unwrap()),
            Err(error) => format!("{error:?}"),
        });
    }
    frames
}

#[tokio::test]
async fn a_verified_body_is_one_frame_of_a_known_length_without_trailers() {
    let [first, second] = halves();
    let body = received(delivery([first, Step::Empty(1), second, trailers()]))
        .await
        .into_body();
    let len = one_text().len();
    assert_eq!(body.size_hint().exact(), Some(len as u64));
    assert!(!body.is_end_stream());
    assert_eq!(format!("{body:?}"), "RequestBody(buffered)");
    assert_eq!(frames(body).await, [format!("{len} bytes")]);

    let mut body = received(delivery(halves())).await.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[tokio::test]
async fn another_path_streams_frame_by_frame() {
    let steps = || {
        [
            Step::data("one"),
            Step::Empty(1),
            Step::Pending,
            Step::data("three"),
            trailers(),
        ]
    };
    let expected = [
        "3 bytes",
        "0 bytes",
        "5 bytes",
        r#"trailers {"x-trailer": "kept"}"#,
    ];
    let mut hint = SizeHint::new();
    hint.set_lower(3);
    hint.set_upper(900);
    let script = Script::new(steps()).with_hint(hint);
    let counter = script.counter();
    let request = Request::put("/elsewhere")
        .header("expect", "100-continue")
        .body(script)
        .unwrap();
    let request = received(request).await;
    assert_eq!(counter.frames(), 0);
    assert_eq!(request.headers()["expect"], "100-continue");
    let body = request.into_body();
    assert_eq!(
        (body.size_hint().lower(), body.size_hint().upper()),
        (3, Some(900))
    );
    assert!(!body.is_end_stream());
    assert_eq!(format!("{body:?}"), "RequestBody(streamed)");
    assert_eq!(frames(body).await, expected);

    let broken = Request::put("/elsewhere")
        .body(Script::new([Step::data("x"), Step::Fail]))
        .unwrap();
    assert_eq!(
        frames(received(broken).await.into_body()).await,
        ["1 bytes", "Broken"]
    );

    let ended = received(Request::get("/elsewhere").body(Script::new([])).unwrap()).await;
    assert!(ended.body().is_end_stream());
}

#[tokio::test]
async fn a_response_of_the_host_streams_on_every_path() {
    let host = service_fn(async |_: Inner| {
        let steps = [Step::data("one"), Step::Pending, Step::Empty(1), trailers()];
        let mut hint = SizeHint::new();
        hint.set_upper(9);
        Ok::<_, Infallible>(Response::new(Script::new(steps).with_hint(hint)))
    });
    let elsewhere = Request::get("/elsewhere").body(Script::new([])).unwrap();
    for request in [delivery(halves()), elsewhere] {
        let body = layer()
            .layer(host)
            .oneshot(request)
            .await
            .unwrap()
            .into_body();
        assert_eq!(body.size_hint().upper(), Some(9));
        assert!(!body.is_end_stream());
        assert_eq!(format!("{body:?}"), "ResponseBody(streamed)");
        let expected = ["3 bytes", "0 bytes", r#"trailers {"x-trailer": "kept"}"#];
        assert_eq!(frames(body).await, expected);
    }
    for (request, len) in [
        (Request::get(handshake(test_support::TOKEN, "12345")), 5),
        (Request::get("/wh"), 0),
    ] {
        let request = request.body(Script::new([])).unwrap();
        let body = layer()
            .layer(host)
            .oneshot(request)
            .await
            .unwrap()
            .into_body();
        assert_eq!(body.size_hint().exact(), Some(len));
        assert_eq!(body.is_end_stream(), len == 0);
        assert_eq!(format!("{body:?}"), "ResponseBody(buffered)");
    }
}

#[tokio::test]
async fn the_headers_are_true_of_the_body() {
    let mut request = delivery(halves());
    let headers = request.headers_mut();
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("trailer", "x-trailer"),
        ("expect", "100-continue"),
        ("content-length", "7"),
        ("content-type", "application/json"),
        ("x-kept", "1"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let request = received(request).await;
    let headers = request.headers();
    let lengths: Vec<_> = headers.get_all("content-length").iter().collect();
    assert_eq!(lengths, [one_text().len().to_string().as_str()]);
    for gone in ["transfer-encoding", "trailer", "expect"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    for kept in ["content-type", "x-kept", "x-hub-signature-256"] {
        assert!(headers.contains_key(kept), "{kept}");
    }
}

/// A host that reads the length, as proxies and older frameworks do, need not know
/// how the body arrived.
#[tokio::test]
async fn a_delivery_without_a_length_gets_one() {
    let chunked = || {
        let mut request = delivery(halves());
        let coding = HeaderValue::from_static("chunked");
        request.headers_mut().insert("transfer-encoding", coding);
        request
    };
    for request in [delivery(halves()), chunked()] {
        assert!(!request.headers().contains_key("content-length"));
        let request = received(request).await;
        let lengths: Vec<_> = request.headers().get_all("content-length").iter().collect();
        assert_eq!(lengths, [one_text().len().to_string().as_str()]);
    }
}

/// Two equal values are still wrong for a host that reads the last one or joins them.
#[tokio::test]
async fn equal_lengths_become_one() {
    let length = one_text().len().to_string();
    let mut request = delivery(halves());
    for _ in 0..2 {
        let length = HeaderValue::try_from(&length).unwrap();
        request.headers_mut().append("content-length", length);
    }
    let request = received(request).await;
    let lengths: Vec<_> = request.headers().get_all("content-length").iter().collect();
    assert_eq!(lengths, [length.as_str()]);
}

/// An invalid length that no server would pass on is ignored: the received bytes count.
#[tokio::test]
async fn a_length_that_is_no_number_is_none() {
    for length in ["", "+7", "-1", "7 ", "0x10", "many"] {
        let mut request = delivery(halves());
        let length = HeaderValue::from_static(length);
        request.headers_mut().insert("content-length", length);
        let request = received(request).await;
        let length = one_text().len().to_string();
        assert_eq!(request.headers()["content-length"], length.as_str());
    }
}

/// HTTP allows leading zeros, and hosts may parse the length in different ways.
#[tokio::test]
async fn a_length_with_zeros_before_it_is_written_anew() {
    let length = one_text().len().to_string();
    for zeros in ["0", "00000000000000000000000"] {
        let mut request = delivery(halves());
        let declared = HeaderValue::try_from(format!("{zeros}{length}")).unwrap();
        request.headers_mut().insert("content-length", declared);
        let request = received(request).await;
        assert_eq!(request.headers()["content-length"], length.as_str());
    }
}

#[tokio::test]
async fn a_response_that_is_not_there_yet_shows_nothing() {
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let future = layer().layer(host).call(delivery(halves()));
    assert_eq!(format!("{future:?}"), "ResponseFuture { .. }");
}

#[tokio::test]
async fn a_body_of_one_frame_is_not_copied() {
    let sent = Bytes::from(one_text());
    let steps = [Step::Empty(2), Step::Data(sent.clone()), Step::Empty(2)];
    let request = received(delivery(steps)).await;
    let notification = request.extensions().get::<Notification>().unwrap().clone();
    let raw = notification.events()[0].raw_bytes();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, sent);
    assert_eq!(body.as_ptr(), sent.as_ptr());
    assert_eq!(notification.body().as_ptr(), sent.as_ptr());
    assert!(sent.as_ptr_range().contains(&raw.as_ptr()));
}

/// Every way in which a request can end with a response.
#[tokio::test]
async fn the_memory_is_back_after_every_answer() {
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let layer = layer();
    let free = layer.available_memory();
    let large = Step::data(vec![b' '; BODY_LIMIT]);
    let scripts = [
        vec![],
        vec![Step::data("x"), Step::data("y")],
        vec![Step::data("x"), Step::data("y"), Step::Fail],
        vec![large.clone()],
        vec![large.clone(), Step::data("x")],
        vec![Step::data("x"), large],
        halves().to_vec(),
    ];
    for steps in scripts {
        let response = layer.layer(host).oneshot(delivery(steps)).await.unwrap();
        assert_eq!(
            layer.available_memory(),
            free,
            "{:?}",
            response.extensions().get::<Rejection>()
        );
    }
}

/// An attacker's request head is held while the body is awaited, for thousands of
/// HTTP/2 streams at once.
#[tokio::test]
async fn a_large_head_is_charged_while_its_body_is_awaited() {
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let layer = layer();
    let free = layer.available_memory();
    for (headers, names, value, least, most) in [
        (20, 20, 10, 0, 0),
        (20, 1, 10, 0, 0),
        (470, 470, 0, 70_000, 100_000),
        // A repeated header takes as much as another one.
        (470, 1, 0, 70_000, 100_000),
        (2, 2, 50_000, 100_000, 110_000),
        (2, 1, 50_000, 100_000, 110_000),
    ] {
        for steps in [vec![Step::Stall], vec![Step::data("x"), Step::Stall]] {
            let mut request = delivery(steps.clone());
            for number in 0..headers {
                let name: http::HeaderName = format!("h{}", number % names).parse().unwrap();
                let value = HeaderValue::from_bytes(&vec![b'v'; value]).unwrap();
                request.headers_mut().append(name, value);
            }
            let mut answer = Box::pin(layer.layer(host).oneshot(request));
            let polled = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            let taken = free - layer.available_memory();
            // Plus the buffer of the body.
            assert!(
                (least..=most + 512).contains(&taken),
                "{headers} headers of {names} names and {value} bytes, {} pieces: {taken}",
                steps.len()
            );
            drop(answer);
            assert_eq!(layer.available_memory(), free);
        }
    }
}

/// The body is charged until the host has responded. A dropped future releases it at any point.
#[test]
fn the_memory_is_back_wherever_the_future_is_dropped() {
    let layer = layer();
    let free = layer.available_memory();
    let start = || {
        let host = service_fn(async |_: Inner| {
            for _ in 0..3 {
                let mut yielded = false;
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut yielded, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            Ok::<_, Infallible>(Response::new(Script::new([])))
        });
        let [first, second] = halves();
        let steps = [
            Step::Pending,
            first,
            Step::Pending,
            Step::Pending,
            second,
            Step::Pending,
        ];
        Box::pin(layer.layer(host).oneshot(delivery(steps)))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = Vec::new();
    for polls in 0.. {
        let mut future = start();
        let done = (0..polls).any(|_| future.as_mut().poll(&mut cx).is_ready());
        taken.push(free - layer.available_memory());
        drop(future);
        assert_eq!(layer.available_memory(), free, "after {polls} polls");
        if done {
            break;
        }
    }
    // Nothing is charged before the first byte, then something until the response.
    assert_eq!((taken[0], taken[1]), (0, 0));
    assert!(
        taken[2..taken.len() - 1].iter().all(|taken| *taken > 0),
        "{taken:?}"
    );
    assert!(taken.len() >= 8, "{taken:?}");
}

/// Returns the charged memory after each frame of a body.
fn taken(layer: &WebhookLayer, declared: Option<usize>, frames: &[usize]) -> Vec<usize> {
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let free = layer.available_memory();
    let frames = frames
        .iter()
        .flat_map(|length| [Step::data(vec![b' '; *length]), Step::Pending]);
    let mut request = delivery(frames.collect::<Vec<_>>());
    if let Some(declared) = declared {
        request
            .headers_mut()
            .insert("content-length", declared.into());
    }
    let mut future = Box::pin(layer.layer(host).oneshot(request));
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = Vec::new();
    while future.as_mut().poll(&mut cx).is_pending() {
        taken.push(free - layer.available_memory());
    }
    taken
}

/// The capacity of the buffer is charged: at most twice the received length, and at most the
/// declared length while that is correct.
#[tokio::test]
async fn a_buffer_is_at_most_twice_as_large_as_what_has_come() {
    const KIB: usize = 1024;
    let layer = builder().body_limit(100 * KIB).build().unwrap();
    for (declared, frames, expected) in [
        // A small buffer at first, or the declared length.
        (None, &[7][..], &[512][..]),
        (None, &[1, 1, 510, 1], &[512, 512, 512, 1026]),
        (Some(700), &[1, 1, 600], &[512, 512, 700]),
        (Some(20), &[1, 1], &[20, 20]),
        (None, &[20 * KIB, 20 * KIB], &[40 * KIB, 40 * KIB]),
        // The buffer is filled completely before it is doubled, up to the limit.
        (
            None,
            &[1, 1, 16 * KIB - 2, 1, 16 * KIB, 32 * KIB],
            &[512, 512, 32 * KIB, 32 * KIB, 64 * KIB + 2, 64 * KIB + 2],
        ),
        (
            Some(20 * KIB),
            &[1, 1, 16 * KIB, 4 * KIB - 2],
            &[512, 512, 20 * KIB, 20 * KIB],
        ),
        // More than was declared: the declared length is then ignored.
        (Some(2), &[1, 1, 1, 1, 1], &[2, 2, 512, 512, 512]),
        // More than doubles at once.
        (None, &[1, 1, 60 * KIB], &[512, 512, 100 * KIB]),
    ] {
        assert_eq!(taken(&layer, declared, frames), expected, "{frames:?}");
    }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit() {
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let [first, second] = halves();
    for steps in [vec![Step::data(one_text())], vec![first, second]] {
        for (limit, status) in [(one_text().len(), 200), (one_text().len() - 1, 413)] {
            let layer = builder().body_limit(limit).build().unwrap();
            let answer = layer.layer(host).oneshot(delivery(steps.clone()));
            assert_eq!(answer.await.unwrap().status(), status);
        }
    }
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A sender whose frames are always ready must not monopolise a thread, and neither
/// must hashing a large frame.
#[tokio::test]
async fn after_64_frames_or_64_kib_others_have_their_turn() {
    // Length of each frame, number of secrets, and frames read after each poll.
    for (length, secrets, frames) in [
        (0, 1, [64, 128, 192]),
        (1, 1, [64, 128, 192]),
        (1024, 1, [64, 128, 192]),
        (4096, 1, [16, 32, 48]),
        (4096, 2, [8, 16, 24]),
        (5000, 1, [14, 27, 40]),
        (64 * 1024, 1, [1, 2, 3]),
        (64 * 1024, 2, [1, 1, 2]),
        (150_000, 1, [1, 1, 2]),
    ] {
        let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
        let script = Script::new(vec![Step::data(vec![b' '; length]); 200]);
        let counter = script.counter();
        let request = delivery([]).map(|_| script);
        let others = (1..secrets).map(|number| format!("another {number}"));
        let layer = others.fold(builder(), WebhookLayerBuilder::app_secret);
        let mut future = pin!(layer.build().unwrap().layer(host).oneshot(request));
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        for (turn, frames) in frames.into_iter().enumerate() {
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            assert_eq!(counter.frames(), frames, "{length}, {secrets}");
            // It is woken after the other tasks have run.
            tokio::task::yield_now().await;
            assert_eq!(woken.0.load(Ordering::SeqCst), turn + 1, "{length}");
        }
    }
}

/// The same while a large body is parsed. The result must be complete.
#[tokio::test]
async fn after_64_kib_of_json_others_have_their_turn() {
    for kib in [100, 200, 1000] {
        let text = "x".repeat(1024 - 18);
        let message = format!(r#"{{"id":"{text}"}}"#);
        let messages = vec![message; kib].join(",");
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{messages}]}}}}]}}]}}"#
        );
        let host = service_fn(async |request: Inner| {
            let notification = request.extensions().get::<Notification>().unwrap();
            let events = notification.events();
            assert!(events.iter().all(|event| event.id().is_some()));
            let count = events.len().to_string();
            Ok::<_, Infallible>(Response::new(Script::new([Step::data(count)])))
        });
        let request = delivery([]);
        let turns_to_receive = body.len() / (64 * 1024);
        let signature = sign(SECRET, &body);
        let (mut parts, _) = request.into_parts();
        parts
            .headers
            .insert("x-hub-signature-256", signature.parse().unwrap());
        let request = Request::from_parts(parts, Script::new([Step::data(body.clone())]));
        let mut future = pin!(layer().layer(host).oneshot(request));
        let mut turns = 0;
        let response = loop {
            turns += 1;
            if let Poll::Ready(response) = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                break response.unwrap();
            }
        };
        assert_eq!(response.status(), 200);
        let count = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(count, kib.to_string());
        assert_eq!(
            turns,
            1 + turns_to_receive + body.len().div_ceil(64 * 1024),
            "{kib} KiB"
        );
    }
}

/// What is made of a large body is charged as it grows. Charged at the end only, bodies that are
/// parsed at the same time would exceed the budget together.
#[tokio::test]
async fn a_large_body_is_charged_while_it_is_parsed() {
    // The places of lists of this length are kept.
    let list = format!(r#"["{}"],"#, "x".repeat(32));
    let body = format!(r#"{{"x":[{}0]}}"#, list.repeat(20_000));
    let layer = layer();
    let free = layer.available_memory();
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(Script::new([Step::data(body.clone())]))
        .unwrap();
    let mut future = pin!(layer.clone().layer(host).oneshot(request));
    let mut charged = Vec::new();
    let response = loop {
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(response) => break response.unwrap(),
            Poll::Pending => charged.push(free - layer.available_memory()),
        }
    };
    assert_eq!(response.status(), 200);
    // Not while it is hashed: it came in one frame.
    let turns_to_receive = body.len() / (64 * 1024);
    let (received, parsed) = charged.split_at(turns_to_receive);
    assert!(received.iter().all(|charged| *charged == 0), "{charged:?}");
    assert_eq!(parsed.len(), body.len().div_ceil(64 * 1024));
    assert!(parsed.is_sorted() && parsed[0] > body.len(), "{charged:?}");
    assert!(parsed.last().unwrap() - body.len() > 2 * (parsed[0] - body.len()));
    assert_eq!(layer.available_memory(), free);
}

/// Not only ready tasks run in between, but also tasks that wait for sockets and
/// timers, and tasks that yield.
#[cfg(feature = "tokio")]
#[tokio::test]
async fn each_turn_is_one_for_everybody() {
    let turns = Arc::new(AtomicUsize::new(0));
    let others = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                tokio::task::yield_now().await;
                turns.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let body = format!("[{}0]", "0,".repeat(1024 * 1024));
    let signature = sign(SECRET, &body);
    let (mut parts, _) = delivery([]).into_parts();
    parts
        .headers
        .insert("x-hub-signature-256", signature.parse().unwrap());
    let request = Request::from_parts(parts, Script::new([Step::data(body)]));
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let call = layer().layer(host).oneshot(request);
    let polls = tokio::spawn(async move {
        let mut call = pin!(call);
        let mut polls = 0;
        let response = poll_fn(|cx| {
            polls += 1;
            call.as_mut().poll(cx)
        });
        assert_eq!(response.await.unwrap().status(), 200);
        polls
    });
    let polls = polls.await.unwrap();
    others.abort();
    // 2 MiB are hashed in 32 turns and parsed in 16.
    assert!(polls > 40, "{polls}");
    let turns = turns.load(Ordering::SeqCst);
    assert!(turns + 2 >= polls, "{turns} of {polls}");
}

/// A sender must not be able to trigger a panic.
#[cfg(feature = "tokio")]
#[test]
fn without_a_timer_every_delivery_panics_whatever_its_size() {
    let host = service_fn(async |_: Inner| Ok::<_, Infallible>(Response::new(Script::new([]))));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let [first, second] = halves();
    for steps in [
        vec![Step::data(one_text())],
        vec![first, Step::Pending, second],
    ] {
        let call = || runtime.block_on(layer().layer(host).oneshot(delivery(steps.clone())));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        assert!(message.unwrap().contains("enable_time"));
    }
    for elsewhere in [
        "/elsewhere".to_owned(),
        handshake(test_support::TOKEN, "12345"),
    ] {
        let request = Request::get(elsewhere).body(Script::new([])).unwrap();
        let response = runtime.block_on(layer().layer(host).oneshot(request));
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[test]
fn what_goes_between_threads_may() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn unpin<T: Unpin>() {}
    type Host = tower::util::BoxCloneSyncService<Inner, Response<Script>, Infallible>;
    send::<WebhookLayer>();
    sync::<WebhookLayer>();
    send::<Webhook<Host>>();
    sync::<Webhook<Host>>();
    send::<ResponseFuture<Host, Script>>();
    // As long as the host is, and its future and body.
    type Ready = fn(
        Request<RequestBody<Full<Bytes>>>,
    ) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;
    sync::<ResponseFuture<tower::util::ServiceFn<Ready>, Full<Bytes>>>();
    send::<RequestBody<Script>>();
    send::<ResponseBody<Script>>();
    sync::<RequestBody<Full<Bytes>>>();
    sync::<ResponseBody<Full<Bytes>>>();
    unpin::<RequestBody<Full<Bytes>>>();
    unpin::<ResponseBody<Full<Bytes>>>();
    send::<Notification>();
    sync::<Notification>();
    send::<Event>();
    sync::<Event>();
    send::<Verified>();
    sync::<Verified>();
    send::<Rejection>();
    sync::<Rejection>();
}

/// The host need be neither `Send` nor `'static`.
#[tokio::test]
async fn a_host_of_one_thread_that_borrows_will_do() {
    let calls = Cell::new(0);
    let borrowed = &calls;
    let shared = Rc::new(Cell::new(0));
    let host = service_fn(|_: Inner| {
        let shared = Rc::clone(&shared);
        async move {
            borrowed.set(borrowed.get() + 1);
            shared.set(shared.get() + 1);
            Ok::<_, Rc<()>>(Response::new(Script::new([])))
        }
    });
    let mut service = layer().layer(host);
    assert_eq!(
        service.call(delivery(halves())).await.unwrap().status(),
        200
    );
    drop(service);
    assert_eq!((calls.get(), shared.get()), (1, 1));
}
