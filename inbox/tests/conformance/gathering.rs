use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tower_whatsapp_inbox::{Inbox, InboxBatch};

use crate::common::{Db, message, messages, post, status, statuses, until, until_empty};

type Batches = Arc<Mutex<Vec<Vec<String>>>>;

fn ids(batch: &InboxBatch) -> Vec<String> {
    let id = |event: &tower_whatsapp_inbox::InboxEvent| event.event().id().unwrap().to_owned();
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
        // Not delayed.
        post(&inbox, statuses(&[status("491", "s1", 1)])).await;
        until("the status is handled", async || {
            inbox.status().await.unwrap().bulk == 0
        })
        .await;
        let waited = start.elapsed();
        until_empty(&inbox).await;
        (waited, start.elapsed())
    };
    let ((), (status_done, all_done)) = run_with(worker, sender).await;
    assert!(status_done < all_done);
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

pub(crate) async fn a_batch_is_retried_and_given_up_together(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..4)
        .map(|n| message("491", &format!("w{n}"), n))
        .collect();
    post(&inbox, messages(&items)).await;
    let batches = Batches::default();
    let seen = batches.clone();
    let worker = inbox.batch_worker(move |batch| {
        seen.lock().unwrap().push(ids(&batch));
        async { Err::<(), _>("no") }
    });
    let worker = worker
        .max_attempts(2)
        .backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let all = ["w0", "w1", "w2", "w3"].map(str::to_owned).to_vec();
    assert_eq!(*batches.lock().unwrap(), [all.clone(), all]);
    assert_eq!(inbox.dead_letters(0, 10).await.unwrap().len(), 4);
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
    tokio::join!(worker.run(shutdown), work)
}
