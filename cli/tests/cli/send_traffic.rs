//! The options of traffic, as its server sees them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use http::StatusCode;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

use crate::send::{send_to, serve, value};

fn options(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_and_repeats_are_counted_apart() {
    let [few, json] = ["", " --json"].map(|format| {
        format!("--events 5 --rate 1000 --batch 1 --mix messages=1 --duplicate 0{format}")
    });
    for (fails_first, repeat, retries, redelivered) in [(true, "0", 5, 0), (false, "1", 0, 5)] {
        for line in [&few, &json] {
            let seen = Mutex::new(HashSet::new());
            let seen = Arc::new(seen);
            let url = serve(move |message| {
                let is_new = seen.lock().unwrap().insert(message["id"].to_string());
                match is_new && fails_first {
                    true => StatusCode::SERVICE_UNAVAILABLE,
                    false => StatusCode::OK,
                }
            })
            .await;
            let line = [&options(line)[..], &["--repeat", repeat, "--regroup", "0"]].concat();
            let (code, report, _) = send_to(&url, &line).await;
            assert_eq!(code, Some(0), "{report}");
            let expected = [
                ("events", 5),
                ("deliveries", 10),
                ("retries", retries),
                ("redelivered", redelivered),
            ];
            for (name, count) in expected {
                let found = match line.contains(&"--json") {
                    true => serde_json::from_str::<Value>(&report).unwrap()[name].to_string(),
                    false => value(&report, name).to_owned(),
                };
                assert_eq!(found, count.to_string(), "{name} {report}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_does_not_wait_for_the_response() {
    // Each delivery is answered when all ten are there.
    let (arrived, _) = watch::channel(0);
    let arrived = Arc::new(arrived);
    let handler = async move || {
        let mut all = arrived.subscribe();
        arrived.send_modify(|count| *count += 1);
        all.wait_for(|count| *count >= 10).await.unwrap();
    };
    let app = Router::new().route("/webhook", post(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let line = "--events 5 --rate 1000 --batch 1 --duplicate 1 --repeat 0 --timeout 20";
    let (code, report, _) = send_to(&url, &options(line)).await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(value(&report, "deliveries"), "10", "{report}");
    assert_eq!(value(&report, "timed out"), "0", "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_that_of_events_not_of_deliveries() {
    let url = serve(|_| StatusCode::OK).await;
    let line = "--events 30 --rate 20 --batch 1 --mix messages=1 --duplicate 1 --repeat 0";
    let (code, report, _) = send_to(&url, &options(line)).await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(value(&report, "deliveries"), "60");
    let (seconds, rate) = value(&report, "time   ").split_once(" s, ").unwrap();
    let seconds: f64 = seconds.parse().unwrap();
    let rate: f64 = rate.trim_end_matches(" events/s").parse().unwrap();
    // Both are rounded.
    let [least, most] = [-0.5, 0.5].map(|half| (rate + half) * (seconds + half / 10.0));
    assert!(least <= 30.1 && 29.9 <= most, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_weights_of_a_mix_and_the_seed_decide_what_is_sent() {
    let mut sent = Vec::new();
    for (mix, seed) in [
        ("messages=9,statuses=1", "1"),
        ("messages=9,statuses=1", "1"),
        ("messages=1,statuses=9", "1"),
        ("messages=9,statuses=1", "2"),
    ] {
        let kinds = Arc::new(Mutex::new(BTreeMap::new()));
        let handler = {
            let kinds = Arc::clone(&kinds);
            async move |body: String| {
                let body: Value = serde_json::from_str(&body).unwrap();
                let value = &body["entry"][0]["changes"][0]["value"];
                for kind in ["messages", "statuses"] {
                    for event in value[kind].as_array().into_iter().flatten() {
                        let id = event["id"].as_str().unwrap().to_owned();
                        kinds.lock().unwrap().insert(id, kind);
                    }
                }
            }
        };
        let app = Router::new().route("/webhook", post(handler));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await });
        let line = "--events 400 --rate 4000 --batch 1 --duplicate 0 --repeat 0 --json";
        let line = [&options(line)[..], &["--mix", mix, "--seed", seed]].concat();
        let (code, report, _) = send_to(&url, &line).await;
        assert_eq!(code, Some(0), "{report}");
        sent.push(kinds.lock().unwrap().clone());
    }
    let messages = |index: usize| {
        let kinds: &BTreeMap<String, &str> = &sent[index];
        kinds.values().filter(|kind| **kind == "messages").count() * 100 / kinds.len()
    };
    assert!((80..=97).contains(&messages(0)), "{}", messages(0));
    assert!((3..=20).contains(&messages(2)), "{}", messages(2));
    assert_eq!(sent[0], sent[1]);
    assert_ne!(sent[0], sent[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn latencies_are_in_milliseconds_and_the_time_in_seconds() {
    let handler = async || tokio::time::sleep(Duration::from_millis(1100)).await;
    let app = Router::new().route("/webhook", post(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let line = "--events 3 --rate 1000 --duplicate 0 --repeat 0 --timeout 20 --json";
    let (code, report, _) = send_to(&url, &options(line)).await;
    assert_eq!(code, Some(0), "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    for quantile in ["p50", "p90", "p99", "max"] {
        let latency = report["latency_ms"][quantile].as_f64().unwrap();
        assert!(latency >= 1100.0, "{quantile} {report}");
    }
    assert_eq!(report["fraction_above_1_s"], 1.0);
    let seconds = report["seconds"].as_f64().unwrap();
    assert!((1.1..1000.0).contains(&seconds), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_nobody_takes_has_the_reason_in_its_line() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    drop(listener);
    let (code, line, _) = send_to(&url, &["--sample", "text"]).await;
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains("onnect"), "{line}");
    let (code, line, _) = send_to(&url, &["--sample", "text", "--json"]).await;
    assert_eq!(code, Some(1), "{line}");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["sample"], &line["status"]),
        (&"text".into(), &Value::Null)
    );
    assert!(line["error"].as_str().unwrap().contains("onnect"), "{line}");
}
