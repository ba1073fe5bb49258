//! apalis on PostgreSQL, woken by notifications. It has no order per conversation.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use serde::{Deserialize, Serialize};
use test_support::postgres::Server;
use tokio::{
    sync::Semaphore,
    time::{interval, sleep},
};

use crate::{
    BoxError, Cpu, Figures, SENDERS, database,
    jobs::{Message, Times, mixed},
    quantiles, size,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    id: String,
    event: String,
}

pub(crate) async fn measure(server: &Server, events: usize) -> Result<Figures, BoxError> {
    let pool = database(server, "apalis").await?;
    PostgresStorage::setup(&pool).await?;
    let config = || Config::default().queue("events").batch_size(SENDERS * 4);
    let storage = PostgresStorage::<Job>::new(&pool).with_config(config());
    let push = |messages: Vec<Message>| {
        let mut storage = storage.clone();
        async move {
            let job = |message: &Message| Job {
                id: message.id.clone(),
                event: message.job(),
            };
            let jobs = messages.iter().map(job).collect();
            storage
                .push_bulk(jobs)
                .await
                .map_err(|error| BoxError::from(error.to_string()))
        }
    };
    let mut figures = Figures::default();
    let store = async |deliveries: Vec<Vec<Message>>| {
        let limit = Arc::new(Semaphore::new(SENDERS));
        let mut sending = Vec::new();
        let start = Instant::now();
        for delivery in deliveries {
            let permit = Arc::clone(&limit).acquire_owned().await?;
            let push = push(delivery);
            sending.push(tokio::spawn(async move {
                let _permit = permit;
                push.await
            }));
        }
        for sent in sending {
            sent.await??;
        }
        Ok::<_, BoxError>(start.elapsed())
    };
    let alone = Message::many("a", events)
        .into_iter()
        .map(|message| vec![message])
        .collect();
    figures.stored_alone = events as f64 / store(alone).await?.as_secs_f64();
    let deliveries = mixed(&Message::many("m", events));
    let cpu = Cpu::of(Some(server));
    figures.stored_mixed = events as f64 / store(deliveries).await?.as_secs_f64();
    figures.cpu_stored = Cpu::of(Some(server)).since(&cpu).as_micros() as f64 / events as f64;
    figures.bytes = size(&pool).await? / (2 * events) as f64;

    let times = Times::default();
    let started = times.clone();
    let backend = PostgresStorage::<Job>::new(&pool)
        .with_config(config())
        .with_pubsub();
    let worker = WorkerBuilder::new("bench")
        .backend(backend)
        .data(started)
        .parallelize(tokio::spawn)
        .build(handle);
    let watch = async {
        let (cpu, start) = (Cpu::of(Some(server)), Instant::now());
        while times.count() < 2 * events && start.elapsed() < Duration::from_secs(120) {
            sleep(Duration::from_millis(10)).await;
        }
        let handled = times.count() as f64;
        figures.handled = handled / start.elapsed().as_secs_f64();
        figures.cpu_handled = Cpu::of(Some(server)).since(&cpu).as_micros() as f64 / handled;
        figures.bytes_done = size(&pool).await? / (2 * events) as f64;
        let mut ticks = interval(Duration::from_millis(5));
        let mut sending = Vec::new();
        for message in Message::many("t", 1_000) {
            ticks.tick().await;
            let times = times.clone();
            let id = message.id.clone();
            let push = push(vec![message]);
            sending.push(tokio::spawn(async move {
                push.await?;
                times.acknowledged(&id);
                Ok::<_, BoxError>(())
            }));
        }
        for sent in sending {
            sent.await??;
        }
        let start = Instant::now();
        while times.waited().len() < 1_000 && start.elapsed() < Duration::from_secs(30) {
            sleep(Duration::from_millis(10)).await;
        }
        (figures.median, figures.p99) = quantiles(times.waited());
        Ok::<_, BoxError>(())
    };
    // Not spawned: its future is not general enough.
    tokio::select! {
        ended = worker.run() => return Err(format!("the worker ended: {ended:?}").into()),
        watched = watch => watched?,
    }
    Ok(figures)
}

async fn handle(job: Job, times: Data<Times>) -> Result<(), BoxDynError> {
    times.started(&job.id);
    Ok(())
}
