use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::time::sleep;

use crate::common::{Db, Journal, message, messages, post, status, statuses, until, until_empty};

pub(crate) async fn each_conversation_is_in_order_and_one_at_a_time(db: &Db) {
    let inbox = db.inbox().await;
    let mut items = Vec::new();
    for n in 0..10 {
        for person in 0..12 {
            // Two in each second: arrival decides.
            items.push(message(
                &format!("49{person}"),
                &format!("w{n}"),
                100 + n / 2,
            ));
        }
    }
    for (n, item) in items.iter_mut().enumerate() {
        *item = item.replace("\"w", &format!("\"p{}w", n % 12));
    }
    for delivery in items.chunks(17) {
        post(&inbox, messages(delivery)).await;
    }
    let (journal, running) = (Journal::default(), Arc::new(Mutex::new(HashSet::new())));
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        let (seen, running) = (seen.clone(), running.clone());
        async move {
            let conversation = event.conversation().to_owned();
            assert!(
                running.lock().unwrap().insert(conversation.clone()),
                "two at a time"
            );
            sleep(Duration::from_millis(2)).await;
            seen.note(&event);
            running.lock().unwrap().remove(&conversation);
            Ok::<_, String>(())
        }
    });
    worker.concurrency(8).run(until_empty(&inbox)).await;
    assert_eq!(inbox.counters().failed, 0);
    let all = journal.by_conversation();
    assert_eq!(all.len(), 12);
    for ids in all.values() {
        let order: Vec<_> = ids.iter().map(|id| id.split_once('w').unwrap().1).collect();
        assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }
}

pub(crate) async fn conversations_run_at_the_same_time(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..6)
        .map(|n| message(&format!("49{n}"), &format!("w{n}"), 1))
        .collect();
    post(&inbox, messages(&items)).await;
    let together = Arc::new(tokio::sync::Barrier::new(6));
    let worker = inbox.worker(move |_| {
        let together = together.clone();
        async move {
            together.wait().await;
            Ok::<_, String>(())
        }
    });
    worker.concurrency(6).run(until_empty(&inbox)).await;
    assert_eq!(inbox.counters().handled, 6);
}

pub(crate) async fn meta_s_time_comes_before_arrival(db: &Db) {
    let inbox = db.inbox().await;
    for (id, seconds) in [("w3", 30), ("w1", 10), ("w2", 20)] {
        post(&inbox, messages(&[message("491", id, seconds)])).await;
    }
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(journal.ids(), ["w1", "w2", "w3"]);
}

pub(crate) async fn statuses_do_not_hold_up_messages(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..400)
        .map(|n| status(&format!("49{n}"), &format!("s{n}"), n))
        .collect();
    post(&inbox, statuses(&items)).await;
    // One person's statuses and messages do not wait for each other either.
    post(&inbox, messages(&[message("490", "w1", 1)])).await;
    let stored = Instant::now();
    let (waited, seen) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let (noted, counted) = (waited.clone(), seen.clone());
    let worker = inbox.worker(move |event| {
        let (noted, counted) = (noted.clone(), counted.clone());
        async move {
            if event.kind() == "message" {
                *noted.lock().unwrap() = Some((stored.elapsed(), counted.load(Ordering::SeqCst)));
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, String>(())
        }
    });
    worker
        .concurrency(2)
        .bulk_concurrency(8)
        .run(until_empty(&inbox))
        .await;
    let (waited, before) = waited.lock().unwrap().unwrap();
    assert!(before < 50, "{before} statuses came first, {waited:?}");
    assert_eq!(seen.load(Ordering::SeqCst), 400);
}

/// What ends in one does not make room in the other.
pub(crate) async fn each_class_has_slots_of_its_own(db: &Db) {
    for held in ["message", "status"] {
        let inbox = db.inbox().await;
        let people = ["491", "492", "493"];
        let items = people.map(|person| message(person, &format!("{held} w{person}"), 1));
        post(&inbox, messages(&items)).await;
        let items = people.map(|person| status(person, &format!("{held} s{person}"), 1));
        post(&inbox, statuses(&items)).await;
        let (open, gate) = tokio::sync::watch::channel(false);
        let worker = inbox.worker(move |event| {
            let (mut gate, waits) = (gate.clone(), event.kind() == held);
            async move {
                if waits {
                    let _ = gate.wait_for(|is_open| *is_open).await;
                }
                Ok::<_, String>(())
            }
        });
        let host = async {
            until("the others are handled", async || {
                let status = inbox.status().await.unwrap();
                [status.messages, status.bulk].contains(&0) && inbox.counters().handled == 3
            })
            .await;
            assert_eq!(inbox.status().await.unwrap().running, 1, "{held}");
            open.send_replace(true);
            until_empty(&inbox).await;
        };
        worker.concurrency(1).bulk_concurrency(1).run(host).await;
        assert_eq!(inbox.counters().handled, 6, "{held}");
    }
}

pub(crate) fn from(user: &str, id: &str, seconds: u64) -> String {
    format!(
        r#"{{"from_user_id":"{user}","id":"{id}","timestamp":"{seconds}","type":"text","text":{{"body":"x"}}}}"#
    )
}

pub(crate) fn changed(old: &str, new: &str, id: &str, seconds: u64) -> String {
    format!(
        r#"{{"from_user_id":"{new}","id":"{id}","timestamp":"{seconds}","type":"system","system":
        {{"type":"user_changed_user_id","user_id":"{new}","previous_user_id":"{old}"}}}}"#
    )
}

/// Meta redelivers an announcement that was answered with 503, after what followed it.
pub(crate) async fn a_late_announcement_joins_what_waits(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[from("US.1", "w1", 1)])).await;
    post(&inbox, messages(&[from("US.3", "w6", 6)])).await;
    post(&inbox, messages(&[changed("US.2", "US.3", "w5", 5)])).await;
    post(
        &inbox,
        messages(&[from("US.2", "w3", 3), from("US.3", "w7", 7)]),
    )
    .await;
    post(&inbox, messages(&[changed("US.1", "US.2", "w2", 2)])).await;
    post(
        &inbox,
        messages(&[from("US.2", "w4", 4), from("US.3", "w8", 8)]),
    )
    .await;
    // A second time changes nothing.
    post(&inbox, messages(&[changed("US.1", "US.2", "w2", 2)])).await;
    assert_eq!(inbox.status().await.unwrap().messages, 8);
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let all = journal.by_conversation();
    assert_eq!(all.len(), 1, "{all:?}");
    let order = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"];
    assert_eq!(all["/7/user/US.1"], order);
    let idle = "SELECT count(*) FROM whatsapp_inbox_lane WHERE pending <> 0 OR held";
    assert_eq!(db.count(idle).await, 0);
}

pub(crate) async fn a_changed_id_stays_in_its_conversation(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[from("US.1", "w1", 1)])).await;
    // The change and what follows it in one delivery.
    let both = [changed("US.1", "US.2", "w2", 2), from("US.2", "w3", 3)];
    post(&inbox, messages(&both)).await;
    post(&inbox, messages(&[from("US.2", "w4", 4)])).await;
    post(&inbox, messages(&[changed("US.2", "US.3", "w5", 5)])).await;
    post(&inbox, messages(&[from("US.3", "w6", 6)])).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let all = journal.by_conversation();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all["/7/user/US.1"], ["w1", "w2", "w3", "w4", "w5", "w6"]);
}

pub(crate) async fn a_busy_conversation_does_not_starve_others(db: &Db) {
    let inbox = db.inbox().await;
    let busy: Vec<_> = (0..200)
        .map(|n| message("491", &format!("b{n}"), n))
        .collect();
    post(&inbox, messages(&busy)).await;
    let others: Vec<_> = (0..5)
        .map(|n| message(&format!("50{n}"), &format!("o{n}"), 1))
        .collect();
    post(&inbox, messages(&others)).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.concurrency(1).run(until_empty(&inbox)).await;
    let ids = journal.ids();
    let last = ids.iter().rposition(|id| id.starts_with('o')).unwrap();
    assert!(last < 20, "the others had to wait for {last} runs");
    assert_eq!(ids.len(), 205);
}

/// Runs are marked as done together, but none waits for a row that somebody has locked.
pub(crate) async fn a_locked_conversation_does_not_hold_up_others() {
    let db = Db::postgres().await;
    let inbox = db.inbox().await;
    let both = ["491", "492"].map(|person| message(person, person, 1));
    assert_eq!(post(&inbox, messages(&both)).await, StatusCode::OK);
    let (open, gate) = tokio::sync::watch::channel(false);
    let worker = inbox.worker(move |_| {
        let mut gate = gate.clone();
        async move { gate.wait_for(|is_open| *is_open).await.map(drop) }
    });
    let host = async {
        until("both run", async || {
            inbox.status().await.unwrap().running == 2
        })
        .await;
        let pool = db.postgres_pool().await;
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM whatsapp_inbox_lane WHERE lane LIKE '%491%' FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        open.send_replace(true);
        until("the other is done", async || inbox.counters().handled == 1).await;
        transaction.rollback().await.unwrap();
        until_empty(&inbox).await;
    };
    worker.run(host).await;
    assert_eq!((inbox.counters().handled, inbox.counters().lost), (2, 0));
}
