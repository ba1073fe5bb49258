//! What Prometheus scrapes of a process.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

use http::StatusCode;
use metrics_exporter_prometheus::{Matcher::Suffix, PrometheusBuilder};
use tower_whatsapp_inbox::{Inbox, InboxEvent};

use self::common::{Db, message, messages, post, status, statuses, until, until_empty};

/// The fields of `Counters`.
const WHAT: [&str; 9] = [
    "stored",
    "duplicates",
    "ignored",
    "refused",
    "handled",
    "failed",
    "dead",
    "lost",
    "database_errors",
];

/// Name, type and labels of every metric, as the guide lists them.
const METRICS: [(&str, &str); 5] = [
    ("whatsapp_inbox_total", "counter"),
    ("whatsapp_inbox_waiting", "gauge"),
    ("whatsapp_inbox_oldest_seconds", "gauge"),
    ("whatsapp_inbox_wait_seconds", "histogram"),
    ("whatsapp_inbox_handler_duration_seconds", "histogram"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_gets_every_metric_described_and_nothing_personal() {
    let buckets = [0.1, 1.0, 60.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Suffix("_seconds".to_owned()), &buckets)
        .unwrap()
        .build_recorder();
    let scrape = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let db = Db::sqlite().await;
    let builder = Inbox::builder().ignore(["call"]);
    let inbox = db.open(builder).await.unwrap();
    // At zero before anything has happened, so that `rate()` sees the first event.
    let text = scrape.render();
    for what in WHAT {
        let line = format!("whatsapp_inbox_total{{what=\"{what}\"}} 0");
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
    // The gauges are not known yet. Zero dead letters could be wrong.
    assert!(!text.contains("whatsapp_inbox_waiting{"), "{text}");

    let both = [
        message("4915550001", "wamid-canary-1", 1),
        message("4915550002", "wamid-canary-2", 1),
    ];
    let body = messages(&both);
    for _ in 0..2 {
        assert_eq!(post(&inbox, body.clone()).await, StatusCode::OK);
    }
    let delivered = statuses(&[status("4915550001", "wamid-canary-3", 1)]);
    assert_eq!(post(&inbox, delivered).await, StatusCode::OK);
    let worker = inbox.worker(|event: InboxEvent| async move {
        match event.event().id() {
            Some("wamid-canary-2") => Err("a word of the handler for 4915550002"),
            _ => Ok(()),
        }
    });
    let set = async {
        // Workers set the gauges when they start.
        until("the gauges are set", async || {
            scrape.render().contains("whatsapp_inbox_waiting{")
        })
        .await;
        until_empty(&inbox).await;
    };
    worker.max_attempts(1).run(set).await;
    inbox.status().await.unwrap();

    let text = scrape.render();
    println!("{text}");
    for (name, kind) in METRICS {
        let described = text
            .lines()
            .any(|line| line.starts_with(&format!("# HELP {name} ")) && line.ends_with('.'));
        assert!(described, "{name} has no description in {text}");
        let typed = format!("# TYPE {name} {kind}");
        assert!(text.lines().any(|line| line == typed), "{typed} in {text}");
    }
    let types = text.lines().filter(|line| line.starts_with("# TYPE "));
    assert_eq!(types.count(), METRICS.len(), "{text}");
    for line in [
        "whatsapp_inbox_total{what=\"stored\"} 3",
        "whatsapp_inbox_total{what=\"duplicates\"} 2",
        "whatsapp_inbox_total{what=\"handled\"} 2",
        "whatsapp_inbox_total{what=\"failed\"} 1",
        "whatsapp_inbox_total{what=\"dead\"} 1",
        "whatsapp_inbox_waiting{state=\"messages\"} 0",
        "whatsapp_inbox_waiting{state=\"bulk\"} 0",
        "whatsapp_inbox_waiting{state=\"running\"} 0",
        "whatsapp_inbox_waiting{state=\"retrying\"} 0",
        "whatsapp_inbox_waiting{state=\"dead\"} 1",
        "whatsapp_inbox_oldest_seconds 0",
        "whatsapp_inbox_wait_seconds_count{kind=\"message\"} 2",
        "whatsapp_inbox_wait_seconds_count{kind=\"status\"} 1",
        "whatsapp_inbox_handler_duration_seconds_count 3",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
    for personal in ["491555", "canary", "word of the handler", "inbox.db"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
}
