//! Settings of a role, a database or a pool that a commit must not depend on.

use http::StatusCode;

use crate::common::{Db, message, messages, post};

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
