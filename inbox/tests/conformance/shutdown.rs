use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::{sync::oneshot, time::sleep};
use tower_whatsapp_inbox::{Inbox, InboxEvent, Verdict, Worker};

use crate::common::{Db, PATIENCE, message, messages, post, until, until_empty};

const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn running_handlers_finish(db: &Db) {
    let inbox = db.inbox().await;
    let items = [message("491", "w1", 1), message("491", "w2", 2)];
    post(&inbox, messages(&items)).await;
    let (worker, started) = slow(&inbox, Duration::from_millis(500));
    let shutdown = async {
        let _ = started.await;
    };
    let report = worker.run(shutdown).await;
    assert_eq!(report.dropped, 0);
    // The one that ran is done, the other was not started.
    let status = inbox.status().await.unwrap();
    assert_eq!(
        (inbox.counters().handled, status.messages, status.running),
        (1, 1, 0)
    );
}

/// The worker may wait for a connection that the shutdown has at that moment.
pub(crate) async fn a_shutdown_that_uses_the_inbox_is_not_held_up(db: &Db) {
    let inbox = db.inbox().await;
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    let shutdown = async {
        for n in 0..100 {
            let item = message(&format!("49{}", n % 5), &format!("w{n}"), n);
            assert_eq!(post(&inbox, messages(&[item])).await, StatusCode::OK);
        }
        until_empty(&inbox).await;
    };
    worker.lease(LONG).run(shutdown).await;
    let counters = inbox.counters();
    assert_eq!((counters.handled, counters.database_errors), (100, 0));
}

pub(crate) async fn what_does_not_finish_is_handed_over(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (worker, started) = slow(&inbox, LONG);
    let worker = worker.drain_timeout(Duration::from_millis(100)).lease(LONG);
    let start = Instant::now();
    let report = worker.run(async { drop(started.await) }).await;
    assert_eq!(report.dropped, 1);
    // At once, not when the lease has expired, and not as an attempt.
    let other = db.inbox().await;
    let worker = other.worker(|event: InboxEvent| async move {
        if event.attempt() == 1 {
            Ok(())
        } else {
            Err("an attempt was counted")
        }
    });
    worker.run(until_empty(&other)).await;
    assert_eq!(other.counters().handled, 1);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

fn slow(inbox: &Inbox, time: Duration) -> (Worker, oneshot::Receiver<()>) {
    let (started, is_started) = oneshot::channel();
    let started = Arc::new(Mutex::new(Some(started)));
    let worker = inbox.worker(move |_| {
        let started = started.clone();
        async move {
            if let Some(started) = started.lock().unwrap().take() {
                let _ = started.send(());
            }
            sleep(time).await;
            Ok::<_, String>(())
        }
    });
    (worker, is_started)
}

pub(crate) async fn workers_are_woken_at_once(db: &Db) {
    let inbox = db.inbox().await;
    let waited = wake(&inbox, &inbox).await;
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

/// Also by a delivery of which only a part is new, and by a replay.
pub(crate) async fn whatever_brings_work_wakes_workers(db: &Db) {
    let inbox = db.inbox().await;
    let worker = inbox.worker(|event: InboxEvent| {
        let is_first = event.event().id() == Some("dead") && event.age() < LONG;
        async move {
            let verdict = if is_first {
                Verdict::Never("no".to_owned())
            } else {
                Verdict::Done
            };
            Ok::<_, String>(verdict)
        }
    });
    let host = async {
        let mut items = vec![message("491", "w0", 1)];
        for n in 1..=5 {
            post(&inbox, messages(&items)).await;
            until("it is handled", async || inbox.counters().handled == n).await;
            items.push(message("491", &format!("w{n}"), 1));
        }
        post(&inbox, messages(&[message("491", "dead", 2)])).await;
        until("it is dead", async || inbox.counters().dead == 1).await;
        let earlier = if db.is_sqlite() {
            "received_at - 3600000"
        } else {
            "received_at - interval '1 hour'"
        };
        db.execute(&format!(
            "UPDATE whatsapp_inbox_event SET received_at = {earlier}"
        ))
        .await;
        let letters = inbox.dead_letters(0, 10).await.unwrap();
        assert_eq!(inbox.replay(&[letters[0].key()]).await.unwrap(), 1);
        until("it is replayed", async || inbox.counters().handled == 6).await;
    };
    worker.poll_interval(LONG).run(host).await;
}

/// By the database on Postgres. SQLite has nothing of the kind: there the poll finds it.
pub(crate) async fn another_process_is_woken(db: &Db) {
    let (receiver, worker) = (db.inbox().await, db.inbox().await);
    if db.is_sqlite() {
        let (done, is_done) = oneshot::channel();
        let done = Arc::new(Mutex::new(Some(done)));
        let worker = worker.worker(move |_| {
            let _ = done.lock().unwrap().take().map(|done| done.send(()));
            async { Ok::<_, String>(()) }
        });
        let shutdown = async {
            sleep(Duration::from_millis(300)).await;
            post(&receiver, messages(&[message("491", "w1", 1)])).await;
            is_done.await.unwrap();
        };
        worker
            .poll_interval(Duration::from_millis(100))
            .run(shutdown)
            .await;
    } else {
        let waited = wake(&receiver, &worker).await;
        assert!(waited < Duration::from_secs(2), "{waited:?}");
    }
}

/// The time until a worker that never polls has an event.
async fn wake(receiver: &Inbox, worker: &Inbox) -> Duration {
    let (done, is_done) = oneshot::channel();
    let done = Arc::new(Mutex::new(Some(done)));
    let worker = worker.worker(move |_| {
        let _ = done.lock().unwrap().take().map(|done| done.send(()));
        async { Ok::<_, String>(()) }
    });
    let (waited, waits) = oneshot::channel();
    let shutdown = async {
        sleep(Duration::from_millis(700)).await;
        post(receiver, messages(&[message("491", "w1", 1)])).await;
        let start = Instant::now();
        is_done.await.unwrap();
        let _ = waited.send(start.elapsed());
    };
    worker.poll_interval(LONG).run(shutdown).await;
    waits.await.unwrap()
}

/// Its own is lost. The next one is of a runtime that goes on.
pub(crate) async fn a_runtime_that_ends_takes_no_later_notification_with_it() {
    let db = Db::postgres().await;
    let (receiver, working) = (db.inbox().await, db.inbox().await);
    let worker = working.worker(|_| async { Ok::<_, String>(()) });
    let host = async {
        until("it listens", async || {
            let listens = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND query ILIKE 'LISTEN%'";
            db.count(listens).await > 0
        })
        .await;
        // Once it has been woken, it claims nothing more by itself.
        let stored = post(&receiver, messages(&[message("490", "w0", 1)])).await;
        assert_eq!(stored, StatusCode::OK);
        until("it is woken", async || working.counters().handled == 1).await;
        let other = receiver.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            // Ends with the answer, before the task that notifies has begun.
            runtime.block_on(async {
                let stored = post(&other, messages(&[message("491", "w1", 1)])).await;
                assert_eq!(stored, StatusCode::OK);
            });
        });
        ended.await.unwrap();
        let stored = post(&receiver, messages(&[message("492", "w2", 1)])).await;
        assert_eq!(stored, StatusCode::OK);
        until("all are handled", async || working.counters().handled == 3).await;
    };
    let worker = worker.poll_interval(PATIENCE * 10);
    worker.run(host).await;
}
