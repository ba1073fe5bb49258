//! The ways in which an event arrives twice, on every store. Each event is handled once.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};
use tower_whatsapp::{
    dedup::{Claim, DedupRejectionKind, MemoryStore, Store, Token},
    testing::sample,
};

use super::{
    host::{Host, good},
    scripted::{Held, Scripted},
    stack::{Answer, LEASE, Stack, keys, millis, now, text},
};

/// A stack with a slow handler, so that other deliveries arrive meanwhile.
fn stack<S: Store + Clone>(store: S) -> Stack<S> {
    with(store, Host::slow(millis(20)))
}

/// A store timeout that is long enough for a busy machine.
fn with<S: Store + Clone>(store: S, host: Host) -> Stack<S> {
    Stack::over(Scripted::over(store), host, |builder| {
        builder.store_timeout(millis(2000))
    })
}

/// D1: a duplicate after the first delivery.
async fn sequential<S: Store + Clone>(store: S) {
    let stack = stack(store);
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    for _ in 0..5 {
        assert_eq!(stack.send(&text("A")).await, Answer::known());
    }
    assert_eq!(stack.host.handled(), keys(&text("A")));
    stack.rest().await;
}

/// D2 and D3: concurrent duplicates, in two processes if there are two.
async fn concurrent<S: Store + Clone>(store: S, times: usize) {
    let stack = stack(store);
    let other = stack.beside(stack.host.clone());
    let mut sent = JoinSet::new();
    for time in 0..times {
        let stack = if time % 2 == 0 {
            stack.clone()
        } else {
            other.clone()
        };
        sent.spawn(async move { stack.send(&text("A")).await });
    }
    let mut answers = sent.join_all().await;
    answers.sort_by_key(|answer| answer.body.len());
    let first = answers.pop().unwrap();
    assert_eq!(first, Answer::good());
    assert!(
        answers.iter().all(|answer| *answer == Answer::known()),
        "{answers:?}"
    );
    assert_eq!(stack.host.handled(), keys(&text("A")));
    stack.rest().await;
    other.rest().await;
}

/// D4: the same events in other deliveries.
async fn regrouped<S: Store + Clone>(store: S) {
    let stack = stack(store);
    let single = ["A", "B", "C", "D"].map(text);
    let [a, b, c, d] = &single;
    assert_eq!(stack.send(&a.clone().and(b.clone())).await, Answer::good());
    assert_eq!(stack.send(&c.clone().and(d.clone())).await, Answer::good());
    let whole = d.clone().and(a.clone()).and(c.clone()).and(b.clone());
    assert_eq!(stack.send(&whole).await, Answer::known());
    for one in &single {
        assert_eq!(stack.send(one).await, Answer::known());
    }
    assert_eq!(stack.host.calls(), 2);
    stack.rest().await;
}

/// D5: two concurrent batches that share half of their events. Each event is handled once, and the
/// delivery that got less is retried.
async fn half_overlap<S: Store + Clone>(store: S) {
    let stack = stack(store);
    let (left, right) = (text("A").and(text("B")), text("B").and(text("C")));
    let sent = [stack.spawn(&left), stack.spawn(&right)];
    let mut good = 0;
    for sent in sent {
        let answer = sent.await.unwrap();
        if answer == Answer::good() {
            good += 1;
        } else {
            assert_eq!(answer, Answer::later(DedupRejectionKind::InFlight));
        }
    }
    assert!(good >= 1);
    for batch in [&left, &right] {
        assert_eq!(stack.send(batch).await, Answer::known());
    }
    let mut handled = stack.host.handled();
    handled.sort_unstable();
    assert_eq!(handled, super::stack::sorted(keys(&left.and(text("C")))));
    stack.rest().await;
}

/// D6: duplicates in one delivery.
async fn inside_one_batch<S: Store + Clone>(store: S) {
    let stack = stack(store);
    let twice = text("A").and(text("B")).and(text("A"));
    assert_eq!(stack.send(&twice).await, Answer::good());
    assert_eq!(stack.host.handled(), keys(&text("A").and(text("B"))));
    assert_eq!(stack.host.seen()[0].suppressed, keys(&text("A")));
    assert_eq!(stack.send(&twice).await, Answer::known());
    stack.rest().await;
}

/// D7: the previous holder died, and its lease expired.
async fn after_lease_expiry<S: Store + Clone>(store: S, lease: Duration) {
    let stack = stack(store);
    let claims = stack
        .store
        .inner()
        .claim(&keys(&text("A")), Token::random(), lease)
        .await;
    assert_eq!(claims.unwrap(), [Claim::Claimed]);
    // Waits, and takes over if the lease is short enough.
    let first = stack.send(&text("A")).await;
    if first != Answer::good() {
        assert_eq!(first, Answer::later(DedupRejectionKind::InFlight));
        assert_eq!(stack.host.calls(), 0);
        sleep(lease).await;
        assert_eq!(stack.send(&text("A")).await, Answer::good());
    }
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    assert_eq!(stack.host.handled(), keys(&text("A")));
    stack.rest().await;
}

/// D8: a retry after a release.
async fn after_release<S: Store + Clone>(store: S) {
    let stack = with(
        store,
        Host::new(|call, _| async move {
            if call < 3 {
                Err("not yet".into())
            } else {
                good()
            }
        }),
    );
    for _ in 0..2 {
        let failed = Answer::own(500, DedupRejectionKind::HandlerFailed);
        assert_eq!(stack.send(&text("A")).await, failed);
        assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    }
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    assert_eq!(stack.host.calls(), 3);
    stack.rest().await;
}

/// D9: a group message has one status per participant, under one id.
async fn group_participants<S: Store + Clone>(store: S) {
    let stack = stack(store);
    let of = |phone: &str| {
        let sample = sample::named("status_group").unwrap();
        sample.id("A").timestamp(now()).from(phone).user_id(phone)
    };
    let all = of("16505550001")
        .and(of("16505550002"))
        .and(of("16505550003"));
    assert_eq!(stack.send(&of("16505550002")).await, Answer::good());
    assert_eq!(stack.send(&all).await, Answer::good());
    assert_eq!(stack.host.seen()[1].fresh.len(), 2);
    assert_eq!(stack.send(&all).await, Answer::known());
    stack.rest().await;
}

/// D10: an edit is a separate event.
async fn edit_and_original<S: Store + Clone>(store: S) {
    let stack = stack(store);
    let edit = sample::named("edit").unwrap().id("E").timestamp(now());
    for one in [text("A"), edit.clone()] {
        assert_eq!(stack.send(&one).await, Answer::good());
    }
    assert_eq!(stack.send(&edit.and(text("A"))).await, Answer::known());
    assert_eq!(stack.host.calls(), 2);
    stack.rest().await;
}

/// Runs all of them on one kind of store, each with an empty one.
macro_rules! on {
    ($name:ident, $store:expr, $lease:expr, $(#[$attribute:meta])+) => {
        mod $name {
            use super::*;

            on!(@ $store, $(#[$attribute])+ {
                sequential: sequential();
                concurrent_twice: concurrent(2);
                concurrent_fifty: concurrent(50);
                regrouped: regrouped();
                half_overlap: half_overlap();
                inside_one_batch: inside_one_batch();
                after_lease_expiry: after_lease_expiry($lease);
                after_release: after_release();
                group_participants: group_participants();
                edit_and_original: edit_and_original();
            });
        }
    };
    (@ $store:expr, #[$test:meta] $(#[$ignore:meta])? { $name:ident: $run:ident($($argument:expr)?); $($rest:tt)* }) => {
        #[$test]
        $(#[$ignore])?
        async fn $name() {
            let (store, _server) = $store;
            super::$run(store $(, $argument)?).await;
        }

        on!(@ $store, #[$test] $(#[$ignore])? { $($rest)* });
    };
    (@ $store:expr, $(#[$attribute:meta])+ {}) => {};
}

on!(memory, (MemoryStore::new(), ()), LEASE, #[tokio::test(start_paused = true)]);

#[cfg(feature = "redis")]
fn redis_store() -> (
    tower_whatsapp::dedup::RedisStore,
    test_support::redis::Server,
) {
    let server = test_support::redis::Server::start();
    let store = tower_whatsapp::dedup::RedisStore::open(&server.url()).unwrap();
    (store, server)
}

#[cfg(feature = "redis")]
on!(redis, redis_store(), millis(1500), #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs redis-server on the PATH"]);
