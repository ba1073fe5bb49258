//! A hundred thousand invented names do not grow the memory. A separate program, because it
//! measures the heap of the process.
#![cfg(test)]

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use peak_alloc::PeakAlloc;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    App, WebhookLayer,
    webhook::{AppResolver, CachedResolver, RequestBody, ResolveError},
};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static CALLS: AtomicUsize = AtomicUsize::new(0);

struct Nobody;

impl AppResolver for Nobody {
    async fn resolve(&self, _: &str) -> Result<Option<App>, ResolveError> {
        CALLS.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    }
}

#[tokio::test]
async fn made_up_names() {
    const NAMES: usize = 100_000;
    // The first 200 lookups are not delayed, so the cache of unknown names is full at half time.
    let resolver = CachedResolver::builder(Nobody)
        .unknown_capacity(100)
        .build()
        .unwrap();
    let layer = WebhookLayer::builder()
        .app_resolver("/hooks/{app}", resolver)
        .build()
        .unwrap();
    let host = service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = layer.layer(host);
    let send = async |number: usize| {
        // Names of the maximum length.
        let request = Request::post(format!("/hooks/{number:0>128}"))
            .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
            .body(Full::default())
            .unwrap();
        service.clone().oneshot(request).await.unwrap().status()
    };
    let start = Instant::now();
    for number in 0..NAMES / 2 {
        send(number).await;
    }
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let mut refused = 0;
    for number in NAMES / 2..NAMES {
        refused += usize::from(send(number).await == StatusCode::FORBIDDEN);
    }
    let (after, peak) = (HEAP.current_usage(), HEAP.peak_usage());
    let calls = CALLS.load(Ordering::SeqCst);
    let bound = 200 + usize::try_from(start.elapsed().as_secs() + 1).unwrap() * 200;
    println!(
        "{NAMES} names, {calls} lookups in {:?}, heap {before} before, {after} after, {peak} at most; {refused} refused",
        start.elapsed()
    );
    assert!(calls <= bound, "{calls} {bound}");
    assert!(before < 4 << 20 && after < before + (256 << 10) && peak < before + (1 << 20));
}
