use std::sync::Arc;

use tower_whatsapp_inbox::{Inbox, InboxErrorKind};

use crate::common::{Db, message, messages, post, until_empty};

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

pub(crate) async fn a_later_schema_is_refused(db: &Db) {
    drop(db.inbox().await);
    db.execute("INSERT INTO whatsapp_inbox_schema (version) VALUES (1000)")
        .await;
    let error = db.open(Inbox::builder()).await.unwrap_err();
    assert_eq!(error.kind(), InboxErrorKind::NewerSchema);
}

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
