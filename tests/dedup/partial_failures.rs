//! Partial failures: a handler that reports which events failed.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use test_support::{PATH, SECRET, TOKEN};
use tower_whatsapp::{
    App, Credentials, Event, Notification, WebhookLayer,
    dedup::{Claim, DedupRejectionKind, PartialFailure, Store, Token},
    event::EventKey,
    testing::Sample,
};

use super::{
    host::{Host, says},
    scripted::{Held, Op, Scripted},
    stack::{Answer, LEASE, Stack, Tally, keys, status, text},
};

/// Reports this the first time, and succeeds afterwards.
fn once(status: u16, failed: Vec<EventKey>) -> Host {
    Host::new(move |call, _| {
        let reply = if call == 1 {
            let mut response = says(StatusCode::from_u16(status).unwrap()).unwrap();
            response
                .extensions_mut()
                .insert(PartialFailure::of_keys(failed.clone()));
            Ok(response)
        } else {
            super::host::good()
        };
        async { reply }
    })
}

/// Unnamed events are done. Named ones are released and retried alone, whatever the status was.
#[tokio::test(start_paused = true)]
async fn some_failed() {
    let batch = text("A").and(text("B")).and(text("C"));
    for (said, answered) in [
        (200, 500),
        (204, 500),
        (400, 500),
        (500, 500),
        (502, 502),
        (503, 503),
    ] {
        let stack = Stack::new(once(said, keys(&text("B"))));
        let partly = Answer::of_host(answered, Some(DedupRejectionKind::PartlyFailed));
        assert_eq!(stack.send(&batch).await, partly, "{said}");
        assert_eq!(
            stack.held(&batch).await,
            [Held::Done, Held::Absent, Held::Done]
        );
        stack.at_rest([1, 1, 1], Tally::handled(3)).await;
        assert_eq!(stack.store.calls_of(Op::Release)[0].keys, keys(&text("B")));
        assert_eq!(stack.send(&batch).await, Answer::good());
        assert_eq!(stack.host.seen()[1].fresh, keys(&text("B")));
        stack
            .at_rest([2, 2, 1], Tally::handled(4).and_suppressed(2))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_failed() {
    let batch = text("A").and(text("B"));
    let stack = Stack::new(once(200, keys(&batch)));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    assert_eq!(stack.send(&batch).await, partly);
    assert_eq!(stack.held(&batch).await, [Held::Absent; 2]);
    stack.at_rest([1, 0, 1], Tally::handled(2)).await;
}

/// No key is named: only the status counts.
#[tokio::test(start_paused = true)]
async fn none_failed() {
    let stack = Stack::new(once(200, Vec::new()));
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    stack.at_rest([1, 1, 0], Tally::handled(1)).await;

    let stack = Stack::new(once(500, Vec::new()));
    let refused = Answer::of_host(500, Some(DedupRejectionKind::HandlerRefused));
    assert_eq!(stack.send(&text("A")).await, refused);
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    stack.at_rest([1, 0, 1], Tally::handled(1)).await;
}

/// For a duplicate within the delivery both occurrences are meant.
#[tokio::test(start_paused = true)]
async fn failed_and_twice_in_one_delivery() {
    let batch = text("A").and(text("A"));
    let stack = Stack::new(once(200, keys(&text("A"))));
    assert_eq!(stack.send(&batch).await.status, 500);
    assert_eq!(stack.send(&batch).await, Answer::good());
    assert_eq!(stack.host.handled(), keys(&batch));
    stack.rest().await;
}

/// A handler cannot release an event that another holds by naming it.
#[tokio::test(start_paused = true)]
async fn failed_and_pending_elsewhere() {
    let stack = Stack::new(once(200, keys(&text("A").and(text("B")))));
    let held = keys(&text("A"));
    let claims = stack
        .store
        .inner()
        .claim(&held, Token::random(), LEASE)
        .await;
    assert_eq!(claims.unwrap(), [Claim::Claimed]);
    let batch = text("A").and(text("B")).and(text("C"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    assert_eq!(stack.send(&batch).await, partly);
    assert_eq!(
        stack.held(&batch).await,
        [Held::Pending, Held::Absent, Held::Done]
    );
    stack
        .at_rest([1, 1, 1], Tally::handled(2).and_suppressed(1))
        .await;
}

/// An event without a key is retried in any case; events with a key are done.
#[tokio::test(start_paused = true)]
async fn failed_without_a_key() {
    let batch = text("A").and(status("B"));
    let failing = once(200, keys(&status("B")));
    let stack = Stack::with(failing, |builder| builder.status_window(None));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    assert_eq!(stack.send(&batch).await, partly);
    assert_eq!(stack.held(&text("A")).await, [Held::Done]);
    assert_eq!(stack.send(&batch).await, Answer::good());
    assert_eq!(stack.host.seen()[1].fresh, keys(&status("B")));
    stack.rest().await;
}

/// An unknown key may mean any event of the delivery, so none is considered done.
#[tokio::test(start_paused = true)]
async fn foreign_keys() {
    let stack = Stack::new(once(200, keys(&text("X").and(text("B")))));
    let batch = text("A").and(text("B"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::FailureUnmatched));
    assert_eq!(stack.send(&batch).await, partly);
    assert_eq!(stack.held(&batch).await, [Held::Absent; 2]);
    stack.at_rest([1, 0, 1], Tally::handled(2)).await;
}

/// It is not the key of an event without a key, either.
#[tokio::test(start_paused = true)]
async fn foreign_keys_beside_an_event_without_one() {
    let failing = once(200, keys(&text("X")));
    let stack = Stack::with(failing, |builder| builder.status_window(None));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::FailureUnmatched));
    assert_eq!(stack.send(&text("A").and(status("B"))).await, partly);
    assert_eq!(stack.held(&text("A")).await, [Held::Absent]);
    stack.rest().await;
}

/// For example, the app has a label, and the host uses keys without it.
#[tokio::test(start_paused = true)]
async fn keys_without_the_app() {
    let failing = once(200, keys(&text("A")));
    let stack = Stack::of_app("app", Scripted::new(), failing);
    let batch = text("A").and(text("B"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::FailureUnmatched));
    assert_eq!(stack.send(&batch).await, partly);
    assert_eq!(stack.send(&batch).await, Answer::good());
    assert_eq!(stack.host.seen()[1].fresh.len(), 2);
    stack.rest().await;
}

/// A handler that fails and names no event of the delivery has handled nothing.
#[tokio::test(start_paused = true)]
async fn foreign_keys_alone_on_a_refusal() {
    for said in [400, 500, 503] {
        let stack = Stack::new(once(said, keys(&text("X"))));
        let batch = text("A").and(text("B"));
        assert!(stack.send(&batch).await.status >= 500);
        assert_eq!(stack.held(&batch).await, [Held::Absent; 2]);
        stack.at_rest([1, 0, 1], Tally::handled(2)).await;
        assert_eq!(stack.send(&batch).await, Answer::good());
        assert_eq!(stack.host.calls(), 2);
        stack.rest().await;
    }
}

/// The handler's report on its events, the first time.
fn once_with(name: impl Fn(&Notification) -> PartialFailure + Send + Sync + 'static) -> Host {
    Host::new(move |call, notification| {
        let mut response = super::host::good().unwrap();
        if call == 1 {
            response.extensions_mut().insert(name(&notification));
        }
        async { Ok(response) }
    })
}

fn of_id(notification: &Notification, id: &'static str) -> Event {
    let events = notification.events().iter();
    let mut events = events.filter(|event| event.id() == Some(id));
    events.next().unwrap().clone()
}

async fn only_b_comes_again(stack: Stack, what: &str) {
    let batch = text("A").and(text("B")).and(text("C"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    assert_eq!(stack.send(&batch).await, partly, "{what}");
    assert_eq!(stack.send(&batch).await, Answer::good(), "{what}");
    assert_eq!(stack.host.seen()[1].fresh, keys(&text("B")), "{what}");
    assert_eq!(stack.send(&batch).await, Answer::known(), "{what}");
    stack.rest().await;
}

/// The host names events instead of keys, whatever function makes the keys.
#[tokio::test(start_paused = true)]
async fn failed_by_event() {
    let failing = || once_with(|all| PartialFailure::of_events([&of_id(all, "B")]));
    only_b_comes_again(Stack::new(failing()), "as usual").await;

    let of_app = Stack::of_app("app", Scripted::new(), failing());
    only_b_comes_again(of_app, "an app with a label").await;

    let own_key = Stack::with(failing(), |builder| {
        builder.key(|event, _| {
            let mut bytes = event.key().to_bytes();
            bytes.reverse();
            Some(EventKey::from_bytes(bytes))
        })
    });
    only_b_comes_again(own_key, "a key of the host's own").await;

    // A copy of the event works as well.
    let copied = || once_with(|all| PartialFailure::of_events([&of_id(all, "B").detach()]));
    only_b_comes_again(Stack::new(copied()), "a copy").await;
    let of_app = Stack::of_app("app", Scripted::new(), copied());
    only_b_comes_again(of_app, "a copy, for an app with a label").await;
}

/// Reports are combined, and a response that loses them is still a failure.
#[tokio::test(start_paused = true)]
async fn failed_one_by_one() {
    let one_by_one = |keeps_extensions: bool| {
        Host::new(move |call, notification| {
            let mut response = super::host::good().unwrap();
            if call == 1 {
                for id in ["A", "B"] {
                    PartialFailure::of_events([&of_id(&notification, id)]).mark(&mut response);
                }
                PartialFailure::default().mark(&mut response);
                assert_eq!(response.status(), 500);
                if !keeps_extensions {
                    response.extensions_mut().clear();
                }
            }
            async { Ok(response) }
        })
    };
    let batch = text("A").and(text("B")).and(text("C"));
    for (keeps_extensions, again) in [(true, ["A", "B"].as_slice()), (false, &["A", "B", "C"])] {
        let stack = Stack::new(one_by_one(keeps_extensions));
        assert_eq!(stack.send(&batch).await.status, 500);
        assert_eq!(stack.send(&batch).await, Answer::good());
        let again: Vec<_> = again.iter().flat_map(|id| keys(&text(id))).collect();
        assert_eq!(stack.host.seen()[1].fresh, again);
        stack.rest().await;
    }
}

/// An earlier report stays, whether it and the next one name keys or events.
#[tokio::test(start_paused = true)]
async fn failed_one_by_one_by_key_or_by_event() {
    let batch = text("A").and(text("B")).and(text("C"));
    for by_key in [[true, true], [true, false], [false, true], [false, false]] {
        let stack = Stack::new(Host::new(move |_, notification| {
            let mut response = super::host::good().unwrap();
            for (by_key, id) in by_key.into_iter().zip(["A", "B"]) {
                let event = of_id(&notification, id);
                let failed = match by_key {
                    true => PartialFailure::of_keys([event.key()]),
                    false => PartialFailure::of_events([&event]),
                };
                failed.mark(&mut response);
            }
            async { Ok(response) }
        }));
        let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
        assert_eq!(stack.send(&batch).await, partly, "{by_key:?}");
        assert_eq!(
            stack.held(&batch).await,
            [Held::Absent, Held::Absent, Held::Done],
            "{by_key:?}"
        );
        stack.rest().await;
    }
}

/// If some events are suppressed, positions differ from those in the body.
#[tokio::test(start_paused = true)]
async fn failed_by_event_beside_known_ones() {
    let failing = once_with(|_| PartialFailure::default());
    let stack = Stack::new(failing);
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    let second = stack.beside(once_with(|all| {
        PartialFailure::of_events(all.events().iter().filter(|event| event.id() == Some("C")))
    }));
    let batch = text("A").and(text("B")).and(text("C")).and(text("C"));
    assert_eq!(second.send(&batch).await.status, 500);
    assert_eq!(
        second.held(&batch).await,
        [Held::Done, Held::Done, Held::Absent, Held::Absent]
    );
    second.rest().await;
}

/// Events without a key are retried in any case. Events of another delivery may mean any.
#[tokio::test(start_paused = true)]
async fn failed_by_event_without_a_key_or_from_elsewhere() {
    let batch = text("A").and(status("B"));
    let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
    for detached in [false, true] {
        let failing = once_with(move |all| {
            let event = of_id(all, "B");
            let event = if detached { event.detach() } else { event };
            PartialFailure::of_events([&event])
        });
        let stack = Stack::with(failing, |builder| builder.status_window(None));
        assert_eq!(stack.send(&batch).await, partly);
        assert_eq!(stack.held(&text("A")).await, [Held::Done]);
        stack.rest().await;
    }

    let foreign = text("X").notification().events()[0].clone();
    let stack = Stack::new(once_with(move |_| PartialFailure::of_events([&foreign])));
    let unmatched = Answer::of_host(500, Some(DedupRejectionKind::FailureUnmatched));
    assert_eq!(stack.send(&batch).await, unmatched);
    assert_eq!(stack.held(&batch).await, [Held::Absent; 2]);
    stack.rest().await;
}

/// A key function that panics for a copy leaves nothing pending.
#[tokio::test(start_paused = true)]
async fn a_key_function_that_panics_when_a_failure_is_named() {
    let calls = AtomicUsize::new(0);
    let failing = once_with(|all| PartialFailure::of_events([&of_id(all, "B").detach()]));
    let stack = Stack::with(failing, |builder| {
        builder.key(move |event, _| {
            assert!(calls.fetch_add(1, Ordering::Relaxed) < 2, "no more, please");
            Some(event.key())
        })
    });
    let batch = text("A").and(text("B"));
    assert_eq!(stack.send(&batch).await.status, 500);
    assert_eq!(stack.held(&batch).await, [Held::Absent; 2]);
    stack.at_rest([1, 0, 1], Tally::handled(2)).await;
}

/// Naming every event of a large delivery takes linear time: each key is computed at most twice, by
/// the layer and for the comparison.
#[tokio::test(start_paused = true)]
async fn many_events_without_keys_by_key() {
    let ids: Vec<_> = (0..8000).map(|number| format!("S{number}")).collect();
    let batch = ids.iter().map(|id| status(id)).reduce(Sample::and).unwrap();
    let named = keys(&batch);
    let failing = Host::new(move |_, _| {
        let mut response = super::host::good().unwrap();
        let failure = PartialFailure::of_keys(named.iter().copied());
        response.extensions_mut().insert(failure);
        async { Ok(response) }
    });
    let stack = Stack::with(failing, |builder| builder.status_window(None));
    assert_eq!(stack.send(&batch).await.status, 500);
    stack.at_rest([0, 0, 0], Tally::handled(8000)).await;
}

/// Naming a foreign event fails no other, and the handler gets the foreign event again.
#[tokio::test(start_paused = true)]
async fn failed_events_that_are_foreign_to_the_app() {
    #[derive(Debug, Clone, Copy)]
    enum By {
        Event,
        Copy,
        Key,
    }
    let batch = text("A").entry_id("1").and(text("B").entry_id("2"));
    for by in [By::Event, By::Copy, By::Key] {
        let credentials = Credentials::new([("1", SECRET)], [("1", TOKEN)]).unwrap();
        let app = App::builder("app", credentials).accounts(["1"]).build();
        let failing = once_with(move |all| {
            let foreign = &all.foreign()[0];
            match by {
                By::Event => PartialFailure::of_events([foreign]),
                By::Copy => PartialFailure::of_events([&foreign.detach()]),
                By::Key => PartialFailure::of_keys([foreign.key_in("app")]),
            }
        });
        let webhook = WebhookLayer::builder().route(PATH, app.unwrap());
        let stack = Stack::under(webhook, Scripted::new(), failing, |builder| builder);
        let partly = Answer::of_host(500, Some(DedupRejectionKind::PartlyFailed));
        assert_eq!(stack.send(&batch).await, partly, "{by:?}");
        assert_eq!(stack.send(&batch).await, Answer::good(), "{by:?}");
        let fresh = stack.host.seen().into_iter().map(|seen| seen.fresh.len());
        assert_eq!(fresh.collect::<Vec<_>>(), [1, 0], "{by:?}");
        stack.rest().await;
    }
}
