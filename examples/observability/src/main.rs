//! A WhatsApp webhook on axum that an operator can watch: a log, traces, and metrics.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p example-observability
//! curl http://127.0.0.1:9464/metrics
//! ```
//!
//! Deliveries, refusals and mistakes of the setup show in the log on standard error and in the
//! metrics. `docs/observability.md` lists them.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ADDR` | `127.0.0.1:3000` | where Meta's requests arrive |
//! | `METRICS_ADDR` | `127.0.0.1:9464` | where Prometheus scrapes: never on the public port |
//! | `RUST_LOG` | `info` | filter of the log; `tower_whatsapp=debug` logs each delivery |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | none | collector of traces, as `http://127.0.0.1:4318` |
//! | `OTEL_SERVICE_NAME` | `unknown_service` | name of this service in the traces |
//! | `FAULTS` | none | any value: some deliveries and store calls fail on purpose |

#[path = "../../common/mod.rs"]
#[allow(dead_code, reason = "other examples print events")]
mod common;
mod faults;

use std::{error::Error, io, net::SocketAddr, process::ExitCode, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower_whatsapp::{
    Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
};
use tracing::{Level, info};
use tracing_subscriber::{EnvFilter, Layer, filter::Targets, prelude::*};

use self::{
    common::{listen, optional, required, run_until_signal},
    faults::Faults,
};

/// Beside the 15 seconds for the connections: together less than the 30 that Kubernetes gives.
const DRAIN: Duration = Duration::from_secs(10);

/// Upper bounds of the histogram buckets. Meta asks for a median response time of 250 ms.
const SECONDS: [f64; 13] = [
    0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Meta retries for 7 days.
const LAG_SECONDS: [f64; 11] = [
    1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0, 172_800.0, 604_800.0,
];
/// A delivery of one text message has 0.7 kB; the default body limit is 4 MiB.
const BYTES: [f64; 8] = [512.0, 1e3, 2e3, 4e3, 16e3, 64e3, 1e6, 4.2e6];

async fn on_event(State(faults): State<Faults>, notification: Notification) -> StatusCode {
    for event in notification.events() {
        // Inside the span of the delivery. A kind is safe to log; texts and phone numbers are not.
        info!(kind = event.kind(), "handling an event");
    }
    faults.inject().await
}

/// Installs the recorder of metrics, and serves them.
fn serve_metrics() -> Result<(), Box<dyn Error>> {
    let address = optional("METRICS_ADDR")?.unwrap_or("127.0.0.1:9464".to_owned());
    let address: SocketAddr = address.parse()?;
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_lag_seconds".into()), &LAG_SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), &BYTES)?
        .with_http_listener(address)
        .install()?;
    Ok(())
}

/// Installs the subscriber of logs and traces. Shut the provider down before the process ends: it
/// sends spans in batches.
fn subscribe() -> Result<Option<SdkTracerProvider>, Box<dyn Error>> {
    let filter = optional("RUST_LOG")?.unwrap_or("info".to_owned());
    let log = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_filter(EnvFilter::try_new(filter)?);
    // The exporter reads the address of the collector from this variable itself.
    let mut provider = None;
    if optional("OTEL_EXPORTER_OTLP_ENDPOINT")?.is_some() {
        let exporter = SpanExporter::builder().with_http().build()?;
        let builder = SdkTracerProvider::builder().with_batch_exporter(exporter);
        provider = Some(builder.build());
    }
    let traces = provider.as_ref().map(|provider| {
        // Only these targets: the HTTP client of the exporter would trace itself.
        let targets = Targets::new()
            .with_target("tower_whatsapp", Level::INFO)
            .with_target(env!("CARGO_CRATE_NAME"), Level::INFO);
        let tracer = provider.tracer(env!("CARGO_CRATE_NAME"));
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        layer.with_filter(targets)
    });
    tracing_subscriber::registry().with(log).with(traces).init();
    Ok(provider)
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = required("WHATSAPP_APP_SECRET")?;
    let token = required("WHATSAPP_VERIFY_TOKEN")?;
    let faults = Faults::new(optional("FAULTS")?.is_some());
    serve_metrics()?;

    let dedup = DedupLayer::builder(faults.store(MemoryStore::new()))
        .handler_deadline(Duration::from_secs(10))
        .build()?;
    let handle = dedup.handle();
    let app = Router::new()
        .route("/webhook", post(on_event))
        .with_state(faults)
        .layer(dedup)
        .layer(WebhookLayer::new("/webhook", secret, token)?);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    run_until_signal(async |signal| {
        axum::serve(listener, app)
            .with_graceful_shutdown(signal)
            .await
    })
    .await?;
    let drained = handle.drain(DRAIN).await;
    info!(?drained, "stopped");
    Ok(())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let provider = subscribe()?;
    let served = serve().await;
    // Sends the spans that are still queued.
    let flushed = provider.map_or(Ok(()), |provider| provider.shutdown());
    served?;
    Ok(flushed?)
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("observability: {error}");
            ExitCode::FAILURE
        }
    }
}
