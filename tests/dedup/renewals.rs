//! Handlers that run longer than their lease.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use tokio::{
    task::{consume_budget, yield_now},
    time::{Instant, sleep_until},
};
use tower_whatsapp::dedup::{Claim, DedupRejectionKind, Store, Token};

use super::{
    host::{Host, good, says},
    scripted::{Fault, Held, Op, Scripted},
    stack::{Answer, LEASE, Stack, Tally, WINDOW, keys, millis, sorted, text},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Meta redelivers while the handler runs, and long after.
#[tokio::test(start_paused = true)]
async fn forty_seconds_of_work_with_the_defaults() {
    let stack = Stack::new(Host::slow(seconds(40)));
    let began = Instant::now();
    let mut sent = Vec::new();
    for at in [0, 5, 20, 60, 180, 600, 1800] {
        sleep_until(began + seconds(at)).await;
        sent.push(stack.spawn(&text("A")));
    }
    let late = Answer::later(DedupRejectionKind::ResponseDeadline);
    let elsewhere = Answer::later(DedupRejectionKind::InFlight);
    let known = Answer::known();
    let expected = [
        late,
        elsewhere.clone(),
        elsewhere,
        known.clone(),
        known.clone(),
        known.clone(),
        known,
    ];
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(sent.await.unwrap());
    }
    assert_eq!((stack.host.calls(), stack.host.ended()), (1, 1));
    assert_eq!(answers, expected);
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    stack.rest().await;
}

/// A third of the lease after the claim, and again after each renewal.
#[tokio::test(start_paused = true)]
async fn leases_are_renewed_every_third() {
    let stack = Stack::new(Host::slow(seconds(35)));
    let batch = text("A").and(text("B"));
    let began = Instant::now();
    let sent = stack.begin(&batch).await;
    stack.rest().await;
    drop(sent);
    let renewals = stack.store.calls_of(Op::Renew);
    let at: Vec<_> = renewals.iter().map(|call| call.at - began).collect();
    assert_eq!(at, [seconds(10), seconds(20), seconds(30)]);
    let claim = &stack.store.calls_of(Op::Claim)[0];
    for renewal in renewals {
        assert_eq!((&renewal.keys, renewal.token), (&claim.keys, claim.token));
        assert_eq!(renewal.times, [LEASE]);
    }
    stack.at_rest([1, 1, 0], Tally::handled(2)).await;
}

/// Handlers that end before the first renewal cost the store nothing.
#[tokio::test(start_paused = true)]
async fn a_quick_handler_renews_nothing() {
    let stack = Stack::new(Host::slow(LEASE / 3 - millis(1)));
    let sent = stack.begin(&text("A")).await;
    stack.rest().await;
    drop(sent);
    assert!(stack.store.calls_of(Op::Renew).is_empty());
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_handler_has_all_the_time() {
    let day = seconds(24 * 60 * 60);
    let stack = Stack::with(Host::slow(day), |builder| builder.handler_deadline(None));
    let sent = stack.begin(&text("A")).await;
    tokio::time::sleep(day - seconds(1)).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
    stack.rest().await;
    drop(sent);
    assert_eq!((stack.host.calls(), stack.host.ended()), (1, 1));
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;
}

/// Another holder has one of two events: the handler continues, and the remaining one is renewed.
#[tokio::test(start_paused = true)]
async fn a_lost_lease() {
    let stack = Stack::new(Host::slow(seconds(35)));
    let batch = text("A").and(text("B"));
    let sent = stack.begin(&batch).await;
    let mine = stack.store.calls()[0].token;
    let (taken, other) = (keys(&text("A")), Token::random());
    let store = stack.store.inner();
    store.release(&taken, mine).await.unwrap();
    let claims = store.claim(&taken, other, seconds(100)).await.unwrap();
    assert_eq!(claims, [Claim::Claimed]);
    stack.rest().await;
    assert_eq!(
        sent.await.unwrap(),
        Answer::later(DedupRejectionKind::ResponseDeadline)
    );

    let renewed: Vec<_> = stack.store.calls_of(Op::Renew);
    let renewed: Vec<_> = renewed.into_iter().map(|call| call.keys).collect();
    let left = keys(&text("B"));
    assert_eq!(renewed, [sorted(keys(&batch)), left.clone(), left]);
    assert_eq!(stack.host.ended(), 1);
    let tally = Tally {
        leases_lost: 1,
        fenced: 1,
        ..Tally::handled(2)
    };
    stack.at_rest([1, 1, 0], tally).await;
    // The other claim stays valid, and the remaining event is done.
    assert_eq!(stack.held(&batch).await, [Held::Pending, Held::Done]);
}

/// Nothing is left to renew, but the handler completes.
#[tokio::test(start_paused = true)]
async fn all_leases_lost() {
    let stack = Stack::new(Host::slow(seconds(35)));
    let sent = stack.begin(&text("A")).await;
    let (mine, other) = (stack.store.calls()[0].token, Token::random());
    let store = stack.store.inner();
    store.release(&keys(&text("A")), mine).await.unwrap();
    let done = [(keys(&text("A"))[0], WINDOW)];
    store.commit(&done, other).await.unwrap();
    stack.rest().await;
    drop(sent);
    assert_eq!(stack.store.calls_of(Op::Renew).len(), 1);
    assert_eq!(stack.host.ended(), 1);
    let tally = Tally {
        leases_lost: 1,
        ..Tally::handled(1)
    };
    stack.at_rest([1, 1, 0], tally).await;
}

/// A failed renewal is retried after a second.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails() {
    for (fault, at) in [
        (Fault::Fail, [10_000, 11_000, 21_000]),
        (Fault::Hang, [10_000, 11_250, 21_250]),
        (Fault::LoseReply, [10_000, 11_250, 21_250]),
        (Fault::Short, [10_000, 11_000, 21_000]),
    ] {
        let stack = Stack::new(Host::slow(seconds(25)));
        stack.store.at(Op::Renew, 1, fault);
        let began = Instant::now();
        let sent = stack.begin(&text("A")).await;
        stack.rest().await;
        drop(sent);
        let renewals = stack.store.calls_of(Op::Renew);
        let found: Vec<_> = renewals.iter().map(|call| call.at - began).collect();
        assert_eq!(found, at.map(millis), "{fault:?}");
        let tally = Tally::handled(1).and_failures(1);
        stack.at_rest([1, 1, 0], tally).await;
    }
}

/// The store is down for longer than the lease. When it is back, the event is claimed again.
#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_lease() {
    let stack = Stack::new(Host::slow(seconds(60)));
    let sent = stack.begin(&text("A")).await;
    stack.store.always(Op::Renew, Fault::Hang);
    tokio::time::sleep(seconds(45)).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    stack.store.heal();
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(stack.held(&text("A")).await, [Held::Pending]);
    let again = stack.send(&text("A")).await;
    assert_eq!(again, Answer::later(DedupRejectionKind::InFlight));
    stack.rest().await;
    drop(sent);
    assert_eq!((stack.host.calls(), stack.host.ended()), (1, 1));
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    let counters = stack.handle.counters();
    assert_eq!((counters.leases_lost, counters.fenced), (0, 0));
    stack.rest().await;
}

/// A renewal in flight completes before the release is sent.
#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_during_a_renewal() {
    let host = Host::new(|_, _| async {
        tokio::time::sleep(seconds(10) + millis(50)).await;
        says(http::StatusCode::INTERNAL_SERVER_ERROR)
    });
    let stack = Stack::new(host);
    stack.store.at(Op::Renew, 1, Fault::Slow(millis(200)));
    let began = Instant::now();
    let sent = stack.begin(&text("A")).await;
    stack.rest().await;
    drop(sent);
    let release = &stack.store.calls_of(Op::Release)[0];
    assert_eq!(release.at - began, seconds(10) + millis(200));
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    stack.at_rest([1, 0, 1], Tally::handled(1)).await;
}

/// A handler that uses up the task's cooperative budget must not block renewals.
#[tokio::test]
async fn a_busy_handler_is_renewed() {
    let store = Scripted::new();
    let watched = store.clone();
    let host = Host::new(move |_, _| {
        let store = watched.clone();
        async move {
            while store.calls_of(Op::Renew).len() < 2 {
                consume_budget().await;
            }
            good()
        }
    });
    let stack = Stack::over(store, host, |builder| builder.lease(seconds(1)));
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;
}

/// A handler that blocks its thread for longer than the lease, and a repetition that is quick.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_done_twice_is_counted() {
    for first_says in [http::StatusCode::OK, http::StatusCode::BAD_GATEWAY] {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let host = Host::new(move |call, _| {
            let blocks = call == 1;
            // Blocks the thread, so that no renewal runs beside it.
            let says_now = if blocks && blocked.lock().unwrap().recv().is_ok() {
                says(first_says)
            } else {
                good()
            };
            async { says_now }
        });
        let stack = Stack::with(host, |builder| builder.lease(seconds(1)));
        let first = stack.spawn(&text("A"));
        while stack.host.calls() == 0 {
            yield_now().await;
        }
        tokio::time::sleep(millis(1200)).await;
        assert_eq!(stack.send(&text("A")).await, Answer::good());
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap().status, first_says.as_u16());
        stack.rest().await;
        assert_eq!(
            stack.host.handled(),
            [keys(&text("A")), keys(&text("A"))].concat()
        );
        let tally = Tally {
            lease_overruns: 1,
            ..Tally::handled(2)
        };
        assert_eq!(stack.tally(), tally, "{first_says}");
    }
}

/// The handler has ended in time, and its commit comes too late to tell whether somebody else was
/// faster.
#[tokio::test(start_paused = true)]
async fn a_late_commit_is_counted() {
    let stack = Stack::new(Host::good());
    stack.store.at(Op::Commit, 1, Fault::Fail);
    let sent = stack.begin(&text("A")).await;
    assert_eq!(sent.await.unwrap(), Answer::good());
    // As when the process is suspended between two attempts.
    tokio::time::advance(LEASE).await;
    stack.rest().await;
    let tally = Tally {
        lease_overruns: 1,
        ..Tally::handled(1).and_failures(1)
    };
    stack.at_rest([1, 2, 0], tally).await;
}

/// The store may have started it then, and not when its answer arrived.
#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_the_sending_of_its_claim_or_renewal() {
    // The call that is slow, when it is sent, and when the handler ends.
    for (op, at, end) in [(Op::Claim, 0, 30_100), (Op::Renew, 10_000, 40_100)] {
        let called = if op == Op::Claim { 200 } else { 0 };
        let stack = Stack::new(Host::slow(millis(end - called)));
        stack.store.at(op, 1, Fault::Slow(millis(200)));
        let began = Instant::now();
        let sent = stack.begin(&text("A")).await;
        sleep_until(began + millis(at + 300)).await;
        // As when the process is suspended: the lease was over 100 ms before.
        tokio::time::advance(millis(end + 1 - at - 300)).await;
        stack.rest().await;
        let renewals = stack.store.calls_of(Op::Renew).len();
        assert_eq!(renewals, usize::from(op == Op::Renew));
        let tally = Tally {
            lease_overruns: 1,
            ..Tally::handled(1)
        };
        stack.at_rest([1, 1, 0], tally).await;
        let late = Answer::later(DedupRejectionKind::ResponseDeadline);
        assert_eq!(sent.await.unwrap(), late, "{op:?}");
    }
}

/// Two renewals may fail, however short the lease is.
#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_repeated_before_the_lease_ends() {
    for lease in [seconds(1), seconds(2), LEASE] {
        let stack = Stack::with(Host::slow(lease * 2), |builder| builder.lease(lease));
        for call in [1, 2] {
            stack.store.at(Op::Renew, call, Fault::Fail);
        }
        let began = Instant::now();
        drop(stack.begin(&text("A")).await);
        sleep_until(began + lease).await;
        assert_eq!(stack.store.pending(), 1, "{lease:?}");
        stack.rest().await;
        let tally = Tally::handled(1).and_failures(2);
        stack.at_rest([1, 1, 0], tally).await;
    }
}

/// Another holder has one of two events when both come too late: it is not counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_event_is_no_overrun_too() {
    let host = Host::new(|call, _| async move {
        match call {
            1 => std::thread::sleep(millis(1600)),
            _ => tokio::time::sleep(millis(900)).await,
        }
        good()
    });
    let stack = Stack::with(host, |builder| builder.lease(seconds(1)));
    let first = stack.spawn(&text("A").and(text("B")));
    tokio::time::sleep(millis(1200)).await;
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    assert_eq!(first.await.unwrap(), Answer::good());
    stack.rest().await;
    let tally = Tally {
        fenced: 1,
        lease_overruns: 1,
        ..Tally::handled(3)
    };
    assert_eq!(stack.tally(), tally);
}
