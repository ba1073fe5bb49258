use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_whatsapp::event::Payload;
use tower_whatsapp_inbox::{Inbox, InboxErrorKind};

use crate::common::{
    Db, Journal, SECRET, message, messages, post, status, statuses, until, until_empty,
};

const EVENTS: &str = "SELECT count(*) FROM whatsapp_inbox_event";

pub(crate) async fn everything_is_stored_before_200(db: &Db) {
    let inbox = db.inbox().await;
    // A NUL in a text: `jsonb` of Postgres refuses it.
    let body = messages(&[
        message("491", "w1", 1),
        r#"{"from":"492","id":"w2","timestamp":"2","text":{"body":"a\u0000b"},"type":"text"}"#
            .into(),
    ]);
    assert_eq!(post(&inbox, body).await, StatusCode::OK);
    assert_eq!(db.count(&format!("{EVENTS} WHERE state = 0")).await, 2);
    let texts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = texts.clone();
    let worker = inbox.worker(move |event| {
        let message = event
            .notification()
            .messages()
            .next()
            .unwrap()
            .text()
            .unwrap()
            .to_owned();
        seen.lock().unwrap().push(message);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let mut texts = texts.lock().unwrap().clone();
    texts.sort();
    assert_eq!(texts, ["a\0b", "w1"]);
    let left = format!("{EVENTS} WHERE state = 1 AND body IS NULL");
    assert_eq!(db.count(&left).await, 2);
}

/// Each row has a copy of what the events share, so memory would be without bound.
pub(crate) async fn a_delivery_that_multiplies_is_refused(db: &Db) {
    let inbox = db.inbox().await;
    let long = "m".repeat(1024 * 1024);
    let metadata = format!(r#"{{"phone_number_id":"7","more":"{long}"}}"#);
    let sharing = |count: u64| {
        let all: Vec<_> = (0..count)
            .map(|n| status("491", &format!("w{n}"), n))
            .collect();
        statuses(&all).replace(r#"{"phone_number_id":"7"}"#, &metadata)
    };
    let answer = post(&inbox, sharing(65)).await;
    assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((db.count(EVENTS).await, inbox.counters().refused), (0, 1));
    assert_eq!(post(&inbox, sharing(5)).await, StatusCode::OK);
    assert_eq!(db.count(EVENTS).await, 5);
}

pub(crate) async fn a_redelivery_in_another_grouping_is_not_stored_again(db: &Db) {
    let inbox = db.inbox().await;
    let all: Vec<_> = (0..10)
        .map(|n| message("491", &format!("w{n}"), n))
        .collect();
    assert_eq!(post(&inbox, messages(&all[..6])).await, StatusCode::OK);
    assert_eq!(post(&inbox, messages(&all[3..])).await, StatusCode::OK);
    // The same twice in one delivery.
    let twice = [all[0].clone(), all[0].clone()];
    assert_eq!(post(&inbox, messages(&twice)).await, StatusCode::OK);
    assert_eq!(db.count(EVENTS).await, 10);
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(post(&inbox, messages(&all)).await, StatusCode::OK);
    let status = inbox.status().await.unwrap();
    assert_eq!((status.messages, journal.len()), (0, 10));
    let counters = inbox.counters();
    assert_eq!((counters.stored, counters.duplicates), (10, 15));
}

pub(crate) async fn overlapping_deliveries_do_not_deadlock(db: &Db) {
    let builder = Inbox::builder().store_timeout(Duration::from_secs(20));
    let inbox = db.open(builder).await.unwrap();
    for round in 0..4 {
        let all: Vec<_> = (0..400)
            .map(|n| message(&format!("49{}", n % 7), &format!("r{round}w{n}"), n))
            .collect();
        // Holds all statements back, so that they start together.
        let mut gate = None;
        if !db.is_sqlite() {
            let mut transaction = db.postgres_pool().await.begin().await.unwrap();
            let lock = sqlx::query("LOCK TABLE whatsapp_inbox_event IN SHARE MODE");
            lock.execute(&mut *transaction).await.unwrap();
            gate = Some(transaction);
        }
        let deliveries = (0..8).map(|turn| {
            let (inbox, mut items) = (inbox.clone(), all.clone());
            items.rotate_left(turn * 50);
            if turn % 2 == 0 {
                items.reverse();
            }
            tokio::spawn(async move { post(&inbox, messages(&items)).await })
        });
        let deliveries: Vec<_> = deliveries.collect();
        if let Some(gate) = gate {
            tokio::time::sleep(Duration::from_secs(1)).await;
            gate.rollback().await.unwrap();
        }
        for delivery in deliveries {
            assert_eq!(delivery.await.unwrap(), StatusCode::OK);
        }
    }
    assert_eq!(db.count(EVENTS).await, 1600);
    assert_eq!(inbox.status().await.unwrap().messages, 1600);
}

pub(crate) async fn what_is_forgotten_is_stored_again(db: &Db) {
    let builder = Inbox::builder().keep(Duration::from_secs(1));
    let inbox = db.open(builder).await.unwrap();
    let body = messages(&[message("491", "w1", 1)]);
    post(&inbox, body.clone()).await;
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    worker.run(until_empty(&inbox)).await;
    inbox.purge().await.unwrap();
    post(&inbox, body.clone()).await;
    assert_eq!(inbox.counters().stored, 1);
    until("the event is forgotten", async || {
        inbox.purge().await.unwrap();
        db.count(EVENTS).await == 0
    })
    .await;
    post(&inbox, body).await;
    assert_eq!(inbox.counters().stored, 2);
    // What is pending is never purged.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    inbox.purge().await.unwrap();
    assert_eq!(inbox.status().await.unwrap().messages, 1);
}

pub(crate) async fn indistinguishable_events_are_all_stored(db: &Db) {
    let inbox = db.inbox().await;
    let body = r#"{"entry":[{"id":"1","changes":[{"field":"messages","value":{
        "metadata":{"phone_number_id":"7"},"errors":[{"code":130429}]}}]}]}"#;
    post(&inbox, body).await;
    post(&inbox, body).await;
    assert_eq!(db.count(EVENTS).await, 2);
}

pub(crate) async fn kinds_are_left_out_at_the_door(db: &Db) {
    let inbox = db.open(Inbox::builder().ignore(["status"])).await.unwrap();
    let body = statuses(&[status("491", "w1", 1), status("491", "w2", 2)]);
    assert_eq!(post(&inbox, body).await, StatusCode::OK);
    post(&inbox, messages(&[message("491", "w3", 1)])).await;
    assert_eq!(db.count(EVENTS).await, 1);
    let counters = inbox.counters();
    assert_eq!((counters.stored, counters.ignored), (1, 2));
    let only = db.open(Inbox::builder().only(["status"])).await.unwrap();
    post(&only, messages(&[message("491", "w4", 1)])).await;
    post(&only, statuses(&[status("491", "w4", 1)])).await;
    let counters = only.counters();
    assert_eq!((counters.stored, counters.ignored), (1, 1));
    // Another call adds a kind.
    let builder = Inbox::builder().only(["status"]).only(["message"]);
    let two = db.open(builder).await.unwrap();
    post(&two, messages(&[message("491", "w6", 1)])).await;
    post(&two, statuses(&[status("491", "w6", 1)])).await;
    assert_eq!(two.counters().stored, 2);
    // Both settings apply.
    let builder = Inbox::builder().only(["status", "message"]);
    let both = db.open(builder.ignore(["status"])).await.unwrap();
    post(&both, messages(&[message("491", "w5", 1)])).await;
    post(&both, statuses(&[status("491", "w5", 1)])).await;
    let counters = both.counters();
    assert_eq!((counters.stored, counters.ignored), (1, 1));
}

/// As stored, as a duplicate or as left out, also when a delivery has all three.
pub(crate) async fn each_event_of_a_delivery_is_counted_once(db: &Db) {
    let inbox = db.open(Inbox::builder().ignore(["status"])).await.unwrap();
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let known_and_new = [message("491", "w1", 1), message("491", "w2", 2)].join(",");
    let left_out = ["s1", "s2", "s3"].map(|id| status("491", id, 1)).join(",");
    let value = format!(
        r#"{{"metadata":{{"phone_number_id":"7"}},"messages":[{known_and_new}],
        "statuses":[{left_out}]}}"#
    );
    let mixed =
        format!(r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{value}}}]}}]}}"#);
    assert_eq!(post(&inbox, mixed).await, StatusCode::OK);
    let counted = || {
        let counters = inbox.counters();
        (counters.stored, counters.duplicates, counters.ignored)
    };
    assert_eq!(counted(), (2, 1, 3));
    let twice = ["w3", "w3"].map(|id| message("491", id, 3));
    assert_eq!(post(&inbox, messages(&twice)).await, StatusCode::OK);
    assert_eq!(counted(), (3, 2, 3));
    assert_eq!(inbox.status().await.unwrap().messages, 3);
}

pub(crate) async fn unknown_kinds_are_refused(db: &Db) {
    for builder in [
        Inbox::builder().only(["posts"]),
        Inbox::builder().ignore(["messages"]),
        Inbox::builder().only(Vec::<String>::new()),
        Inbox::builder().only(["message"]).ignore(["message"]),
        Inbox::builder().ignore(Payload::NAMES.iter().copied()),
        Inbox::builder().gather(Duration::from_secs(2), Duration::from_secs(1)),
        Inbox::builder().keep(Duration::ZERO),
    ] {
        let error = db.open(builder).await.unwrap_err();
        assert_eq!(error.kind(), InboxErrorKind::Config, "{error}");
    }
}

pub(crate) async fn without_the_layer_the_answer_is_500(db: &Db) {
    let inbox = db.inbox().await;
    let answer = inbox.receiver().oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

/// Another transaction holds a lock that the receiver needs.
pub(crate) async fn a_slow_database_is_503(db: &Db) {
    let builder = Inbox::builder().store_timeout(Duration::from_millis(300));
    let inbox = db.open(builder).await.unwrap();
    let body = messages(&[message("491", "w1", 1)]);
    let start = Instant::now();
    if db.is_sqlite() {
        let pool = db.sqlite_pool().await;
        let lock = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        assert_eq!(
            post(&inbox, body.clone()).await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        lock.rollback().await.unwrap();
    } else {
        let pool = db.postgres_pool().await;
        let mut lock = pool.begin().await.unwrap();
        let all = "LOCK TABLE whatsapp_inbox_event IN ACCESS EXCLUSIVE MODE";
        sqlx::query(all).execute(&mut *lock).await.unwrap();
        assert_eq!(
            post(&inbox, body.clone()).await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        lock.rollback().await.unwrap();
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(inbox.counters().refused, 1);
    until("it is stored by the redelivery", async || {
        post(&inbox, body.clone()).await == StatusCode::OK
    })
    .await;
    assert_eq!(db.count(EVENTS).await, 1);
}

/// The events can be written and the lanes cannot: nothing is stored.
pub(crate) async fn a_database_that_refuses_is_503(db: &Db) {
    let inbox = db.inbox().await;
    let (refuse, allow) = if db.is_sqlite() {
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON whatsapp_inbox_lane
            BEGIN SELECT RAISE(ABORT, 'full'); END",
            "DROP TRIGGER refuse",
        )
    } else {
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'full'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON whatsapp_inbox_lane
            FOR EACH ROW EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON whatsapp_inbox_lane",
        )
    };
    db.execute(refuse).await;
    let body = messages(&[message("491", "w1", 1)]);
    assert_eq!(
        post(&inbox, body.clone()).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(db.count(EVENTS).await, 0);
    db.execute(allow).await;
    assert_eq!(post(&inbox, body).await, StatusCode::OK);
    assert_eq!(db.count(EVENTS).await, 1);
}

pub(crate) async fn a_server_that_is_away_is_503() {
    let mut db = Db::own_postgres().await;
    let builder = Inbox::builder().store_timeout(Duration::from_millis(500));
    let inbox = db.open(builder).await.unwrap();
    let body = messages(&[message("491", "w1", 1)]);
    if let Db::Postgres { server, .. } = &mut db {
        std::sync::Arc::get_mut(server).unwrap().crash();
    }
    let start = Instant::now();
    assert_eq!(
        post(&inbox, body.clone()).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(start.elapsed() < Duration::from_secs(2));
    if let Db::Postgres { server, .. } = &mut db {
        std::sync::Arc::get_mut(server).unwrap().launch();
    }
    until("the server is back", async || {
        post(&inbox, body.clone()).await == StatusCode::OK
    })
    .await;
    assert_eq!(db.count(EVENTS).await, 1);
}

pub(crate) async fn nothing_personal_is_shown(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("4915551234567", "w1", 1)])).await;
    let shown = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let noted = shown.clone();
    let worker = inbox.batch_worker(move |batch| {
        noted
            .lock()
            .unwrap()
            .push_str(&format!("{batch:?} {:?}", batch.events()[0]));
        async { Err::<(), _>("4915551234567 has failed") }
    });
    let worker = worker.max_attempts(1);
    noted_debug(&shown, &worker);
    worker.run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters[0].error(), Some("4915551234567 has failed"));
    noted_debug(&shown, &letters);
    noted_debug(&shown, &inbox);
    noted_debug(&shown, &inbox.receiver());
    // An error that quotes a row.
    db.execute("ALTER TABLE whatsapp_inbox_event RENAME TO elsewhere")
        .await;
    let error = inbox.status().await.unwrap_err();
    noted_debug(&shown, &error);
    let shown = shown.lock().unwrap();
    assert!(shown.contains("Database"), "{shown}");
    for canary in ["491555", "has failed", SECRET, "w1"] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}

fn noted_debug(shown: &std::sync::Mutex<String>, value: &dyn std::fmt::Debug) {
    shown.lock().unwrap().push_str(&format!("{value:?}"));
}

/// As long as Meta's longest delivery, in one transaction.
pub(crate) async fn a_large_delivery_is_stored_within_a_second(db: &Db) {
    // Builds without optimization are several times slower.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    let builder = Inbox::builder().store_timeout(limit);
    let inbox = db.open(builder).await.unwrap();
    let mut items = Vec::new();
    let mut length = 0;
    while length < 3_000_000 {
        let n = items.len();
        let text = "x".repeat(600);
        let item = message(&format!("49{}", n % 500), &format!("w{n}-{text}"), n as u64);
        length += item.len() + 1;
        items.push(item);
    }
    let start = Instant::now();
    assert_eq!(post(&inbox, messages(&items)).await, StatusCode::OK);
    println!("{} events of 3 MB: {:?}", items.len(), start.elapsed());
    assert_eq!(inbox.counters().stored, items.len() as u64);
}

/// Somebody has left all connections of the pool inside a transaction: that of the crate ends it.
pub(crate) async fn what_is_answered_with_200_is_committed() {
    let db = Db::postgres().await;
    let Db::Postgres { server, name } = &db else {
        unreachable!()
    };
    let pool = crate::common::pg_pool(server, name, 3).await;
    let inbox = Inbox::postgres(pool.clone()).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("BEGIN")
            .execute(&mut *connection)
            .await
            .unwrap();
        all.push(connection);
    }
    drop(all);
    let body = messages(&[message("491", "w1", 1)]);
    assert_eq!(post(&inbox, body).await, StatusCode::OK);
    // As another connection sees it.
    assert_eq!(db.count(EVENTS).await, 1);
}

/// Callers that are dropped while they begin a transaction leave none behind.
pub(crate) async fn cancelled_runs_leave_no_transaction() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..40)
        .map(|n| message(&format!("49{n}"), &format!("w{n}"), 1))
        .collect();
    post(&inbox, messages(&items)).await;
    let worker = inbox.worker(|event: tower_whatsapp_inbox::InboxEvent| async move {
        // At each of its awaits.
        for polls in 1..10 {
            drop_after(polls, event.begin_postgres()).await;
        }
        Ok::<_, String>(())
    });
    // A transaction that was begun and not committed is a failure.
    worker.max_attempts(1).run(until_empty(&inbox)).await;
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until("no transaction is open", async || db.count(open).await == 0).await;
}

/// Polls a future this often, as it is woken, and drops it.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        let is_ready = future.as_mut().poll(context).is_ready();
        if is_ready || left == 0 {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// A statement that rolls the whole transaction back, as a full disk does, costs one delivery.
pub(crate) async fn a_full_disk_costs_one_delivery() {
    let db = Db::sqlite().await;
    let inbox = db.inbox().await;
    db.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON whatsapp_inbox_lane
        BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
    )
    .await;
    let body = messages(&[message("491", "w1", 1)]);
    assert_eq!(
        post(&inbox, body.clone()).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    db.execute("DROP TRIGGER refuse").await;
    assert_eq!(post(&inbox, body).await, StatusCode::OK);
    assert_eq!(db.count(EVENTS).await, 1);
}

/// A store that waits for a lock ends on the server too, and gives its connection back.
pub(crate) async fn a_store_that_timed_out_does_not_wait_on_the_server() {
    let db = Db::postgres().await;
    let builder = Inbox::builder().store_timeout(Duration::from_millis(300));
    let inbox = db.open(builder).await.unwrap();
    let stored = post(&inbox, messages(&[message("491", "w1", 1)])).await;
    assert_eq!(stored, StatusCode::OK);
    let pool = db.postgres_pool().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM whatsapp_inbox_lane FOR UPDATE")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    let refused = post(&inbox, messages(&[message("491", "w2", 2)])).await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("nobody waits for the lock", async || {
        db.count(waiting).await == 0
    })
    .await;
    transaction.rollback().await.unwrap();
}

/// A writer of another process holds the file for longer than SQLite waits by default.
pub(crate) async fn the_store_timeout_is_waited_for() {
    let db = Db::sqlite().await;
    let builder = Inbox::builder().store_timeout(Duration::from_secs(20));
    let inbox = db.open(builder).await.unwrap();
    let pool = db.sqlite_pool().await;
    let lock = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let body = messages(&[message("491", "w1", 1)]);
    let (stored, ()) = tokio::join!(post(&inbox, body), async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        lock.rollback().await.unwrap();
    });
    assert_eq!(stored, StatusCode::OK);
}
