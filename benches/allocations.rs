//! Allocations of one text message, from the layer's call to its response: `cargo bench -p benches
//! --bench allocations`.
//!
//! Prints one line per call site: count, bytes, and the innermost functions outside the standard
//! library. The request is created before, and the host handler does nothing.
//! `benches/tests/allocations.rs` limits the total.

use bench_support::bodies;
use std::{
    convert::Infallible,
    env,
    error::Error,
    fs,
    pin::pin,
    process,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{WebhookLayer, webhook::RequestBody};

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn main() -> Result<(), Box<dyn Error>> {
    // The layer needs a runtime with a timer.
    #[cfg(feature = "tokio")]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    #[cfg(feature = "tokio")]
    let _inside = runtime.enter();
    let layer = WebhookLayer::new("/webhook", SECRET, "the verify token")?;
    let mut service = layer.layer(service_fn(
        async |request: Request<RequestBody<Full<Bytes>>>| {
            drop(request);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        },
    ));
    let mut bodies = bodies::all().into_iter();
    let (_, body) = bodies.find(|(name, _)| *name == "text").ok_or("no text")?;
    let request = |body: String| -> Result<_, Box<dyn Error>> {
        let signature = bodies::sign(SECRET, body.as_bytes())?;
        Ok(Request::post("/webhook")
            .header("x-hub-signature-256", signature)
            .header("content-length", body.len())
            .header("content-type", "application/json")
            .body(Full::from(body))?)
    };
    let mut complete = |request| {
        let mut call = pin!(service.call(request));
        let response = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match response {
            Poll::Ready(Ok(response)) if response.status() == 200 => Ok(()),
            _ => Err("not answered with 200"),
        }
    };
    // Excludes what is allocated once per process.
    complete(request(body.clone())?)?;
    let request = request(body)?;

    let file = env::temp_dir().join(format!("allocations-{}.json", process::id()));
    let profiler = dhat::Profiler::builder()
        .file_name(&file)
        .trim_backtraces(None)
        .build();
    let outcome = complete(request);
    drop(profiler);
    outcome?;
    let report: Value = serde_json::from_slice(&fs::read(&file)?)?;
    fs::remove_file(&file)?;
    print(&report)
}

fn print(report: &Value) -> Result<(), Box<dyn Error>> {
    let frames = report["ftbl"].as_array().ok_or("no frames")?;
    let mut total = 0;
    for place in report["pps"].as_array().ok_or("no places")? {
        let (blocks, bytes) = (place["tbk"].as_u64(), place["tb"].as_u64());
        let blocks = blocks.ok_or("no number")?;
        let stack: Vec<_> = (place["fs"].as_array().into_iter().flatten())
            .filter_map(|frame| frames.get(usize::try_from(frame.as_u64()?).ok()?)?.as_str())
            .collect();
        let places: Vec<_> = (stack.into_iter().map(place_of))
            .filter(|place| !SKIPPED_FRAMES.iter().any(|path| place.contains(path)))
            .take(SHOWN_FRAMES)
            .collect();
        total += blocks;
        println!(
            "{blocks:>2} of {:>4} bytes  {}",
            bytes.ok_or("no size")?,
            places.join("  ")
        );
    }
    println!("{total:>2} in total");
    Ok(())
}

/// Frames of the profiler, the standard library and this file. Their callers are shown instead.
const SKIPPED_FRAMES: [&str; 10] = [
    "backtrace/",
    "dhat-",
    "alloc/src/",
    "core/src/",
    "src/convert/",
    "src/ops/",
    "src/raw_vec/",
    "src/vec/",
    "iter/",
    "benches/allocations",
];
const SHOWN_FRAMES: usize = 3;

/// File and line of a frame.
fn place_of(frame: &str) -> &str {
    let place = frame.rsplit_once(" (").map_or(frame, |(_, place)| place);
    place.trim_end_matches(')')
}
