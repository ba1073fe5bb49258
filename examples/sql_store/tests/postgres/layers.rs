//! Simulates several processes that share a database: each layer has its own store
//! and connection pool.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    WebhookLayer,
    dedup::{DedupLayer, Store},
    testing::{delivery, sample},
    webhook::RequestBody,
};

use super::{old_recipe::OldRecipe, server::Server};

const PATH: &str = "/webhook";
const SECRET: &str = "secret";
const LAYERS: usize = 4;
const ROUNDS: usize = 2_000;
/// Concurrent rounds. Most of a round is waiting.
const CONCURRENT_ROUNDS: usize = 20;

/// Sends one new event per round to all layers at once. All handlers fail. Returns the number of
/// responses with 200, and the number of handler calls.
async fn rounds<S: Store>(stores: Vec<S>, rounds: usize) -> (usize, usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let services: Vec<_> = stores
        .into_iter()
        .map(|store| {
            let calls = Arc::clone(&calls);
            let handler = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
                calls.fetch_add(1, Ordering::Relaxed);
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                async { Ok::<_, Infallible>(response) }
            });
            let dedup = DedupLayer::builder(store)
                // Waiting duplicates then see each other's releases, and a slow machine does not
                // count as a store failure.
                .in_flight_wait(Duration::from_millis(200))
                .store_timeout(Duration::from_secs(2))
                .build()
                .unwrap();
            let webhook = WebhookLayer::new(PATH, SECRET, "token").unwrap();
            webhook.layer(dedup.layer(handler))
        })
        .collect();
    let mut good = 0;
    for first in (0..rounds).step_by(CONCURRENT_ROUNDS) {
        let mut responses = JoinSet::new();
        for round in first..rounds.min(first + CONCURRENT_ROUNDS) {
            let sample = sample::text("hi").id(format!("wamid.{round}"));
            for service in services.iter().cloned() {
                let request = delivery(PATH, sample.body(), SECRET).map(Full::new);
                responses.spawn(async move { service.oneshot(request).await.unwrap().status() });
            }
        }
        for status in responses.join_all().await {
            good += usize::from(status == StatusCode::OK);
        }
    }
    (good, calls.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_events_are_never_recorded_as_done() {
    let server = Server::start().await;
    let mut stores = Vec::new();
    for _ in 0..LAYERS {
        stores.push(server.store().await);
    }
    let (good, calls) = rounds(stores, ROUNDS).await;
    println!("{ROUNDS} rounds, {LAYERS} layers: {calls} handler calls, {good} responses of 200");
    assert!(calls >= ROUNDS, "each event was tried: {calls}");
    assert_eq!(good, 0);
}

/// Shows that the test above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_recipe_records_failed_events_as_done() {
    let server = Server::start().await;
    let mut stores = Vec::new();
    for _ in 0..LAYERS {
        stores.push(OldRecipe::new(server.pool().await));
    }
    let (good, _) = rounds(stores, 300).await;
    println!("300 rounds: {good} responses of 200");
    assert!(good > 0);
}
