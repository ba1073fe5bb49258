//! Announcements of changed ids that arrive at the same moment, also in opposite directions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use tower_whatsapp_inbox::{DeadLetter, Inbox, InboxEvent};

use crate::{
    common::{Db, Journal, PATIENCE, messages, post, statuses, until, until_empty},
    order::{changed, from},
};

/// Whichever comes first is the name. Nothing is split, and a redelivery of either is accepted.
pub(crate) async fn opposite_renames_end_in_one_conversation(db: &Db) {
    let inbox = db.inbox().await;
    let pairs = 40;
    for n in 0..pairs {
        let (one, two) = (format!("US.{n}a"), format!("US.{n}b"));
        let before = [
            from(&one, &format!("{n}-1"), 1),
            from(&two, &format!("{n}-2"), 2),
        ];
        assert_eq!(post(&inbox, messages(&before)).await, StatusCode::OK);
        let (there, back) = (
            messages(&[changed(&one, &two, &format!("{n}-3"), 3)]),
            messages(&[changed(&two, &one, &format!("{n}-4"), 4)]),
        );
        // The second time as redeliveries.
        for _ in 0..2 {
            let both = tokio::join!(post(&inbox, there.clone()), post(&inbox, back.clone()),);
            assert_eq!(both, (StatusCode::OK, StatusCode::OK), "pair {n}");
        }
    }
    let aliases = "SELECT count(*) FROM whatsapp_inbox_alias WHERE alias <> conversation";
    assert_eq!(db.count(aliases).await, pairs);
    let all = "SELECT count(*) FROM whatsapp_inbox_alias";
    assert_eq!(db.count(all).await, pairs);
    let lanes = "SELECT count(DISTINCT lane) FROM whatsapp_inbox_event WHERE state = 0";
    assert_eq!(db.count(lanes).await, pairs);
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    for (conversation, ids) in journal.by_conversation() {
        assert!(ids.is_sorted(), "{conversation}: {ids:?}");
        assert_eq!(ids.len(), 4, "{conversation}: {ids:?}");
    }
}

/// They never wait under the new name, where a worker could take them before they join.
pub(crate) async fn what_follows_a_change_in_its_delivery_needs_no_move(db: &Db) {
    let inbox = db.inbox().await;
    db.execute(if db.is_sqlite() {
        "CREATE TRIGGER stays BEFORE UPDATE OF lane ON whatsapp_inbox_event
        BEGIN SELECT RAISE(ABORT, 'moved'); END"
    } else {
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
            AS $$BEGIN RAISE EXCEPTION 'moved'; END$$;
        CREATE TRIGGER stays BEFORE UPDATE OF lane ON whatsapp_inbox_event
            FOR EACH ROW EXECUTE FUNCTION refuse()"
    })
    .await;
    let all = [
        changed("US.1", "US.2", "w1", 1),
        from("US.2", "w2", 2),
        changed("US.2", "US.3", "w3", 3),
        from("US.3", "w4", 4),
    ];
    assert_eq!(post(&inbox, messages(&all)).await, StatusCode::OK);
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let all = journal.by_conversation();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all["/7/user/US.1"], ["w1", "w2", "w3", "w4"]);
}

/// What a worker has does not join the conversation: another would handle it at the same time.
pub(crate) async fn what_is_being_handled_is_not_moved(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[from("US.2", "w2", 2)])).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let (open, gate) = tokio::sync::watch::channel(false);
    let worker = inbox.worker(move |event: InboxEvent| {
        let is_first = seen.len() == 0;
        seen.note(&event);
        let mut gate = gate.clone();
        async move {
            match is_first {
                true => gate.wait_for(|is_open| *is_open).await.map(drop),
                false => Ok(()),
            }
        }
    });
    let host = async {
        until("it runs", async || journal.len() == 1).await;
        let announced = messages(&[changed("US.1", "US.2", "w1", 1)]);
        assert_eq!(post(&inbox, announced).await, StatusCode::OK);
        // By its time it would come after the first.
        let last = messages(&[from("US.1", "w3", 3)]);
        assert_eq!(post(&inbox, last).await, StatusCode::OK);
        until("the conversation goes on", async || {
            journal.ids().contains(&"w3".to_owned())
        })
        .await;
        assert_eq!(journal.ids(), ["w2", "w1", "w3"]);
        open.send_replace(true);
        until_empty(&inbox).await;
    };
    worker.run(host).await;
    assert_eq!((inbox.counters().handled, inbox.counters().lost), (3, 0));
    let busy = "SELECT count(*) FROM whatsapp_inbox_lane WHERE pending <> 0 OR held";
    assert_eq!(db.count(busy).await, 0);
}

/// Meta announces some changes by kinds that a bot does not want.
pub(crate) async fn a_kind_that_is_not_stored_changes_names(db: &Db) {
    let builder = Inbox::builder().only(["message"]);
    let inbox = db.open(builder).await.unwrap();
    let announced = r#"{"entry":[{"id":"1","changes":[{"field":"user_id_update","value":{
        "metadata":{"phone_number_id":"7"},"user_id_update":[
        {"wa_id":"491","user_id":{"previous":"US.1","current":"US.2"}}]}}]}]}"#;
    post(&inbox, messages(&[from("US.1", "w1", 1)])).await;
    // Before its announcement.
    post(&inbox, messages(&[from("US.2", "w2", 2)])).await;
    assert_eq!(post(&inbox, announced).await, StatusCode::OK);
    post(&inbox, messages(&[from("US.2", "w3", 3)])).await;
    let counters = inbox.counters();
    assert_eq!((counters.stored, counters.ignored), (3, 1));
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let all = journal.by_conversation();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all["/7/user/US.1"], ["w1", "w2", "w3"]);
}

/// Its conversation goes on under the old name, and so do its statuses.
pub(crate) async fn a_dead_letter_is_replayed_in_its_renamed_conversation(db: &Db) {
    let inbox = db.inbox().await;
    let status = r#"{"id":"s1","status":"sent","timestamp":"1","recipient_user_id":"US.2"}"#;
    post(&inbox, messages(&[from("US.2", "w1", 1)])).await;
    post(&inbox, statuses(&[status.to_owned()])).await;
    let failing = inbox.worker(|_| async { Err::<(), _>("a failure") });
    failing.max_attempts(1).run(until_empty(&inbox)).await;
    let announced = messages(&[changed("US.1", "US.2", "w2", 2)]);
    assert_eq!(post(&inbox, announced).await, StatusCode::OK);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let keys: Vec<_> = letters.iter().map(DeadLetter::key).collect();
    assert_eq!(inbox.replay(&keys).await.unwrap(), 2);
    for (lane, count) in [("/7/user/US.1", 2), ("status /7/user/US.1", 1)] {
        let pending = format!(
            "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 0 AND lane = '{lane}'"
        );
        assert_eq!(db.count(&pending).await, count, "{lane}");
    }
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let all = journal.by_conversation();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all["/7/user/US.1"].len(), 3, "{all:?}");
}

/// Everything that takes locks at once, over a few people whose ids change all the time.
pub(crate) async fn renames_do_not_deadlock() {
    let db = Db::own_postgres().await;
    let Db::Postgres { server, .. } = &db else {
        unreachable!()
    };
    // A deadlock is found after 200 ms, so that only a deadlock is refused.
    let builder = Inbox::builder().store_timeout(PATIENCE);
    let inbox = db.open(builder).await.unwrap();
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.batch_worker(move |batch| {
        batch.events().iter().for_each(|event| seen.note(event));
        async move {
            match batch.events()[0].attempt() {
                1 if fastrand::u8(..4) == 0 => Err("a failure"),
                _ => Ok(()),
            }
        }
    });
    let worker = worker
        .max_attempts(2)
        .backoff(Duration::ZERO, Duration::from_millis(5));
    let host = async {
        let end = Instant::now() + Duration::from_secs(6);
        let senders: Vec<_> = (0..8)
            .map(|n| tokio::spawn(send(inbox.clone(), n, end)))
            .collect();
        let purging = tokio::spawn({
            let inbox = inbox.clone();
            async move {
                while Instant::now() < end {
                    inbox.purge().await.unwrap();
                    let dead = inbox.dead_letters(0, 20).await.unwrap();
                    let keys: Vec<_> = dead.iter().map(DeadLetter::key).collect();
                    inbox.replay(&keys).await.unwrap();
                }
            }
        });
        // Lanes come and go.
        let pool = db.postgres_pool().await;
        while Instant::now() < end {
            let idle = "DELETE FROM whatsapp_inbox_lane WHERE lane IN (
                SELECT lane FROM whatsapp_inbox_lane WHERE pending = 0 AND owner IS NULL
                    AND wake_at = 'infinity' ORDER BY lane FOR UPDATE SKIP LOCKED)";
            sqlx::query(idle).execute(&pool).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut stored = 0;
        for sender in senders {
            stored += sender.await.unwrap();
        }
        purging.await.unwrap();
        let log = server.log();
        let deadlocks = log.matches("deadlock detected").count();
        println!(
            "{stored} deliveries, {deadlocks} deadlocks, {} waits",
            log.matches("still waiting").count()
        );
        assert_eq!(deadlocks, 0);
        // To handle all would take a minute: the people share few conversations, and no batch.
        let stuck = "SELECT count(*) FROM (
                SELECT lane, count(*) AS waiting FROM whatsapp_inbox_event WHERE state = 0
                GROUP BY lane) e
            LEFT JOIN whatsapp_inbox_lane l USING (lane)
            WHERE l.pending IS DISTINCT FROM e.waiting OR l.wake_at = 'infinity'";
        assert_eq!(db.count(stuck).await, 0);
    };
    worker.run(host).await;
    assert_eq!(inbox.counters().refused, 0);
    let counters = inbox.counters();
    assert_eq!(counters.database_errors, 0);
    let own = "SELECT count(*) FROM whatsapp_inbox_alias WHERE alias = conversation";
    assert_eq!(db.count(own).await, 0);
}

/// Two lanes are locked in the order of their names, also if one is not there yet: whoever locks in
/// this order, as deliveries do, does not deadlock with a change of a name.
pub(crate) async fn a_rename_locks_lanes_in_their_order() {
    let db = Db::own_postgres().await;
    let inbox = db.inbox().await;
    let rename = messages(&[changed("US.1", "US.2", "s1", 1)]);
    assert_eq!(post(&inbox, rename.clone()).await, StatusCode::OK);
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    worker.run(until_empty(&inbox)).await;
    // What was stored under the new name at the moment of the change, and no lane of the old name.
    let late = messages(&[from("US.2", "w1", 2)]);
    assert_eq!(post(&inbox, late).await, StatusCode::OK);
    db.execute(
        "UPDATE whatsapp_inbox_event SET lane = '/7/user/US.2' WHERE state = 0;
        UPDATE whatsapp_inbox_lane SET lane = '/7/user/US.2'",
    )
    .await;
    let pool = db.postgres_pool().await;
    let mut transaction = pool.begin().await.unwrap();
    let old = "INSERT INTO whatsapp_inbox_lane (lane, class, pending, last_at, wake_at)
        VALUES ('/7/user/US.1', 0, 0, now(), 'infinity')";
    sqlx::query(old).execute(&mut *transaction).await.unwrap();
    let renaming = tokio::spawn({
        let inbox = inbox.clone();
        async move { post(&inbox, rename).await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    until("it waits", async || db.count(waiting).await > 0).await;
    let new = "SELECT 1 FROM whatsapp_inbox_lane WHERE lane = '/7/user/US.2' FOR UPDATE";
    sqlx::query(new).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(renaming.await.unwrap(), StatusCode::OK);
    let together = "SELECT pending::bigint FROM whatsapp_inbox_lane WHERE lane = '/7/user/US.1'";
    assert_eq!(db.count(together).await, 1);
}

/// Sends until the end, and returns how many deliveries it were.
async fn send(inbox: Inbox, sender: u64, end: Instant) -> u64 {
    let mut rng = fastrand::Rng::with_seed(sender);
    let person = |rng: &mut fastrand::Rng| format!("US.{}", rng.u8(..20));
    let mut number = 0;
    let mut old: Option<Arc<str>> = None;
    while Instant::now() < end {
        number += 1;
        let mut items = Vec::new();
        for part in 0..rng.u64(1..5) {
            let id = format!("{sender}-{number}-{part}");
            items.push(match rng.u8(..3) {
                0 => changed(&person(&mut rng), &person(&mut rng), &id, number),
                _ => from(&person(&mut rng), &id, number),
            });
        }
        let body = messages(&items);
        assert_eq!(post(&inbox, body.clone()).await, StatusCode::OK);
        // Redeliveries meet what is being handled.
        if let Some(old) = old.take().filter(|_| rng.bool()) {
            assert_eq!(post(&inbox, old.to_string()).await, StatusCode::OK);
        }
        old = Some(body.into());
    }
    number
}
