//! Receivers and workers on databases that fail: errors, delays, and commits whose answer is lost.
//!
//! `cargo test -p tower-whatsapp-inbox --features testing --test faults -- SEEDS [FIRST]` runs as
//! many seeds on each database. A seed decides deliveries, settings and the rate of faults; what
//! happens when is up to the machine.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use http::StatusCode;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower_whatsapp_inbox::{
    Inbox, InboxBatch, InboxError, InboxEvent, StoredEvent,
    testing::{Fault, Moment, Point, set_hook},
};

use self::common::{Db, PATIENCE, message, messages, post};

/// Inboxes at the same time. They mostly wait.
const AT_ONCE: usize = 12;
const LEASE: Duration = Duration::from_millis(400);

/// Faults in per mille, one after the other: the hook does not know which inbox asks.
const RATES: [u64; 3] = [20, 60, 150];
/// Enough seeds for each point to have its faults.
const ENOUGH: u64 = 20;

/// Points that each run passes often. `Recount`, `Purge` and what operators ask are elsewhere.
const POINTS: [(Point, &[Moment]); 12] = {
    const BOTH: &[Moment] = &[Moment::Before, Moment::After];
    const BEFORE: &[Moment] = &[Moment::Before];
    [
        (Point::Store, BOTH),
        (Point::Answer, BEFORE),
        (Point::Claim, BOTH),
        (Point::Fetch, BOTH),
        (Point::Handle, BEFORE),
        (Point::Mark, BOTH),
        (Point::Commit, BOTH),
        (Point::Complete, BOTH),
        (Point::Fail, BOTH),
        (Point::Outcome, BOTH),
        (Point::Renew, BOTH),
        (Point::NextWake, BOTH),
    ]
};

/// Faults that were injected, by the names of point and moment.
static FAULTS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What the harness of cargo asks.
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let number = |at: usize| {
        let number = |text: &String| text.parse::<u64>().expect("SEEDS and FIRST are numbers");
        arguments.get(at).map(number)
    };
    assert!(arguments.len() <= 2, "unexpected: {arguments:?}");
    let seeds = number(0).unwrap_or(ENOUGH);
    let first = number(1).unwrap_or(0);
    assert!(seeds > 0, "no seeds");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for is_sqlite in [true, false] {
            check(is_sqlite, first..first + seeds).await;
        }
    });
}

/// The rate of the seeds that run at this time.
static RATE: AtomicU64 = AtomicU64::new(0);

fn name(point: Point, moment: Moment) -> String {
    format!("{moment:?} {point:?}")
}

fn faults(point: Point, moment: Moment) -> Fault {
    // Asking for the status is what the test itself does.
    let is_own = matches!(point, Point::Status | Point::Migrate | Point::DeadLetters);
    // These are passed seldom.
    let is_rare = matches!(point, Point::Renew | Point::Outcome);
    let rate = RATE.load(Ordering::Relaxed) * if is_rare { 4 } else { 1 };
    if is_own || fastrand::u64(..1000) >= rate {
        return Fault::None;
    }
    *FAULTS
        .lock()
        .unwrap()
        .entry(name(point, moment))
        .or_default() += 1;
    match fastrand::u8(..8) {
        0 => Fault::Delay(Duration::from_millis(fastrand::u64(1..300))),
        _ => Fault::Error,
    }
}

async fn check(is_sqlite: bool, seeds: std::ops::Range<u64>) {
    set_hook(faults);
    FAULTS.lock().unwrap().clear();
    let limit = Arc::new(Semaphore::new(AT_ONCE));
    // Keeps the server of PostgreSQL alive.
    let _shared = if is_sqlite {
        None
    } else {
        Some(Db::postgres().await)
    };
    let count = seeds.end - seeds.start;
    let (mut sum, mut wrong) = (Outcome::default(), Vec::new());
    for (turn, rate) in (0..).zip(RATES) {
        RATE.store(rate, Ordering::Relaxed);
        let mut tasks = Vec::new();
        for seed in seeds.clone().filter(|seed| seed % 3 == turn) {
            let limit = limit.clone();
            tasks.push(tokio::spawn(async move {
                let _permit = limit.acquire().await.unwrap();
                let db = if is_sqlite {
                    Db::sqlite().await
                } else {
                    Db::postgres().await
                };
                (seed, one(db, seed).await)
            }));
        }
        for task in tasks {
            let (seed, one) = task.await.unwrap();
            sum.events += one.events;
            sum.runs += one.runs;
            if one.lost + one.doubled + one.out_of_order + one.dead > 0 {
                wrong.push((seed, one.clone()));
            }
        }
    }
    let faults = FAULTS.lock().unwrap().clone();
    println!(
        "{}: {count} seeds, {} events, {} runs, wrong: {wrong:?}, faults: {faults:?}",
        if is_sqlite { "sqlite" } else { "postgres" },
        sum.events,
        sum.runs,
    );
    assert!(wrong.is_empty());
    for (point, moments) in POINTS.iter().filter(|_| count >= ENOUGH) {
        for moment in *moments {
            let name = name(*point, *moment);
            assert!(faults.contains_key(&name), "no fault at {name}");
        }
    }
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

const PAUSE: Duration = Duration::from_millis(10);

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("not in time: {what}"))
}

type Runs = Arc<Mutex<Vec<String>>>;

async fn one(db: Db, seed: u64) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let mut builder = Inbox::builder().store_timeout(Duration::from_millis(250));
    if rng.bool() {
        builder = builder.gather(Duration::from_millis(40), Duration::from_millis(120));
    }
    // Databases that were just created may be busy.
    let opening = async {
        loop {
            if let Ok(inbox) = db.open(builder.clone()).await {
                break inbox;
            }
            sleep(PAUSE).await;
        }
    };
    let inbox = in_time("the inbox is open", opening).await;
    db.execute("CREATE TABLE effects (n INTEGER, id TEXT)")
        .await;
    let persons = rng.u64(1..6);
    let ids: Vec<_> = (0..30_u64)
        .map(|n| format!("{}:{}", n % persons, 100 + n / persons))
        .collect();
    // Everything is stored before it is handled, so that the order is known.
    deliver(&inbox, &mut rng, &ids).await;
    let (runs, in_batches) = (Runs::default(), rng.bool());
    // Most mark their events in a transaction of theirs, the others leave it to the worker.
    let effects = (rng.u8(..3) > 0).then_some(db.is_sqlite());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let workers: Vec<_> = (0..rng.usize(1..3))
        .map(|_| {
            let (runs, mut stopped) = (runs.clone(), stopped.clone());
            let worker = if in_batches {
                inbox.batch_worker(move |batch| on_batch(batch, runs.clone(), effects))
            } else {
                inbox.worker(move |event| on_event(event, runs.clone(), effects))
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
    let emptying = async {
        loop {
            let status = inbox.status().await.unwrap();
            if status.messages == 0 {
                break status;
            }
            sleep(PAUSE).await;
        }
    };
    let status = in_time("everything is handled", emptying).await;
    stop.send_replace(true);
    for worker in workers {
        worker.await.unwrap();
    }
    let mut result = judge(&runs.lock().unwrap(), &ids);
    result.dead = usize::try_from(status.dead).unwrap();
    let all = db.count("SELECT count(*) FROM effects").await;
    let distinct = db.count("SELECT count(DISTINCT id) FROM effects").await;
    result.doubled = usize::try_from(all - distinct).unwrap();
    let expected = effects.map_or(0, |_| ids.len() as i64);
    result.lost += usize::try_from(expected - distinct).unwrap();
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
        let posting = async {
            while post(inbox, body.clone()).await != StatusCode::OK {
                sleep(PAUSE).await;
            }
        };
        in_time("it is answered with 200", posting).await;
        left = later;
    }
}

/// `effects`: in a transaction, and whether that is of SQLite.
async fn on_event(event: InboxEvent, runs: Runs, effects: Option<bool>) -> Result<(), InboxError> {
    note(&event, &runs);
    let Some(is_sqlite) = effects else {
        return Ok(());
    };
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

async fn on_batch(batch: InboxBatch, runs: Runs, effects: Option<bool>) -> Result<(), InboxError> {
    batch.events().iter().for_each(|event| note(event, &runs));
    let Some(is_sqlite) = effects else {
        return Ok(());
    };
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
