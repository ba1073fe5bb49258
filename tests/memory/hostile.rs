//! Memory that a hostile request costs, row by row: the table of `tests/hostile`, with an allocator
//! that records the peak.
//!
//! A single test per process, because it measures the heap of the process.
#![cfg(test)]

use std::{convert::Infallible, io::Write, pin::Pin};
use test_support::{BODY_LIMIT, SECRET, Script, Step, builder, json::padded, layer, sign};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Request, Response};
use http_body::{Body, SizeHint};
use http_body_util::Full;
use peak_alloc::PeakAlloc;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_http::decompression::RequestDecompressionLayer;
use tower_whatsapp::{Notification, Rejection, RejectionKind, WebhookLayer, webhook::RequestBody};

use self::row::{Answer, Driver, Polled, Sent};

#[path = "../hostile/row.rs"]
#[allow(dead_code, reason = "nothing is checked here but memory")]
mod row;
#[path = "../hostile/rows/mod.rs"]
#[allow(dead_code, reason = "only what goes through Tower")]
mod rows;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const KIB: usize = 1024;
const MIB: usize = KIB * KIB;

/// Limit for the future, the headers and the host's response of any request.
const SMALL: usize = 8 * KIB;

/// The same with the minimum buffer of a body that arrives in pieces.
const BEGUN: usize = SMALL + 512;

/// Memory of an event with its position. For the smallest elements this is more than four times
/// their length, but there are at most 33,025: 5 MB.
const EVENT: usize = 160;

type Host = Pin<Box<dyn Future<Output = Result<u16, Infallible>>>>;

/// A host that reads all of a delivery and keeps nothing.
fn host<B>(layer: &WebhookLayer) -> impl Fn(Request<B>) -> Host + use<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + 'static,
{
    let service = layer.layer(service_fn(async |request: Request<RequestBody<B>>| {
        if let Some(notification) = request.extensions().get::<Notification>() {
            for event in notification.events() {
                std::hint::black_box(event.payload());
            }
        }
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    move |request| {
        let mut service = service.clone();
        Box::pin(async move { Ok(service.call(request).await?.status().as_u16()) })
    }
}

/// Peak of the memory during this work, above the level before.
async fn peak<T>(work: impl Future<Output = T>) -> (usize, T) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let done = work.await;
    (HEAP.peak_usage() - before, done)
}

/// Measurements of a class of rows.
#[derive(Default)]
struct Most {
    rows: usize,
    bytes: usize,
    id: &'static str,
}

impl Most {
    fn note(&mut self, id: &'static str, bytes: usize) {
        self.rows += 1;
        if bytes >= self.bytes {
            (self.bytes, self.id) = (bytes, id);
        }
    }
}

#[tokio::test]
async fn memory_of_each_row() {
    rows_of_the_table().await;
    lies_about_the_length().await;
    a_bomb_behind_a_layer_that_decompresses().await;
    many_near_the_limit().await;
    frames_that_pin_a_larger_buffer().await;
    tiny_events_are_charged().await;
    #[cfg(feature = "tokio")]
    a_full_delivery_and_a_store().await;
}

async fn rows_of_the_table() {
    let (mut unread, mut large, mut small) = (Most::default(), Most::default(), Most::default());
    for row in rows::all() {
        if !row.drivers.contains(&Driver::Tower) {
            continue;
        }
        // Otherwise a warning goes to standard error, which the test harness keeps in memory.
        let layer = (row.settings)().on_setup_warning(|_| ()).build().unwrap();
        let call = host(&layer);
        // Rows with hundreds of requests repeat the same one.
        for sent in row.requests.iter().take(3) {
            let request = request(sent, row.dress);
            let (taken, _) = peak(call(request)).await;
            let id = row.id;
            let answer = row.answer_over(Driver::Tower);
            if matches!(row.polled, Polled::Nothing) || matches!(answer, Answer::PassedThrough) {
                assert!(taken <= SMALL, "{id}: {taken}");
                unread.note(id, taken);
                continue;
            }
            let (body, events) = match (answer, row.polled) {
                (Answer::Handled(events), _) => (sent.data().len(), events.len()),
                (Answer::Many(events, _), _) => (sent.data().len(), *events),
                (_, Polled::OneFrameOver(limit)) => (limit, 0),
                _ => (sent.data().len(), 0),
            };
            // A body in one piece is allocated by the test, so it is added to the measurement.
            let whole = taken + sent.data().len() * usize::from(sent.steps.len() == 1);
            // A long certificate subject is parsed.
            let headers: usize = sent.headers.iter().map(|(_, value)| value.len()).sum();
            let bound = (4 * body).max(body + EVENT * events) + BEGUN + 2 * headers;
            assert!(whole <= bound, "{id}: {whole} for {body}");
            if id.starts_with("B11") {
                assert!(taken <= 2 * body + 256 * KIB, "{id}: {taken} for {body}");
            }
            if body >= MIB {
                large.note(id, whole * 100 / body);
            } else {
                small.note(id, whole - body.min(whole));
            }
        }
    }
    assert!(unread.rows > 100 && large.rows > 8 && small.rows > 100);
    println!(
        "memory: {} requests whose body is not read take at most {} bytes ({}); of those that are read, {} of 1 MiB and more {}.{:02} times \
         the body ({}), and {} shorter ones {} bytes beside it ({})",
        unread.rows,
        unread.bytes,
        unread.id,
        large.rows,
        large.bytes / 100,
        large.bytes % 100,
        large.id,
        small.rows,
        small.bytes,
        small.id,
    );
}

fn request(sent: &Sent, dress: row::Dress) -> Request<Script> {
    let mut request = Request::builder().method(sent.method).uri(&sent.target);
    for (name, value) in &sent.headers {
        request = request.header(*name, &value[..]);
    }
    if let Some(length) = sent.length() {
        request = request.header("content-length", length);
    }
    let mut request = request.body(Script::new(sent.steps.clone())).unwrap();
    dress(request.extensions_mut());
    request
}

/// B4 to B9: two small frames, with a wrong declared length.
async fn lies_about_the_length() {
    let declared = [None, Some(5), Some(BODY_LIMIT)];
    let hints = [0, 1, BODY_LIMIT as u64, 1 << 40, 1 << 62, u64::MAX].map(|lower| {
        let mut hint = SizeHint::new();
        hint.set_lower(lower);
        hint
    });
    let call = host(&layer());
    for declared in declared {
        for hint in &hints {
            let steps = [
                Step::data("{"),
                Step::data("\"a\""),
                Step::Pending,
                Step::data("}"),
            ];
            let mut head = Request::post("/wh").header("x-hub-signature-256", sign(SECRET, ""));
            if let Some(declared) = declared {
                head = head.header("content-length", declared);
            }
            let body = Script::new(steps).with_hint(SizeHint::clone(hint));
            let (taken, status) = peak(call(head.body(body).unwrap())).await;
            assert_eq!(status, Ok(403));
            assert!(taken <= 64 * KIB, "{declared:?} {hint:?}: {taken}");
        }
    }
}

/// B22: a decompression bomb.
async fn a_bomb_behind_a_layer_that_decompresses() {
    const LIMIT: usize = 256 * KIB;
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        zip.write_all(&vec![b' '; MIB]).unwrap();
    }
    let zip = zip.finish().unwrap();
    let layer = builder().body_limit(LIMIT).build().unwrap();
    let host = service_fn(async |_: Request<RequestBody<_>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let outer = RequestDecompressionLayer::new().layer(layer.layer(host));
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, ""))
        .header("content-encoding", "gzip")
        .body(Script::whole(zip))
        .unwrap();
    let (taken, response) = peak(outer.oneshot(request)).await;
    let response = response.unwrap();
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::BodyTooLarge);
    println!("memory: a bomb of 64 MiB takes {taken} bytes, of which the limit is {LIMIT}");
    assert!(taken <= 2 * LIMIT + 128 * KIB, "{taken}");
}

/// A frame is a slice of the server's read buffer. Waiting bodies must not keep that buffer alive:
/// all their memory must be charged.
async fn frames_that_pin_a_larger_buffer() {
    const BODIES: usize = 1000;
    let layer = layer();
    let call = host(&layer);
    let before = HEAP.current_usage();
    let free = layer.available_memory();
    let mut waiting = Vec::new();
    for _ in 0..BODIES {
        let read = Bytes::from(vec![b' '; 64 * KIB]);
        let steps = [Step::Data(read.slice(..1)), Step::Empty(1), Step::Stall];
        let request = Request::post("/wh").header("x-hub-signature-256", sign(SECRET, ""));
        let mut call = call(request.body(Script::new(steps)).unwrap());
        drop(read);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        waiting.push(call);
    }
    let taken = HEAP.current_usage() - before;
    let charged = free - layer.available_memory();
    println!("memory: {BODIES} bodies of one byte take {taken} bytes, {charged} of them charged");
    assert!(charged >= 512 * BODIES, "{charged}");
    assert!(taken <= charged + BODIES * SMALL, "{taken}");
}

/// The events of a short body can take many times its length, so they are charged as well.
async fn tiny_events_are_charged() {
    let elements = vec!["{}"; 6000].join(",");
    let body = Bytes::from(test_support::json::messages(&elements));
    let layer = layer();
    let free = layer.available_memory();
    let inside = std::sync::Arc::new(std::sync::Mutex::new((0, 0)));
    let seen = std::sync::Arc::clone(&inside);
    let probe = layer.clone();
    let host = service_fn(move |request: Request<RequestBody<Script>>| {
        *seen.lock().unwrap() = (HEAP.current_usage(), free - probe.available_memory());
        drop(request);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(Script::whole(body.clone()))
        .unwrap();
    let before = HEAP.current_usage();
    let response = layer.layer(host).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let (heap, charged) = *inside.lock().unwrap();
    let taken = heap - before;
    println!(
        "memory: {} bytes of tiny events take {taken} bytes beside the body while they are handled, {charged} are charged",
        body.len()
    );
    // The body itself was allocated before.
    assert!(
        charged >= body.len() && taken <= charged - body.len() + SMALL,
        "{taken}, {charged}"
    );
    assert_eq!(layer.available_memory(), free);
}

/// B23: 200 senders of 3.9 MiB each at the same time, and a budget of 64 MiB.
async fn many_near_the_limit() {
    const SENDERS: usize = 200;
    const BUDGET: usize = 64 * MIB;
    let layer = builder().memory_budget(BUDGET).build().unwrap();
    let call = host(&layer);
    let body = Bytes::from(padded(39 * MIB / 10));
    let signature = sign(SECRET, &body);
    // All are half complete before the first one ends.
    let steps: Vec<_> = (0..body.len())
        .step_by(64 * KIB)
        .flat_map(|at| {
            let piece = body.slice(at..body.len().min(at + 64 * KIB));
            [Step::Data(piece), Step::Pending]
        })
        .collect();
    let requests: Vec<_> = (0..SENDERS)
        .map(|_| {
            Request::post("/wh")
                .header("x-hub-signature-256", &signature)
                .body(Script::new(steps.clone()))
                .unwrap()
        })
        .collect();
    let all = async {
        let mut calls: Vec<_> = requests
            .into_iter()
            .map(|request| Some(call(request)))
            .collect();
        let (mut taken, mut refused) = (0, 0);
        while calls.iter().any(Option::is_some) {
            for slot in &mut calls {
                let Some(call) = slot else { continue };
                let polled =
                    std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
                match polled.await {
                    std::task::Poll::Ready(Ok(200)) => taken += 1,
                    std::task::Poll::Ready(Ok(503)) => refused += 1,
                    std::task::Poll::Ready(other) => panic!("{other:?}"),
                    std::task::Poll::Pending => continue,
                }
                *slot = None;
            }
        }
        (taken, refused)
    };
    let (most, (taken, refused)) = peak(all).await;
    println!(
        "memory: {SENDERS} senders of {} bytes with a budget of {BUDGET} take {most}: {taken} are handled, {refused} refused",
        body.len()
    );
    assert!(taken > 0 && refused > 0 && taken + refused == SENDERS);
    // The budget, plus the events of one body, which is parsed when it is complete, and the growth
    // of one buffer.
    assert!(
        most <= BUDGET + 4 * body.len() + SENDERS * 16 * KIB,
        "{most}"
    );
    assert_eq!(layer.available_memory(), BUDGET);
    for _ in 0..refused.min(20) {
        let again = Request::post("/wh")
            .header("x-hub-signature-256", &signature)
            .body(Script::whole(body.clone()))
            .unwrap();
        assert_eq!(call(again).await, Ok(200));
    }
}

/// J19 with deduplication of each event.
#[cfg(feature = "tokio")]
async fn a_full_delivery_and_a_store() {
    use tower_whatsapp::dedup::{DedupLayer, MemoryStore};

    const EVENTS: usize = 32_768;
    let elements: Vec<_> = (0..EVENTS)
        .map(|id| format!(r#"{{"id":"{id}"}}"#))
        .collect();
    let body = Bytes::from(test_support::json::messages(&elements.join(",")));
    // A timeout that is long enough for a busy machine.
    let patience = std::time::Duration::from_secs(60);
    let dedup = DedupLayer::builder(MemoryStore::new())
        .store_timeout(patience)
        .response_deadline(2 * patience)
        .lease(4 * patience)
        .build()
        .unwrap();
    let handle = dedup.handle();
    let host = service_fn(async |_: Request<RequestBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = layer().layer(dedup.layer(host));
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(Script::whole(body.clone()))
        .unwrap();
    let (taken, response) = peak(service.oneshot(request)).await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(handle.counters().delivered, EVENTS as u64);
    println!(
        "memory: {EVENTS} events that are handled once take {taken} bytes at most, {} each, with what the store keeps",
        taken / EVENTS
    );
    assert!(taken <= 320 * EVENTS, "{taken}");
}
