//! Shutting down.

use std::{future::pending, time::Duration};

use tokio::{
    task::consume_budget,
    time::{Instant, sleep},
};
use tower_whatsapp::{
    dedup::{DedupRejectionKind, Store, Token},
    testing::sample::Sample,
};

use super::{
    host::{Host, good},
    scripted::{Fault, Held, Op},
    stack::{Answer, LEASE, Stack, Tally, keys, millis, text},
};

const TEN: Duration = Duration::from_secs(10);

/// Drains, and returns the numbers of running, aborted and remaining handlers.
async fn drain(stack: &Stack, timeout: Duration) -> (usize, usize, usize) {
    let drained = stack.handle.drain(timeout).await;
    (drained.running, drained.aborted, drained.left)
}

async fn is_closed(stack: &Stack, sample: &Sample) {
    let ops = stack.store.ops();
    assert_eq!(
        stack.send(sample).await,
        Answer::later(DedupRejectionKind::Draining)
    );
    assert_eq!(stack.store.ops(), ops);
}

#[tokio::test(start_paused = true)]
async fn idle() {
    let stack = Stack::new(Host::good());
    let began = Instant::now();
    assert_eq!(drain(&stack, TEN).await, (0, 0, 0));
    assert_eq!(began.elapsed(), millis(0));
    is_closed(&stack, &text("A")).await;
    // A second drain has no effect.
    assert_eq!(drain(&stack, TEN).await, (0, 0, 0));
    stack.at_rest([0, 0, 0], Tally::default()).await;
    assert_eq!(stack.host.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn handlers_that_end() {
    let stack = Stack::new(Host::slow(millis(2000)));
    let sent = [stack.begin(&text("A")).await, stack.begin(&text("B")).await];
    let draining = tokio::spawn({
        let stack = stack.clone();
        async move { drain(&stack, TEN).await }
    });
    sleep(millis(100)).await;
    is_closed(&stack, &text("C")).await;
    // New deliveries are rejected while others are still running, even duplicates of those.
    is_closed(&stack, &text("A")).await;
    assert_eq!(draining.await.unwrap(), (2, 0, 0));
    for sent in sent {
        assert_eq!(sent.await.unwrap(), Answer::good());
    }
    stack.at_rest([2, 2, 0], Tally::handled(2)).await;
}

/// The shorter one stops the handlers, and both tell of it.
#[tokio::test(start_paused = true)]
async fn two_drains_at_once() {
    let stack = Stack::new(Host::new(|_, _| pending()));
    let sent = stack.begin(&text("A")).await;
    assert!(!stack.handle.is_draining());
    let long = tokio::spawn({
        let stack = stack.clone();
        async move { drain(&stack, TEN).await }
    });
    sleep(millis(10)).await;
    assert!(stack.handle.is_draining());
    assert_eq!(drain(&stack, millis(100)).await, (1, 1, 0));
    assert_eq!(long.await.unwrap(), (1, 1, 0));
    // What was stopped before a drain is none of its own.
    assert_eq!(drain(&stack, TEN).await, (0, 0, 0));
    drop(sent);
    stack
        .at_rest([1, 0, 1], Tally::handled(1).and_aborted(1))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_to_be_stopped() {
    let stack = Stack::new(Host::new(|call, _| async move {
        if call == 1 {
            pending::<()>().await;
        }
        sleep(millis(100)).await;
        good()
    }));
    let sent = stack.begin(&text("A")).await;
    let good = stack.begin(&text("B")).await;
    let began = Instant::now();
    assert_eq!(drain(&stack, millis(3000)).await, (2, 1, 0));
    assert_eq!(began.elapsed(), millis(3000));
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::Draining)
    );
    assert_eq!(good.await.unwrap(), Answer::good());
    let tally = Tally::handled(2).and_aborted(1);
    stack.at_rest([2, 1, 1], tally).await;
    assert_eq!(
        stack.held(&text("A").and(text("B"))).await,
        [Held::Absent, Held::Done]
    );
}

/// The release is tried twice, and the drain returns.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone() {
    let stack = Stack::new(Host::new(|_, _| pending()));
    let sent = stack.begin(&text("A")).await;
    stack.store.down(Fault::Hang);
    let began = Instant::now();
    assert_eq!(drain(&stack, millis(500)).await, (1, 1, 0));
    assert_eq!(began.elapsed(), millis(500 + 250 + 250));
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::Draining)
    );
    let tally = Tally::handled(1).and_failures(2).and_aborted(1);
    stack.at_rest([1, 0, 2], tally).await;
    // Until the lease expires.
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
}

#[tokio::test(start_paused = true)]
async fn while_a_commit_is_owed() {
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Fail);
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    let draining = tokio::spawn({
        let stack = stack.clone();
        async move { drain(&stack, TEN).await }
    });
    sleep(millis(1000)).await;
    stack.store.heal();
    assert_eq!(draining.await.unwrap(), (1, 0, 0));
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);

    // The last attempt happens at the timeout.
    let stack = Stack::new(Host::good());
    for call in 1..=3 {
        stack.store.at(Op::Commit, call, Fault::Fail);
    }
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    // Attempts at 0, 100 and 300 ms; the next one would be at 700.
    assert_eq!(drain(&stack, millis(500)).await, (1, 1, 0));
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    stack
        .at_rest([1, 4, 0], Tally::handled(1).and_failures(3))
        .await;
}

#[tokio::test(start_paused = true)]
async fn duplicates_that_wait() {
    let stack = Stack::new(Host::good());
    stack
        .store
        .inner()
        .claim(&keys(&text("A")), Token::random(), LEASE)
        .await
        .unwrap();
    let sent = stack.begin(&text("A")).await;
    let began = Instant::now();
    assert_eq!(drain(&stack, TEN).await, (1, 0, 0));
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::InFlight)
    );
    assert!(began.elapsed() <= millis(1000));

    let stack = Stack::new(Host::good());
    stack
        .store
        .inner()
        .claim(&keys(&text("A")), Token::random(), LEASE)
        .await
        .unwrap();
    let sent = stack.begin(&text("A")).await;
    let began = Instant::now();
    assert_eq!(drain(&stack, millis(200)).await, (1, 1, 0));
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::InFlight)
    );
    assert!(began.elapsed() <= millis(400));
    stack.rest().await;
    assert_eq!(stack.host.calls(), 0);
}

/// A short store timeout shortens all of this, and a waiting duplicate must not delay it.
#[tokio::test(start_paused = true)]
async fn duplicates_that_wait_with_a_quick_store() {
    let stack = Stack::with(Host::good(), |builder| builder.store_timeout(millis(5)));
    stack
        .store
        .inner()
        .claim(&keys(&text("A")), Token::random(), LEASE)
        .await
        .unwrap();
    let sent = stack.begin(&text("A")).await;
    assert_eq!(drain(&stack, millis(400)).await, (1, 1, 0));
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::InFlight)
    );
    stack.rest().await;
}

/// Uses up the budget that its task has for each poll, so that a drain could starve.
#[tokio::test]
async fn a_handler_that_is_always_busy_is_stopped_too() {
    let host = Host::new(|_, _| async {
        let began = Instant::now();
        while began.elapsed() < TEN {
            // Returns when the budget is used up.
            consume_budget().await;
        }
        good()
    });
    let stack = Stack::new(host);
    let sent = stack.begin(&text("A")).await;
    assert_eq!(drain(&stack, millis(50)).await, (1, 1, 0));
    let stopped = Answer::later(DedupRejectionKind::Draining);
    assert_eq!(sent.await.unwrap(), stopped);
    assert_eq!(stack.host.ended(), 0);
    stack
        .at_rest([1, 0, 1], Tally::handled(1).and_aborted(1))
        .await;
}

/// A handler that blocks its thread cannot be aborted: it counts as left.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_cannot_be_stopped() {
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let begun = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let host = Host::new({
        let begun = std::sync::Arc::clone(&begun);
        let blocked = std::sync::Arc::new(blocked);
        move |call, _| {
            let (begun, blocked) = (begun.clone(), blocked.clone());
            async move {
                begun.add_permits(1);
                if call == 1 {
                    let _ = blocked.lock().unwrap().recv();
                } else {
                    pending::<()>().await;
                }
                good()
            }
        }
    });
    let stack = Stack::new(host);
    let sent = [text("A"), text("B")].map(|sample| stack.spawn(&sample));
    let _both = begun.acquire_many(2).await.unwrap();
    let drained = stack.handle.drain(millis(0)).await;
    assert_eq!(drained.running, 2);
    assert!(drained.left >= 1, "{drained:?}");
    assert_eq!(drained.aborted + drained.left, 2);
    unblock.send(()).unwrap();
    for sent in sent {
        let _ = sent.await;
    }
    stack.rest().await;
}

/// The longest possible timeout.
#[tokio::test(start_paused = true)]
async fn no_limit() {
    let stack = Stack::new(Host::slow(millis(20_000)));
    let sent = stack.begin(&text("A")).await;
    assert_eq!(drain(&stack, Duration::MAX).await, (1, 0, 0));
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::ResponseDeadline)
    );
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;
}

/// Durations beyond the range of the clock act as no limit.
#[tokio::test(start_paused = true)]
async fn settings_beyond_the_clock() {
    let huge = Duration::MAX - Duration::from_secs(10);
    let stack = Stack::with(Host::good(), |builder| {
        builder
            .handler_deadline(huge)
            .lease(Duration::from_secs(60 * 60))
            .window(Duration::MAX)
            .response_deadline(huge)
            .in_flight_wait(huge / 2)
    });
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    stack.store.at(Op::Commit, 2, Fault::Fail);
    assert_eq!(stack.send(&text("B")).await, Answer::good());
    stack.rest().await;
    assert_eq!(stack.host.calls(), 2);
}
