use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tower_whatsapp_inbox::{InboxEvent, Verdict};

use crate::{
    common::{Db, Journal, message, messages, post, until, until_empty},
    transactions::effect,
};

const LEASE: Duration = Duration::from_secs(1);

pub(crate) async fn a_handler_longer_than_the_lease_runs_once(db: &Db) {
    let (one, two) = (db.inbox().await, db.inbox().await);
    post(&one, messages(&[message("491", "w1", 1)])).await;
    let journal = Journal::default();
    let handler = |journal: Journal| {
        move |event: InboxEvent| {
            let journal = journal.clone();
            async move {
                journal.note(&event);
                sleep(LEASE * 3).await;
                Ok::<_, String>(())
            }
        }
    };
    let first = one.worker(handler(journal.clone())).lease(LEASE);
    let second = two.worker(handler(journal.clone())).lease(LEASE);
    tokio::join!(first.run(until_empty(&one)), second.run(until_empty(&two)));
    assert_eq!(journal.ids(), ["w1"]);
    let counters = [one.counters(), two.counters()];
    assert_eq!(
        counters
            .map(|counters| counters.handled)
            .iter()
            .sum::<u64>(),
        1
    );
}

pub(crate) async fn a_dead_worker_is_replaced(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (started, is_started) = tokio::sync::oneshot::channel();
    let started = Mutex::new(Some(started));
    let hangs = inbox.worker(move |_| {
        if let Some(started) = started.lock().unwrap().take() {
            let _ = started.send(());
        }
        std::future::pending::<Result<(), String>>()
    });
    let dead = tokio::spawn(hangs.lease(LEASE).run(std::future::pending()));
    is_started.await.unwrap();
    // As a kill does, it leaves the lease behind.
    dead.abort();
    let start = Instant::now();
    let other = db.inbox().await;
    let attempt = Arc::new(AtomicU32::new(0));
    let seen = attempt.clone();
    let worker = other.worker(move |event| {
        seen.store(event.attempt(), Ordering::SeqCst);
        async { Ok::<_, String>(()) }
    });
    worker.lease(LEASE).run(until_empty(&other)).await;
    assert_eq!(attempt.load(Ordering::SeqCst), 2);
    assert!(start.elapsed() > LEASE / 3, "the lease was not respected");
    assert!(start.elapsed() < LEASE * 4, "{:?}", start.elapsed());
}

/// A worker whose lease another has taken changes nothing.
pub(crate) async fn a_stranger_cannot_finish_a_run(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let runs = Arc::new(AtomicU32::new(0));
    let (gate, open) = tokio::sync::watch::channel(false);
    let seen = runs.clone();
    let worker = inbox.worker(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        let mut open = open.clone();
        async move {
            let _ = open.wait_for(|open| *open).await;
            Ok::<_, String>(())
        }
    });
    let thief = async {
        until("it runs", async || runs.load(Ordering::SeqCst) == 1).await;
        // Somebody else has the lane now, and never lets go.
        let stolen = if db.is_sqlite() {
            "owner = x'00', wake_at = wake_at + 3600000"
        } else {
            "owner = '\\x00', wake_at = wake_at + interval '1 hour'"
        };
        db.execute(&format!("UPDATE whatsapp_inbox_lane SET {stolen}"))
            .await;
        gate.send_replace(true);
        until("the loss is noticed", async || inbox.counters().lost == 1).await;
    };
    // Not renewed meanwhile: the write of the result finds out.
    worker.lease(Duration::from_secs(60)).run(thief).await;
    let states = "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 0";
    assert_eq!(db.count(states).await, 1);
    assert_eq!(
        (inbox.counters().handled, runs.load(Ordering::SeqCst)),
        (0, 1)
    );
}

pub(crate) async fn a_message_that_kills_its_process_becomes_a_dead_letter(db: &Db) {
    let inbox = db.inbox().await;
    let items = [message("491", "w1", 1), message("491", "w2", 2)];
    post(&inbox, messages(&items)).await;
    let (started, mut is_started) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..2 {
        let started = started.clone();
        let hangs = inbox.worker(move |_| {
            let _ = started.send(());
            std::future::pending::<Result<(), String>>()
        });
        let hangs = hangs.lease(LEASE).max_attempts(2);
        let dead = tokio::spawn(hangs.run(std::future::pending()));
        is_started.recv().await.unwrap();
        dead.abort();
    }
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker
        .lease(LEASE)
        .max_attempts(2)
        .run(until_empty(&inbox))
        .await;
    assert_eq!(journal.ids(), ["w2"]);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].error().unwrap().contains("process ended"));
    assert_eq!(letters[0].event().unwrap().id(), Some("w1"));
    assert_eq!(letters[0].attempts(), 2);
}

/// Also if the handler gives the event up: that run has not failed, and the one before has.
pub(crate) async fn a_dead_letter_counts_runs_that_ended_with_their_process(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (started, mut is_started) = tokio::sync::mpsc::unbounded_channel();
    let hangs = inbox.worker(move |_| {
        let _ = started.send(());
        std::future::pending::<Result<(), String>>()
    });
    let process = tokio::spawn(hangs.lease(LEASE).run(std::future::pending()));
    is_started.recv().await.unwrap();
    process.abort();
    let worker = inbox.worker(|event: InboxEvent| async move {
        assert_eq!(event.attempt(), 2);
        Ok::<_, String>(Verdict::Never("no".to_owned()))
    });
    worker.run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].attempts()), (1, 1));
}

/// With those that failed: both are attempts.
pub(crate) async fn a_run_that_ended_with_its_process_is_an_attempt(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (attempts, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let mut all = Vec::new();
    for dies in [true, true, false] {
        let attempts = attempts.clone();
        let worker = inbox.worker(move |event: InboxEvent| {
            let _ = attempts.send(event.attempt());
            async move {
                if dies {
                    std::future::pending::<()>().await;
                }
                Err::<(), _>("no")
            }
        });
        let worker = worker
            .lease(LEASE)
            .max_attempts(4)
            .backoff(Duration::ZERO, Duration::ZERO);
        if dies {
            let process = tokio::spawn(worker.run(std::future::pending()));
            all.extend(seen.recv().await);
            process.abort();
        } else {
            worker.run(until_empty(&inbox)).await;
        }
    }
    while let Ok(attempt) = seen.try_recv() {
        all.push(attempt);
    }
    assert_eq!(all, [1, 2, 3, 4]);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters[0].attempts(), 4);
    assert_eq!(inbox.counters().failed, 2);
}

/// Only one that ended with its process is counted on the conversation instead of its event.
pub(crate) async fn a_run_that_was_recorded_is_no_attempt_of_the_next(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let ids = ["returned", "committed", "never", "later", "last"];
    let items: Vec<_> = (0..)
        .zip(ids)
        .map(|(n, id)| message("491", id, n))
        .collect();
    post(&inbox, messages(&items)).await;
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let (seen, is_sqlite) = (attempts.clone(), db.is_sqlite());
    let worker = inbox.worker(move |event: InboxEvent| {
        let id = event.event().id().unwrap().to_owned();
        let mut seen = seen.lock().unwrap();
        let is_first = seen.iter().all(|(other, _)| *other != id);
        seen.push((id.clone(), event.attempt()));
        async move {
            match id.as_str() {
                "committed" => effect(&event, is_sqlite, true).await.unwrap(),
                "never" => return Ok(Verdict::Never("no".to_owned())),
                "later" if is_first => return Ok(Verdict::NotBefore(Duration::ZERO)),
                _ => {}
            }
            Ok::<_, String>(Verdict::Done)
        }
    });
    let now = if is_sqlite { "0" } else { "now()" };
    let host = async {
        until_empty(&inbox).await;
        // Nor is one that found nothing.
        db.execute(&format!(
            "UPDATE whatsapp_inbox_lane SET pending = 1, wake_at = {now}"
        ))
        .await;
        until_empty(&inbox).await;
        post(&inbox, messages(&[message("491", "new", 9)])).await;
        until_empty(&inbox).await;
    };
    worker.run(host).await;
    let attempts = attempts.lock().unwrap();
    let ids = [
        "returned",
        "committed",
        "never",
        "later",
        "later",
        "last",
        "new",
    ];
    assert_eq!(*attempts, ids.map(|id| (id.to_owned(), 1)));
}

/// Renewals do not wait for a row that somebody has locked. The lease of a locked lane lasts until
/// its end, and those of other lanes are renewed.
pub(crate) async fn a_locked_lane_does_not_end_other_leases() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    let both = ["491", "492"].map(|person| message(person, person, 1));
    post(&inbox, messages(&both)).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let (open, gate) = tokio::sync::watch::channel(false);
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        let mut gate = gate.clone();
        async move { gate.wait_for(|is_open| *is_open).await.map(drop) }
    });
    let lease = LEASE * 3;
    let host = async {
        until("both run", async || journal.len() == 2).await;
        let pool = db.postgres_pool().await;
        let lock = "SELECT 1 FROM whatsapp_inbox_lane WHERE lane LIKE '%491%' FOR UPDATE";
        // For one renewal: no lease ends.
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *transaction).await.unwrap();
        sleep(lease * 2 / 5).await;
        transaction.rollback().await.unwrap();
        sleep(lease / 3).await;
        assert_eq!((inbox.counters().lost, journal.len()), (0, 2));
        // For longer than the lease: only the one of the locked lane ends.
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *transaction).await.unwrap();
        until("it is lost", async || inbox.counters().lost == 1).await;
        sleep(lease).await;
        assert_eq!((inbox.counters().lost, journal.len()), (1, 2));
        open.send_replace(true);
        until("the other is done", async || inbox.counters().handled == 1).await;
        transaction.rollback().await.unwrap();
        until_empty(&inbox).await;
    };
    worker.lease(lease).run(host).await;
    let ids = journal.ids();
    let runs = |id: &str| ids.iter().filter(|other| *other == id).count();
    assert_eq!((runs("491"), runs("492")), (2, 1));
}

/// Whatever moved it on: a renewal that comes late, or a clock that was set back.
pub(crate) async fn a_renewal_does_not_shorten_a_lease(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let (open, gate) = tokio::sync::watch::channel(false);
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        let mut gate = gate.clone();
        async move { gate.wait_for(|is_open| *is_open).await.map(drop) }
    });
    // If it ended on a busy machine, nobody could claim the lane for an hour.
    let lease = LEASE * 6;
    let host = async {
        until("it runs", async || journal.len() == 1).await;
        let (later, left) = if db.is_sqlite() {
            (
                "wake_at = wake_at + 3600000",
                "wake_at - unixepoch('now') * 1000 > 3000000",
            )
        } else {
            (
                "wake_at = wake_at + interval '1 hour'",
                "wake_at > now() + interval '50 minutes'",
            )
        };
        db.execute(&format!("UPDATE whatsapp_inbox_lane SET {later}"))
            .await;
        sleep(lease / 2).await;
        let long =
            format!("SELECT count(*) FROM whatsapp_inbox_lane WHERE owner IS NOT NULL AND {left}");
        assert_eq!(db.count(&long).await, 1);
        open.send_replace(true);
        until_empty(&inbox).await;
    };
    worker.lease(lease).run(host).await;
    assert_eq!((inbox.counters().handled, inbox.counters().lost), (1, 0));
}

/// A due lane that somebody has locked is asked for again after a pause.
pub(crate) async fn a_locked_lane_is_no_busy_loop() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let pool = db.postgres_pool().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM whatsapp_inbox_lane FOR UPDATE")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    // Reported with a delay of up to a second.
    let transactions = "SELECT xact_commit FROM pg_stat_database
        WHERE datname = current_database()";
    let before = db.count(transactions).await;
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    let host = async {
        sleep(Duration::from_secs(3)).await;
        let asked = db.count(transactions).await - before;
        // A claim and a look at the next lane in each round.
        assert!(asked < 170, "{asked} transactions");
        transaction.rollback().await.unwrap();
        until_empty(&inbox).await;
    };
    worker.run(host).await;
    assert_eq!(inbox.counters().handled, 1);
}

/// The end of a run that has lost its lease does not touch the lease of the run that has it now.
pub(crate) async fn a_lane_that_was_leased_twice_is_renewed(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let (open, gate) = tokio::sync::watch::channel(false);
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        let mut gate = gate.clone();
        async move { gate.wait_for(|is_open| *is_open).await.map(drop) }
    });
    let (now, wake_at) = if db.is_sqlite() {
        ("0", "wake_at")
    } else {
        ("now()", "(extract(epoch FROM wake_at) * 1000)::bigint")
    };
    let lease = LEASE * 2;
    let host = async {
        until("it runs", async || journal.len() == 1).await;
        // A renewal may come between the end of the lease and the next claim.
        let end = format!("UPDATE whatsapp_inbox_lane SET wake_at = {now} WHERE claims = 1");
        until("it runs again", async || {
            db.execute(&end).await;
            journal.len() == 2
        })
        .await;
        let wake_at = format!("SELECT {wake_at} FROM whatsapp_inbox_lane");
        let first = db.count(&wake_at).await;
        until("the first has ended", async || inbox.counters().lost == 1).await;
        // For longer than the lease of the second would last.
        let later = first + i64::try_from(lease.as_millis()).unwrap() * 2;
        until("it is renewed, or runs a third time", async || {
            db.count(&wake_at).await > later || journal.len() > 2
        })
        .await;
        open.send_replace(true);
        until_empty(&inbox).await;
    };
    let worker = worker.poll_interval(Duration::from_millis(50));
    worker.lease(lease).run(host).await;
    assert_eq!(journal.len(), 2);
    assert_eq!((inbox.counters().handled, inbox.counters().lost), (1, 1));
}

/// A renewal is for the lease that the worker has, not for the lane.
pub(crate) async fn a_stolen_lease_is_not_renewed(db: &Db) {
    let inbox = db.inbox().await;
    // The transaction of a handler would lock out the thief on SQLite.
    let with_transaction = if db.is_sqlite() { "none" } else { "w2" };
    for (person, id) in [("491", "w1"), ("492", "w2")] {
        post(&inbox, messages(&[message(person, id, 1)])).await;
    }
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        let seen = seen.clone();
        async move {
            let mut _open = None;
            if event.event().id() == Some(with_transaction) {
                _open = Some(event.begin_postgres().await.unwrap());
            }
            seen.note(&event);
            std::future::pending::<Result<(), String>>().await
        }
    });
    let host = async {
        until("both run", async || journal.len() == 2).await;
        let stolen = if db.is_sqlite() {
            "owner = x'00', wake_at = wake_at + 3600000"
        } else {
            "owner = '\\x00', wake_at = wake_at + interval '1 hour'"
        };
        db.execute(&format!("UPDATE whatsapp_inbox_lane SET {stolen}"))
            .await;
        until("both are dropped", async || inbox.counters().lost == 2).await;
    };
    worker.lease(LEASE).run(host).await;
    assert_eq!(journal.len(), 2);
    let kept = "SELECT count(*) FROM whatsapp_inbox_lane WHERE length(owner) = 1";
    assert_eq!(db.count(kept).await, 2);
}
