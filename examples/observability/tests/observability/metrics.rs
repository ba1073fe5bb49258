//! What Prometheus scrapes, and the table of metrics in the documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use http::{Request, StatusCode};
use test_support::webhook::HANDSHAKE;
use tokio::time::sleep;

use crate::{
    documented,
    service::{PRIVATE, Service, accepted, refused, send_to, signed, text},
};

/// The store fails for the first time after five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the metrics with their types.
fn types(scraped: &str) -> BTreeMap<&str, &str> {
    let lines = scraped
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

struct Series<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

fn series(scraped: &str) -> impl Iterator<Item = Series<'_>> {
    let lines = scraped.lines().filter(|line| line.starts_with("whatsapp_"));
    lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| {
            let (key, value) = label.split_once('=')?;
            Some((key, value.trim_matches('"')))
        });
        Series {
            name,
            labels: labels.collect(),
            value: value.parse().unwrap(),
        }
    })
}

fn value(scraped: &str, line: &str) -> f64 {
    let found = scraped.lines().find_map(|other| other.strip_prefix(line));
    let found = found.unwrap_or_else(|| panic!("no {line} in {scraped}"));
    found.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_counted() {
    let service = Service::start(&[]);
    for number in [1, 2, 3, 3, 3] {
        assert_eq!(service.deliver(&text(number)).await, StatusCode::OK);
    }
    for _ in 0..2 {
        for (status, request) in refused() {
            assert_eq!(send_to(service.address, request).await, status);
        }
    }
    let handshake = Request::get(HANDSHAKE).body("".into()).unwrap();
    assert_eq!(send_to(service.address, handshake).await, StatusCode::OK);

    let scraped = service.scrape().await;
    for (line, expected) in [
        ("whatsapp_deliveries_total{outcome=\"acknowledged\"}", 5.0),
        ("whatsapp_events_total{kind=\"message\"}", 5.0),
        ("whatsapp_dedup_events_total{outcome=\"suppressed\"}", 2.0),
        (
            "whatsapp_rejections_total{reason=\"signature_mismatch\"}",
            2.0,
        ),
        ("whatsapp_rejections_total{reason=\"handshake_token\"}", 2.0),
        ("whatsapp_handshakes_total", 1.0),
        // Each layer reports each mistake once.
        (
            "whatsapp_setup_warnings_total{warning=\"path_missed\"}",
            1.0,
        ),
        ("whatsapp_deliveries_in_flight", 0.0),
        ("whatsapp_memory_reserved_bytes", 0.0),
        ("whatsapp_body_size_bytes_count", 5.0),
    ] {
        assert_eq!(value(&scraped, line), expected, "{line} in {scraped}");
    }
    // The keys are counted every ten seconds.
    let keys = value(&scraped, "whatsapp_store_entries");
    assert!((0.0..=3.0).contains(&keys), "{keys}");
    // The age is that of a sample.
    let ages = value(&scraped, "whatsapp_event_lag_seconds_count");
    assert!((1.0..=5.0).contains(&ages), "{ages}");
}

/// Sends everything, until each metric of the documentation is there.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_those_of_the_documentation() {
    let documented = documented::metrics();
    let service = Service::start(&[("FAULTS", "1")]);
    let address = service.address;
    let handshake = Request::get(HANDSHAKE).body("".into()).unwrap();
    send_to(address, handshake).await;
    for request in accepted() {
        send_to(address, request).await;
    }
    for (_, request) in refused() {
        send_to(address, request).await;
    }
    let start = Instant::now();
    let mut scraped = String::new();
    for number in 0.. {
        // Twice, and not one after the other: some of the handlers hang.
        for _ in 0..2 {
            tokio::spawn(send_to(address, signed(&text(number))));
        }
        sleep(Duration::from_millis(50)).await;
        scraped = service.scrape().await;
        let missing: Vec<_> = {
            let there = types(&scraped);
            let all = documented.keys();
            all.filter(|name| !there.contains_key(&***name)).collect()
        };
        if missing.is_empty() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "no {missing:?} in {scraped}");
    }

    for (name, kind) in types(&scraped) {
        let metric = documented
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(kind, metric.kind, "{name}");
        assert!(scraped.contains(&format!("# HELP {name} ")), "{name}");
    }
    let rejections = documented::rejections();
    for series in series(&scraped) {
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| documented.get(series.name.strip_suffix(suffix)?))
            .or_else(|| documented.get(series.name));
        let metric = name.unwrap_or_else(|| panic!("{} is not documented", series.name));
        let labels: BTreeSet<_> = (series.labels.iter().map(|(key, _)| *key))
            .filter(|key| *key != "le")
            .collect();
        // The only app of a layer has no label.
        let expected = metric.labels.keys().map(String::as_str);
        let expected: BTreeSet<_> = expected.filter(|key| *key != "app").collect();
        assert_eq!(labels, expected, "{}", series.name);
        for (key, value) in series.labels {
            let values = match (series.name, key) {
                (_, "le") => continue,
                ("whatsapp_rejections_total", _) => &rejections,
                _ => &metric.labels[key],
            };
            assert!(values.contains(value), "{} {key}={value}", series.name);
        }
        assert!(series.value >= 0.0, "{}", series.name);
    }
    for part in PRIVATE {
        assert!(!scraped.contains(part), "{part} in {scraped}");
    }
}
