//! One process, killed at a labelled point, and another that goes on.

use std::{collections::HashMap, fs, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    child::{Orders, entry},
    common::Db,
    process::Process,
};

const POINTS: [&str; 17] = [
    "before-store",
    "after-store",
    "before-answer",
    "before-claim",
    "after-claim",
    "after-fetch",
    "before-handle",
    "in-handler",
    "effect-written",
    "before-mark",
    "after-mark",
    "after-commit",
    "before-complete",
    "after-complete",
    "before-fail",
    "after-fail",
    "after-renew",
];

const PERSONS: u64 = 6;
const EVENTS: u64 = 60;
/// Answers other than 200 that one process may give, each after seconds on a busy machine.
const MAX_REFUSED: u32 = 60;
/// Runs at the same time: they mostly wait for a lease to expire.
const AT_ONCE: usize = 8;

#[derive(Default, Clone, Copy)]
struct Sum {
    killed: u32,
    /// Events that nobody has finished, or without their effect.
    lost: usize,
    dead: i64,
    extra: usize,
    most_extra: usize,
    doubled_effects: usize,
    out_of_order: usize,
}

pub(crate) async fn check(runs: u64) {
    let mut failed = false;
    for is_sqlite in [true, false] {
        let limit = Arc::new(Semaphore::new(AT_ONCE));
        // Keeps the server of PostgreSQL alive.
        let _shared = if is_sqlite {
            None
        } else {
            Some(Db::postgres().await)
        };
        for point in POINTS {
            let mut tasks = Vec::new();
            for run in 0..runs {
                let limit = limit.clone();
                tasks.push(tokio::spawn(async move {
                    let _permit = limit.acquire().await.unwrap();
                    let db = if is_sqlite {
                        Db::sqlite().await
                    } else {
                        Db::postgres().await
                    };
                    one(db, point, run).await
                }));
            }
            let mut sum = Sum::default();
            for task in tasks {
                let one = task.await.unwrap();
                sum.killed += one.killed;
                sum.lost += one.lost;
                sum.dead += one.dead;
                sum.extra += one.extra;
                sum.most_extra = sum.most_extra.max(one.extra);
                sum.doubled_effects += one.doubled_effects;
                sum.out_of_order += one.out_of_order;
            }
            println!(
                "{:8} {point:16} runs {runs:3} killed {:3} lost {} dead {} extra {:3} most {} doubled {} disordered {}",
                if is_sqlite { "sqlite" } else { "postgres" },
                sum.killed,
                sum.lost,
                sum.dead,
                sum.extra,
                sum.most_extra,
                sum.doubled_effects,
                sum.out_of_order
            );
            let wrong = sum.lost + sum.doubled_effects + sum.out_of_order;
            failed |=
                wrong > 0 || sum.dead > 0 || sum.most_extra > 1 || u64::from(sum.killed) < runs;
        }
    }
    assert!(!failed, "see above");
}

pub(crate) const DEAD: &str = "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 2";

/// All events in the order in which they happened.
fn ids() -> Vec<String> {
    (0..EVENTS)
        .map(|n| format!("{}:{}", n % PERSONS, 1000 + n / PERSONS))
        .collect()
}

async fn one(db: Db, point: &'static str, run: u64) -> Sum {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal").display().to_string();
    let (database, place) = db.address();
    drop(crate::child::open(&database, &place).await);
    db.execute("CREATE TABLE effects (n INTEGER, id TEXT)")
        .await;
    // Another occurrence in each run. Failures and renewals are rarer.
    let number = match point {
        "before-fail" | "after-fail" => 1 + run % 6,
        "after-renew" => 1,
        _ if point.ends_with("store") || point.ends_with("answer") => 1 + run % 12,
        _ => 1 + run % 20,
    };
    let orders = Orders {
        database,
        place,
        journal: journal.clone(),
        kill_at: Some((point.to_owned(), number)),
        concurrency: 1,
    };
    let sum = tokio::task::spawn_blocking(move || drive(orders));
    let (killed, acknowledged) = sum.await.unwrap();
    let mut sum = judge(&journal, &acknowledged);
    sum.killed = u32::from(killed);
    let odd: i64 = acknowledged.iter().filter(|id| person(id) % 2 == 1).count() as i64;
    let distinct = db.count("SELECT count(DISTINCT id) FROM effects").await;
    let all = db.count("SELECT count(*) FROM effects").await;
    sum.doubled_effects = usize::try_from(all - distinct).unwrap();
    sum.lost += usize::try_from(odd - distinct).unwrap();
    sum.dead = db.count(DEAD).await;
    db.remove().await;
    sum
}

/// Sends everything to one process until it is killed, then again to another. Returns whether it
/// was killed, and what was answered with 200.
fn drive(mut orders: Orders) -> (bool, Vec<String>) {
    let all = ids();
    let mut acknowledged = Vec::new();
    let mut first = Process::start(&orders);
    let killed = deliver(&mut first, all.chunks(5), &mut acknowledged);
    first.kill();
    orders.kill_at = None;
    let mut second = Process::start(&orders);
    // In another grouping.
    deliver(&mut second, all.chunks(7), &mut acknowledged);
    acknowledged.sort();
    acknowledged.dedup();
    assert_eq!(
        acknowledged.len(),
        all.len(),
        "the second process has accepted everything"
    );
    (killed, acknowledged)
}

/// Lets a process work, and sends each delivery until it is answered with 200, as Meta does. The
/// next one follows then: the order would be another if it overtook one that was refused. Returns
/// whether the process has stopped at its point.
fn deliver<'a>(
    process: &mut Process,
    mut deliveries: impl Iterator<Item = &'a [String]>,
    acknowledged: &mut Vec<String>,
) -> bool {
    let mut next = move || match deliveries.next() {
        Some(delivery) => format!("post {}", delivery.join(" ")),
        None => "finish".to_owned(),
    };
    process.tell("work");
    process.tell(&next());
    let mut refused = 0;
    while let Some(line) = process.next() {
        match line.split_once(' ') {
            Some(("200", ids)) => {
                acknowledged.extend(ids.split(' ').map(str::to_owned));
                process.tell(&next());
            }
            Some((status, ids)) => {
                println!("refused with {status}: {ids}");
                refused += 1;
                assert!(
                    refused < MAX_REFUSED,
                    "deliveries are refused again and again"
                );
                process.tell(&format!("post {ids}"));
            }
            None if line == "here" => return true,
            None => {}
        }
    }
    false
}

fn person(id: &str) -> u64 {
    id.split_once(':').unwrap().0.parse().unwrap()
}

/// Compares the journal with what was acknowledged.
fn judge(journal: &str, acknowledged: &[String]) -> Sum {
    let text = fs::read_to_string(journal).unwrap();
    let mut starts: HashMap<&str, usize> = HashMap::new();
    let mut fails: HashMap<&str, usize> = HashMap::new();
    let mut done: HashMap<u64, Vec<&str>> = HashMap::new();
    for line in text.lines() {
        let [what, id, _] = entry(line);
        match what {
            "start" => *starts.entry(id).or_default() += 1,
            "fail" => *fails.entry(id).or_default() += 1,
            _ => {
                let done = done.entry(person(id)).or_default();
                if !done.contains(&id) {
                    done.push(id);
                }
            }
        }
    }
    let mut sum = Sum::default();
    for id in acknowledged {
        let starts = starts.get(id.as_str()).copied().unwrap_or(0);
        // A transaction that was committed just before the kill has no line of its own.
        let runs = starts - fails.get(id.as_str()).copied().unwrap_or(0);
        let is_done = |done: &Vec<&str>| done.contains(&id.as_str());
        let is_done = done.get(&person(id)).is_some_and(is_done);
        // Those of odd persons have an effect instead, which is counted.
        sum.lost += usize::from(starts == 0 || (person(id).is_multiple_of(2) && !is_done));
        sum.extra += runs.saturating_sub(1);
    }
    for ids in done.values() {
        sum.out_of_order += ids.windows(2).filter(|pair| pair[0] > pair[1]).count();
    }
    sum
}
