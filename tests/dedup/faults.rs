//! A store that fails, hangs, or loses its response.

use tokio::time::{Instant, sleep};
use tower_whatsapp::{
    dedup::{Claim, DedupRejectionKind, MemoryStore, OnStoreError, Store, Token},
    event::EventKey,
};

use super::{
    host::{Host, good},
    scripted::{Fault, Held, Op, Scripted},
    stack::{Answer, LEASE, STORE, Stack, Tally, keys, millis, text},
};

const FAULTS: [Fault; 3] = [Fault::Fail, Fault::Hang, Fault::LoseReply];

/// Duration of a call with this fault.
fn lost(fault: Fault) -> std::time::Duration {
    if fault == Fault::Fail {
        millis(0)
    } else {
        STORE
    }
}

/// The work is done, so the response is 200. The commit is retried later.
#[tokio::test(start_paused = true)]
async fn commit_fails_once() {
    for fault in FAULTS {
        let stack = Stack::new(Host::good());
        stack.store.at(Op::Commit, 1, fault);
        let began = Instant::now();
        assert_eq!(stack.send(&text("A")).await, Answer::good(), "{fault:?}");
        assert_eq!(began.elapsed(), lost(fault));
        let held = if fault == Fault::LoseReply {
            Held::Done
        } else {
            Held::Pending
        };
        assert_eq!(stack.held(&text("A")).await, [held], "{fault:?}");
        stack
            .at_rest([1, 2, 0], Tally::handled(1).and_failures(1))
            .await;
        let [_, first, second] = &stack.store.calls()[..] else {
            panic!()
        };
        assert_eq!(second.at - first.at, lost(fault) + millis(100));
        assert_eq!((&second.keys, &second.times), (&first.keys, &first.times));
        assert_eq!(second.token, first.token);
        assert_eq!(stack.held(&text("A")).await, [Held::Done]);
        assert_eq!(stack.send(&text("A")).await, Answer::known());
        assert_eq!(stack.host.calls(), 1);
    }
}

/// Retried until the lease expires, at growing intervals, and not after.
#[tokio::test(start_paused = true)]
async fn commit_fails_until_the_lease_has_passed() {
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Hang);
    let began = Instant::now();
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    assert_eq!(began.elapsed(), STORE);
    // Pending writes hold no memory budget.
    assert_eq!(stack.layer.available_memory(), super::stack::BUDGET);
    assert_eq!(stack.handle.counters().running, 1);
    stack.rest().await;
    assert!(began.elapsed() >= LEASE && began.elapsed() <= LEASE + millis(2));
    let commits = stack.store.calls_of(Op::Commit);
    let at: Vec<_> = commits
        .iter()
        .map(|call| (call.at - began).as_millis())
        .collect();
    // Each call takes 250 ms. After the fifth failure the circuit opens for a second at a time, and
    // retries meanwhile are not sent.
    assert_eq!(at[..5], [0, 350, 800, 1450, 2500], "{at:?}");
    assert!(at.len() > 8 && at.len() < 15, "{at:?}");
    assert!(
        at.windows(2).all(|pair| pair[1] - pair[0] <= 5000 + 250),
        "{at:?}"
    );
    let tries = at.len();
    sleep(LEASE).await;
    assert_eq!(stack.store.ops(), [1, tries, 0]);
    // The commit was never recorded: the only case of a second run.
    stack.store.heal();
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    assert_eq!(stack.host.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn commit_fails_and_the_store_comes_back() {
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Fail);
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    // Meta got a 200. A duplicate is not handled while the lease lasts.
    sleep(millis(20_000)).await;
    stack.store.heal();
    sleep(millis(6_000)).await;
    assert_eq!(stack.handle.counters().running, 0);
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    stack.rest().await;
    assert_eq!(stack.host.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn commit_answers_for_too_few() {
    let stack = Stack::new(Host::good());
    stack.store.at(Op::Commit, 1, Fault::Short);
    assert_eq!(stack.send(&text("A").repeat(2)).await, Answer::good());
    stack
        .at_rest([1, 2, 0], Tally::handled(2).and_failures(1))
        .await;
}

#[tokio::test(start_paused = true)]
async fn release_fails() {
    for fault in FAULTS {
        let stack = Stack::new(Host::says(http::StatusCode::BAD_GATEWAY));
        stack.store.at(Op::Release, 1, fault);
        let refused = Answer::of_host(502, Some(DedupRejectionKind::HandlerRefused));
        assert_eq!(stack.send(&text("A")).await, refused);
        stack
            .at_rest([1, 0, 2], Tally::handled(1).and_failures(1))
            .await;
        assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
        let [_, first, second] = &stack.store.calls()[..] else {
            panic!()
        };
        assert_eq!((&second.keys, second.token), (&first.keys, first.token));
        assert_eq!(second.at - first.at, lost(fault) + millis(100));
    }
}

#[tokio::test(start_paused = true)]
async fn release_after_a_deadline_fails() {
    let host = Host::new(|_, _| std::future::pending());
    let stack = Stack::with(host, |builder| builder.handler_deadline(millis(500)));
    stack.store.at(Op::Release, 1, Fault::Fail);
    let stopped = Answer::later(DedupRejectionKind::HandlerDeadline);
    assert_eq!(stack.send(&text("A")).await, stopped);
    stack
        .at_rest(
            [1, 0, 2],
            Tally::handled(1).and_timed_out(1).and_failures(1),
        )
        .await;
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
}

/// Both writes are pending, and both are sent.
#[tokio::test(start_paused = true)]
async fn commit_and_release_fail() {
    let failed = keys(&text("B"));
    let host = Host::new(move |_, _| {
        let mut said = good().unwrap();
        said.extensions_mut()
            .insert(tower_whatsapp::dedup::PartialFailure::of_keys(
                failed.clone(),
            ));
        async { Ok(said) }
    });
    let stack = Stack::new(host);
    stack.store.at(Op::Commit, 1, Fault::Fail);
    stack.store.at(Op::Release, 1, Fault::Fail);
    stack.store.at(Op::Release, 2, Fault::Fail);
    let both = text("A").and(text("B"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    assert_eq!(stack.send(&both).await, partly);
    stack
        .at_rest([1, 2, 3], Tally::handled(2).and_failures(3))
        .await;
    assert_eq!(stack.held(&both).await, [Held::Done, Held::Absent]);
}

#[tokio::test(start_paused = true)]
async fn store_down_at_the_claim_and_refuse() {
    for fault in FAULTS {
        let stack = Stack::new(Host::good());
        stack.store.at(Op::Claim, 1, fault);
        let began = Instant::now();
        let down = Answer::later(DedupRejectionKind::StoreUnavailable);
        assert_eq!(stack.send(&text("A")).await, down);
        assert_eq!(began.elapsed(), lost(fault));
        assert_eq!(stack.host.calls(), 0);
        // It may have been claimed, so it is released.
        let held = if fault == Fault::LoseReply {
            Held::Pending
        } else {
            Held::Absent
        };
        assert_eq!(stack.held(&text("A")).await, [held]);
        stack
            .at_rest([1, 0, 1], Tally::default().and_failures(1))
            .await;
        assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
        let [claim, release] = &stack.store.calls()[..] else {
            panic!()
        };
        assert_eq!((&release.keys, release.token), (&claim.keys, claim.token));
        assert_eq!(release.at - claim.at, lost(fault) + millis(100));
        assert_eq!(stack.send(&text("A")).await, Answer::good());
    }
}

#[tokio::test(start_paused = true)]
async fn claim_answers_for_too_few() {
    let stack = Stack::new(Host::good());
    stack.store.at(Op::Claim, 1, Fault::Short);
    let down = Answer::later(DedupRejectionKind::StoreUnavailable);
    assert_eq!(stack.send(&text("A").repeat(2)).await, down);
    stack
        .at_rest([1, 0, 1], Tally::default().and_failures(1))
        .await;
    assert_eq!(stack.held(&text("A").repeat(2)).await, [Held::Absent; 2]);
}

#[tokio::test(start_paused = true)]
async fn store_down_at_the_claim_and_deliver() {
    for fault in [Fault::Fail, Fault::Hang, Fault::LoseReply, Fault::Full] {
        let stack = Stack::with(Host::good(), |builder| {
            builder.on_store_error(OnStoreError::Deliver)
        });
        stack.store.at(Op::Claim, 1, fault);
        let twice = text("A").and(text("B")).and(text("A"));
        assert_eq!(stack.send(&twice).await, Answer::good());
        let seen = &stack.host.seen()[0];
        assert!(seen.unprotected);
        // Duplicates within one delivery are recognised without the store.
        assert_eq!(seen.fresh, keys(&text("A").and(text("B"))));
        assert_eq!(seen.suppressed, keys(&text("A")));
        // It is recorded if the store is back.
        assert_eq!(stack.held(&twice).await, [Held::Done; 3]);
        let tally = Tally {
            unprotected: 2,
            ..Tally::handled(2)
        };
        stack
            .at_rest([1, 1, 0], tally.and_suppressed(1).and_failures(1))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn unprotected_and_refused() {
    let host = Host::says(http::StatusCode::BAD_REQUEST);
    let stack = Stack::with(host, |builder| {
        builder.on_store_error(OnStoreError::Deliver)
    });
    stack.store.at(Op::Claim, 1, Fault::LoseReply);
    let refused = Answer::of_host(500, Some(DedupRejectionKind::HandlerRefused));
    assert_eq!(stack.send(&text("A")).await, refused);
    let tally = Tally {
        unprotected: 1,
        ..Tally::handled(1)
    };
    stack.at_rest([1, 0, 1], tally.and_failures(1)).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
}

/// Only events of unknown state are delivered unprotected. Events that another holds are not.
#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_pending_is_not_delivered_unprotected() {
    let stack = Stack::with(Host::good(), |builder| {
        builder.on_store_error(OnStoreError::Deliver)
    });
    let other = Token::random();
    let claim = stack
        .store
        .inner()
        .claim(&keys(&text("A")), other, LEASE)
        .await;
    assert_eq!(claim.unwrap(), [Claim::Claimed]);
    stack.store.at(Op::Claim, 2, Fault::Fail);
    let down = Answer::later(DedupRejectionKind::StoreUnavailable);
    assert_eq!(stack.send(&text("A")).await, down);
    stack
        .at_rest([2, 0, 1], Tally::default().and_failures(1))
        .await;
    assert_eq!(stack.host.calls(), 0);
}

/// With the store down permanently, every delivery is answered in time, and nothing
/// is left after the leases.
#[tokio::test(start_paused = true)]
async fn store_down_for_good_and_deliver() {
    let stack = Stack::with(Host::good(), |builder| {
        builder.on_store_error(OnStoreError::Deliver)
    });
    stack.store.down(Fault::Hang);
    for number in 0..20 {
        let began = Instant::now();
        assert_eq!(
            stack.send(&text(&format!("A{number}"))).await,
            Answer::good()
        );
        assert!(began.elapsed() <= 2 * STORE, "{number}");
    }
    assert_eq!(stack.handle.counters().running, 20);
    stack.rest().await;
    assert_eq!((stack.host.calls(), stack.tally().unprotected), (20, 20));
}

/// After five consecutive failures responses are 503 at once. After a second one probe is sent.
#[tokio::test(start_paused = true)]
async fn circuit_breaker() {
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Claim, Fault::Hang);
    let down = Answer::later(DedupRejectionKind::StoreUnavailable);
    // Concurrently, so that the following releases are not among them.
    let sent: Vec<_> = (0..5)
        .map(|n| stack.spawn(&text(&format!("A{n}"))))
        .collect();
    let began = Instant::now();
    for sent in sent {
        assert_eq!(sent.await.unwrap(), down);
    }
    assert_eq!(began.elapsed(), STORE);
    assert_eq!(stack.store.ops(), [5, 0, 0]);
    for n in 0..50 {
        assert_eq!(stack.send(&text(&format!("B{n}"))).await, down);
    }
    assert_eq!(began.elapsed(), STORE);
    sleep(millis(980)).await;
    assert_eq!(stack.send(&text("C")).await, down);
    // Neither deliveries nor pending writes reach the store.
    assert_eq!(stack.store.ops(), [5, 0, 0]);
    stack.store.heal();
    stack.rest().await;
    assert_eq!(stack.store.ops(), [5, 0, 5]);
    assert_eq!(stack.send(&text("C")).await, Answer::good());
    stack.rest().await;
    assert_eq!(stack.store.ops(), [6, 1, 5]);
}

#[tokio::test(start_paused = true)]
async fn one_probe_after_a_second() {
    let stack = Stack::new(Host::good());
    // Calls that were not sent leave no pending writes, so the failures come from claims.
    stack.store.always(Op::Claim, Fault::Fail);
    stack.store.always(Op::Release, Fault::Fail);
    let down = Answer::later(DedupRejectionKind::StoreUnavailable);
    for n in 0..5 {
        assert_eq!(stack.send(&text(&format!("A{n}"))).await, down);
    }
    // Releases end with their leases.
    stack.rest().await;
    let [claims, _, releases] = stack.store.ops();
    stack.store.heal();
    stack.store.at(Op::Claim, claims + 1, Fault::Hang);
    sleep(millis(1001)).await;
    let probe = stack.begin(&text("B")).await;
    for n in 0..5 {
        assert_eq!(stack.send(&text(&format!("C{n}"))).await, down);
    }
    assert_eq!(stack.store.ops(), [claims + 1, 0, releases]);
    assert_eq!(probe.await.unwrap(), down);
    stack.rest().await;
    // The release of the probe was the next probe, and succeeded.
    assert_eq!(stack.store.ops(), [claims + 1, 0, releases + 1]);
    assert_eq!(stack.send(&text("B")).await, Answer::good());
}

#[tokio::test(start_paused = true)]
async fn store_full() {
    let stack = Stack::over(
        Scripted::over(MemoryStore::with_capacity(2)),
        Host::good(),
        |builder| builder,
    );
    let other: Vec<EventKey> = keys(&text("O").repeat(2));
    let taken = stack
        .store
        .inner()
        .claim(&other, Token::random(), LEASE)
        .await;
    assert_eq!(taken.unwrap(), [Claim::Claimed; 2]);
    let full = Answer::later(DedupRejectionKind::StoreFull);
    // A full store responds, so the circuit stays closed.
    for n in 1..=10 {
        assert_eq!(stack.send(&text("A")).await, full);
        stack
            .at_rest([n, 0, n], Tally::default().and_failures(n as u64))
            .await;
    }
    assert_eq!(stack.host.calls(), 0);
    sleep(LEASE).await;
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    stack.rest().await;
}

/// At most 65,536 events have pending writes. Beyond that, leases expire on their
/// own, without a task.
#[tokio::test(start_paused = true)]
async fn what_is_owed_is_bounded() {
    let stack = Stack::new(Host::good());
    stack.store.always(Op::Commit, Fault::Hang);
    const BATCH: usize = 1000;
    let sent: Vec<_> = (0..70)
        .map(|n| stack.spawn(&text(&format!("A{n}-")).repeat(BATCH)))
        .collect();
    for sent in sent {
        assert_eq!(sent.await.unwrap(), Answer::good());
    }
    sleep(millis(1)).await;
    assert_eq!(stack.handle.counters().running, 65);
    stack.store.heal();
    stack.rest().await;
    // The excess events stay pending until their leases expire.
    assert_eq!(stack.store.pending(), (70 - 65) * BATCH);
    sleep(LEASE).await;
    assert_eq!(stack.store.pending(), 0);
}

/// A large delivery is claimed in several calls. If a later one fails, the earlier
/// claims are released.
#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_half_way() {
    for fault in FAULTS {
        let stack = Stack::new(Host::good());
        stack.store.at(Op::Claim, 3, fault);
        let batch = text("A").repeat(1000);
        let down = Answer::later(DedupRejectionKind::StoreUnavailable);
        assert_eq!(stack.send(&batch).await, down, "{fault:?}");
        let held = |held: &[Held], state| held.iter().filter(|held| **held == state).count();
        assert!(held(&stack.held(&batch).await, Held::Pending) >= 512);
        stack.rest().await;
        assert_eq!(stack.host.calls(), 0);
        assert_eq!(held(&stack.held(&batch).await, Held::Absent), 1000);
        // Calls after the failed one were not made, and nothing is released for them.
        let keys = |op| {
            stack
                .store
                .calls_of(op)
                .iter()
                .map(|call| call.keys.len())
                .sum::<usize>()
        };
        assert_eq!((keys(Op::Claim), keys(Op::Release)), (768, 768));

        assert_eq!(stack.send(&batch).await, Answer::good(), "{fault:?}");
        assert_eq!(held(&stack.held(&batch).await, Held::Done), 1000);
        stack.rest().await;
        assert_eq!(stack.tally(), Tally::handled(1000).and_failures(1));
    }
}

/// The results of earlier calls are kept: only the rest is delivered unprotected.
#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_half_way_and_deliver() {
    for fault in FAULTS {
        let stack = Stack::with(Host::good(), |builder| {
            builder.on_store_error(OnStoreError::Deliver)
        });
        let batch = text("A").repeat(1000);
        assert_eq!(stack.send(&batch).await, Answer::good());
        let claims = stack.store.calls_of(Op::Claim).len();
        stack.store.at(Op::Claim, claims + 3, fault);
        assert_eq!(stack.send(&batch).await, Answer::good(), "{fault:?}");
        let seen = &stack.host.seen()[1];
        assert!(seen.unprotected);
        assert_eq!((seen.fresh.len(), seen.suppressed.len()), (488, 512));
        stack.rest().await;
    }
}

/// A partially confirmed commit continues with the rest.
#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_half_way() {
    for fault in FAULTS {
        let stack = Stack::new(Host::good());
        stack.store.at(Op::Commit, 3, fault);
        let batch = text("A").repeat(1000);
        assert_eq!(stack.send(&batch).await, Answer::good(), "{fault:?}");
        stack.rest().await;
        let commits = stack.store.calls_of(Op::Commit);
        let lengths: Vec<_> = commits.iter().map(|call| call.keys.len()).collect();
        assert_eq!(lengths, [256, 256, 256, 256, 232], "{fault:?}");
        assert_eq!(commits[2].keys, commits[3].keys);
        let held = stack.held(&batch).await;
        assert!(held.iter().all(|held| *held == Held::Done));
        assert_eq!(stack.send(&batch).await, Answer::known());
    }
}

/// The same for a release, whether the handler failed as a whole or for single events.
#[tokio::test(start_paused = true)]
async fn a_release_that_fails_half_way() {
    let stack = Stack::new(Host::says(http::StatusCode::INTERNAL_SERVER_ERROR));
    stack.store.at(Op::Release, 2, Fault::Hang);
    let batch = text("A").repeat(1000);
    let refused = Answer::of_host(500, Some(DedupRejectionKind::HandlerRefused));
    assert_eq!(stack.send(&batch).await, refused);
    stack.rest().await;
    let releases = stack.store.calls_of(Op::Release);
    let lengths: Vec<_> = releases.iter().map(|call| call.keys.len()).collect();
    assert_eq!(lengths, [256, 256, 256, 256, 232]);
    let held = stack.held(&batch).await;
    assert!(held.iter().all(|held| *held == Held::Absent));
}
