//! An operator leaves a transaction open in psql. Whatever it has locked, the crate waits for a
//! bounded time, says so, and holds up nothing else.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use http::StatusCode;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::{sleep, timeout};
use tower_whatsapp_inbox::{Inbox, InboxError, InboxErrorKind, InboxEvent};

use crate::common::{Db, Journal, PATIENCE, message, messages, post, until, until_empty};

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

async fn lock(pool: &PgPool, statement: &'static str) -> Transaction<'static, Postgres> {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query(statement)
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction
}

/// The most connections that wait for a lock at one moment.
async fn most_waiting(pool: &PgPool, time: Duration) -> i64 {
    let (start, mut most) = (Instant::now(), 0);
    while start.elapsed() < time {
        let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(pool).await.unwrap();
        most = most.max(waiting);
        sleep(Duration::from_millis(50)).await;
    }
    most
}

/// Results that cannot be recorded are tried again, one connection for each, and are told.
pub(crate) async fn a_locked_event_holds_up_its_conversation_only() {
    let db = Db::own_postgres().await;
    let inbox = db.inbox().await;
    let all = ["491", "492", "493", "494"].map(|person| message(person, person, 1));
    assert_eq!(post(&inbox, messages(&all)).await, StatusCode::OK);
    let journal = Journal::default();
    let seen = journal.clone();
    let (open, gate) = tokio::sync::watch::channel(false);
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|is_open| *is_open).await;
            match (event.event().id(), event.attempt()) {
                (Some("491"), 1) => Err("a failure"),
                _ => Ok(()),
            }
        }
    });
    let host = async {
        until("all run", async || journal.len() == 4).await;
        let pool = db.postgres_pool().await;
        // One is to be retried, the other is done.
        let locked = lock(
            &pool,
            "SELECT 1 FROM whatsapp_inbox_event WHERE conversation LIKE '%/49_'
                AND right(conversation, 1) IN ('1', '2') FOR UPDATE",
        )
        .await;
        open.send_replace(true);
        until("the others are done", async || {
            inbox.counters().handled == 2
        })
        .await;
        let waiting = most_waiting(&pool, Duration::from_secs(6)).await;
        assert!(waiting <= 2, "{waiting} connections wait");
        let errors = inbox.counters().database_errors;
        // Two runs, and pauses that grow to half a second. They would be 80 otherwise.
        assert!((2..60).contains(&errors), "{errors} errors");
        locked.rollback().await.unwrap();
        until_empty(&inbox).await;
    };
    let worker = worker.lease(Duration::from_secs(3));
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(host).await;
    let counters = inbox.counters();
    assert_eq!(
        (counters.handled, counters.failed, counters.lost),
        (4, 1, 0)
    );
    assert_eq!(journal.len(), 5);
    // The server notes each wait of more than 200 ms. Nobody waits for the locked events: those
    // that are not locked are done without them, and the others are asked for again and again.
    let Db::Postgres { server, .. } = &db else {
        unreachable!()
    };
    let log = server.log();
    let waits = log
        .lines()
        .filter(|line| line.contains("still waiting for"));
    assert_eq!(waits.collect::<Vec<_>>(), [""; 0]);
}

/// Claims that wait end on the server too, so none is executed late: it would count as an attempt.
pub(crate) async fn a_locked_table_costs_no_attempt() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (seen, attempts) = std::sync::mpsc::channel();
    let worker = inbox.worker(move |event| {
        let _ = seen.send(event.attempt());
        async { Ok::<_, String>(()) }
    });
    let host = async {
        let pool = db.postgres_pool().await;
        until_empty(&inbox).await;
        let locked = lock(
            &pool,
            "LOCK TABLE whatsapp_inbox_lane IN ACCESS EXCLUSIVE MODE",
        )
        .await;
        let before = inbox.counters().database_errors;
        // One connection claims. A delivery waits too.
        let refused = post(&inbox, messages(&[message("491", "w2", 2)])).await;
        assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
        let waiting = most_waiting(&pool, Duration::from_secs(4)).await;
        assert!(waiting <= 2, "{waiting} connections wait");
        let errors = inbox.counters().database_errors - before;
        assert!((2..30).contains(&errors), "{errors} errors");
        locked.rollback().await.unwrap();
        until("nobody waits", async || db.count(WAITING).await == 0).await;
        let stored = post(&inbox, messages(&[message("491", "w2", 2)])).await;
        assert_eq!(stored, StatusCode::OK);
        until_empty(&inbox).await;
    };
    worker.lease(Duration::from_secs(2)).run(host).await;
    assert_eq!(attempts.try_iter().collect::<Vec<_>>(), [1, 1]);
}

/// As deliveries do that come in close sequence: the lane is free for those who wait for it only.
pub(crate) async fn a_lane_that_others_lock_in_turn_is_renewed() {
    let db = Db::postgres().await;
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
    let host = async {
        until("it runs", async || journal.len() == 1).await;
        let pool = db.postgres_pool().await;
        let wake_at = "SELECT (extract(epoch FROM wake_at) * 1000)::bigint
            FROM whatsapp_inbox_lane";
        let ends = db.count(wake_at).await;
        let locked = lock(&pool, "SELECT 1 FROM whatsapp_inbox_lane FOR UPDATE").await;
        until("a renewal waits, or none ever did", async || {
            db.count(WAITING).await > 0 || inbox.counters().lost > 0
        })
        .await;
        assert_eq!(inbox.counters().lost, 0);
        locked.rollback().await.unwrap();
        until("it is renewed", async || db.count(wake_at).await > ends).await;
        open.send_replace(true);
        until_empty(&inbox).await;
    };
    worker.lease(Duration::from_secs(6)).run(host).await;
    assert_eq!((inbox.counters().handled, inbox.counters().lost), (1, 0));
}

/// What is not in time is an error, not a hang.
pub(crate) async fn operators_are_told_of_locks() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let worker = inbox.worker(|_| async { Err::<(), _>("a failure") });
    worker.max_attempts(1).run(until_empty(&inbox)).await;
    let key = inbox.dead_letters(0, 1).await.unwrap()[0].key();
    let pool = db.postgres_pool().await;
    let row = lock(&pool, "SELECT 1 FROM whatsapp_inbox_event FOR UPDATE").await;
    refused("replay", inbox.replay(&[key])).await;
    refused("discard", inbox.discard(&[key])).await;
    row.rollback().await.unwrap();
    let table = "LOCK TABLE whatsapp_inbox_event IN ACCESS EXCLUSIVE MODE";
    let table = lock(&pool, table).await;
    refused("status", inbox.status()).await;
    refused("dead_letters", inbox.dead_letters(0, 1)).await;
    refused("replay", inbox.replay(&[key])).await;
    refused("discard", inbox.discard(&[key])).await;
    refused("purge", inbox.purge()).await;
    assert_eq!(db.count(WAITING).await, 0);
    table.rollback().await.unwrap();
    assert_eq!(inbox.replay(&[key]).await.unwrap(), 1);
}

async fn refused<T: Debug>(what: &str, asked: impl Future<Output = Result<T, InboxError>>) {
    let answer = timeout(PATIENCE / 4, asked).await;
    let error = answer
        .unwrap_or_else(|_| panic!("{what} hangs"))
        .unwrap_err();
    assert_eq!(error.kind(), InboxErrorKind::Database, "{what}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("holds a lock"), "{what}: {source}");
}

/// The pool is the host's.
pub(crate) async fn settings_of_a_transaction_do_not_stay() {
    let db = Db::postgres().await;
    let Db::Postgres { server, name } = &db else {
        unreachable!()
    };
    let pool = crate::common::pg_pool(server, name, 3).await;
    let inbox = Inbox::postgres(pool.clone()).await.unwrap();
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    inbox.purge().await.unwrap();
    inbox.status().await.unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut connection = pool.acquire().await.unwrap();
        for setting in [
            "lock_timeout",
            "statement_timeout",
            "idle_in_transaction_session_timeout",
        ] {
            let ask = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
            let value: String = ask.fetch_one(&mut *connection).await.unwrap();
            assert_eq!(value, "0", "{setting}");
        }
        all.push(connection);
    }
}

/// One listens, one is the handler's, and one is left for renewals and deliveries.
pub(crate) async fn a_pool_that_is_too_small_is_refused() {
    let db = Db::postgres().await;
    let Db::Postgres { server, name } = &db else {
        unreachable!()
    };
    for connections in [1, 2] {
        let pool = crate::common::pg_pool(server, name, connections).await;
        let error = Inbox::postgres(pool).await.unwrap_err();
        assert_eq!(error.kind(), InboxErrorKind::Config, "{error}");
        assert!(error.to_string().contains("at least 3"), "{error}");
    }
    let pool = crate::common::pg_pool(server, name, 3).await;
    let inbox = Inbox::postgres(pool).await.unwrap();
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let lease = Duration::from_secs(1);
    let other = inbox.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        let other = other.clone();
        async move {
            let transaction = event.begin_postgres().await?;
            if event.event().id() == Some("w1") {
                // Longer than the lease, with a delivery meanwhile.
                sleep(lease * 2).await;
                let stored = post(&other, messages(&[message("491", "w2", 2)])).await;
                assert_eq!(stored, StatusCode::OK);
            }
            transaction.done().await
        }
    });
    let both = until("both are done", async || inbox.counters().handled == 2);
    worker.lease(lease).run(both).await;
    assert_eq!((inbox.counters().lost, inbox.counters().failed), (0, 0));
}

/// Also one that waits for no lock: it would be executed after Meta got its 503.
pub(crate) async fn a_statement_that_timed_out_ends_on_the_server() {
    let db = Db::own_postgres().await;
    let builder = Inbox::builder().store_timeout(Duration::from_millis(500));
    let inbox = db.open(builder).await.unwrap();
    db.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
            AS $$BEGIN PERFORM pg_sleep(600); RETURN new; END$$;
        CREATE TRIGGER slow BEFORE INSERT ON whatsapp_inbox_event
            FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await;
    let delivery = messages(&[message("491", "w1", 1)]);
    let status = post(&inbox, delivery).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until("it has ended", async || db.count(sleeping).await == 0).await;
}
