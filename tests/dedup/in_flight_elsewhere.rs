//! Events that were handled before, or are being handled elsewhere.

use tokio::time::{Instant, sleep};
use tower_whatsapp::{
    dedup::{Claim, DedupRejectionKind, Store, Token},
    testing::sample::Sample,
};

use super::{
    host::{Host, Seen, good},
    scripted::{Fault, Held, Op},
    stack::{Answer, LEASE, Stack, Tally, WAIT, WINDOW, keys, millis, sorted, text},
};

const FOREIGN: Token = Token::from_bytes(*b"somebody else's.");

/// Claims the events of a sample under another token.
async fn hold(stack: &Stack, sample: &Sample) {
    let claims = stack
        .store
        .inner()
        .claim(&keys(sample), FOREIGN, LEASE)
        .await;
    assert!(claims.unwrap().iter().all(|claim| *claim == Claim::Claimed));
}

async fn finish(stack: &Stack, sample: &Sample) {
    let keys: Vec<_> = keys(sample).into_iter().map(|key| (key, WINDOW)).collect();
    stack.store.inner().commit(&keys, FOREIGN).await.unwrap();
}

async fn give_up(stack: &Stack, sample: &Sample) {
    stack
        .store
        .inner()
        .release(&keys(sample), FOREIGN)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_done() {
    let stack = Stack::new(Host::good());
    let batch = text("A").repeat(3);
    assert_eq!(stack.send(&batch).await, Answer::good());
    assert_eq!(stack.send(&batch).await, Answer::known());
    assert_eq!(stack.host.calls(), 1);
    stack
        .at_rest([2, 1, 0], Tally::handled(3).and_suppressed(3))
        .await;
}

#[tokio::test(start_paused = true)]
async fn some_done() {
    let stack = Stack::new(Host::good());
    stack.send(&text("A")).await;
    let both = text("B").and(text("A")).and(text("C"));
    assert_eq!(stack.send(&both).await, Answer::good());
    let seen = Seen {
        fresh: keys(&text("B").and(text("C"))),
        suppressed: keys(&text("A")),
        stale: vec![false, false],
        suppressed_stale: vec![false],
        unprotected: false,
    };
    assert_eq!(stack.host.seen()[1], seen);
    assert_eq!(stack.held(&both).await, [Held::Done; 3]);
    stack
        .at_rest([2, 2, 0], Tally::handled(3).and_suppressed(1))
        .await;
    // Claimed together in key order. Only claimed events are committed.
    assert_eq!(stack.store.calls_of(Op::Claim)[1].keys, sorted(keys(&both)));
    assert_eq!(stack.store.calls_of(Op::Commit)[1].keys, sorted(seen.fresh));
}

#[tokio::test(start_paused = true)]
async fn claims_are_sorted() {
    let stack = Stack::new(Host::good());
    let batch = text("A").repeat(100);
    stack.send(&batch).await;
    assert_ne!(keys(&batch), sorted(keys(&batch)));
    for call in stack.store.calls() {
        assert_eq!(call.keys, sorted(keys(&batch)));
    }
    // The handler gets them in the order of the delivery.
    assert_eq!(stack.host.handled(), keys(&batch));
}

/// Claimed events are handled and committed. A 200 would end Meta's retries for events that another
/// may still drop.
#[tokio::test(start_paused = true)]
async fn some_pending_elsewhere() {
    let stack = Stack::new(Host::good());
    hold(&stack, &text("A")).await;
    let both = text("A").and(text("B"));
    let began = Instant::now();
    let later = Answer::later(DedupRejectionKind::InFlight);
    assert_eq!(stack.send(&both).await, later);
    assert_eq!(began.elapsed(), millis(0));
    assert_eq!(stack.host.handled(), keys(&text("B")));
    assert_eq!(stack.host.seen()[0].suppressed, keys(&text("A")));
    assert_eq!(stack.held(&both).await, [Held::Pending, Held::Done]);
    stack
        .at_rest([1, 1, 0], Tally::handled(1).and_suppressed(1))
        .await;
    give_up(&stack, &text("A")).await;
    assert_eq!(stack.send(&both).await, Answer::good());
    assert_eq!(stack.host.handled(), keys(&text("B").and(text("A"))));
    assert_eq!(stack.held(&both).await, [Held::Done; 2]);
}

/// The handler rejects the claimed events: its own response is sent.
#[tokio::test(start_paused = true)]
async fn some_pending_elsewhere_and_the_rest_refused() {
    let stack = Stack::new(Host::says(http::StatusCode::BAD_REQUEST));
    hold(&stack, &text("A")).await;
    let both = text("A").and(text("B"));
    let refused = Answer::of_host(500, Some(DedupRejectionKind::HandlerRefused));
    assert_eq!(stack.send(&both).await, refused);
    assert_eq!(stack.held(&both).await, [Held::Pending, Held::Absent]);
    stack
        .at_rest([1, 0, 1], Tally::handled(1).and_suppressed(1))
        .await;
    assert_eq!(stack.store.calls_of(Op::Release)[0].keys, keys(&text("B")));
}

#[tokio::test(start_paused = true)]
async fn only_pending_and_then_done() {
    let stack = Stack::new(Host::good());
    hold(&stack, &text("A")).await;
    let began = Instant::now();
    let sent = stack.begin(&text("A")).await;
    sleep(millis(600)).await;
    assert!(!sent.is_finished());
    assert!(stack.holds(&text("A")));
    finish(&stack, &text("A")).await;
    assert_eq!(sent.await.unwrap(), Answer::known());
    // The other holder is in another process, so polling finds its commit.
    assert!(began.elapsed() <= millis(601 + 200));
    // At 0, 50, 150, 350, 550 and 750 ms.
    stack
        .at_rest([6, 0, 0], Tally::default().and_suppressed(1))
        .await;
    assert_eq!(stack.host.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_pending_and_then_released() {
    let stack = Stack::new(Host::good());
    hold(&stack, &text("A")).await;
    let sent = stack.begin(&text("A")).await;
    sleep(millis(100)).await;
    give_up(&stack, &text("A")).await;
    assert_eq!(sent.await.unwrap(), Answer::good());
    assert_eq!(stack.host.handled(), keys(&text("A")));
    stack.at_rest([3, 1, 0], Tally::handled(1)).await;
    // Always under one token: what was claimed is committed.
    let calls = stack.store.calls();
    assert!(calls.iter().all(|call| call.token == calls[0].token));
}

#[tokio::test(start_paused = true)]
async fn only_pending_and_not_done_in_time() {
    let stack = Stack::new(Host::good());
    hold(&stack, &text("A").repeat(2)).await;
    let began = Instant::now();
    let later = Answer::later(DedupRejectionKind::InFlight);
    assert_eq!(stack.send(&text("A").repeat(2)).await, later);
    assert_eq!(began.elapsed(), WAIT);
    // At 0, 50, 150, 350, 550, 750, 950 and 1000 ms.
    stack.at_rest([8, 0, 0], Tally::default()).await;
    assert_eq!(stack.host.calls(), 0);
    assert_eq!(stack.held(&text("A").repeat(2)).await, [Held::Pending; 2]);
}

/// One of two held events becomes free and is handled. The other one causes a 503.
#[tokio::test(start_paused = true)]
async fn only_pending_and_then_one_released() {
    let stack = Stack::new(Host::good());
    let both = text("A").and(text("B"));
    hold(&stack, &both).await;
    let sent = stack.begin(&both).await;
    give_up(&stack, &text("B")).await;
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::InFlight)
    );
    assert_eq!(stack.host.handled(), keys(&text("B")));
    assert_eq!(stack.held(&both).await, [Held::Pending, Held::Done]);
    stack
        .at_rest([2, 1, 0], Tally::handled(1).and_suppressed(1))
        .await;
}

/// Events that become done during the wait are not claimed again.
#[tokio::test(start_paused = true)]
async fn only_what_is_pending_is_asked_for_again() {
    let stack = Stack::new(Host::good());
    let both = text("A").and(text("B"));
    hold(&stack, &both).await;
    let sent = stack.begin(&both).await;
    finish(&stack, &text("A")).await;
    sleep(millis(60)).await;
    finish(&stack, &text("B")).await;
    assert_eq!(sent.await.unwrap(), Answer::known());
    let asked: Vec<_> = stack
        .store
        .calls()
        .into_iter()
        .map(|call| call.keys)
        .collect();
    assert_eq!(
        asked,
        [sorted(keys(&both)), sorted(keys(&both)), keys(&text("B"))]
    );
    stack
        .at_rest([3, 0, 0], Tally::default().and_suppressed(2))
        .await;
}

/// Within one process a notifier wakes waiters before the next poll.
#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_the_commit_and_by_the_release() {
    for (said, answered, ops) in [
        (200, Answer::known(), [4, 1, 0]),
        (503, Answer::good(), [4, 1, 1]),
    ] {
        let stack = Stack::new(Host::new(move |call, _| async move {
            if call > 1 {
                return good();
            }
            sleep(millis(160)).await;
            super::host::says(http::StatusCode::from_u16(said).unwrap())
        }));
        let began = Instant::now();
        let first = stack.spawn(&text("A"));
        let second = stack.spawn(&text("A"));
        assert_eq!(first.await.unwrap().status, said);
        assert_eq!(second.await.unwrap(), answered);
        // Not at 350 ms.
        assert_eq!(began.elapsed(), millis(160));
        stack.rest().await;
        assert_eq!(stack.store.ops(), [ops[0] + 1, ops[1], ops[2]]);
    }
}

#[tokio::test(start_paused = true)]
async fn more_waiters_than_may_wait() {
    let stack = Stack::with(Host::good(), |builder| builder.in_flight_waiters(2));
    hold(&stack, &text("A")).await;
    let waiting = [stack.begin(&text("A")).await, stack.begin(&text("A")).await];
    let began = Instant::now();
    let later = Answer::later(DedupRejectionKind::InFlight);
    assert_eq!(stack.send(&text("A")).await, later);
    assert_eq!(began.elapsed(), millis(0));
    // Free events need no place in the queue.
    assert_eq!(stack.send(&text("B")).await, Answer::good());
    assert_eq!(stack.send(&text("A").and(text("C"))).await, later);
    finish(&stack, &text("A")).await;
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Answer::known());
    }
    stack.rest().await;
    // The places are free again.
    hold(&stack, &text("D")).await;
    let waiting = stack.begin(&text("D")).await;
    assert!(!waiting.is_finished());
    finish(&stack, &text("D")).await;
    assert_eq!(waiting.await.unwrap(), Answer::known());
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_default_number_of_waiters_is_128() {
    let stack = Stack::new(Host::good());
    hold(&stack, &text("A")).await;
    let mut waiting = Vec::new();
    for _ in 0..128 {
        waiting.push(stack.spawn(&text("A")));
    }
    sleep(millis(1)).await;
    let later = Answer::later(DedupRejectionKind::InFlight);
    let began = Instant::now();
    assert_eq!(stack.send(&text("A")).await, later);
    assert_eq!(began.elapsed(), millis(0));
    finish(&stack, &text("A")).await;
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Answer::known());
    }
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_no_time() {
    let stack = Stack::with(Host::good(), |builder| builder.in_flight_wait(millis(0)));
    hold(&stack, &text("A")).await;
    let began = Instant::now();
    let later = Answer::later(DedupRejectionKind::InFlight);
    assert_eq!(stack.send(&text("A")).await, later);
    assert_eq!(began.elapsed(), millis(0));
    stack.at_rest([1, 0, 0], Tally::default()).await;
}

/// The handler's deadline counts from its successful claim, not from the first attempt.
#[tokio::test(start_paused = true)]
async fn who_takes_over_has_the_whole_time() {
    let stack = Stack::with(Host::slow(millis(900)), |builder| {
        builder.handler_deadline(millis(1000))
    });
    hold(&stack, &text("A")).await;
    let sent = stack.begin(&text("A")).await;
    sleep(millis(500)).await;
    give_up(&stack, &text("A")).await;
    assert_eq!(sent.await.unwrap(), Answer::good());
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_store_fails_while_somebody_waits() {
    let stack = Stack::new(Host::good());
    hold(&stack, &text("A")).await;
    stack.store.at(Op::Claim, 2, Fault::Fail);
    let down = Answer::later(DedupRejectionKind::StoreUnavailable);
    assert_eq!(stack.send(&text("A")).await, down);
    // It may have been claimed, so it is released, without affecting other claims.
    stack
        .at_rest([2, 0, 1], Tally::default().and_failures(1))
        .await;
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
}

/// A handler that hangs, or a process that died with a long lease: no retry gets through.
#[tokio::test(start_paused = true)]
async fn an_event_in_flight_for_longer_than_a_lease_is_counted_at_each_delivery() {
    let stack = Stack::new(Host::says(http::StatusCode::BAD_REQUEST));
    let hold_long = async || {
        let (store, keys) = (stack.store.inner(), keys(&text("A")));
        let claims = store.claim(&keys, FOREIGN, 100 * LEASE).await;
        assert_eq!(claims.unwrap(), [Claim::Claimed]);
    };
    let later = Answer::later(DedupRejectionKind::InFlight);
    hold_long().await;
    let mut stuck = Vec::new();
    for pause in [millis(0), LEASE - 3 * WAIT, 2 * WAIT, LEASE] {
        sleep(pause).await;
        assert_eq!(stack.send(&text("A")).await, later);
        stuck.push(stack.tally().stuck);
    }
    assert_eq!(stuck, [0, 0, 1, 2]);
    // Others are not meant, and not hidden either.
    let both = text("A").and(text("B"));
    let refused = Answer::of_host(500, Some(DedupRejectionKind::HandlerRefused));
    assert_eq!(stack.send(&both).await, refused);
    assert_eq!(stack.tally().stuck, 3);
    // It was free in between, so it is another handling that takes its time.
    give_up(&stack, &text("A")).await;
    assert_eq!(stack.send(&text("A")).await, refused);
    hold_long().await;
    assert_eq!(stack.send(&text("A")).await, later);
    assert_eq!(stack.tally().stuck, 3);
}

/// An event that ended while others went on has not been in flight since then.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_in_flight_again_is_not_counted_from_its_first_time() {
    let stack = Stack::with(Host::says(http::StatusCode::BAD_GATEWAY), |builder| {
        builder.in_flight_wait(millis(0))
    });
    let store = stack.store.inner();
    let all = [text("A"), text("B")];
    let batch = all[0].clone().and(all[1].clone());
    let (token, long) = (Token::random(), LEASE * 100);
    let elsewhere = Answer::later(DedupRejectionKind::InFlight);
    store.claim(&keys(&batch), token, long).await.unwrap();
    assert_eq!(stack.send(&batch).await, elsewhere);
    for one in &all {
        store.release(&keys(one), token).await.unwrap();
        assert_eq!(stack.send(one).await.status, 502);
    }
    sleep(LEASE * 2).await;
    store.claim(&keys(&batch), token, long).await.unwrap();
    assert_eq!(stack.send(&batch).await, elsewhere);
    assert_eq!(stack.tally().stuck, 0);
}
