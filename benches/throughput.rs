//! Duration and throughput on this machine: `cargo bench -p benches --bench throughput`. To compare
//! versions, count instructions instead (`instructions`).

use bench_support::bodies;
use std::{
    convert::Infallible,
    error::Error,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime;
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{
    Notification, WebhookLayer,
    secret::AppSecret,
    signature::{Signature, Verifier},
    webhook::RequestBody,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn main() -> Result<(), Box<dyn Error>> {
    // The layer's deadlines need a runtime.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _inside = runtime.enter();
    let mut criterion = Criterion::default().configure_from_args();
    for (name, body) in [
        ("one text", bodies::texts(1, 180)),
        ("100 statuses", bodies::statuses(100)),
        ("6700 statuses", bodies::statuses(6700)),
    ] {
        let body = Bytes::from(body);
        let bytes = u64::try_from(body.len())?;
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes));

        let secrets = [AppSecret::new(SECRET)?];
        let header = bodies::sign(SECRET, &body)?;
        let signature = Signature::parse(header.as_bytes())?;
        group.bench_function("verify", |bencher| {
            bencher.iter(|| {
                let mut verifier = Verifier::new(&secrets);
                verifier.update(black_box(&body));
                verifier.verify(&signature)
            });
        });
        group.bench_function("parse and read", |bencher| {
            bencher.iter(|| Notification::parse(black_box(body.clone())).map(|it| read(&it)));
        });
        let mut service = WebhookLayer::new("/webhook", SECRET, "token")?.layer(service_fn(host));
        group.bench_function("whole call", |bencher| {
            bencher.iter(|| {
                let request = Request::post("/webhook")
                    .header("x-hub-signature-256", &header)
                    .body(Full::new(body.clone()));
                request.map(|request| poll_to_end(service.call(request)))
            });
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

async fn host(request: Request<RequestBody<Full<Bytes>>>) -> Result<Response<String>, Infallible> {
    if let Some(notification) = request.extensions().get::<Notification>() {
        read(notification);
    }
    Ok(Response::new(String::new()))
}

fn read(notification: &Notification) {
    for event in notification.events() {
        black_box(event.payload());
    }
}

/// Polls a call that never waits for input. A large body takes several polls.
fn poll_to_end<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        if let Poll::Ready(output) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
