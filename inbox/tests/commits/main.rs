//! How many commits a run of many events takes, what becomes of single ones, and of panics and
//! large deliveries. All need the points for faults, which belong to a whole process, so this is
//! one of its own.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

mod answers;
mod panics;
mod shutdown;
mod turns;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use http::StatusCode;
use tokio::sync::Mutex;
use tower_whatsapp_inbox::testing::{Fault, Moment, Point, set_hook};

use self::common::{Db, Journal, message, messages, post, until, until_empty};

const EVENTS: u64 = 1_000;
const CONCURRENCY: usize = 16;

static CLAIMS: AtomicU64 = AtomicU64::new(0);
static MARKS: AtomicU64 = AtomicU64::new(0);

/// The points belong to the process, and so to one test at a time.
static POINTS: Mutex<()> = Mutex::const_new(());

/// A commit waits for the disk. With one for each event, a SQLite file does 200 events a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_end_together_are_committed_together() {
    let _points = POINTS.lock().await;
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

/// A worker may have a lane twice: its first lease was lost, and it claimed the lane again. Only
/// the second run is done, also if both are marked in one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_was_leased_twice_is_done_once() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        let both = [message("491", "w1", 1), message("492", "w2", 1)];
        assert_eq!(post(&inbox, messages(&both)).await, StatusCode::OK);
        MARKS.store(0, Ordering::Relaxed);
        // The first mark is slow, so that the others are together in the next transaction.
        set_hook(|point, moment| match (point, moment) {
            (Point::Complete, Moment::Before) => match MARKS.fetch_add(1, Ordering::Relaxed) {
                0 => Fault::Delay(Duration::from_millis(500)),
                _ => Fault::None,
            },
            _ => Fault::None,
        });
        let journal = Journal::default();
        let seen = journal.clone();
        let (open, gate) = tokio::sync::watch::channel("");
        let worker = inbox.worker(move |event| {
            seen.note(&event);
            let mut gate = gate.clone();
            async move {
                let id = event.event().id().unwrap();
                let opened = gate.wait_for(|open| *open == "all" || *open == id);
                opened.await.map(drop)
            }
        });
        let host = async {
            until("both run", async || journal.len() == 2).await;
            let now = if db.is_sqlite() { "0" } else { "now()" };
            db.execute(&format!(
                "UPDATE whatsapp_inbox_lane SET wake_at = {now} WHERE lane LIKE '%491'"
            ))
            .await;
            until("one runs again", async || journal.len() == 3).await;
            open.send_replace("w2");
            until("it is being marked", async || {
                MARKS.load(Ordering::Relaxed) == 1
            })
            .await;
            open.send_replace("all");
            until("two are done", async || inbox.counters().handled >= 2).await;
            until("one is lost", async || inbox.counters().lost == 1).await;
        };
        worker.lease(Duration::from_secs(60)).run(host).await;
        set_hook(|_, _| Fault::None);
        assert_eq!(inbox.counters().handled, 2);
        until_empty(&inbox).await;
    }
}

/// A damaged row, or a trigger of the host: the database refuses the mark of one event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_is_refused_fails_no_other() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        let all: Vec<_> = (0..10)
            .map(|n| message(&format!("49{n}"), &format!("w{n}"), 1))
            .collect();
        assert_eq!(post(&inbox, messages(&all)).await, StatusCode::OK);
        db.execute(if db.is_sqlite() {
            "CREATE TRIGGER refuse BEFORE UPDATE ON whatsapp_inbox_event
            WHEN NEW.state = 1 AND NEW.lane = '/7/wa/491'
            BEGIN SELECT RAISE(ABORT, 'refused'); END"
        } else {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                AS $$BEGIN RAISE EXCEPTION 'refused'; END$$;
            CREATE TRIGGER refuse BEFORE UPDATE ON whatsapp_inbox_event FOR EACH ROW
                WHEN (NEW.state = 1 AND NEW.lane = '/7/wa/491') EXECUTE FUNCTION refuse()"
        })
        .await;
        MARKS.store(0, Ordering::Relaxed);
        // The first mark is slow, so that the others are together in the next transaction.
        set_hook(|point, moment| match (point, moment) {
            (Point::Complete, Moment::Before) => match MARKS.fetch_add(1, Ordering::Relaxed) {
                0 => Fault::Delay(Duration::from_secs(1)),
                _ => Fault::None,
            },
            _ => Fault::None,
        });
        let (open, gate) = tokio::sync::watch::channel("");
        let journal = Journal::default();
        let seen = journal.clone();
        let worker = inbox.worker(move |event| {
            seen.note(&event);
            let mut gate = gate.clone();
            async move {
                let id = event.event().id().unwrap();
                let opened = gate.wait_for(|open| *open == "all" || *open == id);
                opened.await.map(drop)
            }
        });
        let host = async {
            until("all run", async || journal.len() == 10).await;
            open.send_replace("w0");
            until("it is being marked", async || {
                MARKS.load(Ordering::Relaxed) == 1
            })
            .await;
            open.send_replace("all");
            until("the others are done", async || {
                inbox.counters().handled == 9
            })
            .await;
            // Of the one that is refused: each time after a longer pause.
            let errors = inbox.counters().database_errors;
            assert!(errors < 8, "{errors} errors");
        };
        let worker = worker.drain_timeout(Duration::ZERO);
        worker.lease(Duration::from_secs(60)).run(host).await;
        set_hook(|_, _| Fault::None);
        assert_eq!(inbox.counters().handled, 9);
    }
}
