//! Keys of claims, windows, and stale events.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use test_support::builder;
use tower_whatsapp::{
    Event,
    dedup::{DedupLayerBuilder, DedupRejectionKind, OnStale, PartialFailure, Store, Token},
    event::EventKey,
    testing::sample::{self, Sample},
    webhook::SetupWarning,
};

use super::{
    host::Host,
    scripted::{Held, Op, Scripted},
    stack::{Answer, LEASE, Stack, Tally, WINDOW, keys, millis, now, sorted, status, text},
};

type Builder = DedupLayerBuilder<Scripted>;

/// Messages have the default key, statuses have none.
fn without_statuses(host: Host) -> Stack {
    Stack::with(host, |builder| {
        builder.key(|event, _| (event.kind() != "status").then(|| event.key()))
    })
}

#[tokio::test(start_paused = true)]
async fn no_keys_at_all() {
    let stack = without_statuses(Host::good());
    for time in 1..=3 {
        assert_eq!(stack.send(&status("A")).await, Answer::good());
        // Without a key there is no call of the store.
        stack.at_rest([0, 0, 0], Tally::handled(time)).await;
    }
    assert_eq!(stack.host.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn events_without_a_key_twice_in_one_delivery_are_two() {
    let stack = without_statuses(Host::good());
    stack.send(&status("A").and(status("A"))).await;
    stack.at_rest([0, 0, 0], Tally::handled(2)).await;
}

#[tokio::test(start_paused = true)]
async fn no_key_beside_done() {
    let stack = without_statuses(Host::good());
    let both = text("A").and(status("A"));
    assert_eq!(stack.send(&both).await, Answer::good());
    assert_eq!(stack.send(&both).await, Answer::good());
    assert_eq!(stack.host.seen()[1].fresh, keys(&status("A")));
    assert_eq!(stack.host.seen()[1].suppressed, keys(&text("A")));
    // Nothing was claimed, so there is nothing to commit.
    stack
        .at_rest([2, 1, 0], Tally::handled(3).and_suppressed(1))
        .await;
}

/// Events without a key wait with the others, or they would be handled at each attempt.
#[tokio::test(start_paused = true)]
async fn no_key_beside_pending() {
    let stack = without_statuses(Host::good());
    let other = Token::random();
    let pending = keys(&text("A"));
    stack
        .store
        .inner()
        .claim(&pending, other, LEASE)
        .await
        .unwrap();
    let both = text("A").and(status("A"));
    let later = Answer::later(DedupRejectionKind::InFlight);
    assert_eq!(stack.send(&both).await, later);
    assert_eq!(stack.host.calls(), 0);
    let sent = stack.begin(&both).await;
    stack
        .store
        .inner()
        .commit(&[(pending[0], WINDOW)], other)
        .await
        .unwrap();
    assert_eq!(sent.await.unwrap(), Answer::good());
    assert_eq!(stack.host.handled(), keys(&status("A")));
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_hosts_own() {
    // One key for all events: every second event is a duplicate.
    let one = EventKey::from_bytes([7; 16]);
    let stack = Stack::with(Host::good(), |builder| builder.key(move |_, _| Some(one)));
    assert_eq!(stack.send(&text("A").and(text("B"))).await, Answer::good());
    assert_eq!(stack.send(&text("C")).await, Answer::known());
    assert_eq!(stack.store.calls()[0].keys, [one]);
    stack
        .at_rest([2, 1, 0], Tally::handled(1).and_suppressed(2))
        .await;
}

/// The second of two events with one key does not reach the handler, and nothing else shows it.
#[tokio::test(start_paused = true)]
async fn different_events_with_one_key_are_reported_once() {
    type KeyFn = fn(&Event, &str) -> Option<EventKey>;
    let one_for_all: KeyFn = |_, _| Some(EventKey::from_bytes([7; 16]));
    let by_kind: KeyFn = |event, _| {
        let mut bytes = [0; 16];
        bytes[0] = event.kind().len() as u8;
        Some(EventKey::from_bytes(bytes))
    };
    let own: KeyFn = |event, _| Some(event.key());
    let none: KeyFn = |_, _| None;
    let collide = [SetupWarning::KeysCollide];
    let repeated = text("A").and(text("A")).and(status("B"));
    for (case, key, sample, expected) in [
        (
            "one key for all",
            one_for_all,
            text("A").and(text("B")),
            &collide[..],
        ),
        (
            "one key for all, later",
            one_for_all,
            text("A").and(text("A")).and(text("B")),
            &collide,
        ),
        (
            "a key for each kind",
            by_kind,
            text("A").and(status("A")).and(status("B")),
            &collide,
        ),
        (
            "a key for each kind, one of each",
            by_kind,
            text("A").and(status("B")),
            &[],
        ),
        (
            "the same event twice",
            one_for_all,
            text("A").and(text("A")),
            &[],
        ),
        ("the default key", own, repeated.clone(), &[]),
        ("no key", none, repeated, &[]),
    ] {
        let warned = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&warned);
        let builder = builder().on_setup_warning(move |warning| hook.lock().unwrap().push(warning));
        let host = Host::good();
        let stack = Stack::under(builder, Scripted::new(), host, |builder| builder.key(key));
        for _ in 0..2 {
            stack.send(&sample).await;
        }
        assert_eq!(*warned.lock().unwrap(), expected, "{case}");
    }
}

/// A panicking key function fails only its delivery.
#[tokio::test(start_paused = true)]
async fn a_key_function_that_panics() {
    let stack = Stack::with(Host::good(), |builder| {
        builder.key(|event, _| {
            assert!(event.kind() != "status", "no statuses, please");
            Some(event.key())
        })
    });
    let failed = Answer::own(500, DedupRejectionKind::TaskFailed);
    assert_eq!(stack.send(&text("A").and(status("A"))).await, failed);
    stack.at_rest([0, 0, 0], Tally::default()).await;
    assert_eq!(stack.send(&text("A")).await, Answer::good());
}

#[tokio::test(start_paused = true)]
async fn windows() {
    let both = text("A").and(status("B"));
    let windows = |stack: &Stack| {
        let commit = stack.store.calls_of(Op::Commit).remove(0);
        let window_of = |key: EventKey| {
            let place = commit.keys.iter().position(|other| *other == key);
            place.map(|place| commit.times[place])
        };
        (
            window_of(keys(&text("A"))[0]),
            window_of(keys(&status("B"))[0]),
        )
    };
    let day = Duration::from_secs(24 * 60 * 60);

    let stack = Stack::new(Host::good());
    stack.send(&both).await;
    assert_eq!(windows(&stack), (Some(WINDOW), Some(WINDOW)));

    let stack = Stack::with(Host::good(), |builder| builder.window(3 * day));
    stack.send(&both).await;
    assert_eq!(windows(&stack), (Some(3 * day), Some(3 * day)));

    let stack = Stack::with(Host::good(), |builder| builder.status_window(day));
    stack.send(&both).await;
    assert_eq!(windows(&stack), (Some(WINDOW), Some(day)));
    tokio::time::sleep(day + Duration::from_secs(1)).await;
    assert_eq!(stack.held(&both).await, [Held::Done, Held::Absent]);

    let stack = Stack::with(Host::good(), |builder| builder.status_window(None));
    stack.send(&both).await;
    assert_eq!(windows(&stack), (Some(WINDOW), None));
    assert_eq!(stack.send(&both).await, Answer::good());
    assert_eq!(stack.host.seen()[1].fresh, keys(&status("B")));
    stack
        .at_rest([2, 1, 0], Tally::handled(3).and_suppressed(1))
        .await;
}

/// Statuses of messages use the status window, also those of another app; statuses of calls do not.
#[tokio::test(start_paused = true)]
async fn the_window_of_each_kind() {
    let day = Duration::from_secs(24 * 60 * 60);
    for (kind, window) in [
        ("status", day),
        ("standby_status", day),
        ("call_status", WINDOW),
        ("message", WINDOW),
        ("standby_message", WINDOW),
    ] {
        let mut samples = sample::all().into_iter().filter(|(_, sample)| {
            let notification = sample.notification();
            notification
                .events()
                .iter()
                .all(|event| event.kind() == kind)
        });
        let (name, sample) = samples.next().unwrap();
        let stack = Stack::with(Host::good(), |builder| builder.status_window(day));
        assert_eq!(stack.send(&sample.timestamp(now())).await, Answer::good());
        let commit = stack.store.calls_of(Op::Commit).remove(0);
        assert_eq!(commit.times, [window], "{name}");
        stack.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_ends() {
    let stack = Stack::with(Host::good(), |builder| builder.window(millis(60_000)));
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    tokio::time::sleep(millis(59_000)).await;
    assert_eq!(stack.send(&text("A")).await, Answer::known());
    tokio::time::sleep(millis(2_000)).await;
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn apps_that_share_a_store() {
    let stack = Stack::of_app("one", Scripted::new(), Host::good());
    let other = Stack::of_app("other", stack.store.clone(), Host::good());
    let none = stack.beside(Host::good());
    for stack in [&stack, &other, &none] {
        assert_eq!(stack.send(&text("A")).await, Answer::good());
        assert_eq!(stack.send(&text("A")).await, Answer::known());
    }
    let notification = text("A").notification();
    let event = &notification.events()[0];
    let claimed: Vec<_> = stack
        .store
        .calls_of(Op::Commit)
        .into_iter()
        .flat_map(|call| call.keys)
        .collect();
    assert_eq!(
        claimed,
        [event.key_in("one"), event.key_in("other"), event.key()]
    );
}

#[tokio::test(start_paused = true)]
async fn duplicates_inside_one_delivery() {
    let stack = Stack::new(Host::good());
    let twice = text("A").and(text("B")).and(text("A")).and(text("A"));
    assert_eq!(stack.send(&twice).await, Answer::good());
    assert_eq!(stack.host.seen()[0].fresh, keys(&text("A").and(text("B"))));
    assert_eq!(
        stack.host.seen()[0].suppressed,
        keys(&text("A").and(text("A")))
    );
    stack
        .at_rest([1, 1, 0], Tally::handled(2).and_suppressed(2))
        .await;
    assert_eq!(
        stack.store.calls()[0].keys,
        sorted(keys(&text("A").and(text("B"))))
    );
}

fn aged(name: &str, age: Duration) -> Sample {
    sample::named(name)
        .unwrap()
        .timestamp(now() - age.as_secs())
}

/// Ten minutes before the end of the window, because clocks differ.
#[tokio::test(start_paused = true)]
async fn stale_events_are_delivered_and_marked() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let stack = Stack::new(Host::good());
    let fresh = aged("text", WINDOW - minutes(12)).id("A");
    let stale = aged("text", WINDOW - minutes(8)).id("B");
    assert_eq!(stack.send(&fresh.clone().and(stale)).await, Answer::good());
    assert_eq!(stack.host.seen()[0].stale, [false, true]);
    stack
        .at_rest(
            [1, 1, 0],
            Tally {
                stale: 1,
                ..Tally::handled(2)
            },
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_stale_event_is_stale() {
    let stack = Stack::new(Host::new(|_, notification| async move {
        let stale = |event: &Event| event.detach().is_stale();
        let stale: Vec<_> = notification.events().iter().map(stale).collect();
        assert_eq!(stale, [false, true]);
        super::host::good()
    }));
    let old = aged("text", WINDOW).id("B");
    assert_eq!(stack.send(&text("A").and(old)).await, Answer::good());
    stack.rest().await;
}

/// A tenth of a short window, for the same reason. Each kind has its own.
#[tokio::test(start_paused = true)]
async fn stale_by_the_window_of_its_kind() {
    let seconds = Duration::from_secs;
    let stack = Stack::with(Host::good(), |builder| {
        builder.window(seconds(2000)).status_window(seconds(1000))
    });
    let aged = |name: &str, age| aged(name, seconds(age));
    let events = aged("text", 1700)
        .and(aged("text", 1900))
        .and(aged("status_read", 800))
        .and(aged("status_read", 1000));
    assert_eq!(stack.send(&events).await, Answer::good());
    assert_eq!(stack.host.seen()[0].stale, [false, true, false, true]);
    stack.rest().await;
}

#[tokio::test(start_paused = true)]
async fn stale_events_are_refused_if_told_so() {
    let refuse = || Stack::with(Host::good(), |builder| builder.on_stale(OnStale::Refuse));
    let stack = refuse();
    let old = aged("text", WINDOW + millis(1000));
    let refused = Answer::own(403, DedupRejectionKind::Stale);
    assert_eq!(stack.send(&old).await, refused);
    assert_eq!(stack.host.calls(), 0);
    let tally = Tally {
        refused: 1,
        ..Tally::default()
    };
    stack.at_rest([0, 0, 0], tally).await;
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    stack.rest().await;
}

/// Fresh events are handled, whatever else is in the delivery.
#[tokio::test(start_paused = true)]
async fn what_is_beside_a_refused_event_is_handled() {
    let stack = Stack::with(Host::good(), |builder| builder.on_stale(OnStale::Refuse));
    let old = aged("status_read", WINDOW + millis(1000)).id("OLD");
    let both = text("A").and(old.clone());
    assert_eq!(stack.send(&both).await, Answer::good());
    assert_eq!(stack.host.seen()[0].fresh, keys(&text("A")));
    assert_eq!(stack.host.seen()[0].suppressed, keys(&old));
    assert_eq!(stack.host.seen()[0].suppressed_stale, [true]);
    assert_eq!(stack.held(&both).await, [Held::Done, Held::Absent]);
    assert_eq!(stack.send(&both).await, Answer::known());
    let tally = Tally {
        refused: 2,
        ..Tally::handled(1).and_suppressed(3)
    };
    stack.at_rest([2, 1, 0], tally).await;

    // Also if the handler fails and names it.
    let failed = keys(&old);
    let host = Host::new(move |_, _| {
        let failed = PartialFailure::of_keys(failed.clone());
        async {
            let mut response = super::host::good()?;
            response.extensions_mut().insert(failed);
            Ok(response)
        }
    });
    let stack = Stack::with(host, |builder| builder.on_stale(OnStale::Refuse));
    assert_eq!(stack.send(&both).await.status, 500);
    assert_eq!(stack.held(&both).await, [Held::Done, Held::Absent]);
    stack.rest().await;
}

/// Samples that are old by nature: what an account had before it was connected.
const OLD_BY_NATURE: [&str; 10] = [
    "history_text",
    "history_answer",
    "history_placeholder",
    "history_unavailable",
    "history_media",
    "history_media_echo",
    "history_progress",
    "history_declined",
    "app_contact_added",
    "app_contact_removed",
];
/// Samples of unknown age: they have no timestamp, or none that the library reads.
const OF_UNKNOWN_AGE: [&str; 7] = [
    "error",
    "unknown_shape",
    "unknown_field",
    "call_error",
    "group_error",
    "app_echo_error",
    "echo_error",
];

#[tokio::test(start_paused = true)]
async fn what_is_never_stale() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let mut exempt = Vec::new();
    for (name, sample) in sample::all() {
        let sample = sample.lenient().timestamp(now() - year.as_secs());
        let stack = Stack::with(Host::good(), |builder| builder.on_stale(OnStale::Refuse));
        let answer = stack.send(&sample).await;
        if answer == Answer::good() {
            exempt.push(name);
        } else {
            let refused = Answer::own(403, DedupRejectionKind::Stale);
            assert_eq!(answer, refused, "{name}");
        }
        stack.rest().await;
    }
    let mut expected = [&OLD_BY_NATURE[..], &OF_UNKNOWN_AGE].concat();
    expected.sort_unstable();
    exempt.sort_unstable();
    assert_eq!(exempt, expected);
}

/// The age of events without a key is that of the window, and they are refused like others.
#[tokio::test(start_paused = true)]
async fn stale_events_without_a_key() {
    let old = |name| aged(name, WINDOW + millis(1000));
    let no_statuses = |builder: Builder| builder.status_window(None);
    let no_keys = |builder: Builder| builder.key(|_, _| None);
    for (name, without_keys) in [
        ("status_read", no_statuses as fn(Builder) -> Builder),
        ("text", no_keys),
    ] {
        let stack = Stack::with(Host::good(), without_keys);
        assert_eq!(stack.send(&old(name)).await, Answer::good());
        assert_eq!(stack.host.seen()[0].stale, [true], "{name}");
        stack.rest().await;

        let stack = Stack::with(Host::good(), |builder| {
            without_keys(builder).on_stale(OnStale::Refuse)
        });
        let refused = Answer::own(403, DedupRejectionKind::Stale);
        assert_eq!(stack.send(&old(name)).await, refused, "{name}");
        let young = aged(name, WINDOW - Duration::from_secs(20 * 60));
        assert_eq!(stack.send(&young).await, Answer::good(), "{name}");
        let tally = Tally {
            refused: 1,
            ..Tally::handled(1)
        };
        stack.at_rest([0, 0, 0], tally).await;
    }

    // A refused event is none to call the handler for.
    let stack = Stack::with(Host::good(), |builder| {
        builder.status_window(None).on_stale(OnStale::Refuse)
    });
    assert_eq!(stack.send(&text("A")).await, Answer::good());
    let beside = text("A").and(old("status_read"));
    assert_eq!(stack.send(&beside).await, Answer::known());
    assert_eq!(stack.host.calls(), 1);
    stack.rest().await;
}

/// Meta's clock may be ahead.
#[tokio::test(start_paused = true)]
async fn what_comes_from_the_future_is_not_stale() {
    let stack = Stack::with(Host::good(), |builder| builder.on_stale(OnStale::Refuse));
    let early = sample::text("hi").timestamp(now() + 3600);
    assert_eq!(stack.send(&early).await, Answer::good());
    stack.rest().await;
}

/// A wrong clock only changes the age of events by an hour. Only events at the very end of Meta's
/// seven days are then considered stale, and this is reported.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_an_hour_off() {
    const HOUR: u64 = 60 * 60;
    let stack = Stack::with(Host::good(), |builder| builder.on_stale(OnStale::Refuse));
    for (id, timestamp) in [("A", now() - HOUR), ("B", now() + HOUR)] {
        let event = sample::text("hi").id(id).timestamp(timestamp);
        assert_eq!(stack.send(&event).await, Answer::good());
        assert_eq!(stack.send(&event).await, Answer::known());
    }
    stack
        .at_rest([4, 2, 0], Tally::handled(2).and_suppressed(2))
        .await;

    let stack = Stack::new(Host::good());
    let last = aged("text", Duration::from_secs(7 * 24 * HOUR + HOUR));
    assert_eq!(stack.send(&last).await, Answer::good());
    assert_eq!(stack.host.seen()[0].stale, [true]);
    assert_eq!(stack.send(&last).await, Answer::known());
    stack.rest().await;
}
