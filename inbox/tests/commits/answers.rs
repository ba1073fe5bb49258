//! Commits that fail, and commits whose answer is late or lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::block_in_place;
use tower_whatsapp_inbox::{
    InboxError, InboxEvent, Verdict,
    testing::{Fault, Moment, Point, set_hook},
};

use crate::{
    POINTS,
    common::{Db, PATIENCE, message, messages, post, until, until_empty},
};

/// Long enough for two renewals, also on a busy machine.
const LEASE: Duration = Duration::from_secs(6);

const EFFECTS: &str = "SELECT count(*) FROM effects";

/// Renewals that have begun.
static RENEWALS: AtomicU64 = AtomicU64::new(0);

/// Holds up what asks, until a renewal has looked for its lease.
fn wait_for_a_renewal() {
    let seen = RENEWALS.load(Ordering::SeqCst);
    let start = Instant::now();
    // The second begins when the first has ended.
    block_in_place(|| {
        while RENEWALS.load(Ordering::SeqCst) < seen + 2 {
            assert!(start.elapsed() < PATIENCE, "no lease is renewed");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

/// Writes a row in the transaction of the run, and finishes it.
async fn effect(event: &InboxEvent, is_sqlite: bool) -> Result<(), InboxError> {
    if is_sqlite {
        let mut transaction = event.begin_sqlite().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES ('w1')");
        insert.execute(&mut **transaction).await?;
        transaction.done().await
    } else {
        let mut transaction = event.begin_postgres().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES ('w1')");
        insert.execute(&mut **transaction).await?;
        transaction.done().await
    }
}

/// The lease ends with the commit. A renewal that does not find it must not drop a run that waits
/// for the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_late_is_not_dropped() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        db.execute("CREATE TABLE effects (id TEXT)").await;
        post(&inbox, messages(&[message("491", "w1", 1)])).await;
        set_hook(|point, moment| {
            match (point, moment) {
                (Point::Renew, Moment::Before) => drop(RENEWALS.fetch_add(1, Ordering::SeqCst)),
                (Point::Commit, Moment::After) => wait_for_a_renewal(),
                _ => {}
            }
            Fault::None
        });
        let (is_sqlite, finished) = (db.is_sqlite(), Arc::new(AtomicU32::new(0)));
        let seen = finished.clone();
        let worker = inbox.worker(move |event: InboxEvent| {
            let seen = seen.clone();
            async move {
                effect(&event, is_sqlite).await?;
                seen.fetch_add(1, Ordering::SeqCst);
                Ok::<_, InboxError>(())
            }
        });
        let ended = until("the run has ended", async || {
            let counters = inbox.counters();
            counters.handled + counters.lost > 0
        });
        worker.lease(LEASE).run(ended).await;
        set_hook(|_, _| Fault::None);
        let counters = inbox.counters();
        assert_eq!((counters.handled, counters.lost), (1, 0));
        assert_eq!(finished.load(Ordering::SeqCst), 1);
        assert_eq!(db.count(EFFECTS).await, 1);
    }
}

/// The handler returns the error, and the worker finds out what has happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_counted_as_handled() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        db.execute("CREATE TABLE effects (id TEXT)").await;
        post(&inbox, messages(&[message("491", "w1", 1)])).await;
        set_hook(|point, moment| match (point, moment) {
            (Point::Commit, Moment::After) => Fault::Error,
            _ => Fault::None,
        });
        let is_sqlite = db.is_sqlite();
        let worker =
            inbox.worker(move |event: InboxEvent| async move { effect(&event, is_sqlite).await });
        let ended = until("the run has ended", async || {
            let counters = inbox.counters();
            counters.handled + counters.lost > 0
        });
        worker.lease(LEASE).run(ended).await;
        set_hook(|_, _| Fault::None);
        let counters = inbox.counters();
        let counted = (counters.handled, counters.failed, counters.lost);
        assert_eq!(counted, (1, 1, 0));
        assert_eq!(db.count(EFFECTS).await, 1);
    }
}

/// Nor does it matter which of the two statements, or answers, fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_that_is_ignored_is_not_done() {
    let _points = POINTS.lock().await;
    let points = [
        (Point::Mark, Moment::Before),
        (Point::Mark, Moment::After),
        (Point::Commit, Moment::Before),
    ];
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        db.execute("CREATE TABLE effects (id TEXT)").await;
        for (n, fails) in (1..).zip(points) {
            post(&inbox, messages(&[message("491", &format!("w{n}"), n)])).await;
            let asked = AtomicU32::new(0);
            set_hook(move |point, moment| {
                if (point, moment) == fails && asked.fetch_add(1, Ordering::SeqCst) == 0 {
                    Fault::Error
                } else {
                    Fault::None
                }
            });
            let is_sqlite = db.is_sqlite();
            let worker = inbox.worker(move |event: InboxEvent| async move {
                let _ = effect(&event, is_sqlite).await;
                Ok::<_, InboxError>(())
            });
            let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
            worker.run(until_empty(&inbox)).await;
            set_hook(|_, _| Fault::None);
            let counters = inbox.counters();
            let expected = (n, n, 0);
            let counted = (counters.failed, counters.handled, counters.lost);
            assert_eq!(counted, expected, "{fails:?}");
            assert_eq!(db.count(EFFECTS).await.unsigned_abs(), n, "{fails:?}");
        }
    }
}

/// What a run may come to, and the point at which it is recorded.
const RESULTS: [(&str, Point); 5] = [
    ("done", Point::Complete),
    ("failed", Point::Fail),
    ("again", Point::Fail),
    ("not before", Point::Fail),
    ("never", Point::Fail),
];

fn result(name: &str) -> Result<Verdict, &'static str> {
    match name {
        "failed" => Err("failed"),
        "again" => Ok(Verdict::Again),
        "not before" => Ok(Verdict::NotBefore(Duration::from_secs(3600))),
        "never" => Ok(Verdict::Never("never".to_owned())),
        _ => Ok(Verdict::Done),
    }
}

/// The next try finds no lease, because it ended with the result: it was not lost. `is_held` holds
/// up the next try until a renewal has not found the lease either.
async fn the_answer_of_a_result_is_lost(db: &Db, name: &'static str, at: Point, is_held: bool) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", name, 1)])).await;
    let (lost, tried_again) = (AtomicU32::new(0), Arc::new(AtomicU32::new(0)));
    let tries = tried_again.clone();
    set_hook(move |point, moment| {
        match (point, moment) {
            (Point::Renew, Moment::Before) => drop(RENEWALS.fetch_add(1, Ordering::SeqCst)),
            (point, Moment::After) if point == at => {
                if lost.fetch_add(1, Ordering::SeqCst) == 0 {
                    if is_held {
                        wait_for_a_renewal();
                    }
                    return Fault::Error;
                }
                tries.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Fault::None
    });
    let worker = inbox.worker(move |_| async move { result(name) });
    let pause = Duration::from_secs(3600);
    let ended = until("it is tried again, or given up", async || {
        tried_again.load(Ordering::SeqCst) > 0 || inbox.counters().lost > 0
    });
    // The end of the worker waits for the run.
    worker
        .lease(LEASE)
        .max_attempts(1000)
        .backoff(pause, pause)
        .run(ended)
        .await;
    set_hook(|_, _| Fault::None);
    let counters = inbox.counters();
    assert_eq!((counters.lost, counters.database_errors), (0, 1), "{name}");
    let counted = [counters.handled, counters.dead];
    assert_eq!(counted, [name == "done", name == "never"].map(u64::from));
    let recorded = "SELECT count(*) FROM whatsapp_inbox_lane WHERE owner IS NULL AND claims = 0";
    assert_eq!(db.count(recorded).await, 1, "{name}");
    db.execute("DELETE FROM whatsapp_inbox_event; DELETE FROM whatsapp_inbox_lane")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_whose_answer_was_lost_is_no_lost_lease() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        for (name, at) in RESULTS {
            the_answer_of_a_result_is_lost(&db, name, at, false).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_whose_answer_is_late_is_no_lost_lease() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        for (name, at) in [("done", Point::Complete), ("failed", Point::Fail)] {
            the_answer_of_a_result_is_lost(&db, name, at, true).await;
        }
    }
}

/// A worker that cannot read what it has leased gives the leases up, and no run is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_whose_events_could_not_be_read_are_not_kept() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        for fails in [Moment::Before, Moment::After] {
            let inbox = db.inbox().await;
            for person in ["491", "492"] {
                let id = format!("{person}-{fails:?}");
                post(&inbox, messages(&[message(person, &id, 1)])).await;
            }
            let asked = AtomicU32::new(0);
            set_hook(move |point, moment| {
                let is_it = point == Point::Fetch && moment == fails;
                if is_it && asked.fetch_add(1, Ordering::SeqCst) == 0 {
                    Fault::Error
                } else {
                    Fault::None
                }
            });
            let attempts = Arc::new(AtomicU32::new(0));
            let seen = attempts.clone();
            let worker = inbox.worker(move |event: InboxEvent| {
                seen.fetch_add(event.attempt(), Ordering::SeqCst);
                async { Ok::<_, InboxError>(()) }
            });
            // Nobody waits for the end of this lease.
            let worker = worker.lease(Duration::from_secs(3600));
            worker.run(until_empty(&inbox)).await;
            set_hook(|_, _| Fault::None);
            assert_eq!(attempts.load(Ordering::SeqCst), 2, "{fails:?}");
            let counters = inbox.counters();
            assert_eq!((counters.handled, counters.database_errors), (2, 1));
        }
    }
}

/// A claim whose events were not read is no run, and those before it were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_given_back_forgets_no_crash() {
    static FETCHES: AtomicU64 = AtomicU64::new(0);
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        post(&inbox, messages(&[message("491", "w1", 1)])).await;
        // Two processes have ended while they handled it.
        db.execute("UPDATE whatsapp_inbox_lane SET claims = 2")
            .await;
        FETCHES.store(0, Ordering::SeqCst);
        set_hook(|point, moment| match (point, moment) {
            (Point::Fetch, Moment::Before) if FETCHES.fetch_add(1, Ordering::SeqCst) == 0 => {
                Fault::Error
            }
            _ => Fault::None,
        });
        let worker = inbox.worker(|event: InboxEvent| async move {
            match event.attempt() {
                3 => Ok(Verdict::Done),
                attempt => Err(format!("attempt {attempt}")),
            }
        });
        worker.max_attempts(9).run(until_empty(&inbox)).await;
        set_hook(|_, _| Fault::None);
        let counters = inbox.counters();
        assert_eq!((counters.handled, counters.failed), (1, 0));
    }
}

/// The handler has given up the wait for its commit, which has happened, and begins another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_given_up_may_have_happened() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        db.execute("CREATE TABLE effects (id TEXT)").await;
        post(&inbox, messages(&[message("491", "w1", 1)])).await;
        let committed = Arc::new(tokio::sync::Notify::new());
        let notify = committed.clone();
        set_hook(move |point, moment| match (point, moment) {
            (Point::Commit, Moment::After) => {
                notify.notify_one();
                Fault::Delay(PATIENCE)
            }
            _ => Fault::None,
        });
        let is_sqlite = db.is_sqlite();
        let worker = inbox.worker(move |event: InboxEvent| {
            let committed = committed.clone();
            async move {
                tokio::select! {
                    done = effect(&event, is_sqlite) => panic!("answered: {done:?}"),
                    () = committed.notified() => {}
                }
                if is_sqlite {
                    drop(event.begin_sqlite().await.unwrap());
                } else {
                    drop(event.begin_postgres().await.unwrap());
                }
                Err::<(), _>("given up")
            }
        });
        let worker = worker.lease(PATIENCE * 4);
        worker.run(until_empty(&inbox)).await;
        set_hook(|_, _| Fault::None);
        assert_eq!(db.count(EFFECTS).await, 1);
        let counters = inbox.counters();
        assert_eq!((counters.handled, counters.lost), (1, 0));
    }
}
