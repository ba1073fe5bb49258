//! Several processes on one database: each has its own layer, its own store and its own pool.

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
/// Rounds that go on at the same time, because most of their time is spent waiting.
const AT_ONCE: usize = 20;

/// Sends one new event per round to all layers at once, while their handlers fail. Returns how many
/// answers were 200, and how many times a handler was called.
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
                // Meta's repetitions that wait see each other's releases, and a busy machine is no
                // outage.
                .in_flight_wait(Duration::from_millis(200))
                .store_timeout(Duration::from_secs(2))
                .build()
                .unwrap();
            let webhook = WebhookLayer::new(PATH, SECRET, "token").unwrap();
            webhook.layer(dedup.layer(handler))
        })
        .collect();
    let mut good = 0;
    for first in (0..rounds).step_by(AT_ONCE) {
        let mut answers = JoinSet::new();
        for round in first..rounds.min(first + AT_ONCE) {
            let sample = sample::text("hi").id(format!("wamid.{round}"));
            for service in services.iter().cloned() {
                let request = delivery(PATH, sample.body(), SECRET).map(Full::new);
                answers.spawn(async move { service.oneshot(request).await.unwrap().status() });
            }
        }
        for status in answers.join_all().await {
            good += usize::from(status == StatusCode::OK);
        }
    }
    (good, calls.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_while_every_handler_fails() {
    let server = Server::start().await;
    let mut stores = Vec::new();
    for _ in 0..LAYERS {
        stores.push(server.store().await);
    }
    let (good, calls) = rounds(stores, ROUNDS).await;
    println!("{ROUNDS} rounds, {LAYERS} layers: {calls} calls of a handler, {good} answers of 200");
    assert!(calls >= ROUNDS, "each event was tried: {calls}");
    assert_eq!(good, 0);
}

/// So the test above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_old_recipe_something_is() {
    let server = Server::start().await;
    let mut stores = Vec::new();
    for _ in 0..LAYERS {
        stores.push(OldRecipe::new(server.pool().await));
    }
    let (good, _) = rounds(stores, 300).await;
    println!("300 rounds: {good} answers of 200");
    assert!(good > 0);
}
