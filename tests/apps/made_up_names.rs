//! Invented names in requests of unauthenticated callers.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tower_whatsapp::{RejectionKind, WebhookLayer, webhook::CachedResolver};

use super::{
    resolvers::Tenants,
    subject::{Outcome, UNAVAILABLE, app, delivered, delivery, refused, send},
};

const SECOND: Duration = Duration::from_secs(1);
const UNKNOWN: RejectionKind = RejectionKind::AppUnknown;

fn layer(resolver: &CachedResolver) -> WebhookLayer {
    WebhookLayer::builder()
        .app_resolver("/{app}", resolver.clone())
        .build()
        .unwrap()
}

/// 200 at once, then 200 per second.
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
    // Known apps are not affected, not even when they are looked up again.
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(tenants.asked().len(), 1 + 199 + 100 + 200 + 1);
    // A new app must wait briefly.
    assert_eq!(send(&layer, delivery("/b", "b")).await, UNAVAILABLE);
    advance(SECOND).await;
    assert_eq!(send(&layer, delivery("/b", "b")).await, delivered("b"));
}

/// A flood of slow lookups of unknown names neither exceeds 32 concurrent lookups,
/// nor delays a known app.
#[tokio::test(start_paused = true)]
async fn slow_lookups_of_unknown_names_do_not_jam_the_known() {
    let tenants = Tenants::of(&["a"]);
    let layer = layer(&CachedResolver::new(tenants.clone()));
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    // Its cache entry expires.
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
    // 32 lookups of the flood and one of the known app.
    assert_eq!(tenants.most_running(), 33);
    assert_eq!(refusals, 64);
}

/// Cached apps need no place in the lookup queue.
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

/// A failed lookup does not tell whether the app exists. Known apps stay known and keep their own
/// lookups; unknown ones wait as before.
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
    // The only lookup in this second.
    assert_eq!(send("c").await, refused(UNKNOWN));
    assert_eq!(send("b").await, UNAVAILABLE);
    assert_eq!(send("a").await, delivered("a"));
}

/// Cached unknown names do not evict known apps.
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

/// While the lookup of a known name is slow and forged requests for it wait, other known names are
/// still looked up.
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

/// After a start, 1,000 invented names per second.
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
    // Preloading creates no app: a name without one is unknown afterwards.
    assert_eq!(send("gone").await, refused(UNKNOWN));
    advance(10 * SECOND).await;
    assert_eq!(send("nobody").await, refused(UNKNOWN));
    assert_eq!(send("gone").await, UNAVAILABLE);
    // A failed lookup leaves the name known.
    tenants.set_down(true);
    assert_eq!(send("a").await, UNAVAILABLE);
    tenants.set_down(false);
    advance(SECOND).await;
    assert_eq!(send("nobody-2").await, refused(UNKNOWN));
    assert_eq!(send("a").await, delivered("a"));
    // Cached apps stay, and a previously unknown name is looked up.
    tenants.asked();
    tenants.add(app("nobody-2"));
    resolver.preload(["a", "nobody-2"]);
    assert_eq!(send("a").await, delivered("a"));
    assert_eq!(send("nobody-2").await, delivered("nobody-2"));
    assert_eq!(tenants.asked(), ["nobody-2"]);
    // Invalid names are not stored.
    resolver.preload(["", "a b", "a/b", &"x".repeat(129)]);
    assert!(format!("{resolver:?}").contains("known: 3"), "{resolver:?}");
}

/// A lookup that started for an unknown name does not remove the preloaded mark.
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
    // Unknown names use the only lookup of this second.
    let stranger = tokio::spawn({
        let layer = layer.clone();
        async move { send(&layer, delivery("/nobody", "a")).await }
    });
    sleep(SECOND / 10).await;
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(stranger.await.unwrap(), refused(UNKNOWN));
}

/// They would evict unknown names whose outcome is cached.
#[tokio::test(start_paused = true)]
async fn names_beyond_the_rate_limit_take_no_room() {
    let tenants = Tenants::of(&["a"]);
    let resolver = CachedResolver::builder(tenants.clone())
        .lookups_per_second(1)
        .build()
        .unwrap();
    let layer = layer(&resolver);
    let send = async |name: &str| send(&layer, delivery(&format!("/{name}"), name)).await;
    assert_eq!(send("nobody").await, refused(UNKNOWN));
    for number in 0..100 {
        assert_eq!(send(&format!("nobody-{number}")).await, UNAVAILABLE);
    }
    assert!(
        format!("{resolver:?}").contains("unknown: 1,"),
        "{resolver:?}"
    );
}
