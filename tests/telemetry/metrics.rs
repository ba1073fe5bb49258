//! The metrics of deliveries, as a recorder gets them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::Request, response::Response, routing::post};
use bytes::Bytes;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use test_support::{
    SECRET, TOKEN,
    json::{PHONE, WORDS, messages, text},
    layer, sign,
};
use tower::ServiceExt as _;
use tower_whatsapp::{
    Notification, WebhookLayer,
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

/// Panics whenever the metric with this name is updated, and counts that.
struct Faulty(&'static str, Arc<Panics>);

#[derive(Default)]
struct Panics(AtomicUsize);

impl Panics {
    fn panic(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a bug of the recorder");
    }
}

impl GaugeFn for Panics {
    fn increment(&self, _: f64) {
        self.panic();
    }

    fn decrement(&self, _: f64) {
        self.panic();
    }

    fn set(&self, _: f64) {
        self.panic();
    }
}

impl CounterFn for Panics {
    fn increment(&self, _: u64) {
        self.panic();
    }

    fn absolute(&self, _: u64) {
        self.panic();
    }
}

impl Recorder for Faulty {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() == self.0 {
            true => Counter::from_arc(Arc::clone(&self.1)),
            false => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match key.name() == self.0 {
            true => Gauge::from_arc(Arc::clone(&self.1)),
            false => Gauge::noop(),
        }
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Runs `test` with a recorder that panics. Returns how many times it did.
fn with_faulty(metric: &'static str, test: impl Future<Output = ()>) -> usize {
    let panics = Arc::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let recorder = Faulty(metric, Arc::clone(&panics));
    metrics::with_local_recorder(&recorder, || runtime.block_on(test));
    panics.0.load(Ordering::SeqCst)
}

/// The gauge is told what is reserved. The memory is free again, whatever it does.
#[test]
fn a_gauge_that_panics_costs_no_memory() {
    let panics = with_faulty("whatsapp_memory_reserved_bytes", async {
        let layer = layer();
        let free = layer.available_memory();
        let accept = async |_: Notification| ();
        let app = Router::new()
            .route("/wh", post(accept))
            .layer(layer.clone());
        let body = messages(&text("wamid.A", WORDS));
        let response = app.clone().oneshot(signed(SECRET, &body)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(layer.available_memory(), free);

        // A body in pieces is charged while it is incomplete.
        let (mut sender, pieces) = http_body_util::channel::Channel::<Bytes>::new(1);
        let mut request = signed(SECRET, &body);
        *request.body_mut() = Body::new(pieces);
        let delivery = tokio::spawn(app.clone().oneshot(request));
        let (first, rest) = body.split_at(100);
        sender.send_data(first.to_owned().into()).await.unwrap();
        while layer.available_memory() == free {
            tokio::task::yield_now().await;
        }
        sender.send_data(rest.to_owned().into()).await.unwrap();
        drop(sender);
        assert_eq!(delivery.await.unwrap().unwrap().status(), 200);
        assert_eq!(layer.available_memory(), free);

        // So is one whose sender disconnects.
        let (mut sender, pieces) = http_body_util::channel::Channel::<Bytes>::new(1);
        let mut request = signed(SECRET, &body);
        *request.body_mut() = Body::new(pieces);
        let delivery = tokio::spawn(app.oneshot(request));
        sender.send_data(first.to_owned().into()).await.unwrap();
        while layer.available_memory() == free {
            tokio::task::yield_now().await;
        }
        delivery.abort();
        assert!(delivery.await.unwrap_err().is_cancelled());
        assert_eq!(layer.available_memory(), free);
    });
    assert!(panics >= 4, "{panics}");
}

/// A warning is about the setup, and no reason to lose a delivery.
#[test]
fn a_counter_that_panics_at_a_warning_costs_no_response() {
    let panics = with_faulty("whatsapp_setup_warnings_total", async {
        let no_route = Router::new().layer(layer());
        let body = messages(&text("wamid.A", WORDS));
        let response = no_route.oneshot(signed(SECRET, &body)).await.unwrap();
        assert_eq!(response.status(), 404);

        // Two layers whose apps have no labels, over one `DedupLayer`.
        let other = WebhookLayer::new("/other", "another", TOKEN).unwrap();
        let accept = async |_: Notification| ();
        let app = Router::new()
            .route("/wh", post(accept))
            .route("/other", post(accept))
            .layer(DedupLayer::new(MemoryStore::new()))
            .layer(layer())
            .layer(other);
        let response = app.clone().oneshot(signed(SECRET, &body)).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = messages(&text("wamid.B", WORDS));
        let mut request = signed("another", &body);
        *request.uri_mut() = "/other".parse().unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    });
    // One for each layer that has warned.
    assert_eq!(panics, 2);
}
