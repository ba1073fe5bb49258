//! The inbox itself, through the layer.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use sqlx::PgPool;
use test_support::postgres::Server;
use tokio::{
    sync::Semaphore,
    time::{interval, sleep},
};
use tower::{Layer, ServiceExt};
use tower_whatsapp::{WebhookLayer, testing::delivery, webhook::Webhook};
use tower_whatsapp_inbox::{Inbox, InboxEvent, Receiver};

use crate::{
    BoxError, Cpu, Figures, SENDERS, database,
    jobs::{Message, Times, mixed},
    quantiles, size,
};

const SECRET: &str = "secret";

pub(crate) async fn on_postgres(server: &Server, events: usize) -> Result<Figures, BoxError> {
    let pool = database(server, "inbox").await?;
    let inbox = Inbox::postgres(pool.clone()).await?;
    measure(inbox, Some((server, &pool)), events).await
}

pub(crate) async fn on_sqlite(file: &Path, events: usize) -> Result<Figures, BoxError> {
    let inbox = Inbox::sqlite(file).await?;
    let mut figures = measure(inbox, None, events).await?;
    figures.bytes_done = file.metadata()?.len() as f64 / (2 * events) as f64;
    Ok(figures)
}

async fn measure(
    inbox: Inbox,
    postgres: Option<(&Server, &PgPool)>,
    events: usize,
) -> Result<Figures, BoxError> {
    let server = postgres.map(|(server, _)| server);
    let mut figures = Figures::default();
    let alone: Vec<_> = Message::many("a", events)
        .into_iter()
        .map(|message| vec![message])
        .collect();
    let time = store(&inbox, alone).await?;
    figures.stored_alone = events as f64 / time.as_secs_f64();
    let deliveries = mixed(&Message::many("m", events));
    let cpu = Cpu::of(server);
    let time = store(&inbox, deliveries).await?;
    figures.stored_mixed = events as f64 / time.as_secs_f64();
    figures.cpu_stored = Cpu::of(server).since(&cpu).as_micros() as f64 / events as f64;
    if let Some((_, pool)) = postgres {
        figures.bytes = size(pool).await? / (2 * events) as f64;
    }
    let large = large();
    let (count, start) = (large.len(), Instant::now());
    store(&inbox, vec![large]).await?;
    println!(
        "  a delivery of 3 MB with {count} events: {:?}",
        start.elapsed()
    );

    let total = 2 * events + count;
    let (cpu, start) = (Cpu::of(server), Instant::now());
    let worker = inbox.worker(|_: InboxEvent| async { Ok::<_, String>(()) });
    let all = async {
        while inbox.counters().handled < total as u64 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    worker.concurrency(SENDERS).run(all).await;
    figures.handled = total as f64 / start.elapsed().as_secs_f64();
    figures.cpu_handled = Cpu::of(server).since(&cpu).as_micros() as f64 / total as f64;
    if let Some((_, pool)) = postgres {
        figures.bytes_done = size(pool).await? / total as f64;
    }
    (figures.median, figures.p99) = latency(&inbox).await?;
    Ok(figures)
}

/// As many as fit into 3 MB.
fn large() -> Vec<Message> {
    let mut messages = Message::many("l", 6_000);
    let one = messages
        .first()
        .map_or(1, |message| message.sample().body().len());
    messages.truncate(3_000_000 / one.saturating_sub(60).max(1));
    messages
}

async fn latency(inbox: &Inbox) -> Result<(Duration, Duration), BoxError> {
    let times = Times::default();
    let started = times.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        started.started(event.event().id().unwrap_or_default());
        async { Ok::<_, String>(()) }
    });
    let traffic = async {
        sleep(Duration::from_millis(500)).await;
        let mut ticks = interval(Duration::from_millis(5));
        let mut sending = Vec::new();
        for message in Message::many("t", 1_000) {
            ticks.tick().await;
            let (inbox, times) = (inbox.clone(), times.clone());
            sending.push(tokio::spawn(async move {
                let id = message.id.clone();
                post(&inbox, &[message]).await?;
                times.acknowledged(&id);
                Ok::<_, BoxError>(())
            }));
        }
        for sent in sending {
            sent.await??;
        }
        while times.waited().len() < 1_000 {
            sleep(Duration::from_millis(10)).await;
        }
        Ok::<_, BoxError>(())
    };
    let mut result = Ok(());
    worker.run(async { result = traffic.await }).await;
    result?;
    Ok(quantiles(times.waited()))
}

async fn store(inbox: &Inbox, deliveries: Vec<Vec<Message>>) -> Result<Duration, BoxError> {
    let limit = Arc::new(Semaphore::new(SENDERS));
    let mut sending = Vec::new();
    let bodies: Vec<_> = deliveries.iter().map(|messages| body(messages)).collect();
    let start = Instant::now();
    for body in bodies {
        let permit = Arc::clone(&limit).acquire_owned().await?;
        let inbox = inbox.clone();
        sending.push(tokio::spawn(async move {
            let _permit = permit;
            post_body(&inbox, body).await
        }));
    }
    for sent in sending {
        sent.await??;
    }
    Ok(start.elapsed())
}

pub(crate) fn body(messages: &[Message]) -> bytes::Bytes {
    let mut samples = messages.iter().map(Message::sample);
    let first = samples.next().map_or_else(Default::default, |first| {
        samples
            .fold(first, tower_whatsapp::testing::sample::Sample::and)
            .body()
    });
    first
}

async fn post(inbox: &Inbox, messages: &[Message]) -> Result<(), BoxError> {
    post_body(inbox, body(messages)).await
}

async fn post_body(inbox: &Inbox, body: bytes::Bytes) -> Result<(), BoxError> {
    post_to(service(inbox)?, body).await
}

pub(crate) fn service(inbox: &Inbox) -> Result<Webhook<Receiver>, BoxError> {
    let layer = WebhookLayer::new("/webhook", SECRET, "token")?;
    Ok(layer.layer(inbox.receiver()))
}

pub(crate) async fn post_to(
    service: Webhook<Receiver>,
    body: bytes::Bytes,
) -> Result<(), BoxError> {
    let request = delivery("/webhook", body, SECRET).map(Full::new);
    let response = service.oneshot(request).await?;
    match response.status().as_u16() {
        200 => Ok(()),
        status => Err(format!("status {status}").into()),
    }
}
