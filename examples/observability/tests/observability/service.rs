//! The process, and requests to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Version, header::CONTENT_ENCODING};
use test_support::{
    port,
    process::{Process, command},
    webhook::{ENV, HANDSHAKE, SECRET, TOKEN, send},
};
use tower_whatsapp::{
    event::State,
    testing::{
        delivery,
        sample::{self, Sample},
    },
};

const EXAMPLE: &str = "example-observability";
const PATH: &str = "/webhook";
const PHONE: &str = "16505550177";
const NAME: &str = "Ada Pseudonym";
const TEXT: &str = "meet me at the pier";

/// What must never be in a log line, a trace or a metric.
pub(crate) const PRIVATE: [&str; 9] = [
    PHONE,
    NAME,
    TEXT,
    "wamid.",
    SECRET,
    "another secret",
    TOKEN,
    "1158201444",
    "sha256=",
];

pub(crate) struct Service {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

impl Service {
    pub(crate) fn start(env: &[(&str, &str)]) -> Self {
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let mut command = command(EXAMPLE);
        for name in [
            "FAULTS",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_SERVICE_NAME",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.env("METRICS_ADDR", metrics.to_string()).envs(ENV);
        let (process, address) = Process::listen(command, env);
        Self {
            process,
            address,
            metrics,
        }
    }

    /// Sends a delivery and returns the status of the response.
    pub(crate) async fn deliver(&self, sample: &Sample) -> StatusCode {
        send_to(self.address, signed(sample)).await
    }

    pub(crate) async fn scrape(&self) -> String {
        let (status, text) = get(self.metrics, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        text
    }

    /// Stops it as Ctrl-C does, and returns its log.
    pub(crate) fn stop(self) -> String {
        let output = self.process.interrupt();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        log
    }
}

/// A text message, sent now.
pub(crate) fn text(number: u32) -> Sample {
    sample::text(TEXT)
        .id(format!("wamid.TEXT{number}"))
        .from(PHONE)
        .profile_name(NAME)
        .timestamp(now())
}

/// Unix time, in seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "Meta's clock is that of the calendar"
)]
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(crate) fn signed(sample: &Sample) -> Request<Bytes> {
    delivery(PATH, sample.body(), SECRET)
}

/// One request of each kind that the layer refuses or warns of.
pub(crate) fn refused() -> Vec<(StatusCode, Request<Bytes>)> {
    let body = text(0).body();
    let with = |change: &dyn Fn(&mut Request<Bytes>)| {
        let mut request = signed(&text(0));
        change(&mut request);
        request
    };
    let handshake = |uri: &str| Request::get(uri).body(Bytes::new()).unwrap();
    let not_json = Bytes::from_static(b"{");
    vec![
        (
            StatusCode::FORBIDDEN,
            delivery(PATH, body.clone(), "another secret"),
        ),
        (StatusCode::NOT_FOUND, delivery("/webhook/", body, SECRET)),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            delivery(PATH, not_json, SECRET),
        ),
        (
            StatusCode::FORBIDDEN,
            with(&|request| request.headers_mut().clear()),
        ),
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            with(&|request| {
                request
                    .headers_mut()
                    .insert(CONTENT_ENCODING, "gzip".parse().unwrap());
            }),
        ),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            with(&|request| *request.method_mut() = Method::PUT),
        ),
        (
            StatusCode::FORBIDDEN,
            handshake(&HANDSHAKE.replace("more", "less")),
        ),
        (
            StatusCode::FORBIDDEN,
            handshake("/webhook?hub.mode=subscribe"),
        ),
        (StatusCode::FORBIDDEN, handshake(PATH)),
    ]
}

/// How often deliveries are searched for unread keys, and a little more.
pub(crate) const SEARCH: Duration = Duration::from_millis(300);

/// Deliveries that are accepted: one with a key that is unknown, which is found if none was
/// delivered during [`SEARCH`], a status, and kinds that are unknown.
pub(crate) fn accepted() -> Vec<Request<Bytes>> {
    let unknown = sample::all()
        .into_iter()
        .filter(|(name, _)| name.starts_with("unknown"))
        .map(|(_, sample)| signed(&sample));
    let body = String::from_utf8(text(1).body().into()).unwrap();
    // A key that is a phone number must not be in the log.
    let keys = format!("\"brand_new\":1,\"{PHONE}\":1,\"type\"");
    let with_key = body.replacen("\"type\"", &keys, 1);
    assert_ne!(body, with_key);
    let status = sample::status(State::Delivered)
        .from(PHONE)
        .timestamp(now());
    [delivery(PATH, with_key, SECRET), signed(&status)]
        .into_iter()
        .chain(unknown)
        .collect()
}

pub(crate) async fn send_to(address: SocketAddr, request: Request<Bytes>) -> StatusCode {
    let (parts, body) = request.into_parts();
    let mut builder = Request::builder().method(parts.method).uri(parts.uri);
    for (name, value) in &parts.headers {
        builder = builder.header(name, value);
    }
    let body = std::str::from_utf8(&body).unwrap();
    send(address, Version::HTTP_11, builder, body).await.0
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (StatusCode, String) {
    send(address, Version::HTTP_11, Request::get(path), "").await
}
