//! graphile_worker, with a serial queue for each conversation, and without an order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions,
    WorkerUtils,
};
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

/// Of the measurement that runs: handlers have no state of their own.
static TIMES: Mutex<Option<Times>> = Mutex::new(None);

/// Time for all events. What was handled until then counts.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Serialize, Deserialize)]
struct Job {
    id: String,
    event: String,
}

impl TaskHandler for Job {
    const IDENTIFIER: &'static str = "event";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        let times = TIMES.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(times) = times {
            times.started(&self.id);
        }
        Ok::<(), String>(())
    }
}

pub(crate) async fn measure(
    server: &Server,
    events: usize,
    is_ordered: bool,
) -> Result<Figures, BoxError> {
    let name = if is_ordered {
        "graphile_ordered"
    } else {
        "graphile"
    };
    let pool = database(server, name).await?;
    let worker = WorkerOptions::default()
        .pg_pool(pool.clone())
        .concurrency(SENDERS)
        // Its fastest setting: it fetches many jobs at once.
        .local_queue(LocalQueueConfig::builder().size(500).build())
        .listen_os_shutdown_signals(false)
        .define_job::<Job>()
        .init()
        .await?;
    let utils = Arc::new(worker.create_utils());
    let times = Times::default();
    *TIMES.lock().unwrap_or_else(PoisonError::into_inner) = Some(times.clone());
    let mut figures = Figures::default();
    let alone = Message::many("a", events)
        .into_iter()
        .map(|message| vec![message])
        .collect();
    let time = store(&utils, alone, is_ordered).await?;
    figures.stored_alone = events as f64 / time.as_secs_f64();
    let deliveries = mixed(&Message::many("m", events));
    let cpu = Cpu::of(Some(server));
    let time = store(&utils, deliveries, is_ordered).await?;
    figures.stored_mixed = events as f64 / time.as_secs_f64();
    figures.cpu_stored = Cpu::of(Some(server)).since(&cpu).as_micros() as f64 / events as f64;
    figures.bytes = size(&pool).await? / (2 * events) as f64;
    let (cpu, start) = (Cpu::of(Some(server)), Instant::now());
    let running = tokio::spawn(async move { drop(worker.run().await) });
    while times.count() < 2 * events {
        sleep(Duration::from_millis(10)).await;
        if start.elapsed() > LIMIT {
            break;
        }
    }
    let handled = times.count() as f64;
    figures.handled = handled / start.elapsed().as_secs_f64();
    figures.cpu_handled = Cpu::of(Some(server)).since(&cpu).as_micros() as f64 / handled;
    let mut ticks = interval(Duration::from_millis(5));
    let mut sending = Vec::new();
    for message in Message::many("t", 1_000) {
        ticks.tick().await;
        let (utils, times) = (Arc::clone(&utils), times.clone());
        sending.push(tokio::spawn(async move {
            let id = message.id.clone();
            push(&utils, vec![message], is_ordered).await?;
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
    running.abort();
    Ok(figures)
}

async fn store(
    utils: &Arc<WorkerUtils>,
    deliveries: Vec<Vec<Message>>,
    is_ordered: bool,
) -> Result<Duration, BoxError> {
    let limit = Arc::new(Semaphore::new(SENDERS));
    let mut sending = Vec::new();
    let start = Instant::now();
    for delivery in deliveries {
        let permit = Arc::clone(&limit).acquire_owned().await?;
        let utils = Arc::clone(utils);
        sending.push(tokio::spawn(async move {
            let _permit = permit;
            push(&utils, delivery, is_ordered).await
        }));
    }
    for sent in sending {
        sent.await??;
    }
    Ok(start.elapsed())
}

async fn push(
    utils: &WorkerUtils,
    messages: Vec<Message>,
    is_ordered: bool,
) -> Result<(), BoxError> {
    let specs: Vec<_> = messages
        .iter()
        .map(|message| {
            if is_ordered {
                let queue = message.conversation.clone();
                JobSpec::builder().queue_name(queue).build()
            } else {
                JobSpec::default()
            }
        })
        .collect();
    let job = |message: &Message| Job {
        id: message.id.clone(),
        event: message.job(),
    };
    let jobs: Vec<_> = messages.iter().map(job).zip(&specs).collect();
    utils.add_jobs(&jobs).await?;
    Ok(())
}
