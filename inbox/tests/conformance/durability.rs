//! Settings of a role, a database or a pool that a commit must not depend on.

use http::StatusCode;
use tower_whatsapp_inbox::InboxEvent;

use crate::common::{Db, message, messages, post, until, until_empty};

/// The server answers an asynchronous commit before it is on its disk, and forgets it in a crash.
pub(crate) async fn what_is_stored_is_on_the_disk_of_the_server() {
    let db = Db::postgres().await;
    let Db::Postgres { name, .. } = &db else {
        unreachable!()
    };
    drop(db.inbox().await);
    // At the commit.
    db.execute(
        "CREATE TABLE seen (setting text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('synchronous_commit'));
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER see AFTER INSERT ON whatsapp_inbox_event
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION see()",
    )
    .await;
    // What waits for replicas is not made less.
    let settings = [
        ("off", "local"),
        ("false", "local"),
        ("local", "local"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ];
    for (set, expected) in settings {
        db.execute(&format!(
            "DELETE FROM seen; ALTER DATABASE {name} SET synchronous_commit = '{set}'"
        ))
        .await;
        let inbox = db.inbox().await;
        let body = messages(&[message("491", set, 1)]);
        assert_eq!(post(&inbox, body).await, StatusCode::OK, "{set}");
        let as_expected = format!("SELECT count(*) FROM seen WHERE setting = '{expected}'");
        assert_eq!(db.count(&as_expected).await, 1, "{set}");
    }
}

/// Above `READ COMMITTED`, a statement fails that has waited for a row and finds it changed.
pub(crate) async fn the_default_isolation_does_not_matter() {
    for isolation in ["repeatable read", "serializable"] {
        let db = Db::postgres().await;
        let Db::Postgres { name, .. } = &db else {
            unreachable!()
        };
        db.execute(&format!(
            "ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'"
        ))
        .await;
        let inbox = db.inbox().await;
        let send = async |id| post(&inbox, messages(&[message("491", id, 1)])).await;
        assert_eq!(send("w1").await, StatusCode::OK, "{isolation}");
        let pool = db.postgres_pool().await;
        let mut other = pool.begin().await.unwrap();
        let change = sqlx::query("UPDATE whatsapp_inbox_lane SET pending = pending");
        change.execute(&mut *other).await.unwrap();
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let commit = async {
            until("it waits", async || db.count(waiting).await > 0).await;
            other.commit().await.unwrap();
        };
        let (stored, ()) = tokio::join!(send("w2"), commit);
        assert_eq!(stored, StatusCode::OK, "{isolation}");
        // A delivery changes the lane while a handler has a transaction.
        let receiver = inbox.clone();
        let worker = inbox.worker(move |event: InboxEvent| {
            let receiver = receiver.clone();
            async move {
                let mut transaction = event.begin_postgres().await.unwrap();
                let read = sqlx::query("SELECT count(*) FROM whatsapp_inbox_lane");
                read.execute(&mut **transaction).await.unwrap();
                if event.event().id() == Some("w1") {
                    let next = messages(&[message("491", "w3", 2)]);
                    assert_eq!(post(&receiver, next).await, StatusCode::OK);
                }
                transaction.done().await
            }
        });
        worker.run(until_empty(&inbox)).await;
        let counters = inbox.counters();
        let ended = (counters.handled, counters.failed);
        assert_eq!(ended, (3, 0), "{isolation}");
    }
}
