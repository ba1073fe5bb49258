//! How long everybody else waits while a large delivery is received, verified, taken apart and remembered: `cargo bench --bench pauses`.
//!
//! One thread has the delivery and a task that does nothing but ask for its next turn. What is shown is the longest time between two of its turns,
//! in microseconds, of many deliveries: the least is what the delivery itself makes others wait, the others have what else the machine does in them.
//! The body comes as one frame, which is the worst case.

#[path = "support/bodies.rs"]
mod bodies;

use std::{
    convert::Infallible,
    error::Error,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{runtime, task::yield_now};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    webhook::RequestBody,
};

const ROUNDS: usize = 40;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    println!(
        "{:<28} {:<24} {:>9} {:>9} {:>9}",
        "delivery", "layers", "in all", "least", "median"
    );
    for (name, body) in [
        ("one text", bodies::texts(1, 80)),
        ("1000 texts of 3 KB", bodies::texts(1000, 2500)),
        ("6000 statuses", bodies::statuses(6000)),
        // The worst that could be signed.
        ("13000 statuses", bodies::statuses(13_000)),
        ("one escaped string of 3.9 MB", escaped(3_900_000)),
        (
            "20000 beside long metadata",
            beside_metadata(20_000, 2_000_000),
        ),
    ] {
        let body = Bytes::from(body);
        for (layers, secrets, remembers) in [
            ("webhook", 1, false),
            ("webhook, 4 secrets", 4, false),
            ("webhook and dedup", 1, true),
        ] {
            let pauses = runtime.block_on(pauses(&body, secrets, remembers))?;
            println!("{name:<28} {layers:<24} {pauses}");
        }
    }
    Ok(())
}

async fn pauses(body: &Bytes, secrets: usize, remembers: bool) -> Result<String, Box<dyn Error>> {
    let (mut took, mut longest) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut builder = WebhookLayer::builder()
            .path("/webhook")
            .verify_token("token");
        for number in 1..secrets {
            builder = builder.app_secret(format!("another {number}"));
        }
        let layer = builder.app_secret(SECRET).build()?;
        let request = Request::post("/webhook")
            .header("x-hub-signature-256", bodies::sign(SECRET, body)?)
            .header("content-length", body.len())
            .body(Full::new(body.clone()))?;
        let pause = Arc::new(AtomicU64::new(0));
        let end = Arc::new(AtomicBool::new(false));
        let ticker = tokio::spawn(ticks(Arc::clone(&pause), Arc::clone(&end)));
        // It waits from now on.
        yield_now().await;
        let start = Instant::now();
        // Tasks of their own, as servers have them.
        let call = if remembers {
            // A store of its own: all is new each time.
            let dedup = DedupLayer::new(MemoryStore::new());
            let service = layer.layer(dedup.layer(service_fn(host)));
            tokio::spawn(async {
                service
                    .oneshot(request)
                    .await
                    .map(|response| response.status())
            })
        } else {
            let service = layer.layer(service_fn(host));
            tokio::spawn(async {
                service
                    .oneshot(request)
                    .await
                    .map(|response| response.status())
            })
        };
        if call.await?? != 200 {
            return Err("not answered with 200".into());
        }
        took.push(micros(start));
        // Its next turn ends the last stretch, which counts as well.
        end.store(true, Ordering::Relaxed);
        ticker.await?;
        longest.push(pause.load(Ordering::Relaxed));
    }
    took.sort_unstable();
    longest.sort_unstable();
    let at = |times: &[u64], place: usize| times.get(place).copied().unwrap_or_default();
    Ok(format!(
        "{:>9} {:>9} {:>9}",
        at(&took, 0),
        at(&longest, 0),
        at(&longest, ROUNDS / 2)
    ))
}

/// Keeps the longest time between two turns, in microseconds, until after the end.
async fn ticks(longest: Arc<AtomicU64>, end: Arc<AtomicBool>) {
    while !end.load(Ordering::Relaxed) {
        let before = Instant::now();
        yield_now().await;
        longest.fetch_max(micros(before), Ordering::Relaxed);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn escaped(bytes: usize) -> String {
    format!(r#"{{"x":"{}"}}"#, r"\u00fc".repeat(bytes / 6))
}

/// Statuses whose metadata has a long text before the id of the phone number.
fn beside_metadata(statuses: usize, bytes: usize) -> String {
    let metadata = format!(
        r#"{{"display_phone_number":"{}","phone_number_id":"1"}}"#,
        "x".repeat(bytes)
    );
    let statuses: Vec<_> = (0..statuses)
        .map(|number| format!(r#"{{"id":"wamid.{number}","status":"sent","timestamp":"1"}}"#))
        .collect();
    format!(
        r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"metadata":{metadata},"statuses":[{}]}}}}]}}]}}"#,
        statuses.join(",")
    )
}

/// Reads nothing: how long a host takes is its own business.
async fn host<B>(request: Request<RequestBody<B>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let notification = request.extensions().get::<Notification>();
    black_box(notification.map(|notification| notification.events().len()));
    Ok(Response::new(Full::default()))
}
