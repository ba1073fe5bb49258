//! How long other tasks of a thread wait while a large delivery is received, verified, parsed and
//! deduplicated: `cargo bench -p benches --bench pauses`.
//!
//! One thread runs the delivery and a task that yields in a loop. The same delivery is repeated,
//! and each repetition yields at the same points. Times are in microseconds:
//!
//! - total: from the request to the response, the minimum over all repetitions.
//! - own pause: the longest wait between two yields, after taking the minimum of each wait over all
//!   repetitions. This is the delivery's own effect, without other load of the machine.
//! - median: the median over all repetitions of the longest wait, including other load.
//!
//! The body arrives as one frame, which is the worst case.

use bench_support::bodies;
use std::{
    convert::Infallible,
    error::Error,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{runtime, task::yield_now};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    App, Credentials, Notification, WebhookLayer,
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
        "delivery", "layers", "total", "own pause", "median"
    );
    for (name, body) in [
        ("one text", bodies::texts(1, 80)),
        ("1000 texts of 3 KB", bodies::texts(1000, 2500)),
        ("6000 statuses", bodies::statuses(6000)),
        // The slowest delivery that could be signed.
        ("13000 statuses", statuses(13_000, 200)),
        ("32768 bare statuses", statuses(32_768, 0)),
        ("one escaped string of 3.9 MB", string(r"\u00fc", 3_900_000)),
        ("one string of 3.9 MB", string("ü", 3_900_000)),
        ("3.9 MB of empty lists", empty_lists(3_900_000)),
        (
            "20000 beside long metadata",
            beside_metadata(20_000, 2_000_000),
        ),
        ("30000 entries", entries(30_000)),
    ] {
        let body = Bytes::from(body);
        for (layers, layer, dedup) in [
            ("webhook", with_secrets as fn(usize) -> _, false),
            ("webhook, 4 secrets", |_| with_secrets(4), false),
            ("webhook, listed ids", |_| with_lists(), false),
            ("webhook and dedup", with_secrets, true),
        ] {
            let pauses = runtime.block_on(pauses(&body, || layer(1), dedup))?;
            println!("{name:<28} {layers:<24} {pauses}");
        }
    }
    Ok(())
}

fn with_secrets(secrets: usize) -> Result<WebhookLayer, Box<dyn Error>> {
    let mut builder = WebhookLayer::builder()
        .path("/webhook")
        .verify_token("token");
    for number in 1..secrets {
        builder = builder.app_secret(format!("another {number}"));
    }
    Ok(builder.app_secret(SECRET).build()?)
}

/// For an app that lists its accounts and phone numbers, so each event is looked at.
fn with_lists() -> Result<WebhookLayer, Box<dyn Error>> {
    let app = App::builder("app", Credentials::new([("1", SECRET)], [("1", "token")])?)
        .accounts(["100000000000001"])
        .phone_numbers(["100000000000002"])
        .build()?;
    Ok(WebhookLayer::builder().route("/webhook", app).build()?)
}

async fn pauses(
    body: &Bytes,
    layer: impl Fn() -> Result<WebhookLayer, Box<dyn Error>>,
    dedup: bool,
) -> Result<String, Box<dyn Error>> {
    let (mut took, mut longest) = (Vec::new(), Vec::new());
    let mut shortest: Vec<u64> = Vec::new();
    for _ in 0..ROUNDS {
        let layer = layer()?;
        let request = Request::post("/webhook")
            .header("x-hub-signature-256", bodies::sign(SECRET, body)?)
            .header("content-length", body.len())
            .body(Full::new(body.clone()))?;
        let end = Arc::new(AtomicBool::new(false));
        let ticker = tokio::spawn(ticks(Arc::clone(&end)));
        // The ticker measures from here on.
        yield_now().await;
        let start = Instant::now();
        // A separate task, as in a server.
        let call = if dedup {
            // A new store, so that no event is a duplicate.
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
        // The last wait ends at the ticker's next turn, and counts as well.
        end.store(true, Ordering::Relaxed);
        let waits = ticker.await?;
        longest.push(waits.iter().copied().max().unwrap_or_default());
        if shortest.is_empty() {
            shortest.clone_from(&waits);
        }
        if shortest.len() != waits.len() {
            return Err("the number of yields differs between repetitions".into());
        }
        for (shortest, wait) in shortest.iter_mut().zip(waits) {
            *shortest = wait.min(*shortest);
        }
    }
    took.sort_unstable();
    longest.sort_unstable();
    let at = |times: &[u64], place: usize| times.get(place).copied().unwrap_or_default();
    Ok(format!(
        "{:>9} {:>9} {:>9}",
        at(&took, 0),
        shortest.iter().copied().max().unwrap_or_default(),
        at(&longest, ROUNDS / 2)
    ))
}

/// Returns the microseconds between consecutive turns of this task, until after `end` is set.
async fn ticks(end: Arc<AtomicBool>) -> Vec<u64> {
    let mut waits = Vec::with_capacity(4096);
    while !end.load(Ordering::Relaxed) {
        let before = Instant::now();
        yield_now().await;
        waits.push(micros(before));
    }
    waits
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Statuses with few members, and a text of `bytes` bytes each.
fn statuses(count: usize, bytes: usize) -> String {
    in_value(&format!(r#""statuses":[{}]"#, list(count, bytes)))
}

fn list(count: usize, bytes: usize) -> String {
    let data = "x".repeat(bytes);
    let status = |number| {
        format!(
            r#"{{"id":"wamid.{number}","status":"sent","timestamp":"1","biz_opaque_callback_data":"{data}"}}"#
        )
    };
    (0..count).map(status).collect::<Vec<_>>().join(",")
}

fn in_value(members: &str) -> String {
    format!(r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{{members}}}}}]}}]}}"#)
}

/// As many entries, each with one status.
fn entries(count: usize) -> String {
    let entry = |number| {
        let status = format!(r#"{{"id":"wamid.{number}","status":"sent","timestamp":"1"}}"#);
        format!(r#"{{"changes":[{{"value":{{"statuses":[{status}]}}}}]}}"#)
    };
    let entries: Vec<_> = (0..count).map(entry).collect();
    format!(r#"{{"entry":[{}]}}"#, entries.join(","))
}

fn string(character: &str, bytes: usize) -> String {
    format!(r#"{{"x":"{}"}}"#, character.repeat(bytes / character.len()))
}

fn empty_lists(bytes: usize) -> String {
    format!(r#"{{"x":[{}[]]}}"#, "[],".repeat(bytes / 3))
}

/// Statuses beside metadata with a long text before the phone number id.
fn beside_metadata(statuses: usize, bytes: usize) -> String {
    let metadata = format!(
        r#"{{"display_phone_number":"{}","phone_number_id":"1"}}"#,
        "x".repeat(bytes)
    );
    in_value(&format!(
        r#""metadata":{metadata},"statuses":[{}]"#,
        list(statuses, 0)
    ))
}

/// The time of a host handler is not measured, so it reads nothing.
async fn host<B>(request: Request<RequestBody<B>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let notification = request.extensions().get::<Notification>();
    black_box(notification.map(|notification| notification.events().len()));
    Ok(Response::new(Full::default()))
}
