use std::sync::Arc;

use http::StatusCode;
use tower_whatsapp_inbox::{Inbox, InboxErrorKind};

use crate::{
    common::{Db, message, messages, pg_pool_as, post, until_empty},
    order::changed,
};

/// What a version adds with which older code does not work.
const LATER: &str = "INSERT INTO whatsapp_inbox_schema (version, oldest_code) VALUES (1000, 1000)";

pub(crate) async fn two_processes_migrate_at_once(db: &Db) {
    let opening = (0..6).map(|_| db.open(Inbox::builder()));
    let inboxes: Vec<_> = futures_join(opening).await;
    for inbox in inboxes {
        post(&inbox.unwrap(), messages(&[message("491", "w1", 1)])).await;
    }
    assert_eq!(
        db.count("SELECT count(*) FROM whatsapp_inbox_schema").await,
        1
    );
    assert_eq!(
        db.count("SELECT count(*) FROM whatsapp_inbox_event").await,
        1
    );
}

/// Only one connection can turn a new file into WAL mode, and SQLite does not wait for it.
pub(crate) async fn a_new_file_is_opened_by_many_at_once() {
    for _ in 0..40 {
        let db = Arc::new(Db::sqlite().await);
        let opening: Vec<_> = (0..6)
            .map(|_| {
                let db = Arc::clone(&db);
                tokio::spawn(async move { db.open(Inbox::builder()).await })
            })
            .collect();
        for opened in opening {
            opened.await.unwrap().unwrap();
        }
    }
}

/// Polls all futures in turn, as they would run in processes of their own.
async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    futures
        .into_iter()
        .map(|(_, output)| output.unwrap())
        .collect()
}

/// While a later version is rolled out, and when it is rolled back, older processes start too.
pub(crate) async fn a_later_schema_that_works_with_older_code_is_opened(db: &Db) {
    drop(db.inbox().await);
    db.execute(
        "INSERT INTO whatsapp_inbox_schema (version, oldest_code) VALUES (999, 999), (1000, 1)",
    )
    .await;
    let inbox = db.inbox().await;
    let stored = post(&inbox, messages(&[message("491", "w1", 1)])).await;
    assert_eq!(stored, StatusCode::OK);
    let versions = "SELECT count(*) FROM whatsapp_inbox_schema";
    assert_eq!(db.count(versions).await, 3);
}

pub(crate) async fn a_later_schema_is_refused(db: &Db) {
    drop(db.inbox().await);
    db.execute(LATER).await;
    let error = db.open(Inbox::builder()).await.unwrap_err();
    assert_eq!(error.kind(), InboxErrorKind::NewerSchema);
}

/// An older version does not touch what a later one has made.
pub(crate) async fn a_later_schema_is_refused_before_anything_is_written(db: &Db) {
    drop(db.inbox().await);
    db.execute(LATER).await;
    let opening = async {
        if let Db::Postgres { server, name } = db {
            db.execute(
                "CREATE ROLE reader LOGIN; GRANT SELECT ON whatsapp_inbox_schema TO reader;
                REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            )
            .await;
            Inbox::postgres(pg_pool_as("reader", server.socket(), name, 3).await).await
        } else {
            db.open(Inbox::builder()).await
        }
    };
    // Whoever writes to the file would wait for this.
    let writer = match db {
        Db::Sqlite { .. } => {
            let pool = db.sqlite_pool().await;
            Some(pool.begin_with("BEGIN IMMEDIATE").await.unwrap())
        }
        Db::Postgres { .. } => None,
    };
    let error = opening.await.unwrap_err();
    assert_eq!(error.kind(), InboxErrorKind::NewerSchema);
    drop(writer);
}

/// Somebody has put another schema first, or has made the one that is first: what waits would not
/// be found any more.
pub(crate) async fn a_second_schema_is_not_made_beside_the_first() {
    let db = Db::postgres().await;
    let Db::Postgres { name, .. } = &db else {
        unreachable!()
    };
    let inbox = db.inbox().await;
    let stored = post(&inbox, messages(&[message("491", "w1", 1)])).await;
    assert_eq!(stored, StatusCode::OK);
    db.execute(&format!(
        "CREATE SCHEMA other; ALTER DATABASE {name} SET search_path = other, public"
    ))
    .await;
    let error = db.open(Inbox::builder()).await.unwrap_err();
    assert_eq!(error.kind(), InboxErrorKind::Config);
    assert!(error.to_string().contains("search_path"), "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'other'";
    assert_eq!(db.count(tables).await, 0);
    db.execute(&format!(
        "ALTER DATABASE {name} SET search_path = public, other"
    ))
    .await;
    let inbox = db.inbox().await;
    assert_eq!(inbox.status().await.unwrap().messages, 1);
    // Alone, the other one may have an inbox of its own.
    db.execute(&format!("ALTER DATABASE {name} SET search_path = other"))
        .await;
    let inbox = db.inbox().await;
    assert_eq!(inbox.status().await.unwrap().messages, 0);
}

/// The rules of a language change with the operating system, and damage indexes that follow them: a
/// conversation would have two lanes. Columns without an index are compared with those that have
/// one.
pub(crate) async fn no_index_depends_on_a_language() {
    let db = Db::postgres().await;
    drop(db.inbox().await);
    let of_a_language = "SELECT count(*) FROM pg_index, unnest(indcollation::oid[]) AS used
        WHERE indrelid::regclass::text LIKE 'whatsapp_inbox_%'
            AND used <> 0 AND used <> '\"C\"'::regcollation";
    assert_eq!(db.count(of_a_language).await, 0);
    let names = "SELECT count(*) FROM information_schema.columns
        WHERE table_name LIKE 'whatsapp_inbox_%'
            AND column_name IN ('lane', 'alias', 'conversation')
            AND collation_name IS DISTINCT FROM 'C'";
    assert_eq!(db.count(names).await, 0);
}

/// Migrations are run by another user than the service.
pub(crate) async fn a_user_without_create_opens_a_schema_that_is_there() {
    let db = Db::postgres().await;
    let Db::Postgres { server, name } = &db else {
        unreachable!()
    };
    db.execute("CREATE ROLE service LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        .await;
    let service = async || {
        let pool = pg_pool_as("service", server.socket(), name, 10).await;
        Inbox::postgres(pool).await
    };
    // It cannot make the schema.
    let error = service().await.unwrap_err();
    assert_eq!(error.kind(), InboxErrorKind::Database);
    drop(db.inbox().await);
    db.execute(GRANTS).await;
    let inbox = service().await.unwrap();
    let items = [message("491", "w1", 1), message("492", "w2", 2)];
    assert_eq!(post(&inbox, messages(&items)).await, StatusCode::OK);
    let rename = changed("US.1", "US.2", "w3", 3);
    assert_eq!(post(&inbox, messages(&[rename])).await, StatusCode::OK);
    let worker = inbox.worker(|event| async move {
        match event.event().id() {
            Some("w1") => Err("a failure"),
            _ => Ok(()),
        }
    });
    worker.max_attempts(1).run(until_empty(&inbox)).await;
    let key = inbox.dead_letters(0, 1).await.unwrap()[0].key();
    assert_eq!(inbox.replay(&[key]).await.unwrap(), 1);
    inbox.purge().await.unwrap();
    assert_eq!(inbox.status().await.unwrap().messages, 1);
    assert_eq!(inbox.counters().database_errors, 0);
}

/// As the guide says.
const GRANTS: &str = "
GRANT SELECT ON whatsapp_inbox_schema TO service;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON whatsapp_inbox_event, whatsapp_inbox_lane, whatsapp_inbox_alias TO service;
GRANT USAGE ON SEQUENCE whatsapp_inbox_seq TO service;";

/// An operator has deleted rows by hand.
pub(crate) async fn the_count_of_a_lane_heals(db: &Db) {
    let inbox = db.inbox().await;
    let items = [message("491", "w1", 1), message("492", "w2", 2)];
    post(&inbox, messages(&items)).await;
    db.execute("DELETE FROM whatsapp_inbox_event WHERE conversation = '/7/wa/491'")
        .await;
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(inbox.counters().handled, 1);
    let idle = "SELECT count(*) FROM whatsapp_inbox_lane WHERE pending = 0 AND owner IS NULL";
    assert_eq!(db.count(idle).await, 2);
}

/// An operator has emptied the table of lanes, and has made an event pending again.
pub(crate) async fn forgotten_events_are_found(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..6)
        .map(|n| message(&format!("49{}", n % 2), &format!("w{n}"), n))
        .collect();
    post(&inbox, messages(&items)).await;
    db.execute("DELETE FROM whatsapp_inbox_lane WHERE lane = '/7/wa/490'")
        .await;
    let idle = if db.is_sqlite() {
        "9223372036854775807"
    } else {
        "'infinity'"
    };
    let sleep = format!("UPDATE whatsapp_inbox_lane SET pending = 0, wake_at = {idle}");
    db.execute(&sleep).await;
    assert_eq!(inbox.status().await.unwrap().messages, 0);
    inbox.purge().await.unwrap();
    assert_eq!(inbox.status().await.unwrap().messages, 6);
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(inbox.counters().handled, 6);
}
