//! A shutdown while the database does not answer.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};
use tower_whatsapp_inbox::testing::{Fault, Moment, Point, set_hook};

use crate::{
    POINTS,
    common::{Db, PATIENCE, message, messages, post},
};

/// Of a lease. Each operation may take a quarter of it, which is far more than the tests wait.
const LONG: Duration = Duration::from_secs(1200);

/// The platform kills a fixed time after its signal, so `drain_timeout` counts from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_hangs_does_not_hold_up_the_end() {
    let _points = POINTS.lock().await;
    for at in [Point::Claim, Point::Fetch, Point::NextWake] {
        for db in [Db::sqlite().await, Db::postgres().await] {
            let inbox = db.inbox().await;
            post(&inbox, messages(&[message("491", "w1", 1)])).await;
            let (hangs, mut is_hanging) = mpsc::unbounded_channel();
            set_hook(move |point, moment| {
                if (point, moment) != (at, Moment::Before) {
                    return Fault::None;
                }
                let _ = hangs.send(());
                Fault::Delay(LONG)
            });
            let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
            let running = worker
                .lease(LONG)
                .drain_timeout(Duration::from_millis(100))
                .run(async { _ = is_hanging.recv().await });
            let ended = timeout(PATIENCE, running).await;
            set_hook(|_, _| Fault::None);
            assert!(ended.is_ok(), "{at:?}");
        }
    }
}

/// Those of the other class are not claimed any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_claimed_once_the_worker_is_to_end() {
    let _points = POINTS.lock().await;
    for db in [Db::sqlite().await, Db::postgres().await] {
        let inbox = db.inbox().await;
        let (claims, mut claimed) = mpsc::unbounded_channel();
        let (ended, is_over) = tokio::sync::watch::channel(false);
        set_hook(move |point, moment| {
            if (point, moment) != (Point::Claim, Moment::Before) {
                return Fault::None;
            }
            let _ = claims.send(());
            // Until the shutdown below is known.
            let _ = ended.send(true);
            Fault::Delay(Duration::from_millis(300))
        });
        let mut over = is_over.clone();
        let shutdown = async move { drop(over.wait_for(|is_over| *is_over).await) };
        inbox
            .worker(|_| async { Ok::<_, String>(()) })
            .run(shutdown)
            .await;
        set_hook(|_, _| Fault::None);
        assert!(claimed.try_recv().is_ok());
        assert!(claimed.try_recv().is_err(), "claimed again");
    }
}
