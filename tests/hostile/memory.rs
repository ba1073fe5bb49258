//! B9, B22, B23, and the memory that a declared length may cost: memory that is used before the
//! request is authenticated.

use std::{
    io::Write,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Request;
use http_body::SizeHint;
use test_support::{SECRET, Script, Step, builder, json::padded, layer, sign};
use tower::{Layer, ServiceExt};
use tower_http::decompression::RequestDecompressionLayer;
use tower_whatsapp::{Rejection, RejectionKind};

use crate::{
    check::returned,
    drive::{Http1, serve},
    host::Subject,
    row::Sent,
};

const KIB: usize = 1024;

fn request(signed: &str) -> http::request::Builder {
    Request::post("/wh").header("x-hub-signature-256", sign(SECRET, signed))
}

/// Two small frames, with the given declared length.
async fn memory_taken_by(declared: Option<usize>, hint: SizeHint) -> usize {
    let subject = Subject::new(layer());
    let free = subject.layer.available_memory();
    let steps = [Step::data("{"), Step::data("\"a\""), Step::Stall];
    let mut head = request("");
    if let Some(declared) = declared {
        head = head.header("content-length", declared);
    }
    let request = head.body(Script::new(steps).with_hint(hint)).unwrap();
    let taken = {
        let mut answer = pin!(subject.bare().oneshot(request));
        let polled = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        assert_eq!(subject.counter.bytes(), 4);
        free - subject.layer.available_memory()
    };
    returned(&subject, free, "dropped").await;
    taken
}

#[tokio::test]
async fn what_a_sender_says_of_a_length_takes_next_to_nothing() {
    assert!(memory_taken_by(Some(4 * KIB * KIB), SizeHint::new()).await <= 64 * KIB);
    assert!(memory_taken_by(None, SizeHint::new()).await <= 64 * KIB);
    assert!(memory_taken_by(Some(4), SizeHint::new()).await <= 64 * KIB);
    let mut huge = SizeHint::new();
    huge.set_lower(1 << 62);
    assert!(memory_taken_by(None, huge).await <= 64 * KIB);
}

#[tokio::test]
async fn b9_a_body_that_lies_about_its_size_is_taken_by_its_bytes() {
    let body = padded(100 * KIB);
    let hints = [
        SizeHint::with_exact(0),
        SizeHint::with_exact(1),
        SizeHint::with_exact(u64::MAX),
    ];
    for hint in hints {
        let subject = Subject::new(layer());
        let pieces: Vec<_> = body
            .as_bytes()
            .chunks(7000)
            .map(Bytes::copy_from_slice)
            .collect();
        let script = Script::new(pieces.into_iter().map(Step::Data)).with_hint(hint);
        let request = request(&body).body(script).unwrap();
        let response = subject.bare().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let (seen, _) = subject.log.take();
        assert_eq!(seen[0].body, body);
    }
}

/// A decompression bomb through a decompressing layer, placed outside against the advice.
#[tokio::test]
async fn b22_a_bomb_is_cut_at_the_limit() {
    let subject = Subject::new(builder().body_limit(256 * KIB).build().unwrap());
    let free = subject.layer.available_memory();
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        zip.write_all(&vec![b' '; KIB * KIB]).unwrap();
    }
    let zip = zip.finish().unwrap();
    assert!(zip.len() < 128 * KIB);
    let outer = RequestDecompressionLayer::new().layer(subject.bare());
    let request = request("")
        .header("content-encoding", "gzip")
        .header("content-length", zip.len())
        .body(Script::whole(zip))
        .unwrap();
    let response = outer.oneshot(request).await.unwrap();
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::BodyTooLarge);
    assert_eq!(response.status(), 413);
    assert!(subject.counter.bytes_before_last() <= 256 * KIB);
    assert_eq!(subject.log.take().0.len(), 0);
    returned(&subject, free, "B22").await;
}

/// 40 senders of 250 KB each, with memory for a few of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_beyond_the_budget_503_and_all_is_well_again_afterwards() {
    const SENDERS: usize = 40;
    let layer = builder()
        .body_limit(256 * KIB)
        .memory_budget(2 * KIB * KIB)
        .build()
        .unwrap();
    let subject = Subject::new(layer);
    let free = subject.layer.available_memory();
    let address = serve(subject.bare()).await;
    let body = Bytes::from(padded(250 * KIB));
    // All senders hold back the end of their body until all have sent most of it.
    let (first, last) = (body.slice(..200 * KIB), body.slice(200 * KIB..));
    let sent = Sent::post(body).chunked([
        Step::Data(first),
        Step::Wait(Duration::from_millis(500)),
        Step::Data(last),
    ]);
    let send = || {
        let sent = sent.clone();
        tokio::spawn(async move {
            let reply = Http1::connect(address).await.exchange(&sent).await.unwrap();
            let retry = ("retry-after".to_owned(), "1".to_owned());
            assert_eq!(reply.status == 503, reply.headers == [retry], "{reply:?}");
            reply.status
        })
    };
    let senders: Vec<_> = (0..SENDERS).map(|_| send()).collect();
    let mut statuses = Vec::new();
    for sender in senders {
        statuses.push(sender.await.unwrap());
    }
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert!(count(200) >= 1 && count(503) >= 1, "{statuses:?}");
    assert_eq!(count(200) + count(503), SENDERS, "{statuses:?}");
    assert_eq!(subject.log.take().0.len(), count(200));
    returned(&subject, free, "B23").await;
    for _ in 0..count(503) {
        let retry = Sent::post(padded(250 * KIB));
        let reply = Http1::connect(address)
            .await
            .exchange(&retry)
            .await
            .unwrap();
        assert_eq!(reply.status, 200);
    }
    returned(&subject, free, "B23, again").await;
}

/// Incomplete bodies of `length` bytes in two small frames each, as many as are not
/// rejected at once.
async fn stalled(
    subject: &Subject,
    bodies: usize,
    length: usize,
) -> Vec<Pin<Box<dyn Future<Output = http::StatusCode>>>> {
    let mut stalled = Vec::new();
    for _ in 0..bodies {
        let steps = [
            Step::data(" "),
            Step::Empty(1),
            Step::data(vec![b' '; length - 1]),
            Step::Stall,
        ];
        let answer = subject
            .bare()
            .oneshot(request("").body(Script::new(steps)).unwrap());
        let mut answer: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(async { answer.await.unwrap().status() });
        if poll(&mut answer).await.is_pending() {
            stalled.push(answer);
        }
    }
    stalled
}

async fn poll<T>(answer: &mut Pin<Box<dyn Future<Output = T>>>) -> Poll<T> {
    std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await
}

/// Strangers fill the budget with small or large bodies that they never complete.
#[tokio::test]
async fn a_body_in_one_frame_needs_nothing_that_strangers_hold() {
    for (bodies, length) in [(2000, 300), (200, 20 * KIB), (10, 100 * KIB)] {
        let layer = builder()
            .body_limit(256 * KIB)
            .memory_budget(512 * KIB)
            .build()
            .unwrap();
        let subject = Subject::new(layer);
        let free = subject.layer.available_memory();
        let mut stalled = stalled(&subject, bodies, length).await;
        assert!(subject.layer.available_memory() < free / 2);
        for length in [KIB, 200 * KIB, KIB] {
            let body = padded(length);
            let request = request(&body).body(Script::whole(body)).unwrap();
            let response = subject.bare().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200, "{bodies}, {length}");
        }
        // Displaced requests are woken and answered.
        let mut refused = 0;
        for answer in &mut stalled {
            if let Poll::Ready(status) = poll(answer).await {
                assert_eq!(status, 503);
                refused += 1;
            }
        }
        assert!(refused > 0, "{bodies}");
        drop(stalled);
        returned(&subject, free, "stalled").await;
    }
}

/// The same with a genuine body in pieces, which is faster than the stalled ones.
#[tokio::test]
async fn a_body_in_pieces_displaces_those_that_are_stalled() {
    for (bodies, length) in [(2000, 300), (200, 20 * KIB), (10, 50 * KIB)] {
        let layer = builder()
            .body_limit(256 * KIB)
            .memory_budget(512 * KIB)
            .build()
            .unwrap();
        let subject = Subject::new(layer);
        let stalled = stalled(&subject, bodies, length).await;
        let body = Bytes::from(padded(250 * KIB));
        let pieces = (0..body.len()).step_by(5000).flat_map(|at| {
            let piece = body.slice(at..body.len().min(at + 5000));
            [Step::Data(piece), Step::Pending]
        });
        let genuine = request(std::str::from_utf8(&body).unwrap());
        let genuine = genuine.body(Script::new(pieces)).unwrap();
        let response = subject.bare().oneshot(genuine).await.unwrap();
        assert_eq!(response.status(), 200, "{bodies}, {length}");
        drop(stalled);
    }
}
