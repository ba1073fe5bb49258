//! The traces that the collector gets, and the log.

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::time::sleep;

use crate::{
    collector::{Collector, attribute},
    documented,
    service::{PRIVATE, SEARCH, Service, accepted, get, refused, send_to, signed, text},
};

/// The exporter sends every 60 seconds: the spans come because the process flushes them at its end.
#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_before_the_process_ends() {
    let (collector, address) = Collector::start().await;
    let service = Service::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
        ("OTEL_SERVICE_NAME", "shop"),
    ]);
    let length = signed(&text(1)).body().len();
    assert_eq!(service.deliver(&text(1)).await, StatusCode::OK);
    assert_eq!(service.deliver(&text(1)).await, StatusCode::OK);
    for (status, request) in refused() {
        assert_eq!(send_to(service.address, request).await, status);
    }
    assert!(collector.take().is_empty());
    tokio::task::spawn_blocking(|| service.stop())
        .await
        .unwrap();

    let received = collector.take();
    for part in PRIVATE {
        assert!(
            !format!("{received:?}").contains(part),
            "{part} in {received:?}"
        );
    }
    let mut spans = Vec::<Span>::new();
    for resource in received {
        let attributes = resource.resource.unwrap().attributes;
        assert_eq!(
            attribute(&attributes, "service.name").as_deref(),
            Some("shop")
        );
        spans.extend(
            resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans),
        );
    }
    // A refused request has no span. The second delivery never reached the handler.
    let [first, duplicate] = &spans[..] else {
        panic!("{spans:?}");
    };
    let value = |key| attribute(&first.attributes, key);
    assert_eq!(first.name, "whatsapp.delivery");
    for (key, expected) in [
        ("path", "/webhook"),
        ("length", &length.to_string()),
        ("events", "1"),
        ("status", "200"),
        ("outcome", "acknowledged"),
        ("secret_label", "0"),
    ] {
        assert_eq!(value(key).as_deref(), Some(expected), "{key}");
    }
    for key in ["verdict_ms", "handler_ms"] {
        let millis: f64 = value(key).unwrap().parse().unwrap();
        assert!(millis > 0.0 && millis < 60_000.0, "{key} {millis}");
    }
    assert_eq!(
        value("first_key"),
        attribute(&duplicate.attributes, "first_key")
    );
    assert!(value("first_key").is_some());

    // The event of the handler is inside of the span, although it runs in a task of its own.
    let inside: Vec<_> = first.events.iter().map(|event| &*event.name).collect();
    assert_eq!(inside, ["handling an event"]);
    assert_eq!(
        attribute(&first.events[0].attributes, "kind").as_deref(),
        Some("message")
    );
    assert!(duplicate.events.is_empty(), "{duplicate:?}");

    let documented = documented::fields();
    for attribute in &first.attributes {
        let key = &attribute.key;
        let is_from_opentelemetry =
            key.contains('.') || ["busy_ns", "idle_ns", "target"].contains(&&**key);
        assert!(is_from_opentelemetry || documented.contains(key), "{key}");
    }
    for key in &documented {
        assert!(key == "app" || value(key).is_some(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_why_and_nothing_personal() {
    let service = Service::start(&[(
        "RUST_LOG",
        "tower_whatsapp=trace,example_observability=trace",
    )]);
    assert_eq!(service.deliver(&text(1)).await, StatusCode::OK);
    sleep(SEARCH).await;
    for request in accepted() {
        assert_eq!(send_to(service.address, request).await, StatusCode::OK);
    }
    for (status, request) in refused() {
        assert_eq!(send_to(service.address, request).await, status);
    }
    // Metrics are on a port of their own.
    let (status, _) = get(service.address, "/metrics").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let log = tokio::task::spawn_blocking(|| service.stop())
        .await
        .unwrap();

    for part in [
        "built a webhook layer",
        "handling an event kind=\"message\"",
        "reason=\"signature_mismatch\"",
        "reason=\"signature_missing\"",
        "reason=\"handshake_token\"",
        "warning=\"path_missed\"",
        "brand_new",
        "stopped drained=Drained { running: 0, aborted: 0, left: 0 }",
    ] {
        assert!(log.contains(part), "no {part} in {log}");
    }
    for part in PRIVATE {
        assert!(!log.contains(part), "{part} in {log}");
    }
}

#[test]
fn a_setting_that_is_missing_is_named() {
    let mut command = test_support::process::command("example-observability");
    let output = test_support::process::run(command.env_remove("RUST_LOG"), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("WHATSAPP_APP_SECRET is not set"),
        "{stderr}"
    );
}
