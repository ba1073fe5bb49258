use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tower_whatsapp_inbox::{InboxBatch, InboxError, InboxErrorKind, InboxEvent, Verdict};

use crate::common::{Db, message, messages, post, until_empty};

const EFFECTS: &str = "SELECT count(*) FROM effects";

/// Writes a row in the transaction of the run, and finishes it if asked to.
pub(crate) async fn effect(
    event: &InboxEvent,
    is_sqlite: bool,
    finish: bool,
) -> Result<(), InboxError> {
    let id = event.event().id().unwrap().to_owned();
    if is_sqlite {
        let mut transaction = event.begin_sqlite().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES (?1)").bind(id);
        insert.execute(&mut **transaction).await?;
        if finish {
            transaction.done().await
        } else {
            Ok(())
        }
    } else {
        let mut transaction = event.begin_postgres().await?;
        let insert = sqlx::query("INSERT INTO effects (id) VALUES ($1)").bind(id);
        insert.execute(&mut **transaction).await?;
        if finish {
            transaction.done().await
        } else {
            Ok(())
        }
    }
}

pub(crate) async fn effects_and_mark_commit_together(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let items: Vec<_> = (0..20)
        .map(|n| message(&format!("49{}", n % 4), &format!("w{n}"), n))
        .collect();
    post(&inbox, messages(&items)).await;
    let is_sqlite = db.is_sqlite();
    let worker = inbox.worker(move |event: InboxEvent| async move {
        effect(&event, is_sqlite, true).await?;
        // Too late: it is done.
        match event.event().id() {
            Some("w3") => Err(InboxErrorKind::Timeout).map_err(|_| sqlx::Error::RowNotFound.into()),
            _ => Ok::<_, InboxError>(()),
        }
    });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(db.count(EFFECTS).await, 20);
    assert_eq!(inbox.counters().handled, 20);
}

pub(crate) async fn without_done_nothing_is_written(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let is_sqlite = db.is_sqlite();
    let worker = inbox.worker(move |event: InboxEvent| async move {
        // Forgotten at first.
        effect(&event, is_sqlite, event.attempt() > 1).await
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    assert_eq!(db.count(EFFECTS).await, 1);
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (1, 1));
}

/// All events of a batch are marked by the one commit, and counted.
pub(crate) async fn a_batch_is_done_by_one_commit(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..3)
        .map(|n| message("491", &format!("w{n}"), n))
        .collect();
    post(&inbox, messages(&items)).await;
    let (is_sqlite, runs) = (db.is_sqlite(), Arc::new(AtomicU32::new(0)));
    let seen = runs.clone();
    let worker = inbox.batch_worker(move |batch: InboxBatch| {
        let run = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            // The first is rolled back.
            if is_sqlite {
                let transaction = batch.begin_sqlite().await?;
                if run > 0 {
                    transaction.done().await?;
                }
            } else {
                let transaction = batch.begin_postgres().await?;
                if run > 0 {
                    transaction.done().await?;
                }
            }
            Ok::<_, InboxError>(())
        }
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (1, 3));
    let done = "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 1";
    assert_eq!(db.count(done).await, 3);
}

pub(crate) async fn the_mark_is_fenced(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (is_sqlite, (told, is_told)) = (db.is_sqlite(), tokio::sync::oneshot::channel());
    let (stolen, is_stolen) = tokio::sync::watch::channel(false);
    let (started, mut is_started) = tokio::sync::mpsc::unbounded_channel();
    let told = Arc::new(std::sync::Mutex::new(Some(told)));
    let worker = inbox.worker(move |event: InboxEvent| {
        let (told, mut is_stolen, started) = (told.clone(), is_stolen.clone(), started.clone());
        async move {
            let _ = started.send(());
            let _ = is_stolen.wait_for(|stolen| *stolen).await;
            let result = effect(&event, is_sqlite, true).await;
            let kind = result.as_ref().err().map(InboxError::kind);
            if let Some(told) = told.lock().unwrap().take() {
                let _ = told.send(kind);
            }
            result
        }
    });
    let thief = async {
        is_started.recv().await.unwrap();
        let token = if is_sqlite { "x'00'" } else { "'\\x00'" };
        db.execute(&format!("UPDATE whatsapp_inbox_lane SET owner = {token}"))
            .await;
        stolen.send_replace(true);
        assert_eq!(is_told.await.unwrap(), Some(InboxErrorKind::LeaseLost));
    };
    worker.run(thief).await;
    assert_eq!(db.count(EFFECTS).await, 0);
    let pending = "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 0";
    assert_eq!(db.count(pending).await, 1);
}

/// A statement may end the transaction by itself. Nothing is marked then, even if the handler
/// ignores the error of the statement.
pub(crate) async fn a_transaction_that_ended_itself_is_not_done() {
    let db = Db::sqlite().await;
    let inbox = db.inbox().await;
    db.execute(
        "CREATE TABLE effects (id TEXT UNIQUE);
        INSERT INTO effects (id) VALUES ('taken')",
    )
    .await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let worker = inbox.worker(|event: InboxEvent| async move {
        let mut transaction = event.begin_sqlite().await?;
        let id = if event.attempt() == 1 { "taken" } else { "w1" };
        let insert = sqlx::query("INSERT OR ROLLBACK INTO effects (id) VALUES (?1)").bind(id);
        let _ = insert.execute(&mut **transaction).await;
        transaction.done().await
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    assert_eq!(db.count(EFFECTS).await, 2);
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (1, 1));
}

/// A handler may end the transaction behind the back of the crate. The mark must not be committed
/// alone, neither outside of a transaction nor in another one.
pub(crate) async fn a_transaction_that_its_handler_ended_is_not_done(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let ends = ["ROLLBACK", "COMMIT", "ROLLBACK; BEGIN", "COMMIT; BEGIN"];
    let items: Vec<_> = (0..ends.len())
        .map(|n| message(&format!("49{n}"), &n.to_string(), 1))
        .collect();
    post(&inbox, messages(&items)).await;
    let is_sqlite = db.is_sqlite();
    let worker = inbox.worker(move |event: InboxEvent| async move {
        let first = event.attempt() == 1;
        let n: usize = event.event().id().unwrap().parse().unwrap();
        let end = sqlx::raw_sql(ends[n]);
        if is_sqlite {
            let mut transaction = event.begin_sqlite().await?;
            if first {
                end.execute(&mut **transaction).await?;
            }
            transaction.done().await
        } else {
            let mut transaction = event.begin_postgres().await?;
            if first {
                end.execute(&mut **transaction).await?;
            }
            transaction.done().await
        }
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (4, 4));
    // Nothing is left open, and the inbox goes on.
    let stored = post(&inbox, messages(&[message("491", "9", 9)])).await;
    assert_eq!(stored, http::StatusCode::OK);
    assert_eq!(inbox.status().await.unwrap().messages, 1);
}

/// The lease ends with `done`. The handler does not.
pub(crate) async fn what_follows_done_is_not_aborted(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let (is_sqlite, lease) = (db.is_sqlite(), Duration::from_secs(1));
    let finished = Arc::new(AtomicU32::new(0));
    let seen = finished.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        let seen = seen.clone();
        async move {
            effect(&event, is_sqlite, true).await?;
            tokio::time::sleep(lease * 2).await;
            seen.fetch_add(1, Ordering::SeqCst);
            Ok::<_, InboxError>(())
        }
    });
    worker.lease(lease).run(until_empty(&inbox)).await;
    assert_eq!(finished.load(Ordering::SeqCst), 1);
    let counters = inbox.counters();
    assert_eq!((counters.handled, counters.lost), (1, 0));
}

/// A handler may roll back and say what is to become of its event.
pub(crate) async fn verdicts_after_a_rollback_are_obeyed(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let ids = ["never", "again", "later"];
    for (n, id) in (0..).zip(ids) {
        post(&inbox, messages(&[message(&format!("49{n}"), id, 1)])).await;
    }
    let is_sqlite = db.is_sqlite();
    let later = Arc::new(AtomicU32::new(0));
    let worker = inbox.worker(move |event: InboxEvent| {
        let later = later.clone();
        async move {
            effect(&event, is_sqlite, false).await?;
            let id = event.event().id().unwrap().to_owned();
            let is_first = event.attempt() == 1;
            match id.as_str() {
                "never" => return Ok(Verdict::Never("a reason".to_owned())),
                "again" if is_first => return Ok(Verdict::Again),
                "later" if later.fetch_add(1, Ordering::SeqCst) == 0 => {
                    return Ok(Verdict::NotBefore(Duration::from_millis(10)));
                }
                // `NotBefore` is not an attempt.
                "later" => assert!(is_first),
                _ => {}
            }
            effect(&event, is_sqlite, true).await?;
            Ok::<_, InboxError>(Verdict::Done)
        }
    });
    worker.run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].error(), Some("a reason"));
    // No verdict is a failure.
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (0, 2));
}

/// On SQLite the second would wait for the first, and deliveries for both.
pub(crate) async fn a_run_has_one_transaction_at_a_time(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let is_sqlite = db.is_sqlite();
    let worker = inbox.worker(move |event: InboxEvent| async move {
        let second = if is_sqlite {
            let _first = event.begin_sqlite().await?;
            event.begin_sqlite().await.err()
        } else {
            let _first = event.begin_postgres().await?;
            event.begin_postgres().await.err()
        };
        let kind = second.map(|error| error.kind());
        assert_eq!(kind, Some(InboxErrorKind::TransactionOpen));
        // The first is dropped: another may begin.
        effect(&event, is_sqlite, true).await
    });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(db.count(EFFECTS).await, 1);
    assert_eq!(inbox.counters().failed, 0);
}

/// The error names the method to call. The run may begin its transaction after it.
pub(crate) async fn a_transaction_of_the_other_database_is_an_error(db: &Db) {
    let inbox = db.inbox().await;
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let is_sqlite = db.is_sqlite();
    let check = move |error: Option<InboxError>| {
        let error = error.expect("there is no such transaction");
        assert_eq!(error.kind(), InboxErrorKind::WrongDatabase);
        let right = if is_sqlite {
            "`begin_sqlite`"
        } else {
            "`begin_postgres`"
        };
        assert!(error.to_string().contains(right), "{error}");
    };
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let worker = inbox.worker(move |event: InboxEvent| async move {
        check(match is_sqlite {
            true => event.begin_postgres().await.err(),
            false => event.begin_sqlite().await.err(),
        });
        effect(&event, is_sqlite, true).await
    });
    worker.run(until_empty(&inbox)).await;
    post(&inbox, messages(&[message("491", "w2", 2)])).await;
    let worker = inbox.batch_worker(move |batch: InboxBatch| async move {
        check(match is_sqlite {
            true => batch.begin_postgres().await.err(),
            false => batch.begin_sqlite().await.err(),
        });
        Ok::<_, InboxError>(())
    });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(db.count(EFFECTS).await, 1);
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (0, 2));
}

/// A process that stops inside a transaction of the crate does not keep its locks, nor does one
/// that stops between a mark and its commit. How long the transaction of a handler may idle before
/// is up to the host.
pub(crate) async fn own_transactions_do_not_idle() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    db.execute(
        "CREATE TABLE effects (id TEXT);
        CREATE TABLE seen (what text, idle text, lock text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (
                coalesce(to_jsonb(NEW)->>'state', 'effect'),
                current_setting('idle_in_transaction_session_timeout'),
                current_setting('lock_timeout'));
            RETURN NULL;
        END $$;
        CREATE TRIGGER see AFTER UPDATE ON whatsapp_inbox_event
        FOR EACH ROW EXECUTE FUNCTION see();
        CREATE TRIGGER see AFTER INSERT ON effects FOR EACH ROW EXECUTE FUNCTION see()",
    )
    .await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let worker = inbox.worker(|event: InboxEvent| async move {
        match event.attempt() {
            1 => Err(sqlx::Error::RowNotFound.into()),
            _ => effect(&event, false, true).await,
        }
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let own = "SELECT count(*) FROM seen WHERE what = '0' AND idle = '10s'";
    assert_eq!(db.count(own).await, 1);
    let host = "SELECT count(*) FROM seen WHERE what = 'effect' AND idle = '0' AND lock = '0'";
    assert_eq!(db.count(host).await, 1);
    let mark = "SELECT count(*) FROM seen WHERE what = '1' AND idle = '10s' AND lock = '10s'";
    assert_eq!(db.count(mark).await, 1);
}
