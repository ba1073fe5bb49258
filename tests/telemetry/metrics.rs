//! The metrics of deliveries, as a recorder gets them.

use std::collections::BTreeMap;

use axum::{Router, extract::Request, response::Response, routing::post};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use test_support::{
    SECRET,
    json::{PHONE, WORDS, messages, text},
    layer, sign,
};
use tower::ServiceExt as _;
use tower_whatsapp::{
    Notification,
    dedup::{DedupLayer, MemoryStore},
    testing::{FaultRates, FaultyStore},
};

/// Values by name and labels: counters and gauges as they are, histograms as their number.
fn snapshot(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let all = snapshotter.snapshot().into_vec();
    all.into_iter()
        .map(|(key, _, _, value)| {
            let key = key.key();
            let labels = key
                .labels()
                .map(|label| format!(" {}={}", label.key(), label.value()));
            let name = format!("{}{}", key.name(), labels.collect::<String>());
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            (name, value)
        })
        .collect()
}

fn signed(secret: &str, body: &str) -> Request {
    Request::post("/wh")
        .header("x-hub-signature-256", sign(secret, body))
        .body(body.to_owned().into())
        .unwrap()
}

#[test]
fn what_happens_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let counts = metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let dedup = DedupLayer::new(MemoryStore::new());
            let accept = async |_: Notification| ();
            let app = Router::new()
                .route("/wh", post(accept))
                .layer(dedup)
                .layer(layer());
            let body = messages(&format!(
                "{},{}",
                text("wamid.A", WORDS),
                text("wamid.B", WORDS)
            ));
            let mut statuses = Vec::new();
            for secret in [SECRET, SECRET, "another"] {
                let response: Response = app.clone().oneshot(signed(secret, &body)).await.unwrap();
                statuses.push(response.status().as_u16());
            }
            assert_eq!(statuses, [200, 200, 403]);
        });
        snapshot(&snapshotter)
    });
    let expected = [
        ("whatsapp_deliveries_total outcome=acknowledged", 2.0),
        ("whatsapp_rejections_total reason=signature_mismatch", 1.0),
        ("whatsapp_events_total kind=message", 4.0),
        ("whatsapp_dedup_events_total outcome=suppressed", 2.0),
        ("whatsapp_dedup_events_total outcome=stuck", 0.0),
        ("whatsapp_deliveries_in_flight", 0.0),
        ("whatsapp_memory_reserved_bytes", 0.0),
        ("whatsapp_body_size_bytes", 2.0),
        ("whatsapp_verdict_duration_seconds", 2.0),
        ("whatsapp_handler_duration_seconds", 2.0),
        // Sampled: four deliveries a second.
        ("whatsapp_event_lag_seconds", 2.0),
        ("whatsapp_store_duration_seconds operation=claim", 2.0),
        // The layer and its store were dropped.
        ("whatsapp_store_entries", 0.0),
        ("whatsapp_store_duration_seconds operation=commit", 1.0),
    ];
    for (name, value) in expected {
        assert_eq!(counts.get(name), Some(&value), "{name} in {counts:#?}");
    }
    let names = format!("{counts:?}");
    assert!(!names.contains(PHONE) && !names.contains(WORDS) && !names.contains(SECRET));
}

/// A gauge is a sum over layers, so what a layer leaves behind in it stays until a restart.
#[test]
fn a_dropped_layer_leaves_nothing_in_the_gauges() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let (before, after) = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let before = runtime.block_on(async {
            let store =
                FaultyStore::new(MemoryStore::new(), 0).on_claim(FaultRates::none().error(1.0));
            store.disable_faults();
            // Returns only for the first event.
            let handle = async |notification: Notification| {
                if !notification.events()[0].raw().contains("wamid.A") {
                    std::future::pending::<()>().await;
                }
            };
            let app = Router::new()
                .route("/wh", post(handle))
                .layer(DedupLayer::new(store.clone()))
                .layer(layer());
            let send = |id: &str| {
                let request = signed(SECRET, &messages(&text(id, WORDS)));
                app.clone().oneshot(request)
            };
            assert_eq!(send("wamid.A").await.unwrap().status(), 200);
            let hanging = tokio::spawn(send("wamid.B"));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(!hanging.is_finished());
            store.enable_faults();
            for number in 0..6 {
                let response = send(&format!("wamid.C{number}")).await.unwrap();
                assert_eq!(response.status(), 503);
            }
            snapshot(&snapshotter)
        });
        drop(runtime);
        (before, snapshot(&snapshotter))
    });
    for gauge in [
        "whatsapp_store_circuits_open",
        "whatsapp_store_entries",
        "whatsapp_deliveries_in_flight",
        "whatsapp_memory_reserved_bytes",
    ] {
        assert!(before[gauge] > 0.0, "{gauge} in {before:#?}");
        // A snapshot begins again at zero.
        assert_eq!(before[gauge] + after[gauge], 0.0, "{gauge}");
    }
}
