//! Several layers, and setup mistakes of hosts.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Extension, Router, ServiceExt,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn, map_request},
    response::Response,
    routing::{any, post},
};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceBuilder, ServiceExt as _, buffer::Buffer, util::option_layer};
#[cfg(feature = "apps")]
use tower_whatsapp::webhook::{AppResolver, CachedResolver, ResolveError};
use tower_whatsapp::{
    App, Credentials, Notification, Rejection, RejectionKind, Verified, WebhookLayer,
    WebhookLayerBuilder,
    dedup::{DedupLayer, MemoryStore, PartialFailure},
    webhook::{HostBodyLayer, RequestBody, ResponseBody, SetupWarning},
};

use test_support::{
    CHALLENGE, SECRET, TOKEN, builder, handshake,
    json::{messages, one_text, padded, text},
    layer, sign,
};

fn delivery(path: &str) -> Request {
    signed(path, SECRET)
}

fn signed(path: &str, secret: &str) -> Request {
    Request::post(path)
        .header("x-hub-signature-256", sign(secret, one_text()))
        .body(one_text().into())
        .unwrap()
}

fn at(path: &str) -> WebhookLayer {
    WebhookLayer::new(path, SECRET, TOKEN).unwrap()
}

async fn count(verified: Verified, notification: Notification) -> String {
    format!("{}{}", verified.secret_label(), notification.events().len())
}

async fn send(app: &Router, request: Request) -> (u16, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn seen() -> (u16, String) {
    (200, "01".to_owned())
}

#[tokio::test]
async fn two_layers_on_one_router_serve_both_paths() {
    let routes = || {
        Router::new()
            .route("/a", post(count))
            .route("/b", post(count))
    };
    let dedup = || DedupLayer::new(MemoryStore::new());
    for app in [
        routes().layer(at("/a")).layer(at("/b")),
        routes().layer(at("/b")).layer(at("/a")),
        routes().layer(dedup()).layer(at("/b")).layer(at("/a")),
        routes().layer(at("/b")).layer(dedup()).layer(at("/a")),
        routes().layer((at("/a").host_body(), at("/b").host_body())),
    ] {
        assert_eq!(send(&app, delivery("/a")).await, seen());
        // A second layer, even for events that the first one has seen.
        assert_eq!(send(&app, delivery("/b")).await.0, 200);
        assert_eq!(send(&app, signed("/a", "another")).await.0, 403);
        assert_eq!(send(&app, signed("/b", "another")).await.0, 403);
    }
}

/// A handler must not get the events of another request: the layer removes extensions that an outer
/// layer did not set for this request.
#[tokio::test]
async fn what_no_layer_has_made_for_this_request_is_removed() {
    async fn forge(mut request: Request) -> Request {
        let notification = Notification::parse(one_text()).unwrap();
        request.extensions_mut().insert(notification);
        request
    }
    let app = Router::new()
        .route("/a", post(count))
        .layer(at("/b"))
        .layer(map_request(forge));
    assert_eq!(send(&app, delivery("/a")).await.0, 500);

    let kept = Arc::new(Mutex::new(None));
    let keep = {
        let kept = Arc::clone(&kept);
        async move |verified: Verified, notification: Notification| {
            *kept.lock().unwrap() = Some((verified, notification));
        }
    };
    let app = Router::new().route("/b", post(keep)).layer(at("/b"));
    assert_eq!(send(&app, delivery("/b")).await.0, 200);
    let kept = kept.lock().unwrap().take().unwrap();
    let stale = move |mut request: Request| {
        let (verified, notification) = kept.clone();
        request.extensions_mut().insert(verified);
        request.extensions_mut().insert(notification);
        async { request }
    };
    let app = Router::new()
        .route("/a", post(count))
        .layer(at("/b"))
        .layer(map_request(stale));
    assert_eq!(send(&app, delivery("/a")).await.0, 500);
}

/// All extensions together must not prove that the request is still being handled.
#[tokio::test]
async fn the_extensions_of_an_earlier_request_prove_nothing() {
    let kept = Arc::new(Mutex::new(None));
    let keep = {
        let kept = Arc::clone(&kept);
        async move |request: Request| {
            *kept.lock().unwrap() = Some(request.extensions().clone());
        }
    };
    let app = Router::new().route("/b", post(keep)).layer(at("/b"));
    assert_eq!(send(&app, delivery("/b")).await.0, 200);
    let kept = kept.lock().unwrap().take().unwrap();
    let again = move |mut request: Request| {
        *request.extensions_mut() = kept.clone();
        async { request }
    };
    let app = Router::new()
        .route("/a", post(count))
        .layer(at("/b"))
        .layer(map_request(again));
    assert_eq!(send(&app, delivery("/a")).await.0, 500);
}

#[derive(Clone, Default)]
struct Warned(Arc<Mutex<Vec<SetupWarning>>>);

impl Warned {
    fn layer(&self, builder: WebhookLayerBuilder) -> WebhookLayer {
        let warned = Arc::clone(&self.0);
        let hook = move |warning| warned.lock().unwrap().push(warning);
        builder.on_setup_warning(hook).build().unwrap()
    }

    fn take(&self) -> Vec<SetupWarning> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The handshake succeeds, but no delivery reaches the handler.
#[tokio::test]
async fn a_layer_on_a_router_without_the_route_says_so_once() {
    for (routes, status) in [
        (Router::new(), 404),
        (
            Router::new().route("/wh", axum::routing::get(async || {})),
            405,
        ),
    ] {
        let warned = Warned::default();
        let app = routes.fallback(StatusCode::NOT_FOUND);
        let app = app.layer(warned.layer(builder()));
        let request = Request::get(handshake(TOKEN, CHALLENGE));
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(send(&app, request).await, (200, CHALLENGE.to_owned()));
        assert_eq!(send(&app, signed("/wh", "another")).await.0, 403);
        assert_eq!(warned.take(), []);
        for _ in 0..3 {
            assert_eq!(send(&app, delivery("/wh")).await.0, status);
        }
        assert_eq!(warned.take(), [SetupWarning::RouteMissing]);
    }
}

#[tokio::test]
async fn a_path_that_is_nearly_that_of_the_layer_is_reported_once() {
    let near = ["/prod/wh", "/prod/wh/", "/v1/a/b/wh", "/wh/", "/"];
    let far = ["/other", "/wh/more", "/whx", "/a/b/c/d/wh"];
    for (paths, expected) in [(&near[..], &[SetupWarning::PathMissed][..]), (&far, &[])] {
        for path in paths {
            let warned = Warned::default();
            let app = Router::new().fallback(any(async || {}));
            let app = app.layer(warned.layer(builder()));
            let unsigned = Request::post(*path).body(Body::empty()).unwrap();
            assert_eq!(send(&app, unsigned).await.0, 200);
            assert_eq!(warned.take(), []);
            for _ in 0..3 {
                assert_eq!(send(&app, delivery(path)).await.0, 200);
            }
            assert_eq!(warned.take(), expected, "{path}");

            // Meta sends a handshake first.
            let warned = Warned::default();
            let app = Router::new().fallback(any(async || {}));
            let app = app.layer(warned.layer(builder()));
            for (query, expected) in [("?a=1", &[][..]), ("?hub.challenge=1", expected)] {
                let request = Request::get(format!("{path}{query}"));
                let request = request.body(Body::empty()).unwrap();
                assert_eq!(send(&app, request).await.0, 200);
                assert_eq!(warned.take(), expected, "{path}{query}");
            }
        }
    }
    // A layer inside a nested router that is configured with the whole path.
    let warned = Warned::default();
    let hooks = Router::new().route("/whatsapp", post(count));
    let layer = warned.layer(
        WebhookLayer::builder()
            .path("/hooks/whatsapp")
            .app_secret(SECRET)
            .verify_token(TOKEN),
    );
    let app = Router::new().nest("/hooks", hooks.layer(layer));
    assert_eq!(send(&app, delivery("/hooks/whatsapp")).await.0, 500);
    assert_eq!(warned.take(), [SetupWarning::PathMissed]);
}

/// `nest("/webhook", …)` around a route `/`, and a layer inside with the whole path.
#[tokio::test]
async fn a_layer_inside_of_a_router_nested_at_its_whole_path_is_reported() {
    for dedup in [false, true] {
        let warned = Warned::default();
        let mut hooks = Router::new().route("/", post(count));
        if dedup {
            hooks = hooks.layer(DedupLayer::new(MemoryStore::new()));
        }
        let hooks = hooks.layer(warned.layer(builder()));
        let app = Router::new().nest("/wh", hooks);
        assert_eq!(send(&app, delivery("/wh")).await.0, 500);
        assert_eq!(warned.take(), [SetupWarning::PathMissed]);
    }
}

fn app(label: &str, secret: &str) -> App {
    let credentials = Credentials::new([("1", secret)], [("1", TOKEN)]).unwrap();
    App::new(label, credentials).unwrap()
}

/// The second route too is seen without its first segments, and so is the name of an app.
#[cfg(feature = "apps")]
#[tokio::test]
async fn every_route_and_the_pattern_are_compared_with_a_missed_path() {
    let builders = || {
        let routes = WebhookLayer::builder()
            .route("/hooks/a", app("a", "a"))
            .route("/hooks/meta/b/", app("b", "b"));
        let plain = WebhookLayer::builder().app_resolver("/hooks/{app}", Nobody);
        let after = WebhookLayer::builder().app_resolver("/hooks/{app}/wh/", Nobody);
        [routes, plain, after]
    };
    let paths = [
        "/a",
        "/b",
        "/meta/b",
        "/x/meta/b/",
        "/x/y",
        "/wh",
        "/acme/wh",
        "/x/acme/wh",
        "/hooks",
        "/c/wh/d",
        "/v1/hooks/x/wh",
    ];
    let missed = [
        &paths[..4],
        &["/a", "/b", "/wh", "/hooks"],
        &["/wh", "/acme/wh", "/v1/hooks/x/wh"],
    ];
    for (number, missed) in missed.into_iter().enumerate() {
        for path in paths {
            let warned = Warned::default();
            let [routes, plain, after] = builders();
            let builder = [routes, plain, after].into_iter().nth(number).unwrap();
            let app = Router::new().fallback(any(async || {}));
            let app = app.layer(warned.layer(builder));
            assert_eq!(send(&app, delivery(path)).await.0, 200);
            let expected: &[_] = if missed.contains(&path) {
                &[SetupWarning::PathMissed]
            } else {
                &[]
            };
            assert_eq!(warned.take(), expected, "{number} {path}");
        }
    }
}

#[cfg(feature = "apps")]
struct Nobody;

#[cfg(feature = "apps")]
impl AppResolver for Nobody {
    async fn resolve(&self, _: &str) -> Result<Option<App>, ResolveError> {
        Ok(None)
    }
}

/// A new app for each lookup, as of a database: its name, its label and its secret.
#[cfg(feature = "apps")]
struct Rows(&'static [(&'static str, &'static str, &'static str)]);

#[cfg(feature = "apps")]
impl AppResolver for Rows {
    async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
        let row = self.0.iter().find(|(known, ..)| *known == name);
        Ok(row.map(|(_, label, secret)| app(label, secret)))
    }
}

/// Labels are unique within the routes, but nobody checks what a resolver returns.
#[cfg(feature = "apps")]
#[tokio::test]
async fn an_app_of_a_resolver_with_the_label_of_another_is_reported_once() {
    let cases: [(&[_], bool); 4] = [
        (&[("x", "shop", "of x")], true),
        (&[("x", "shop", SECRET)], false),
        (&[("x", "tenant", "of x"), ("y", "tenant", "of y")], true),
        (
            &[("x", "x", "of x"), ("y", "x", "of x"), ("z", "z", "of z")],
            false,
        ),
    ];
    for (rows, is_shared) in cases {
        for has_dedup in [false, true] {
            let warned = Warned::default();
            let builder = WebhookLayer::builder().route("/shop", app("shop", SECRET));
            let resolver = CachedResolver::new(Rows(rows));
            let builder = builder.app_resolver("/apps/{app}", resolver.clone());
            let mut router = Router::new().fallback(post(count));
            if has_dedup {
                router = router.layer(DedupLayer::new(MemoryStore::new()));
            }
            let router = router.layer(warned.layer(builder));
            for _ in 0..2 {
                for (name, _, secret) in rows {
                    let path = format!("/apps/{name}");
                    assert_eq!(send(&router, signed(&path, secret)).await.0, 200);
                }
                // The next lookups return other values for the same apps.
                for (name, ..) in rows {
                    resolver.forget(name);
                }
            }
            let expected: &[_] = if is_shared {
                &[SetupWarning::LabelShared]
            } else {
                &[]
            };
            assert_eq!(warned.take(), expected, "{rows:?}");
        }
    }
}

/// GitHub signs with the same header.
#[tokio::test]
async fn a_webhook_of_github_is_no_missed_path() {
    let warned = Warned::default();
    let app = Router::new().fallback(any(async || {}));
    let app = app.layer(warned.layer(builder()));
    let mut github = delivery("/github/wh");
    let event = HeaderValue::from_static("push");
    github.headers_mut().insert("x-github-event", event);
    assert_eq!(send(&app, github).await.0, 200);
    assert_eq!(warned.take(), []);
    assert_eq!(send(&app, delivery("/github/wh")).await.0, 200);
    assert_eq!(warned.take(), [SetupWarning::PathMissed]);
}

/// Layers without labels share their keys, so the second app misses what both receive.
#[tokio::test]
async fn two_apps_with_one_label_over_one_dedup_layer_are_reported_once() {
    const OTHER: &str = "another";
    fn unnamed<const N: usize>(path: &str, secrets: [&str; N]) -> WebhookLayerBuilder {
        let builder = WebhookLayer::builder().path(path).verify_token(TOKEN);
        secrets
            .into_iter()
            .fold(builder, WebhookLayerBuilder::app_secret)
    }
    fn named(path: &str, label: &str, secret: &str) -> WebhookLayerBuilder {
        WebhookLayer::builder().route(path, app(label, secret))
    }
    type Case = (&'static str, fn() -> [WebhookLayerBuilder; 2], bool);
    let cases: [Case; 5] = [
        (
            "no labels",
            || [unnamed("/a", [SECRET]), unnamed("/b", [OTHER])],
            true,
        ),
        (
            "one label",
            || [named("/a", "shop", SECRET), named("/b", "shop", OTHER)],
            true,
        ),
        (
            "two labels",
            || [named("/a", "shop", SECRET), named("/b", "bank", OTHER)],
            false,
        ),
        (
            "one has a label",
            || [unnamed("/a", [SECRET]), named("/b", "bank", OTHER)],
            false,
        ),
        (
            "a common secret",
            || [unnamed("/a", [SECRET]), unnamed("/b", [OTHER, SECRET])],
            false,
        ),
    ];
    for (case, builders, is_shared) in cases {
        for has_dedup in [true, false] {
            let warned = Warned::default();
            let dedup = DedupLayer::new(MemoryStore::new());
            let handle = dedup.handle();
            let routes = Router::new().route("/a", post(count));
            let mut app = routes.route("/b", post(count));
            if has_dedup {
                app = app.layer(dedup);
            }
            for builder in builders() {
                app = app.layer(warned.layer(builder));
            }
            for _ in 0..2 {
                assert_eq!(send(&app, signed("/a", SECRET)).await.0, 200, "{case}");
                assert_eq!(send(&app, signed("/b", OTHER)).await.0, 200, "{case}");
            }
            let expected: &[_] = if is_shared && has_dedup {
                &[SetupWarning::LabelShared]
            } else {
                &[]
            };
            assert_eq!(warned.take(), expected, "{case}, {has_dedup}");
            if has_dedup {
                let handled = if case.contains("secret") || is_shared {
                    1
                } else {
                    2
                };
                assert_eq!(handle.counters().delivered, handled, "{case}");
            }
        }
    }
}

/// Two layers on one path, with one secret.
#[tokio::test]
async fn two_layers_that_verify_one_delivery_are_reported_once() {
    for has_dedup in [false, true] {
        let warned = Warned::default();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = Arc::clone(&calls);
        let handler = async move |notification: Notification| {
            let new = notification.events().len();
            let known = notification.suppressed().len();
            called.lock().unwrap().push((new, known));
        };
        let inner = warned.layer(
            WebhookLayer::builder()
                .any_path()
                .app_secret(SECRET)
                .verify_token(TOKEN),
        );
        let mut app = Router::new().route("/wh", post(handler)).layer(inner);
        if has_dedup {
            app = app.layer(DedupLayer::new(MemoryStore::new()));
        }
        let app = app.layer(warned.layer(builder()));
        assert_eq!(send(&app, signed("/wh", "a third")).await.0, 403);
        assert_eq!(warned.take(), []);
        let two = messages(&[text("wamid.A", ""), text("wamid.B", "")].join(","));
        for body in [one_text(), one_text(), two] {
            let request = Request::post("/wh").header("x-hub-signature-256", sign(SECRET, &body));
            let request = request.body(body.into()).unwrap();
            assert_eq!(send(&app, request).await.0, 200);
        }
        assert_eq!(warned.take(), [SetupWarning::WebhookRepeated]);
        // A suppressed event stays suppressed.
        let expected: &[_] = if has_dedup {
            &[(1, 0), (1, 1)]
        } else {
            &[(1, 0), (1, 0), (2, 0)]
        };
        assert_eq!(*calls.lock().unwrap(), expected);
    }
}

/// The events that a handler names are those of the outer layer.
#[tokio::test]
async fn a_partial_failure_inside_of_a_repeated_layer_is_that_of_its_event() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let called = Arc::clone(&calls);
    let handler = async move |notification: Notification| {
        let ids = notification.messages().filter_map(|message| message.id);
        called
            .lock()
            .unwrap()
            .push(ids.map(str::to_owned).collect::<Vec<_>>());
        let failed = notification
            .events()
            .iter()
            .filter(|event| event.id() == Some("wamid.B"));
        Extension(PartialFailure::of_events(failed))
    };
    let app = Router::new().route("/wh", post(handler)).layer(layer());
    let app = app
        .layer(DedupLayer::new(MemoryStore::new()))
        .layer(layer());
    for _ in 0..2 {
        let two = messages(&[text("wamid.A", ""), text("wamid.B", "")].join(","));
        let request = Request::post("/wh").header("x-hub-signature-256", sign(SECRET, &two));
        let request = request.body(two.into()).unwrap();
        assert_eq!(send(&app, request).await.0, 500);
    }
    assert_eq!(
        *calls.lock().unwrap(),
        [vec!["wamid.A", "wamid.B"], vec!["wamid.B"]]
    );
}

/// A phone number in place of its id: nothing reaches the handler.
#[tokio::test]
async fn a_list_that_no_event_matches_is_reported_once() {
    let own = "106540352242922";
    let body = |number: &str, id: &str| {
        messages(&text(id, "")).replace(
            r#""messages":["#,
            &format!(r#""metadata":{{"phone_number_id":"{number}"}},"messages":["#),
        )
    };
    let cases = [
        // The numbers of the deliveries, and whether their list is suspect.
        (&["7", "7", own][..], true),
        (&[own, "7", "7"], false),
    ];
    for (numbers, is_suspect) in cases {
        for has_dedup in [false, true] {
            let warned = Warned::default();
            let credentials = Credentials::new([("1", SECRET)], [("1", TOKEN)]).unwrap();
            let app = App::builder("a", credentials)
                .phone_numbers([own])
                .build()
                .unwrap();
            let mut router = Router::new().route("/wh", post(count));
            if has_dedup {
                router = router.layer(DedupLayer::new(MemoryStore::new()));
            }
            let router = router.layer(warned.layer(WebhookLayer::builder().route("/wh", app)));
            for (position, number) in numbers.iter().enumerate() {
                let body = body(number, &format!("wamid.{position}"));
                let request =
                    Request::post("/wh").header("x-hub-signature-256", sign(SECRET, &body));
                let request = request.body(body.into()).unwrap();
                let seen = if *number == own { "11" } else { "10" };
                assert_eq!(send(&router, request).await, (200, seen.to_owned()));
            }
            let expected: &[_] = if is_suspect {
                &[SetupWarning::AllEventsForeign]
            } else {
                &[]
            };
            assert_eq!(warned.take(), expected, "{numbers:?} {has_dedup}");
        }
    }
}

/// A `Buffer` around the layer calls it in a worker, which a panic would end for good.
#[tokio::test]
async fn a_hook_that_panics_does_not_stop_a_worker_around_the_layer() {
    let layer = builder()
        .on_rejection(|_| panic!("a bug of the host"))
        .on_setup_warning(|_| panic!("a bug of the host"));
    let app = Router::new().fallback(any(async || {}));
    let service = Buffer::new(layer.build().unwrap().layer(app), 1);
    let call = async |request: Request| {
        let response = service.clone().oneshot(request).await.unwrap();
        (
            response.status(),
            response
                .extensions()
                .get::<Rejection>()
                .map(Rejection::kind),
        )
    };
    let unsigned = || Request::post("/wh").body(Body::empty()).unwrap();
    for _ in 0..2 {
        let missing = Some(RejectionKind::SignatureMissing);
        assert_eq!(call(unsigned()).await, (StatusCode::FORBIDDEN, missing));
        assert_eq!(call(delivery("/prod/wh")).await, (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn two_layers_with_different_secrets_on_one_path_are_reported_once() {
    let warned = Warned::default();
    let inner = warned.layer(
        WebhookLayer::builder()
            .path("/wh")
            .app_secret("another")
            .verify_token(TOKEN),
    );
    let app = Router::new()
        .route("/wh", post(count))
        .layer(inner)
        .layer(layer());
    assert_eq!(send(&app, signed("/wh", "a third")).await.0, 403);
    assert_eq!(warned.take(), []);
    for _ in 0..3 {
        assert_eq!(send(&app, delivery("/wh")).await.0, 403);
    }
    assert_eq!(warned.take(), [SetupWarning::LayersOverlap]);
}

/// The layer that is added last is the outermost. `DedupLayer` must not be.
#[tokio::test]
async fn a_dedup_layer_outside_is_reported_once() {
    let dedup = || DedupLayer::new(MemoryStore::new());
    let routes = || Router::new().route("/wh", post(count));
    let send_twice = async |app: Router| {
        for _ in 0..2 {
            assert_eq!(send(&app, delivery("/wh")).await.0, 200);
        }
    };
    let warned = Warned::default();
    let app = routes().layer(warned.layer(builder())).layer(dedup());
    assert_eq!(send(&app, signed("/wh", "another")).await.0, 403);
    assert_eq!(warned.take(), []);
    send_twice(app).await;
    assert_eq!(warned.take(), [SetupWarning::DedupBypassed]);

    let inside = routes().layer(dedup()).layer(warned.layer(builder()));
    send_twice(inside.clone()).await;
    send_twice(inside.layer(dedup())).await;
    assert_eq!(warned.take(), []);
}

/// What was reported of one kind does not silence another.
#[tokio::test]
async fn each_kind_of_answer_in_place_of_the_handler_is_reported_once() {
    use SetupWarning::{DeliveryRefused, EventsIgnored, RouteMissing};

    async fn answer(headers: HeaderMap) -> StatusCode {
        StatusCode::from_bytes(headers["x-answer"].as_bytes()).unwrap()
    }
    for with_dedup in [false, true] {
        let warned = Warned::default();
        let mut app = Router::new().route("/wh", post(answer));
        if with_dedup {
            app = app.layer(DedupLayer::new(MemoryStore::new()));
        }
        let app = app.layer(warned.layer(builder()));
        for (number, (status, expected)) in [
            (503, &[][..]),
            (401, &[DeliveryRefused]),
            (303, &[]),
            (200, &[EventsIgnored]),
            (204, &[]),
            (404, &[RouteMissing]),
            (405, &[]),
            (200, &[]),
            (413, &[]),
        ]
        .into_iter()
        .enumerate()
        {
            // A new event each time, which no `DedupLayer` suppresses.
            let body = messages(&text(&format!("wamid.{number}"), ""));
            let request = Request::post("/wh")
                .header("x-hub-signature-256", sign(SECRET, &body))
                .header("x-answer", status)
                .body(body.into())
                .unwrap();
            send(&app, request).await;
            assert_eq!(warned.take(), expected, "{number}: {status}");
        }
    }
}

/// On the route and on the router: without a mark the inner layer would find the
/// claims of the outer one.
#[tokio::test]
async fn a_delivery_is_deduplicated_once_however_many_layers_it_passes() {
    let dedup = DedupLayer::new(MemoryStore::new());
    let another = || DedupLayer::new(MemoryStore::new());
    let same_store = || {
        let store = Arc::new(MemoryStore::new());
        [(); 2].map(|()| DedupLayer::new(Arc::clone(&store)))
    };
    let [inner, outer] = same_store();
    type Wrap = Box<dyn Fn(Router, WebhookLayer) -> Router>;
    let cases: [(&str, Wrap); 4] = [
        (
            "the same layer",
            Box::new(move |routes, webhook| {
                let dedup = DedupLayer::clone(&dedup);
                routes.layer(dedup.clone()).layer(dedup).layer(webhook)
            }),
        ),
        (
            "two layers with a store",
            Box::new(move |routes, webhook| {
                let (inner, outer) = (inner.clone(), outer.clone());
                routes.layer(inner).layer(outer).layer(webhook)
            }),
        ),
        (
            "two layers with two stores",
            Box::new(move |routes, webhook| {
                routes.layer(another()).layer(another()).layer(webhook)
            }),
        ),
        (
            "both layers on the route and on the router",
            Box::new(|routes, webhook| {
                let dedup = DedupLayer::new(MemoryStore::new());
                let routes = routes.layer(dedup.clone()).layer(webhook.clone());
                routes.layer(dedup).layer(webhook)
            }),
        ),
    ];
    for (case, wrap) in cases {
        let (warned, calls) = (Warned::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        let handler = async move |notification: Notification| {
            counted.fetch_add(notification.events().len(), Ordering::Relaxed);
        };
        let routes = Router::new().route("/wh", post(handler));
        let app = wrap(routes, warned.layer(builder()));
        for _ in 0..3 {
            assert_eq!(send(&app, delivery("/wh")).await.0, 200, "{case}");
        }
        // Another delivery with the same event and a new one.
        let two = messages(&[text("wamid.A", ""), text("wamid.B", "")].join(","));
        let request = Request::post("/wh")
            .header("x-hub-signature-256", sign(SECRET, &two))
            .body(two.into())
            .unwrap();
        assert_eq!(send(&app, request).await.0, 200, "{case}");
        assert_eq!(calls.load(Ordering::Relaxed), 2, "{case}");
        let reported = warned.take();
        let (last, first) = reported.split_last().unwrap();
        assert_eq!(*last, SetupWarning::DedupRepeated, "{case}");
        let is_repeated = case == "both layers on the route and on the router";
        let expected: &[_] = if is_repeated {
            &[SetupWarning::WebhookRepeated]
        } else {
            &[]
        };
        assert_eq!(first, expected, "{case}");
    }
}

/// Two servers of one process, or a host that looks into the store. Nobody records the other's
/// events as done: all are retried, and no failed event is acknowledged.
#[tokio::test]
async fn a_partial_failure_without_a_dedup_layer_is_a_failure() {
    let partly = |notification: Notification, failed: bool| async move {
        let events = notification.events().iter().filter(|_| failed);
        Extension(PartialFailure::of_events(events))
    };
    for (failed, status) in [(true, 500), (false, 200)] {
        let handler = move |notification| partly(notification, failed);
        let app = Router::new()
            .route("/webhook", post(handler))
            .layer(at("/webhook"));
        assert_eq!(send(&app, delivery("/webhook")).await.0, status);
        // A `DedupLayer` outside the layer has no effect either.
        let app = app.layer(DedupLayer::new(MemoryStore::new()));
        assert_eq!(send(&app, delivery("/webhook")).await.0, status);
    }
}

#[tokio::test]
async fn two_layers_share_a_store() {
    let store = Arc::new(MemoryStore::new());
    for expected in [(1, 0), (0, 1)] {
        let dedup = DedupLayer::new(Arc::clone(&store));
        let counters = dedup.handle();
        let app = Router::new().route("/wh", post(count));
        let app = app.layer(dedup).layer(layer());
        assert_eq!(send(&app, delivery("/wh")).await.0, 200);
        let counters = counters.counters();
        assert_eq!((counters.delivered, counters.suppressed), expected);
    }
}

fn host_body() -> HostBodyLayer<WebhookLayer> {
    layer().host_body()
}

async fn untouched(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Compositions that do not compile with the layer's own body types.
#[tokio::test]
async fn the_body_types_of_the_host_are_kept() {
    let app = || Router::new().route("/wh", post(count));
    let dedup = || DedupLayer::new(MemoryStore::new()).host_body();
    let stack = ServiceBuilder::new()
        .layer(from_fn(untouched))
        .layer(host_body())
        .layer(from_fn(untouched))
        .layer(dedup())
        .layer(from_fn(untouched));
    assert_eq!(send(&app().layer(stack), delivery("/wh")).await, seen());
    for layer in [Some(host_body()), None] {
        let is_there = layer.is_some();
        let service = option_layer(layer).layer(app());
        let response = service.oneshot(delivery("/wh")).await.unwrap();
        assert_eq!(response.status() == 200, is_there);
        let _: Response = response;
    }
    // The argument of `axum::serve`.
    let _ = ServiceExt::<Request>::into_make_service(host_body().layer(app()));
}

/// Handlers read the verified bytes, as a body of the host's type.
#[tokio::test]
async fn the_body_of_the_host_has_the_verified_bytes() {
    async fn bytes(Extension(_): Extension<Notification>, body: bytes::Bytes) -> bytes::Bytes {
        body
    }
    let app = Router::new().route("/wh", post(bytes)).layer(host_body());
    assert_eq!(send(&app, delivery("/wh")).await, (200, one_text()));
    // Above axum's own limit, which is lifted.
    let large = padded(2_621_440);
    let request = Request::post("/wh").header("x-hub-signature-256", sign(SECRET, &large));
    let found = send(&app, request.body(large.clone().into()).unwrap()).await;
    assert_eq!(found, (200, large));
}

#[tokio::test]
async fn bodies_have_a_default() {
    async fn collected<B>(body: B) -> usize
    where
        B: http_body::Body<Data = bytes::Bytes>,
    {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        let collected = body.collect().await.ok().map(|body| body.to_bytes().len());
        collected.unwrap()
    }
    assert_eq!(collected(RequestBody::<Body>::default()).await, 0);
    assert_eq!(collected(ResponseBody::<Body>::default()).await, 0);
}
