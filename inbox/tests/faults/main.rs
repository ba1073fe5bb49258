//! Receivers and workers on databases that fail: errors, delays, and commits whose answer is lost.
//!
//! `cargo test -p tower-whatsapp-inbox --features testing --test faults -- SEEDS [FIRST]` runs as
//! many seeds on each database. A seed decides deliveries, settings and the rates of faults; what
//! happens when is up to the machine.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use http::StatusCode;
use tokio::{sync::Semaphore, time::sleep};
use tower_whatsapp_inbox::{
    Inbox, InboxBatch, InboxError, InboxEvent, StoredEvent,
    testing::{Fault, Point, set_hook},
};

use self::common::{Db, message, messages, post};

/// Inboxes at the same time. They mostly wait.
const AT_ONCE: usize = 12;
const LEASE: Duration = Duration::from_millis(400);

static FAULTS: AtomicU64 = AtomicU64::new(0);

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let seeds = numbers.first().copied().unwrap_or(20);
    let first = numbers.get(1).copied().unwrap_or(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for is_sqlite in [true, false] {
            check(is_sqlite, first..first + seeds).await;
        }
    });
}

/// Faults in per mille: the same for all seeds that run at the same time.
static RATE: AtomicU64 = AtomicU64::new(0);

fn faults(point: Point) -> Fault {
    // Asking for the status is what the test itself does.
    let is_own = matches!(point, Point::Status | Point::Migrate | Point::DeadLetters);
    let rate = RATE.load(Ordering::Relaxed);
    if is_own || fastrand::u64(..1000) >= rate {
        return Fault::None;
    }
    FAULTS.fetch_add(1, Ordering::Relaxed);
    match fastrand::u8(..8) {
        0 => Fault::Delay(Duration::from_millis(fastrand::u64(1..300))),
        _ => Fault::Error,
    }
}

async fn check(is_sqlite: bool, seeds: std::ops::Range<u64>) {
    set_hook(|point, _| faults(point));
    FAULTS.store(0, Ordering::Relaxed);
    let limit = Arc::new(Semaphore::new(AT_ONCE));
    // Keeps the server of PostgreSQL alive.
    let _shared = if is_sqlite {
        None
    } else {
        Some(Db::postgres().await)
    };
    let mut tasks = Vec::new();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let limit = limit.clone();
        tasks.push(tokio::spawn(async move {
            let _permit = limit.acquire().await.unwrap();
            RATE.store([20, 60, 150][(seed % 3) as usize], Ordering::Relaxed);
            let db = if is_sqlite {
                Db::sqlite().await
            } else {
                Db::postgres().await
            };
            (seed, one(db, seed).await)
        }));
    }
    let (mut sum, mut wrong) = (Outcome::default(), Vec::new());
    for task in tasks {
        let (seed, one) = task.await.unwrap();
        sum.events += one.events;
        sum.runs += one.runs;
        if one.lost + one.doubled + one.out_of_order + one.dead > 0 {
            wrong.push((seed, one.clone()));
        }
    }
    println!(
        "{}: {count} seeds, {} events, {} runs, {} faults, wrong: {wrong:?}",
        if is_sqlite { "sqlite" } else { "postgres" },
        sum.events,
        sum.runs,
        FAULTS.load(Ordering::Relaxed),
    );
    assert!(wrong.is_empty());
}

#[derive(Debug, Default, Clone)]
struct Outcome {
    events: usize,
    runs: usize,
    lost: usize,
    doubled: usize,
    out_of_order: usize,
    dead: usize,
}

type Runs = Arc<Mutex<Vec<String>>>;

async fn one(db: Db, seed: u64) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let mut builder = Inbox::builder().store_timeout(Duration::from_millis(250));
    if rng.bool() {
        builder = builder.gather(Duration::from_millis(40), Duration::from_millis(120));
    }
    let inbox = loop {
        // Databases that were just created may be busy.
        if let Ok(inbox) = db.open(builder.clone()).await {
            break inbox;
        }
    };
    db.execute("CREATE TABLE effects (n INTEGER, id TEXT)")
        .await;
    let persons = rng.u64(1..6);
    let ids: Vec<_> = (0..30_u64)
        .map(|n| format!("{}:{}", n % persons, 100 + n / persons))
        .collect();
    // Everything is stored before it is handled, so that the order is known.
    deliver(&inbox, &mut rng, &ids).await;
    let (runs, in_batches) = (Runs::default(), rng.bool());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let workers: Vec<_> = (0..rng.usize(1..3))
        .map(|_| {
            let (runs, is_sqlite, mut stopped) = (runs.clone(), db.is_sqlite(), stopped.clone());
            let worker = if in_batches {
                inbox.batch_worker(move |batch| on_batch(batch, runs.clone(), is_sqlite))
            } else {
                inbox.worker(move |event| on_event(event, runs.clone(), is_sqlite))
            };
            let worker = worker
                .concurrency(4)
                .lease(LEASE)
                .max_attempts(1000)
                .backoff(Duration::from_millis(10), Duration::from_millis(20))
                .poll_interval(Duration::from_millis(50));
            tokio::spawn(worker.run(async move { drop(stopped.wait_for(|stop| *stop).await) }))
        })
        .collect();
    // Again, in another grouping.
    deliver(&inbox, &mut rng, &ids).await;
    let status = loop {
        let status = inbox.status().await.unwrap();
        if status.messages == 0 {
            break status;
        }
        sleep(Duration::from_millis(20)).await;
    };
    stop.send_replace(true);
    for worker in workers {
        worker.await.unwrap();
    }
    let mut result = judge(&runs.lock().unwrap(), &ids);
    result.dead = usize::try_from(status.dead).unwrap();
    let all = db.count("SELECT count(*) FROM effects").await;
    let distinct = db.count("SELECT count(DISTINCT id) FROM effects").await;
    result.doubled = usize::try_from(all - distinct).unwrap();
    result.lost += usize::try_from(ids.len() as i64 - distinct).unwrap();
    // What was stored is there once.
    let stored = db.count("SELECT count(*) FROM whatsapp_inbox_event").await;
    assert_eq!(stored, ids.len() as i64);
    db.remove().await;
    result
}

/// Delivers until everything is answered with 200.
async fn deliver(inbox: &Inbox, rng: &mut Rng, ids: &[String]) {
    let mut left = ids;
    while !left.is_empty() {
        let (now, later) = left.split_at(rng.usize(1..9).min(left.len()));
        let item = |id: &String| {
            let (person, number) = id.split_once(':').unwrap();
            message(&format!("49{person}"), id, number.parse().unwrap())
        };
        let body = messages(&now.iter().map(item).collect::<Vec<_>>());
        while post(inbox, body.clone()).await != StatusCode::OK {
            sleep(Duration::from_millis(2)).await;
        }
        left = later;
    }
}

async fn on_event(event: InboxEvent, runs: Runs, is_sqlite: bool) -> Result<(), InboxError> {
    note(&event, &runs);
    let id = event.event().id().unwrap().to_owned();
    if is_sqlite {
        let mut transaction = event.begin_sqlite().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES (?1)").bind(id);
        insert.execute(&mut **transaction).await?;
        transaction.done().await
    } else {
        let mut transaction = event.begin_postgres().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES ($1)").bind(id);
        insert.execute(&mut **transaction).await?;
        transaction.done().await
    }
}

async fn on_batch(batch: InboxBatch, runs: Runs, is_sqlite: bool) -> Result<(), InboxError> {
    batch.events().iter().for_each(|event| note(event, &runs));
    let ids = batch
        .events()
        .iter()
        .map(|event| event.event().id().unwrap().to_owned());
    if is_sqlite {
        let mut transaction = batch.begin_sqlite().await?;
        for id in ids {
            let insert = sqlx::query("INSERT INTO effects (id) VALUES (?1)").bind(id);
            insert.execute(&mut **transaction).await?;
        }
        transaction.done().await
    } else {
        let mut transaction = batch.begin_postgres().await?;
        for id in ids {
            let insert = sqlx::query("INSERT INTO effects (id) VALUES ($1)").bind(id);
            insert.execute(&mut **transaction).await?;
        }
        transaction.done().await
    }
}

fn note(event: &StoredEvent, runs: &Runs) {
    runs.lock()
        .unwrap()
        .push(event.event().id().unwrap().to_owned());
}

fn judge(runs: &[String], ids: &[String]) -> Outcome {
    let mut firsts: HashMap<&str, Vec<&str>> = HashMap::new();
    for id in runs {
        let (person, _) = id.split_once(':').unwrap();
        let first = firsts.entry(person).or_default();
        if !first.contains(&id.as_str()) {
            first.push(id);
        }
    }
    let disordered = |ids: &Vec<&str>| ids.windows(2).filter(|pair| pair[0] > pair[1]).count();
    Outcome {
        events: ids.len(),
        runs: runs.len(),
        lost: ids.iter().filter(|id| !runs.contains(id)).count(),
        out_of_order: firsts.values().map(disordered).sum(),
        ..Outcome::default()
    }
}
