//! A task of a worker that panics outside of a handler, as a recorder of metrics could make it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::sync::watch;
use tower_whatsapp_inbox::testing::{Fault, Moment, Point, set_hook};

use crate::{
    POINTS,
    common::{Db, Journal, message, messages, post, until},
};

/// Times that the point was reached.
static REACHED: AtomicUsize = AtomicUsize::new(0);

/// The first task that reaches the point panics.
fn panic_once(at: Point) {
    REACHED.store(0, Ordering::SeqCst);
    set_hook(move |point, moment| {
        if (point, moment) == (at, Moment::Before) {
            let before = REACHED.fetch_add(1, Ordering::SeqCst);
            assert!(before > 0, "the panic of this test");
        }
        Fault::None
    });
}

fn is_reached_again() -> bool {
    REACHED.load(Ordering::SeqCst) > 1
}

/// Leases are renewed, events are marked, and the gauges are set all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_that_panicked_is_started_again() {
    let _points = POINTS.lock().await;
    for at in [Point::Renew, Point::Complete, Point::Status] {
        if at == Point::Status && !cfg!(feature = "metrics") {
            continue;
        }
        for db in [Db::sqlite().await, Db::postgres().await] {
            let inbox = db.inbox().await;
            post(&inbox, messages(&[message("491", "w1", 1)])).await;
            panic_once(at);
            let journal = Journal::default();
            let seen = journal.clone();
            let (open, gate) = watch::channel(at != Point::Renew);
            let worker = inbox.worker(move |event| {
                seen.note(&event);
                let mut gate = gate.clone();
                async move { gate.wait_for(|is_open| *is_open).await.map(drop) }
            });
            let host = async {
                until("the helper goes on", async || is_reached_again()).await;
                open.send_replace(true);
                until("the event is done", async || inbox.counters().handled == 1).await;
            };
            // Long enough for a renewal after the panic, also on a busy machine.
            worker.lease(Duration::from_secs(6)).run(host).await;
            set_hook(|_, _| Fault::None);
            assert_eq!(journal.ids(), ["w1"], "{at:?}");
            let counters = inbox.counters();
            assert_eq!((counters.lost, counters.failed), (0, 0), "{at:?}");
        }
    }
}

/// Its slot is free, and its lease is not renewed any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_panicked_is_taken_over_by_its_worker() {
    let _points = POINTS.lock().await;
    let db = Db::sqlite().await;
    let inbox = db.inbox().await;
    let both = ["491", "492"].map(|person| message(person, person, 1));
    post(&inbox, messages(&both)).await;
    panic_once(Point::Handle);
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event| {
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    let all = until("both are done", async || inbox.counters().handled == 2);
    worker
        .concurrency(1)
        .lease(Duration::from_secs(2))
        .run(all)
        .await;
    set_hook(|_, _| Fault::None);
    // The first is handled last, when its lease has ended.
    assert_eq!(journal.len(), 2);
    assert_eq!(REACHED.load(Ordering::SeqCst), 3);
}
