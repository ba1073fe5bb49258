//! App lookup by name, and how long results are cached.

use std::{error::Error, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use http::Request;
use http_body_util::Full;
use test_support::sign;
use tokio::{
    runtime::Builder,
    time::{advance, sleep},
};
use tower_whatsapp::{
    App, RejectionKind, WebhookLayer,
    webhook::{AppResolver, CachedResolver, CachedResolverBuilder, ResolveError, ResolverCounters},
};

use super::{
    resolvers::Tenants,
    subject::{Outcome, UNAVAILABLE, app, delivered, delivery, handshake, refused, secret, send},
};

const SECOND: Duration = Duration::from_secs(1);

fn with(
    tenants: &Tenants,
    configure: impl FnOnce(CachedResolverBuilder) -> CachedResolverBuilder,
) -> (WebhookLayer, CachedResolver) {
    let resolver = configure(CachedResolver::builder(tenants.clone()))
        .build()
        .unwrap();
    let layer = WebhookLayer::builder()
        .app_resolver("/{app}", resolver.clone())
        .build()
        .unwrap();
    (layer, resolver)
}

fn layer(tenants: &Tenants) -> WebhookLayer {
    with(tenants, |resolver| resolver).0
}

const UNKNOWN: RejectionKind = RejectionKind::AppUnknown;

/// A resolver in an `Arc` is one too, and so is that of a trait object of the host.
#[tokio::test]
async fn a_shared_resolver_is_asked_through_its_pointer() {
    trait Directory: Send + Sync {
        fn find(&self, name: &str) -> Option<App>;
    }

    impl Directory for &'static str {
        fn find(&self, name: &str) -> Option<App> {
            (name == *self).then(|| app(name))
        }
    }

    impl AppResolver for dyn Directory {
        async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
            Ok(self.find(name))
        }
    }

    let tenants = Arc::new(Tenants::of(&["a"]));
    let directory: Arc<dyn Directory> = Arc::new("a");
    for resolver in [CachedResolver::new(Arc::clone(&tenants)), directory.into()] {
        let layer = WebhookLayer::builder().app_resolver("/{app}", resolver);
        let layer = layer.build().unwrap();
        assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
        assert_eq!(send(&layer, delivery("/b", "b")).await, refused(UNKNOWN));
    }
    assert_eq!(tenants.asked(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_app_is_looked_up_once_a_minute() {
    let tenants = Tenants::of(&["a"]);
    let layer = layer(&tenants);
    for round in 0..3 {
        for _ in 0..3 {
            assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
            assert_eq!(send(&layer, handshake("/a", "a")).await, Outcome::Challenge);
        }
        assert_eq!(tenants.asked(), ["a"], "{round}");
        advance(60 * SECOND).await;
    }
    // A removed app is unknown after the next lookup.
    tenants.remove("a");
    assert_eq!(send(&layer, delivery("/a", "a")).await, refused(UNKNOWN));
    assert_eq!(tenants.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_looked_up_every_ten_seconds() {
    let tenants = Tenants::default();
    let layer = layer(&tenants);
    for _ in 0..3 {
        assert_eq!(send(&layer, delivery("/a", "a")).await, refused(UNKNOWN));
        assert_eq!(send(&layer, handshake("/a", "a")).await, refused(UNKNOWN));
    }
    assert_eq!(tenants.asked(), ["a"]);
    tenants.add(app("a"));
    advance(SECOND * 99 / 10).await;
    assert_eq!(send(&layer, delivery("/a", "a")).await, refused(UNKNOWN));
    advance(SECOND / 10).await;
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(tenants.asked(), ["a"]);
}

/// A request that no app would accept causes no lookup.
#[tokio::test]
async fn what_is_looked_up_at_all() {
    let tenants = Tenants::of(&["a"]);
    let layer = layer(&tenants);
    let plain =
        |request: http::request::Builder| request.body(Full::<bytes::Bytes>::default()).unwrap();
    let post = || Request::post("/a");
    let requests = [
        (plain(post()), RejectionKind::SignatureMissing),
        (
            plain(post().header("x-hub-signature-256", "sha256=0")),
            RejectionKind::SignatureMalformed,
        ),
        (plain(Request::get("/a")), RejectionKind::NotHandshake),
        (
            plain(Request::get("/a?hub.mode=subscribe")),
            RejectionKind::HandshakeIncomplete,
        ),
        (
            plain(Request::get(format!("/a?{}", "x".repeat(2049)))),
            RejectionKind::HandshakeMalformed,
        ),
        (
            plain(Request::delete("/a")),
            RejectionKind::MethodNotAllowed,
        ),
    ];
    for (request, kind) in requests {
        let outcome = send(&layer, request).await;
        assert!(
            matches!(outcome, Outcome::Refused(_, found) if found == kind),
            "{kind:?}"
        );
    }
    assert_eq!(tenants.asked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn one_lookup_for_all_who_ask_at_once() {
    let tenants = Tenants::of(&["a"]).slow(SECOND);
    let layer = layer(&tenants);
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let layer = layer.clone();
            tokio::spawn(async move { send(&layer, delivery("/a", "a")).await })
        })
        .collect();
    for outcome in asking {
        assert_eq!(outcome.await.unwrap(), delivered("a"));
    }
    assert_eq!(tenants.asked(), ["a"]);
}

/// Disconnecting cannot cause repeated lookups of the same name.
#[tokio::test(start_paused = true)]
async fn a_lookup_goes_on_without_who_has_asked() {
    let tenants = Tenants::of(&["a"]).slow(SECOND);
    let layer = layer(&tenants);
    for _ in 0..100 {
        let request = tokio::time::timeout(SECOND / 100, send(&layer, delivery("/a", "a")));
        assert!(request.await.is_err());
    }
    sleep(SECOND).await;
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    assert_eq!(tenants.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn failures() {
    let tenants = Tenants::of(&["a"]);
    let layer = layer(&tenants);
    for fault in [Tenants::set_down, Tenants::set_panics] {
        fault(&tenants, true);
        for _ in 0..5 {
            assert_eq!(send(&layer, delivery("/a", "a")).await, UNAVAILABLE);
        }
        // Lookups of unknown names pause for a second.
        assert_eq!(tenants.asked(), ["a"]);
        fault(&tenants, false);
        advance(SECOND).await;
        assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
        // A cached app stays usable while the database is down, for a limited time.
        fault(&tenants, true);
        advance(59 * SECOND).await;
        assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
        advance(SECOND).await;
        assert_eq!(send(&layer, delivery("/a", "a")).await, UNAVAILABLE);
        fault(&tenants, false);
        advance(SECOND).await;
        assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
        advance(60 * SECOND).await;
        tenants.asked();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_takes_too_long() {
    let tenants = Tenants::of(&["a"]).slow(60 * SECOND);
    let layer = layer(&tenants);
    let start = tokio::time::Instant::now();
    assert_eq!(send(&layer, delivery("/a", "a")).await, UNAVAILABLE);
    assert_eq!(start.elapsed(), 2 * SECOND);
    // The lookup timed out, and is not repeated at once.
    assert_eq!(send(&layer, delivery("/a", "a")).await, UNAVAILABLE);
    assert_eq!(tenants.asked(), ["a"]);
}

/// The runtime of the first request is alive and nobody drives it.
#[test]
fn a_lookup_that_has_stalled_gives_way() {
    let runtime = || Builder::new_current_thread().enable_time().build().unwrap();
    let (stalled, live) = (runtime(), runtime());
    let tenants = Tenants::of(&["a"]);
    let limit = SECOND / 20;
    let (layer, resolver) = with(&tenants, |resolver| resolver.lookup_timeout(limit));
    stalled.block_on(async {
        let mut first = pin!(send(&layer, delivery("/a", "a")));
        assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    });
    let send = || live.block_on(send(&layer, delivery("/a", "a")));
    assert_eq!(send(), UNAVAILABLE);
    std::thread::sleep(2 * limit + SECOND);
    assert_eq!(send(), delivered("a"));
    assert_eq!(tenants.asked(), ["a"]);
    // The stalled lookup goes on and finds no app. What is cached has begun later.
    tenants.remove("a");
    stalled.block_on(async { sleep(limit).await });
    assert_eq!(tenants.asked(), ["a"]);
    assert_eq!(send(), delivered("a"));
    assert_eq!(resolver.counters().lookups, 2);
}

/// A runtime that ends with its lookup leaves the name free.
#[test]
fn a_lookup_that_was_dropped_gives_way_at_once() {
    let runtime = || Builder::new_current_thread().enable_time().build().unwrap();
    let (ended, live) = (runtime(), runtime());
    let tenants = Tenants::of(&["a"]);
    let layer = layer(&tenants);
    ended.block_on(async {
        let mut first = pin!(send(&layer, delivery("/a", "a")));
        assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    });
    // One request waits already, and another comes later.
    live.block_on(async {
        let mut waiting = pin!(send(&layer, delivery("/a", "a")));
        assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        tokio::task::spawn_blocking(|| drop(ended)).await.unwrap();
        assert_eq!(waiting.await, delivered("a"));
    });
    assert_eq!(tenants.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn why_lookups_failed() {
    let tenants = Tenants::of(&["a"]);
    let (layer, resolver) = with(&tenants, |resolver| resolver.lookups_per_second(4));
    let cause = || {
        let error = resolver.last_error()?;
        Some(error.source().unwrap().to_string())
    };
    let counts = || {
        let counters = resolver.counters();
        let ResolverCounters {
            lookups, failed, ..
        } = counters;
        [lookups, failed, counters.timed_out, counters.rate_limited]
    };
    let send = async |name: &str| send(&layer, delivery(&format!("/{name}"), "a")).await;
    assert_eq!(send("nobody").await, refused(UNKNOWN));
    assert_eq!((counts(), cause()), ([1, 0, 0, 0], None));
    tenants.set_down(true);
    assert_eq!(send("a").await, UNAVAILABLE);
    let down = "the database is down".to_owned();
    assert_eq!((counts(), cause()), ([2, 1, 0, 0], Some(down.clone())));
    tenants.set_down(false);
    let slow = tenants.clone().slow(60 * SECOND);
    assert_eq!(send("b").await, UNAVAILABLE);
    // The request and its lookup reach the limit at the same time.
    sleep(SECOND).await;
    assert_eq!((counts(), cause()), ([3, 1, 1, 0], Some(down)));
    slow.slow(Duration::ZERO).set_panics(true);
    assert_eq!(send("c").await, UNAVAILABLE);
    let panicked = Some("the app resolver panicked".to_owned());
    assert_eq!((counts(), cause()), ([4, 2, 1, 0], panicked.clone()));
    tenants.set_panics(false);
    for number in 0..5 {
        let _ = send(&number.to_string()).await;
    }
    let [lookups, failed, timed_out, rate_limited] = counts();
    assert_eq!((failed, timed_out), (2, 1));
    assert!(
        rate_limited > 0 && lookups + rate_limited == 9,
        "{:?}",
        counts()
    );
    assert_eq!(cause(), panicked);
}

#[tokio::test(start_paused = true)]
async fn forgetting() {
    let tenants = Tenants::default();
    let (layer, resolver) = with(&tenants, |resolver| resolver);
    assert_eq!(send(&layer, delivery("/a", "a")).await, refused(UNKNOWN));
    tenants.add(app("a"));
    resolver.forget("a");
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    tenants.remove("a");
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
    resolver.forget("a");
    assert_eq!(send(&layer, delivery("/a", "a")).await, refused(UNKNOWN));
    assert_eq!(resolver.counters().lookups, 3);
    resolver.forget("nobody");
}

/// A lookup in flight during a change returns the old state, which must not be cached.
#[tokio::test(start_paused = true)]
async fn forgetting_what_is_being_looked_up() {
    let tenants = Tenants::default().slow(SECOND);
    let (layer, resolver) = with(&tenants, |resolver| resolver);
    let asking = tokio::spawn({
        let layer = layer.clone();
        async move { send(&layer, delivery("/a", "a")).await }
    });
    sleep(SECOND / 2).await;
    tenants.add(app("a"));
    resolver.forget("a");
    assert_eq!(asking.await.unwrap(), refused(UNKNOWN));
    assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
}

/// Credentials can be replaced without a lookup.
#[tokio::test]
async fn a_rotation() {
    let tenants = Tenants::default();
    let app = app("a");
    tenants.add(app.clone());
    let layer = layer(&tenants);
    let signed = |secret: &str| {
        Request::post("/a")
            .header("x-hub-signature-256", sign(secret, "{}"))
            .body(Full::<bytes::Bytes>::from("{}"))
            .unwrap()
    };
    assert_eq!(send(&layer, signed(&secret("a"))).await, delivered("a"));
    app.credentials().replace_secrets([("2", "next")]).unwrap();
    assert_eq!(send(&layer, signed("next")).await, delivered("a"));
    assert_eq!(
        send(&layer, signed(&secret("a"))).await,
        refused(RejectionKind::SignatureMismatch)
    );
    assert_eq!(tenants.asked(), ["a"]);
}

#[tokio::test]
async fn huge_settings() {
    let tenants = Tenants::of(&["a"]);
    let (layer, _) = with(&tenants, |resolver| {
        resolver
            .time_to_live(Duration::MAX)
            .unknown_time_to_live(Duration::MAX)
            .lookup_timeout(Duration::MAX)
            .lookups_per_second(u32::MAX)
    });
    for _ in 0..2 {
        assert_eq!(send(&layer, delivery("/a", "a")).await, delivered("a"));
        assert_eq!(send(&layer, delivery("/b", "b")).await, refused(UNKNOWN));
    }
    assert_eq!(tenants.asked(), ["a", "b"]);
}
