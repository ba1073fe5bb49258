//! How many commits a run of many events takes, counted at the points for faults. They belong to a
//! whole process, so this is one of its own.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use tower_whatsapp_inbox::testing::{Fault, Moment, Point, set_hook};

use self::common::{Db, message, messages, post, until_empty};

const EVENTS: u64 = 1_000;
const CONCURRENCY: usize = 16;

static CLAIMS: AtomicU64 = AtomicU64::new(0);
static MARKS: AtomicU64 = AtomicU64::new(0);

/// A commit waits for the disk. With one for each event, a SQLite file does 200 events a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_end_together_are_committed_together() {
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        let all: Vec<_> = (0..EVENTS)
            .map(|n| message(&format!("49{}", n % 200), &format!("w{n}"), n))
            .collect();
        assert_eq!(post(&inbox, messages(&all)).await, StatusCode::OK);
        for count in [&CLAIMS, &MARKS] {
            count.store(0, Ordering::Relaxed);
        }
        set_hook(|point, moment| {
            match (point, moment) {
                (Point::Claim, Moment::Before) => CLAIMS.fetch_add(1, Ordering::Relaxed),
                (Point::Complete, Moment::Before) => MARKS.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
            Fault::None
        });
        let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
        let start = std::time::Instant::now();
        worker
            .concurrency(CONCURRENCY)
            .run(until_empty(&inbox))
            .await;
        let name = if db.is_sqlite() { "SQLite" } else { "Postgres" };
        let (claims, marks) = (
            CLAIMS.load(Ordering::Relaxed),
            MARKS.load(Ordering::Relaxed),
        );
        println!(
            "{name}: {EVENTS} events, {claims} claims, {marks} marks, {:?}",
            start.elapsed()
        );
        assert_eq!(inbox.counters().handled, EVENTS);
        assert!(
            marks < EVENTS / 2,
            "{name}: {marks} commits for {EVENTS} events"
        );
    }
}
