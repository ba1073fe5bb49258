//! Names that strangers make up.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tower_whatsapp::{RejectionKind, WebhookLayer, webhook::CachedResolver};

use super::{
    subject::{Outcome, UNAVAILABLE, app, delivered, delivery, refused, send},
    tenants::Tenants,
};

const SECOND: Duration = Duration::from_secs(1);
const UNKNOWN: RejectionKind = RejectionKind::AppUnknown;

fn layer(resolver: &CachedResolver) -> WebhookLayer {
    WebhookLayer::builder()
        .app_resolver("/{app}", resolver.clone())
        .build()
        .unwrap()
}

/// 200 at once, and 200 a second.
#[tokio::test(start_paused = true)]
async fn lookups_of_unknown_names_have_a_rate() {
    let tenants = Tenants::of(&["a", "b"]);
    let layer = layer(&CachedResolver::new(tenants.clone()));
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    let mut number = 0;
    let mut flood = async |requests: usize| {
        let mut answers = [0, 0];
        for _ in 0..requests {
            number += 1;
            match send(&layer, delivery(&format!("/{number}"), "a")).await {
                outcome if outcome == refused(UNKNOWN) => answers[0] += 1,
                outcome => {
                    assert_eq!(outcome, UNAVAILABLE);
                    answers[1] += 1;
                }
            }
        }
        answers
    };
    assert_eq!(flood(1000).await, [199, 801]);
    advance(SECOND / 2).await;
    assert_eq!(flood(1000).await, [100, 900]);
    advance(100 * SECOND).await;
    assert_eq!(flood(1000).await, [200, 800]);
    // Who is known does not notice, not even when it is looked up again.
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(tenants.asked().len(), 1 + 199 + 100 + 200 + 1);
    // Who is new has to wait for a moment.
    assert_eq!(send(&layer, delivery("/b", "b")).await, UNAVAILABLE);
    advance(SECOND).await;
    assert_eq!(send(&layer, delivery("/b", "b")).await, delivered("b"));
}

/// A flood of unknown names that each take long neither runs more than 32 lookups at once, nor keeps a known app waiting.
#[tokio::test(start_paused = true)]
async fn slow_lookups_of_unknown_names_do_not_jam_the_known() {
    let tenants = Tenants::of(&["a"]);
    let layer = layer(&CachedResolver::new(tenants.clone()));
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    // It will have to be looked up again.
    advance(60 * SECOND).await;
    let tenants = tenants.slow(SECOND * 9 / 10);
    let flood: Vec<_> = (0..5000)
        .map(|number| {
            let layer = layer.clone();
            tokio::spawn(async move { send(&layer, delivery(&format!("/{number}"), "a")).await })
        })
        .collect();
    sleep(SECOND / 10).await;
    let start = Instant::now();
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(start.elapsed(), SECOND * 9 / 10);
    let mut refusals = 0;
    for outcome in flood {
        match outcome.await.unwrap() {
            Outcome::Refused(_, UNKNOWN) => refusals += 1,
            outcome => assert_eq!(outcome, UNAVAILABLE),
        }
    }
    // 32 of the flood and the known one.
    assert_eq!(tenants.most_running(), 33);
    assert_eq!(refusals, 64);
}

/// What is remembered needs no place among those who wait for a lookup.
#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_told_at_once() {
    let tenants = Tenants::default();
    let resolver = CachedResolver::builder(tenants.clone())
        .lookups_per_second(1_000_000)
        .build()
        .unwrap();
    let layer = layer(&resolver);
    let nobody = async || send(&layer, delivery("/nobody", "a")).await;
    assert_eq!(nobody().await, refused(UNKNOWN));
    let _slow = tenants.slow(60 * SECOND);
    let flood: Vec<_> = (0..2000)
        .map(|number| {
            let layer = layer.clone();
            tokio::spawn(async move { send(&layer, delivery(&format!("/{number}"), "a")).await })
        })
        .collect();
    sleep(SECOND / 10).await;
    assert_eq!(send(&layer, delivery("/new", "a")).await, UNAVAILABLE);
    assert_eq!(nobody().await, refused(UNKNOWN));
    for outcome in flood {
        assert_eq!(outcome.await.unwrap(), UNAVAILABLE);
    }
}

/// A failure says nothing of whether there is an app: who was known is so still, and has its lookups; who was not has to wait as before.
#[tokio::test(start_paused = true)]
async fn a_failure_changes_nothing_of_who_is_known() {
    let tenants = Tenants::of(&["a", "b"]);
    let resolver = CachedResolver::builder(tenants.clone())
        .lookups_per_second(1)
        .build()
        .unwrap();
    let layer = layer(&resolver);
    let send = async |name: &str| send(&layer, delivery(&format!("/{name}"), name)).await;
    assert_eq!(send("a").await, delivered("a"));
    advance(60 * SECOND).await;
    tenants.set_down(true);
    assert_eq!([send("b").await, send("a").await], [UNAVAILABLE; 2]);
    assert_eq!(tenants.asked(), ["a", "b", "a"]);
    tenants.set_down(false);
    advance(SECOND).await;
    // The one lookup of this second.
    assert_eq!(send("c").await, refused(UNKNOWN));
    assert_eq!(send("b").await, UNAVAILABLE);
    assert_eq!(send("a").await, delivered("a"));
}

/// Names that are remembered because they are not there push out none that is.
#[tokio::test(start_paused = true)]
async fn unknown_names_do_not_push_out_apps() {
    let tenants = Tenants::of(&["a", "b", "c"]);
    let resolver = CachedResolver::builder(tenants.clone())
        .capacity(3)
        .unknown_capacity(10)
        .lookups_per_second(1_000_000)
        .build()
        .unwrap();
    let layer = layer(&resolver);
    for label in ["a", "b", "c"] {
        assert_eq!(
            send(&layer, delivery(&format!("/{label}"), label)).await,
            delivered(label)
        );
    }
    for number in 0..1000 {
        assert_eq!(
            send(&layer, delivery(&format!("/{number}"), "a")).await,
            refused(UNKNOWN)
        );
    }
    tenants.asked();
    for label in ["a", "b", "c"] {
        assert_eq!(
            send(&layer, delivery(&format!("/{label}"), label)).await,
            delivered(label)
        );
    }
    assert_eq!(tenants.asked(), [""; 0]);
}

/// A known name is being looked up again, slowly, and forged requests for it wait: other known names
/// have their lookups all the same.
#[tokio::test(start_paused = true)]
async fn requests_for_one_known_name_do_not_starve_another() {
    let tenants = Tenants::of(&["a", "b"]);
    let layer = layer(&CachedResolver::new(tenants.clone()));
    for name in ["a", "b"] {
        let found = send(&layer, delivery(&format!("/{name}"), name)).await;
        assert_eq!(found, delivered(name));
    }
    advance(60 * SECOND).await;
    let tenants = tenants.slow(SECOND);
    let flood: Vec<_> = (0..5000)
        .map(|_| {
            let layer = layer.clone();
            tokio::spawn(async move { send(&layer, delivery("/a", "b")).await })
        })
        .collect();
    sleep(SECOND / 10).await;
    assert_eq!(send(&layer, delivery("/b", "b")).await, delivered("b"));
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    for outcome in flood {
        let outcome = outcome.await.unwrap();
        assert_eq!(outcome, refused(RejectionKind::SignatureMismatch));
    }
    assert_eq!(tenants.asked(), ["a", "b", "a", "b"]);
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("app-{number}")).collect()
}

/// After a start, 1,000 made-up names a second.
#[tokio::test(start_paused = true)]
async fn preloaded_names_do_not_wait_for_strangers() {
    let names = names(100);
    let tenants = Tenants::default();
    for name in &names {
        tenants.add(app(name));
    }
    let resolver = CachedResolver::new(tenants.clone());
    resolver.preload(names.iter().map(String::as_str));
    assert_eq!(resolver.counters().lookups, 0);
    let layer = layer(&resolver);
    for (number, name) in names.iter().enumerate() {
        for stranger in 0..10 {
            let path = format!("/nobody-{number}-{stranger}");
            let _ = send(&layer, delivery(&path, "a")).await;
        }
        let found = send(&layer, delivery(&format!("/{name}"), name)).await;
        assert_eq!(found, delivered(name));
        advance(SECOND / 100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_preloading_does_not_do() {
    let tenants = Tenants::of(&["a", "late"]);
    let resolver = CachedResolver::builder(tenants.clone())
        .lookups_per_second(1)
        .build()
        .unwrap();
    let layer = layer(&resolver);
    let send = async |name: &str| send(&layer, delivery(&format!("/{name}"), name)).await;
    resolver.preload(["a", "gone", "late"]);
    // It makes no app of a name, and what has none is unknown afterwards.
    assert_eq!(send("gone").await, refused(UNKNOWN));
    advance(10 * SECOND).await;
    assert_eq!(send("nobody").await, refused(UNKNOWN));
    assert_eq!(send("gone").await, UNAVAILABLE);
    // A failure leaves the name known.
    tenants.set_down(true);
    assert_eq!(send("a").await, UNAVAILABLE);
    tenants.set_down(false);
    advance(SECOND).await;
    assert_eq!(send("nobody-2").await, refused(UNKNOWN));
    assert_eq!(send("a").await, delivered("a"));
    // What is remembered stays, and a name that was unknown is looked up.
    tenants.asked();
    tenants.add(app("nobody-2"));
    resolver.preload(["a", "nobody-2"]);
    assert_eq!(send("a").await, delivered("a"));
    assert_eq!(send("nobody-2").await, delivered("nobody-2"));
    assert_eq!(tenants.asked(), ["nobody-2"]);
    // Texts that are no name take no memory.
    resolver.preload(["", "a b", "a/b", &"x".repeat(129)]);
    assert!(format!("{resolver:?}").contains("known: 3"), "{resolver:?}");
}

/// The lookup of a name that was unknown when it began leaves the mark alone.
#[tokio::test(start_paused = true)]
async fn preloading_a_name_that_is_being_looked_up() {
    let tenants = Tenants::default().slow(SECOND);
    let resolver = CachedResolver::builder(tenants.clone())
        .lookups_per_second(1)
        .build()
        .unwrap();
    let layer = layer(&resolver);
    let asking = tokio::spawn({
        let layer = layer.clone();
        async move { send(&layer, delivery("/a", "a")).await }
    });
    sleep(SECOND / 2).await;
    tenants.add(app("a"));
    resolver.preload(["a"]);
    assert_eq!(asking.await.unwrap(), refused(UNKNOWN));
    // Strangers have the one lookup of this second.
    let stranger = tokio::spawn({
        let layer = layer.clone();
        async move { send(&layer, delivery("/nobody", "a")).await }
    });
    sleep(SECOND / 10).await;
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(stranger.await.unwrap(), refused(UNKNOWN));
}
