use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tower_whatsapp_inbox::{Inbox, InboxBatch, InboxEvent};

use crate::{
    common::{Db, Journal, message, messages, post, status, statuses, until, until_empty},
    transactions::effect,
};

type Batches = Arc<Mutex<Vec<Vec<String>>>>;

fn ids(batch: &InboxBatch) -> Vec<String> {
    let id = |event: &tower_whatsapp_inbox::StoredEvent| event.event().id().unwrap().to_owned();
    batch.into_iter().map(id).collect()
}

pub(crate) async fn a_burst_is_one_call(db: &Db) {
    let quiet = Duration::from_millis(800);
    let builder = Inbox::builder().gather(quiet, Duration::from_secs(20));
    let inbox = db.open(builder).await.unwrap();
    let batches = Batches::default();
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        seen.lock().unwrap().push(ids(&batch));
        async { Ok::<_, String>(()) }
    });
    let sender = async {
        let start = Instant::now();
        for n in 0..5 {
            post(&inbox, messages(&[message("491", &format!("w{n}"), n)])).await;
            sleep(Duration::from_millis(100)).await;
        }
        post(&inbox, statuses(&[status("491", "s1", 1)])).await;
        until_empty(&inbox).await;
        start.elapsed()
    };
    let ((), all_done) = run_with(worker, sender).await;
    assert!(
        all_done >= Duration::from_millis(400) + quiet,
        "{all_done:?}"
    );
    let batches = batches.lock().unwrap();
    assert!(batches.contains(&vec!["s1".to_owned()]), "{batches:?}");
    let burst = ["w0", "w1", "w2", "w3", "w4"].map(str::to_owned).to_vec();
    assert!(batches.contains(&burst), "{batches:?}");
    assert_eq!(batches.len(), 2);
}

pub(crate) async fn the_longest_time_ends_a_burst(db: &Db) {
    let (quiet, max) = (Duration::from_millis(600), Duration::from_millis(1200));
    let inbox = db.open(Inbox::builder().gather(quiet, max)).await.unwrap();
    let batches = Batches::default();
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        seen.lock().unwrap().push(ids(&batch));
        async { Ok::<_, String>(()) }
    });
    let sender = async {
        // A message every 200 ms never leaves 600 ms of quiet.
        for n in 0..15 {
            post(&inbox, messages(&[message("491", &format!("w{n}"), n)])).await;
            sleep(Duration::from_millis(200)).await;
        }
        until_empty(&inbox).await;
    };
    run_with(worker, sender).await;
    let batches = batches.lock().unwrap();
    assert!((2..=5).contains(&batches.len()), "{batches:?}");
    assert_eq!(batches.concat().len(), 15);
}

/// What arrives during a run is gathered after it, from its own arrival on.
pub(crate) async fn what_arrives_during_a_run_is_gathered(db: &Db) {
    let hour = Duration::from_secs(3600);
    let builder = Inbox::builder().gather(hour, hour * 2);
    let inbox = db.open(builder).await.unwrap();
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let both = ["491", "492"].map(|person| message(person, person, 1));
    post(&inbox, messages(&both)).await;
    let (long_ago, left) = if db.is_sqlite() {
        ("0", "wake_at - unixepoch('now') * 1000")
    } else {
        let left = "(extract(epoch FROM wake_at - now()) * 1000)::bigint";
        ("now() - interval '1 day'", left)
    };
    db.execute(&format!(
        "UPDATE whatsapp_inbox_lane SET last_at = {long_ago}, wake_at = {long_ago}"
    ))
    .await;
    let (other, is_sqlite) = (inbox.clone(), db.is_sqlite());
    let worker = inbox.worker(move |event: InboxEvent| {
        let other = other.clone();
        async move {
            let person = event.event().id().unwrap().to_owned();
            let next = message(&person, &format!("after {person}"), 2);
            post(&other, messages(&[next])).await;
            if person == "492" {
                effect(&event, is_sqlite, true).await.unwrap();
            }
            Ok::<_, String>(())
        }
    });
    let host = until("both are handled", async || inbox.counters().handled == 2);
    worker.run(host).await;
    assert_eq!(inbox.counters().handled, 2);
    for aggregate in ["min", "max"] {
        let pause = format!("SELECT {aggregate}({left}) FROM whatsapp_inbox_lane");
        let pause = Duration::from_millis(db.count(&pause).await.unsigned_abs());
        // The time of this test is nothing beside it.
        let bounds = hour - hour / 12..=hour + hour / 60;
        assert!(bounds.contains(&pause), "{pause:?}");
    }
}

/// They are due at once however long messages gather, also those that arrive during a run.
pub(crate) async fn statuses_do_not_gather(db: &Db) {
    let hour = Duration::from_secs(3600);
    let inbox = db.open(Inbox::builder().gather(hour, hour)).await.unwrap();
    db.execute("CREATE TABLE effects (id TEXT)").await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    post(&inbox, statuses(&[status("491", "s1", 1)])).await;
    let (other, is_sqlite) = (inbox.clone(), db.is_sqlite());
    let worker = inbox.worker(move |event: InboxEvent| {
        let other = other.clone();
        async move {
            match event.event().id().unwrap() {
                "s1" => drop(post(&other, statuses(&[status("491", "s2", 2)])).await),
                "s2" => {
                    post(&other, statuses(&[status("491", "s3", 3)])).await;
                    effect(&event, is_sqlite, true).await.unwrap();
                }
                _ => {}
            }
            Ok::<_, String>(())
        }
    });
    let all = until("the statuses are handled", async || {
        inbox.status().await.unwrap().bulk == 0
    });
    worker.run(all).await;
    assert_eq!(inbox.counters().handled, 3);
    assert_eq!(inbox.status().await.unwrap().messages, 1);
}

/// The first half of the runs is for all together, the other for each alone.
pub(crate) async fn a_batch_that_fails_is_handed_out_one_by_one(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, burst(4)).await;
    let batches = Batches::default();
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        seen.lock().unwrap().push(ids(&batch));
        async { Err::<(), _>("no") }
    });
    let worker = worker
        .max_attempts(3)
        .backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let batch = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let all = batch(&["w0", "w1", "w2", "w3"]);
    let alone = ["w0", "w1", "w2", "w3"].map(|id| batch(&[id]));
    let expected = [&[all.clone(), all][..], &alone].concat();
    assert_eq!(*batches.lock().unwrap(), expected);
    assert_eq!(inbox.dead_letters(0, 10).await.unwrap().len(), 4);
}

/// The only attempt of an event is not shared with its neighbours. They wait if the process ends.
pub(crate) async fn a_batch_of_single_attempts_is_handed_out_one_by_one(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, burst(3)).await;
    let (started, mut is_started) = tokio::sync::mpsc::unbounded_channel();
    let crash = inbox.batch_worker(move |batch| {
        let _ = started.send(ids(&batch));
        std::future::pending::<Result<(), String>>()
    });
    let crash = crash.lease(Duration::from_secs(1)).max_attempts(1);
    let process = tokio::spawn(crash.run(std::future::pending()));
    assert_eq!(is_started.recv().await.unwrap(), ["w0"]);
    // As a kill does, it leaves the lease behind.
    process.abort();
    let batches = Batches::default();
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        seen.lock().unwrap().push(ids(&batch));
        async { Ok::<_, String>(()) }
    });
    worker.max_attempts(1).run(until_empty(&inbox)).await;
    assert_eq!(*batches.lock().unwrap(), [["w1"], ["w2"]]);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(letter.event().unwrap().id(), Some("w0"));
    assert_eq!(letter.attempts(), 1);
}

/// A message on which the handler fails does not take its neighbours with it.
pub(crate) async fn a_poison_message_dies_alone(db: &Db) {
    for max_attempts in [1, 2, 3, 10] {
        let inbox = db.inbox().await;
        let id = |n: u32| format!("m{max_attempts}-{n}");
        let items: Vec<_> = (0..3).map(|n| message("491", &id(n), n.into())).collect();
        post(&inbox, messages(&items)).await;
        let (poison, handled) = (id(1), Batches::default());
        let (seen, bad) = (handled.clone(), poison.clone());
        let worker = inbox.batch_worker(move |batch| {
            let ids = ids(&batch);
            let result = if ids.contains(&bad) {
                Err("poison")
            } else {
                seen.lock().unwrap().push(ids);
                Ok(())
            };
            async move { result }
        });
        let worker = worker
            .max_attempts(max_attempts)
            .backoff(Duration::ZERO, Duration::ZERO);
        worker.run(until_empty(&inbox)).await;
        assert_eq!(handled.lock().unwrap().concat(), [id(0), id(2)]);
        let letters = inbox.dead_letters(0, 10).await.unwrap();
        let [letter] = letters.as_slice() else {
            panic!("{letters:?}")
        };
        assert_eq!(letter.event().unwrap().id(), Some(&*poison));
        assert_eq!(letter.attempts(), max_attempts);
        inbox.discard(&[letter.key()]).await.unwrap();
    }
}

/// Neither what waits behind an event that has failed too often, nor what has come before it.
pub(crate) async fn an_event_that_failed_too_often_has_no_neighbours(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w5", 5)])).await;
    let batches = Batches::default();
    let (seen, other) = (batches.clone(), inbox.clone());
    let worker = inbox.batch_worker(move |batch: InboxBatch| {
        seen.lock().unwrap().push(ids(&batch));
        let (attempt, other) = (batch.attempt(), other.clone());
        let has_failed = ids(&batch).contains(&"w5".to_owned());
        async move {
            if attempt == 2 {
                let both = [message("491", "w1", 1), message("491", "w9", 9)];
                post(&other, messages(&both)).await;
            }
            if has_failed && attempt < 4 {
                Err("no")
            } else {
                Ok(())
            }
        }
    });
    let worker = worker
        .max_attempts(4)
        .backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let expected = ["w5", "w5", "w1", "w5", "w5", "w9"].map(|id| [id]);
    assert_eq!(*batches.lock().unwrap(), expected);
}

/// Nor does one that kills its process, and what was stored after the last crash is handled.
pub(crate) async fn a_message_that_kills_its_process_dies_alone(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, burst(3)).await;
    let (started, mut is_started) = tokio::sync::mpsc::unbounded_channel();
    let handled = Batches::default();
    let mut crashes = 0;
    loop {
        let (started, seen) = (started.clone(), handled.clone());
        let worker = inbox.batch_worker(move |batch| {
            let (ids, started, seen) = (ids(&batch), started.clone(), seen.clone());
            async move {
                if ids.iter().any(|id| id == "w1") {
                    let _ = started.send(());
                    std::future::pending::<()>().await;
                }
                seen.lock().unwrap().push(ids);
                Ok::<_, String>(())
            }
        });
        let worker = worker.lease(Duration::from_secs(1)).max_attempts(2);
        let process = tokio::spawn(worker.run(std::future::pending()));
        let crashed = tokio::select! {
            _ = is_started.recv() => true,
            () = until_empty(&inbox) => false,
        };
        // As a kill does, it leaves the lease behind.
        process.abort();
        if !crashed {
            break;
        }
        crashes += 1;
        let late = message("491", &format!("late{crashes}"), 10 + crashes);
        post(&inbox, messages(&[late])).await;
    }
    // All together, the rest together, and alone.
    assert_eq!(crashes, 3);
    let handled = handled.lock().unwrap().concat();
    assert_eq!(handled, ["w0", "w2", "late1", "late2", "late3"]);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(letter.event().unwrap().id(), Some("w1"));
    assert!(letter.error().unwrap().contains("process ended"));
}

/// The same events have the same key in every run, and one more event has another.
pub(crate) async fn a_batch_has_a_key_of_its_own(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, burst(2)).await;
    let keys = Arc::new(Mutex::new(Vec::new()));
    let (seen, other) = (keys.clone(), inbox.clone());
    let worker = inbox.batch_worker(move |batch: InboxBatch| {
        let (first, runs) = {
            let mut seen = seen.lock().unwrap();
            seen.push((batch.events().len(), batch.key()));
            (batch.events()[0].key(), seen.len())
        };
        assert_ne!(batch.key(), first);
        let other = other.clone();
        async move {
            if runs == 2 {
                post(&other, messages(&[message("491", "w2", 2)])).await;
            }
            if runs < 4 { Err("not yet") } else { Ok(()) }
        }
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let keys = keys.lock().unwrap();
    let [one, two, three, four] = keys.as_slice() else {
        panic!("{keys:?}")
    };
    assert_eq!((one.0, three.0), (2, 3));
    assert_eq!((one, three), (two, four));
    assert_ne!(one.1, three.1);
}

/// What was stored before it does not wait for its attempts.
pub(crate) async fn a_batch_ends_before_an_unreadable_event(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, burst(3)).await;
    let (body, id) = if db.is_sqlite() {
        ("x'ff'", "CAST(body AS TEXT)")
    } else {
        ("'\\xff'", "convert_from(body, 'UTF8')")
    };
    db.execute(&format!(
        "UPDATE whatsapp_inbox_event SET body = {body} WHERE {id} LIKE '%w1%'"
    ))
    .await;
    let batches = Batches::default();
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        seen.lock().unwrap().push(ids(&batch));
        async { Ok::<_, String>(()) }
    });
    let pause = Duration::from_secs(3600);
    let first = until("the first is handled", async || {
        inbox.counters().handled == 1
    });
    worker.backoff(pause, pause).run(first).await;
    assert_eq!(*batches.lock().unwrap(), [["w0"]]);
}

/// The limit is that of the worker, and what is left makes the next batch. No batch is empty, so a
/// limit of 0 is one of 1.
pub(crate) async fn a_batch_has_no_more_events_than_its_limit(db: &Db) {
    let inbox = db.inbox().await;
    for limit in [2, 1, 0] {
        let ids_of_burst: Vec<_> = (0..5).map(|n| format!("w{limit}-{n}")).collect();
        let items = ids_of_burst.iter().zip(1..);
        let items: Vec<_> = items.map(|(id, time)| message("491", id, time)).collect();
        post(&inbox, messages(&items)).await;
        let batches = Batches::default();
        let seen = batches.clone();
        let worker = inbox.batch_worker(move |batch| {
            seen.lock().unwrap().push(ids(&batch));
            async { Ok::<_, String>(()) }
        });
        worker.batch_limit(limit).run(until_empty(&inbox)).await;
        let expected: Vec<_> = ids_of_burst.chunks(limit.max(1)).collect();
        assert_eq!(*batches.lock().unwrap(), expected, "{limit}");
    }
}

/// Its handler takes one event, so it is done with one.
pub(crate) async fn a_worker_without_batches_has_no_limit_of_them(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, burst(3)).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.batch_limit(3).run(until_empty(&inbox)).await;
    assert_eq!(journal.ids(), ["w0", "w1", "w2"]);
}

fn burst(count: u64) -> String {
    let item = |n| message("491", &format!("w{n}"), n);
    messages(&(0..count).map(item).collect::<Vec<_>>())
}

/// Runs a worker until `work` is finished.
async fn run_with<T>(
    worker: tower_whatsapp_inbox::Worker,
    work: impl Future<Output = T>,
) -> ((), T) {
    let (finished, finish) = tokio::sync::oneshot::channel::<()>();
    let work = async {
        let result = work.await;
        let _ = finished.send(());
        result
    };
    let shutdown = async {
        let _ = finish.await;
    };
    tokio::join!(async { _ = worker.run(shutdown).await }, work)
}

/// One has changed the number, and somebody else has got the old one: they share a conversation.
pub(crate) async fn a_batch_is_of_one_person(db: &Db) {
    let inbox = db.inbox().await;
    let changed = r#"{"from":"491","id":"w0","timestamp":"1","type":"system","system":
        {"type":"user_changed_number","wa_id":"492"}}"#;
    let items = [
        changed.to_owned(),
        message("492", "w1", 2),
        message("492", "w2", 3),
        message("491", "w3", 4),
        message("491", "w4", 5),
        message("492", "w5", 6),
    ];
    post(&inbox, messages(&items)).await;
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        let ids = batch.events().iter().map(|event| event.event().id());
        let ids: Vec<_> = ids.map(|id| id.unwrap().to_owned()).collect();
        let conversation = batch.conversation().to_owned();
        seen.lock().unwrap().push((conversation, ids));
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    let batches = batches.lock().unwrap();
    assert!(batches.iter().all(|(name, _)| name == "/7/wa/491"));
    let ids: Vec<_> = batches.iter().map(|(_, ids)| ids.as_slice()).collect();
    let expected: [&[&str]; 4] = [&["w0"], &["w1", "w2"], &["w3", "w4"], &["w5"]];
    assert_eq!(ids, expected);
}
