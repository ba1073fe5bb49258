//! Places of the layers in axum, with and without a `DedupLayer` inside the `WebhookLayer`. The
//! observed behaviour must match the placement table of `docs/hosts.md`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{Next, from_fn},
    response::{IntoResponse, Redirect},
    routing::{any, get as on_get, post},
};
use bytes::Bytes;
use http::StatusCode;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, util::option_layer};
use tower_http::normalize_path::NormalizePathLayer;
use tower_whatsapp::{
    App, Credentials, Notification, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    webhook::SetupWarning,
};

use super::support::{
    BODY, CHALLENGE, HANDSHAKE, SECRET, any_path, at, delivery, delivery_to, get, layer, read,
    signed_with, take_warnings,
};

const CHAPTER: &str = include_str!("../../../../docs/hosts.md");

/// Calls of the handler: with events, and without.
#[derive(Clone, Default)]
struct Calls {
    verified: Arc<AtomicUsize>,
    unverified: Arc<AtomicUsize>,
}

impl Calls {
    fn describe(&self) -> &'static str {
        let calls = |calls: &AtomicUsize| calls.load(Ordering::Relaxed);
        match (calls(&self.verified), calls(&self.unverified)) {
            (0, 0) => "never",
            (_, 0) => "called",
            _ => "**unverified**",
        }
    }
}

/// A careless handler that answers 200 to everything.
fn handler() -> (Calls, impl Fn(Request) -> Ready<()> + Clone + Send + Sync) {
    let calls = Calls::default();
    let seen = calls.clone();
    let handler = move |request: Request| {
        let is_verified = request
            .extensions()
            .get::<Notification>()
            .cloned()
            .is_some();
        let calls = if is_verified {
            &seen.verified
        } else {
            &seen.unverified
        };
        calls.fetch_add(1, Ordering::Relaxed);
        ready(())
    };
    (calls, handler)
}

async fn send<S>(app: &S, request: http::Request<Bytes>) -> (u16, String)
where
    S: Service<Request, Error = Infallible> + Clone,
    S::Response: IntoResponse,
{
    let request = request.map(axum::body::Body::from);
    let Ok(response) = app.clone().oneshot(request).await;
    read(response.into_response()).await
}

/// Observes the statuses of a handshake and of a delivery, what reached the handler,
/// and the setup warnings.
async fn observe<S>(
    app: S,
    path: &str,
    calls: &Calls,
) -> (u16, u16, &'static str, Vec<SetupWarning>)
where
    S: Service<Request, Error = Infallible> + Clone,
    S::Response: IntoResponse,
{
    take_warnings();
    let handshake = send(&app, get(&HANDSHAKE.replace("/webhook", path))).await;
    if handshake.0 == 200 {
        assert_eq!(handshake.1, CHALLENGE);
    }
    let delivery = send(&app, delivery_to(path)).await;
    (handshake.0, delivery.0, calls.describe(), take_warnings())
}

/// One row of the table: the same place without and with a `DedupLayer`.
macro_rules! row {
    ($name:literal, $path:literal, $webhook:expr, |$layer:ident, $handler:ident| $app:expr) => {{
        let (handshake, alone, reached, warnings) = {
            let $layer = ServiceBuilder::new().layer($webhook.host_body());
            let (calls, $handler) = handler();
            observe($app, $path, &calls).await
        };
        let (same_handshake, with_dedup, same_reached, same_warnings) = {
            let dedup = DedupLayer::new(MemoryStore::new()).host_body();
            let $layer = ServiceBuilder::new()
                .layer($webhook.host_body())
                .layer(dedup);
            let (calls, $handler) = handler();
            observe($app, $path, &calls).await
        };
        let name = $name;
        let same = (same_handshake, same_reached, same_warnings);
        let alone_too = (handshake, reached, warnings.clone());
        assert_eq!(alone_too, same, "{name}");
        let row = format!("| {name} | {handshake} | {alone} | {with_dedup} | {reached} |");
        println!("{row}");
        let is_documented = CHAPTER.lines().any(|line| {
            let reported = line
                .strip_prefix(&row)
                .map(|rest| rest.trim_matches([' ', '|']));
            match &warnings[..] {
                [] => reported.is_some_and(|cell| cell.is_empty() || cell.starts_with("not rep")),
                [warning] => reported == Some(&*format!("`{warning:?}`")),
                _ => false,
            }
        });
        let row = format!("{row} {warnings:?}");
        is_documented.then_some(()).ok_or(row)
    }};
}

fn assert_documented(rows: impl IntoIterator<Item = Result<(), String>>) {
    let missing: Vec<_> = rows.into_iter().filter_map(Result::err).collect();
    let missing = missing.join("\n");
    assert!(missing.is_empty(), "not in docs/hosts.md:\n{missing}");
}

async fn auth(_: Request, _: Next) -> StatusCode {
    StatusCode::UNAUTHORIZED
}

async fn login(_: Request, _: Next) -> Redirect {
    Redirect::to("/login")
}

async fn csrf(_: Request, _: Next) -> StatusCode {
    StatusCode::FORBIDDEN
}

#[tokio::test]
async fn around_routes_and_routers() {
    assert_documented([
        row!("`Router::layer`", "/webhook", layer(), |layer, handler| {
            Router::new().route("/webhook", post(handler)).layer(layer)
        }),
        row!(
            "`Router::layer(option_layer(…))`, with `host_body()`",
            "/webhook",
            layer(),
            |layer, handler| {
                let layer = option_layer(Some(layer));
                Router::new().route("/webhook", post(handler)).layer(layer)
            }
        ),
        row!(
            "`Router::route_layer`",
            "/webhook",
            layer(),
            |layer, handler| {
                let routes = Router::new().route("/webhook", post(handler));
                routes.route_layer(layer)
            }
        ),
        row!(
            "`post(handler).layer(…)` on the method router, with `any_path()`",
            "/webhook",
            any_path(),
            |layer, handler| Router::new().route("/webhook", post(handler).layer(layer))
        ),
        row!(
            "`MethodRouter::route_layer`",
            "/webhook",
            any_path(),
            |layer, handler| Router::new().route("/webhook", post(handler).route_layer(layer))
        ),
        row!(
            "`handler.layer(…)` on the handler",
            "/webhook",
            any_path(),
            |layer, handler| Router::new().route("/webhook", post(handler.layer(layer)))
        ),
        row!(
            "`any_path()` on a sub-router with `Router::layer`, then `merge`",
            "/webhook",
            any_path(),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler)).layer(layer);
                Router::new().merge(webhook)
            }
        ),
        row!(
            "on a router without the route",
            "/webhook",
            layer(),
            |layer, _handler| Router::<()>::new().layer(layer)
        ),
        row!(
            "before the route is added",
            "/webhook",
            layer(),
            |layer, handler| Router::new().layer(layer).route("/webhook", post(handler))
        ),
        row!(
            "before the router with the route is merged",
            "/webhook",
            layer(),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler));
                Router::new().layer(layer).merge(webhook)
            }
        ),
    ]);
}

#[tokio::test]
async fn where_the_path_is_rewritten() {
    assert_documented([
        row!(
            "inside of `nest`, with the whole path",
            "/api/webhook",
            at("/api/webhook"),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler)).layer(layer);
                Router::new().nest("/api", webhook)
            }
        ),
        row!(
            "inside of `nest`, with the rest of the path",
            "/api/webhook",
            layer(),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler)).layer(layer);
                Router::new().nest("/api", webhook)
            }
        ),
        row!(
            "`NormalizePath` as a `Router::layer` outside",
            "/webhook/",
            layer(),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler)).layer(layer);
                webhook.layer(NormalizePathLayer::trim_trailing_slash())
            }
        ),
        row!(
            "`NormalizePath` around the router",
            "/webhook/",
            layer(),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler)).layer(layer);
                NormalizePathLayer::trim_trailing_slash().layer(webhook)
            }
        ),
    ]);
}

/// Another layer, inside or outside, responds instead of the handler.
#[tokio::test]
async fn beside_layers_that_respond_themselves() {
    assert_documented([
        row!(
            "a fallback inside, and no route",
            "/webhook",
            layer(),
            |layer, _handler| {
                Router::<()>::new()
                    .fallback(async || "index.html")
                    .layer(layer)
            }
        ),
        row!(
            "a catch-all route `/{*path}` inside, and no route",
            "/webhook",
            layer(),
            |layer, _handler| {
                Router::<()>::new()
                    .route("/{*path}", any(async || "index.html"))
                    .layer(layer)
            }
        ),
        row!(
            "a maintenance page inside",
            "/webhook",
            layer(),
            |layer, handler| {
                async fn maintenance(_: Request, _: Next) -> &'static str {
                    "back soon"
                }
                let routes = Router::new().route("/webhook", post(handler));
                routes.layer(from_fn(maintenance)).layer(layer)
            }
        ),
        row!(
            "authentication inside",
            "/webhook",
            layer(),
            |layer, handler| {
                let routes = Router::new().route("/webhook", post(handler));
                routes.layer(from_fn(auth)).layer(layer)
            }
        ),
        row!(
            "a redirect to a login page inside",
            "/webhook",
            layer(),
            |layer, handler| {
                let routes = Router::new().route("/webhook", post(handler));
                routes.layer(from_fn(login)).layer(layer)
            }
        ),
        row!(
            "CSRF protection inside",
            "/webhook",
            layer(),
            |layer, handler| {
                let routes = Router::new().route("/webhook", post(handler));
                routes.layer(from_fn(csrf)).layer(layer)
            }
        ),
        row!(
            "authentication outside",
            "/webhook",
            layer(),
            |layer, handler| {
                let routes = Router::new().route("/webhook", post(handler));
                routes.layer(layer).layer(from_fn(auth))
            }
        ),
        row!(
            "`merge` after `route_layer(auth)`",
            "/webhook",
            layer(),
            |layer, handler| {
                let webhook = Router::new().route("/webhook", post(handler)).layer(layer);
                let pages = Router::new().route("/other", on_get(async || "other"));
                pages.route_layer(from_fn(auth)).merge(webhook)
            }
        ),
        row!(
            "`DefaultBodyLimit::max(100)` inside, and a handler that takes `Bytes`",
            "/webhook",
            layer(),
            |layer, _handler| {
                let routes = Router::new().route("/webhook", post(async |_: Bytes| ()));
                routes.layer(DefaultBodyLimit::max(100)).layer(layer)
            }
        ),
    ]);
}

/// The layer of the sub-router wraps its fallback, and `merge` keeps that fallback.
#[tokio::test]
async fn any_path_on_a_merged_router_takes_over_unknown_paths() {
    let pages = || Router::new().route("/other", on_get(async || "other"));
    let webhook = || Router::new().route("/webhook", post(async || ()));
    let anywhere = HANDSHAKE.replace("/webhook", "/unknown");

    let app = pages().merge(webhook().layer(any_path()));
    assert_eq!(send(&app, get("/unknown")).await.0, 403);
    let handshake = send(&app, get(&anywhere)).await;
    assert_eq!(handshake, (200, CHALLENGE.to_owned()));

    let on_route = Router::new().route("/webhook", post(async || ()).layer(any_path()));
    for webhook in [webhook().route_layer(any_path()), on_route] {
        let app = pages().merge(webhook);
        assert_eq!(send(&app, get("/unknown")).await.0, 404);
        assert_eq!(send(&app, get(&anywhere)).await.0, 404);
        assert_eq!(send(&app, get(HANDSHAKE)).await.0, 200);
        assert_eq!(send(&app, delivery()).await.0, 200);
    }
}

/// A fallback that answers 200 commits the events: the redelivery is suppressed.
#[tokio::test]
async fn a_fallback_inside_commits_the_events() {
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let app = Router::<()>::new().fallback(async || "index.html");
    let app = app.layer(dedup).layer(layer());
    for _ in 0..2 {
        assert_eq!(send(&app, delivery()).await.0, 200);
    }
    let counters = handle.counters();
    assert_eq!((counters.delivered, counters.suppressed), (1, 1));
}

/// Layers without labels share their keys, so the second app misses events that both receive.
#[tokio::test]
async fn two_apps_over_one_dedup_layer_need_labels() {
    let (paths, other) = (["/one", "/two"], "the secret of another app");
    let deliveries = || {
        let secrets = [SECRET, other];
        let both = paths.into_iter().zip(secrets);
        both.map(|(path, secret)| tower_whatsapp::testing::delivery(path, BODY, secret))
    };
    let routes = || {
        let read = post(async |_: Notification| ());
        Router::new()
            .route("/one", read.clone())
            .route("/two", read)
    };

    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let unlabelled = signed_with(other, "/two");
    let app = routes().layer(dedup).layer(at("/one")).layer(unlabelled);
    for delivery in deliveries() {
        assert_eq!(send(&app, delivery).await.0, 200);
    }
    let counters = handle.counters();
    assert_eq!((counters.delivered, counters.suppressed), (1, 1));
    assert_eq!(take_warnings(), [SetupWarning::LabelShared]);

    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let labelled = |label, secret| {
        let credentials = Credentials::new([("1", secret)], [("1", "token")]).unwrap();
        App::new(label, credentials).unwrap()
    };
    let layer = WebhookLayer::builder()
        .route("/one", labelled("one", SECRET))
        .route("/two", labelled("two", other))
        .build()
        .unwrap();
    let app = routes().layer(dedup).layer(layer);
    for delivery in deliveries() {
        assert_eq!(send(&app, delivery).await.0, 200);
    }
    let counters = handle.counters();
    assert_eq!((counters.delivered, counters.suppressed), (2, 0));
}
