//! What failed without a word of the handler is told, each kind of it.

use std::time::Duration;

use http::StatusCode;
use tower_whatsapp_inbox::{Inbox, InboxEvent, Verdict};

use crate::{
    Lines,
    common::{Db, message, messages, post, until_empty},
};

/// Reasons of runs, which are also the errors of the events.
const FAILED: [(&str, &str); 4] = [
    ("unreadable", "the stored event cannot be read"),
    ("panics", "the handler panicked"),
    ("hangs", "the handler took longer than handler_timeout"),
    (
        "open",
        "the handler began a transaction and did not commit it",
    ),
];

/// Reasons of dead letters.
const DEAD: [(&str, &str); 4] = [
    (
        "killed",
        "its lease was lost or its process ended while it was handled",
    ),
    ("fails", "the handler failed"),
    ("again", "the handler returned Verdict::Again"),
    ("never", "the handler returned Verdict::Never"),
];

pub(crate) async fn each_is_told(db: &Db, lines: &Lines) {
    for (id, reason) in FAILED.into_iter().chain(DEAD) {
        // One WARN a minute for each kind, and an inbox of its own for each dead letter.
        let inbox = db.inbox().await;
        let (runs, letters) = (
            lines.with("a run failed").len(),
            lines.with("events became dead letters").len(),
        );
        let body = messages(&[message("4915550001", id, 1)]);
        assert_eq!(post(&inbox, body).await, StatusCode::OK);
        prepare(db, id).await;
        work(&inbox, db.is_sqlite()).await;
        let dead = inbox.dead_letters(0, 10).await.unwrap();
        let [letter] = dead.as_slice() else {
            panic!("{id}: {dead:?}")
        };
        let error = letter.error().map(str::to_owned);
        inbox.discard(&[letter.key()]).await.unwrap();
        let found = &lines.with("events became dead letters")[letters..];
        let told = format!(r#"WARN tower_whatsapp_inbox: {TOLD_DEAD} reason="{reason}" count=1"#);
        assert!(found.len() == 1 && found[0].contains(&told), "{found:?}");
        let found = &lines.with("a run failed")[runs..];
        if FAILED.contains(&(id, reason)) {
            let told = format!(r#"reason="{reason}" first_key={}"#, letter.key());
            assert!(found.len() == 1 && found[0].contains(&told), "{found:?}");
            assert!(found[0].contains("WARN"), "{found:?}");
        } else {
            assert!(found.is_empty(), "{id}: {found:?}");
        }
        // Only what the handler has not said.
        let is_own = FAILED.contains(&(id, reason)) || id == "killed";
        assert_eq!(error.as_deref() == Some(reason), is_own, "{id}: {error:?}");
    }
}

const TOLD_DEAD: &str =
    "events became dead letters: see `Inbox::dead_letters`, then replay or discard them";

async fn prepare(db: &Db, id: &str) {
    let bytes = if db.is_sqlite() { "x'ff'" } else { "'\\xff'" };
    let change = match id {
        "unreadable" => format!("UPDATE whatsapp_inbox_event SET body = {bytes} WHERE state = 0"),
        // A process had it and has ended.
        "killed" => "UPDATE whatsapp_inbox_lane SET claims = 1 WHERE pending > 0".to_owned(),
        _ => return,
    };
    db.execute(&change).await;
}

async fn work(inbox: &Inbox, is_sqlite: bool) {
    let worker = inbox.worker(move |event: InboxEvent| async move {
        match event.event().id() {
            Some("panics") => panic!("on purpose"),
            Some("hangs") => std::future::pending().await,
            Some("open") => {
                if is_sqlite {
                    drop(
                        event
                            .begin_sqlite()
                            .await
                            .map_err(|error| error.to_string())?,
                    );
                } else {
                    drop(
                        event
                            .begin_postgres()
                            .await
                            .map_err(|error| error.to_string())?,
                    );
                }
                Ok(Verdict::Done)
            }
            Some("again") => Ok(Verdict::Again),
            Some("never") => Ok(Verdict::Never("a word of the handler".to_owned())),
            _ => Err("a word of the handler".to_owned()),
        }
    });
    let worker = worker
        .max_attempts(1)
        .handler_timeout(Some(Duration::from_millis(300)));
    worker.run(until_empty(inbox)).await;
}
