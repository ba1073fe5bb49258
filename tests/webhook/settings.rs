//! The smallest and the largest value of every setting that is a time or a number.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use test_support::{SECRET, TOKEN, builder};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    App, Credentials, WebhookLayer,
    dedup::{DedupLayer, DedupLayerBuilder, MemoryStore},
    testing::{Simulator, delivery, sample},
    webhook::{
        AppBuilder, AppResolver, CachedResolver, CachedResolverBuilder, RequestBody, ResolveError,
    },
};

const MAX: Duration = Duration::MAX;
const ZERO: Duration = Duration::ZERO;
const NANO: Duration = Duration::from_nanos(1);

/// The files with the settings.
const SOURCES: [&str; 5] = [
    include_str!("../../src/webhook/builder.rs"),
    include_str!("../../src/webhook/app.rs"),
    include_str!("../../src/webhook/resolver/builder.rs"),
    include_str!("../../src/dedup/builder.rs"),
    include_str!("../../src/testing/simulator/mod.rs"),
];

type Dedup = DedupLayer<MemoryStore>;
type Built = Result<(WebhookLayer, Dedup), String>;

fn of_layer(configure: impl FnOnce(Builder) -> Builder) -> Built {
    let webhook = configure(builder()).build();
    let webhook = webhook.map_err(|error| error.to_string())?;
    Ok((webhook, DedupLayer::new(MemoryStore::new())))
}

type Builder = tower_whatsapp::WebhookLayerBuilder;

fn credentials() -> Credentials {
    Credentials::new([("1", SECRET)], [("1", TOKEN)]).unwrap()
}

fn of_app(configure: impl FnOnce(AppBuilder) -> AppBuilder) -> Built {
    let app = configure(App::builder("shop", credentials())).build();
    let app = app.map_err(|error| error.to_string())?;
    of_layer(|_| WebhookLayer::builder().route("/wh", app))
}

struct Anyone;

impl AppResolver for Anyone {
    async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
        // Not ready at once, so that timers are registered.
        tokio::task::yield_now().await;
        Ok(Some(App::new(name, credentials()).unwrap()))
    }
}

fn of_resolver(configure: impl FnOnce(CachedResolverBuilder) -> CachedResolverBuilder) -> Built {
    let resolver = configure(CachedResolver::builder(Anyone)).build();
    let resolver = resolver.map_err(|error| error.to_string())?;
    of_layer(|_| WebhookLayer::builder().app_resolver("/{app}", resolver))
}

fn of_dedup(
    configure: impl FnOnce(DedupLayerBuilder<MemoryStore>) -> DedupLayerBuilder<MemoryStore>,
) -> Built {
    let dedup = configure(DedupLayer::builder(MemoryStore::new())).build();
    let dedup = dedup.map_err(|error| error.to_string())?;
    Ok((builder().build().unwrap(), dedup))
}

/// The builds with the least and the most.
type Extremes = [fn() -> Built; 2];

/// And whether each is accepted. The others are refused by name.
const SETTINGS: [(&str, Extremes, [bool; 2]); 22] = [
    (
        "body_limit",
        [
            || of_layer(|layer| layer.body_limit(0)),
            || of_layer(|layer| layer.body_limit(usize::MAX)),
        ],
        [false, false],
    ),
    (
        "body_deadline",
        [
            || of_layer(|layer| layer.body_deadline(ZERO)),
            || of_layer(|layer| layer.body_deadline(MAX)),
        ],
        [false, true],
    ),
    (
        "body_idle_timeout",
        [
            || of_layer(|layer| layer.body_idle_timeout(ZERO)),
            || of_layer(|layer| layer.body_idle_timeout(MAX)),
        ],
        [false, true],
    ),
    (
        "memory_budget",
        [
            || of_layer(|layer| layer.memory_budget(0)),
            || of_layer(|layer| layer.memory_budget(usize::MAX)),
        ],
        [false, true],
    ),
    (
        "body_limit",
        [
            || of_app(|app| app.body_limit(0)),
            || of_app(|app| app.body_limit(usize::MAX)),
        ],
        [false, false],
    ),
    (
        "body_deadline",
        [
            || of_app(|app| app.body_deadline(ZERO)),
            || of_app(|app| app.body_deadline(MAX)),
        ],
        [false, true],
    ),
    (
        "body_idle_timeout",
        [
            || of_app(|app| app.body_idle_timeout(ZERO)),
            || of_app(|app| app.body_idle_timeout(MAX)),
        ],
        [false, true],
    ),
    (
        "time_to_live",
        [
            || of_resolver(|resolver| resolver.time_to_live(ZERO)),
            || of_resolver(|resolver| resolver.time_to_live(MAX)),
        ],
        [false, true],
    ),
    (
        "unknown_time_to_live",
        [
            || of_resolver(|resolver| resolver.unknown_time_to_live(ZERO)),
            || of_resolver(|resolver| resolver.unknown_time_to_live(MAX)),
        ],
        [false, true],
    ),
    (
        "capacity",
        [
            || of_resolver(|resolver| resolver.capacity(0)),
            || of_resolver(|resolver| resolver.capacity(usize::MAX)),
        ],
        [false, true],
    ),
    (
        "unknown_capacity",
        [
            || of_resolver(|resolver| resolver.unknown_capacity(0)),
            || of_resolver(|resolver| resolver.unknown_capacity(usize::MAX)),
        ],
        [false, true],
    ),
    (
        "lookups_per_second",
        [
            || of_resolver(|resolver| resolver.lookups_per_second(0)),
            || of_resolver(|resolver| resolver.lookups_per_second(u32::MAX)),
        ],
        [false, true],
    ),
    (
        "lookup_timeout",
        [
            || of_resolver(|resolver| resolver.lookup_timeout(ZERO)),
            || of_resolver(|resolver| resolver.lookup_timeout(MAX)),
        ],
        [false, true],
    ),
    (
        "window",
        [
            || of_dedup(|dedup| dedup.window(ZERO)),
            || of_dedup(|dedup| dedup.window(MAX)),
        ],
        [false, true],
    ),
    (
        "status_window",
        [
            || of_dedup(|dedup| dedup.status_window(ZERO)),
            || of_dedup(|dedup| dedup.status_window(MAX)),
        ],
        [false, true],
    ),
    (
        "lease",
        [
            || of_dedup(|dedup| dedup.lease(ZERO)),
            || of_dedup(|dedup| dedup.lease(MAX)),
        ],
        [false, false],
    ),
    (
        "handler_deadline",
        [
            || of_dedup(|dedup| dedup.handler_deadline(ZERO)),
            || of_dedup(|dedup| dedup.handler_deadline(MAX)),
        ],
        [false, true],
    ),
    (
        "response_deadline",
        [
            || of_dedup(|dedup| dedup.response_deadline(ZERO)),
            || of_dedup(|dedup| dedup.response_deadline(MAX)),
        ],
        [false, true],
    ),
    (
        "in_flight_wait",
        [
            || of_dedup(|dedup| dedup.in_flight_wait(ZERO)),
            || of_dedup(|dedup| dedup.in_flight_wait(MAX).response_deadline(MAX)),
        ],
        [true, true],
    ),
    (
        "in_flight_waiters",
        [
            || of_dedup(|dedup| dedup.in_flight_waiters(0)),
            || of_dedup(|dedup| dedup.in_flight_waiters(usize::MAX)),
        ],
        [true, true],
    ),
    (
        "store_timeout",
        [
            || of_dedup(|dedup| dedup.store_timeout(ZERO)),
            || of_dedup(|dedup| dedup.store_timeout(MAX)),
        ],
        [false, false],
    ),
    (
        "store_timeout",
        [
            || of_dedup(|dedup| dedup.store_timeout(NANO)),
            || {
                of_dedup(|dedup| {
                    dedup
                        .store_timeout(Duration::from_secs(900))
                        .lease(Duration::from_secs(3600))
                        .handler_deadline(None)
                        .response_deadline(MAX)
                })
            },
        ],
        [true, true],
    ),
];

type OfSimulator = fn(Simulator) -> Simulator;

const OF_SIMULATOR: [(&str, [OfSimulator; 2]); 8] = [
    ("seed", [|run| run.seed(0), |run| run.seed(u64::MAX)]),
    ("events", [|run| run.events(0), |run| run.events(1)]),
    (
        "timestamp",
        [|run| run.timestamp(0), |run| run.timestamp(u64::MAX)],
    ),
    (
        "concurrency",
        [|run| run.concurrency(0), |run| run.concurrency(usize::MAX)],
    ),
    (
        "max_batch_size",
        [
            |run| run.max_batch_size(0),
            |run| run.max_batch_size(usize::MAX),
        ],
    ),
    (
        "response_timeout",
        [
            |run| run.response_timeout(ZERO),
            |run| run.response_timeout(MAX),
        ],
    ),
    (
        "retry_delays",
        [
            |run| run.retry_delays([ZERO]),
            |run| run.retry_delays([MAX]),
        ],
    ),
    (
        "max_event_age",
        [|run| run.max_event_age(ZERO), |run| run.max_event_age(MAX)],
    ),
];

/// Names of the settings in a source that are a time or a number.
fn settings(source: &str) -> impl Iterator<Item = &str> {
    let methods = source.split("pub fn ").skip(1);
    methods.filter_map(|method| {
        let (name, arguments) = method.split_once("(mut self, ")?;
        let arguments = arguments.split_once(") ->")?.0;
        let types = ["Duration", ": usize", ": u32", ": u64"];
        let is_meant = types.iter().any(|name| arguments.contains(name));
        (is_meant && !name.contains(char::is_whitespace)).then_some(name)
    })
}

#[test]
fn no_setting_is_left_out() {
    let simulated = OF_SIMULATOR.iter().map(|(name, _)| *name);
    let tested: Vec<_> = (SETTINGS.iter().map(|(name, ..)| *name).chain(simulated)).collect();
    let all: Vec<_> = SOURCES.iter().flat_map(|source| settings(source)).collect();
    assert!(all.len() > 25, "{all:?}");
    for name in all {
        assert!(tested.contains(&name), "{name} is not tested");
    }
}

#[tokio::test(start_paused = true)]
async fn every_setting_works_at_its_extremes_or_is_refused_by_name() {
    for (name, extremes, accepted) in SETTINGS {
        for (at, which) in ["least", "most"].into_iter().enumerate() {
            let built = extremes[at]();
            assert_eq!(built.is_ok(), accepted[at], "{which} {name}");
            let (webhook, dedup) = match built {
                Ok(built) => built,
                Err(error) => {
                    assert!(error.contains(&format!("`{name}`")), "{name}: {error}");
                    continue;
                }
            };
            let handle = dedup.handle();
            let handler = service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
                // Not ready at once, so that timers are registered.
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            });
            let service = webhook.layer(dedup.layer(handler));
            let status = async || {
                let request = delivery("/wh", sample::text("a").body(), SECRET);
                let response = service.clone().oneshot(request.map(Full::new)).await;
                response.unwrap().status()
            };
            for _ in 0..2 {
                assert_eq!(status().await, StatusCode::OK, "{which} {name}");
            }
            let counters = handle.counters();
            assert_eq!(counters.delivered, 1, "{which} {name}");
            handle
                .drain(if which == "least" { ZERO } else { MAX })
                .await;
            assert_eq!(handle.counters().unrecorded, 0, "{which} {name}");
        }
    }
}

/// Each run ends.
#[tokio::test(start_paused = true)]
async fn a_simulator_works_at_the_extremes_of_its_settings() {
    for (name, extremes) in OF_SIMULATOR {
        for (which, configure) in ["least", "most"].into_iter().zip(extremes) {
            let attempts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let service = service_fn(move |_: Request<Full<Bytes>>| {
                // Every second one is to be sent again.
                let attempt = attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let code = if attempt.is_multiple_of(2) { 503 } else { 200 };
                async move {
                    let mut response = Response::new(Full::<Bytes>::default());
                    *response.status_mut() = StatusCode::from_u16(code).unwrap();
                    Ok::<_, Infallible>(response)
                }
            });
            let run = configure(Simulator::new(SECRET).events(5));
            let report = run.run(service, Full::new).await;
            let expected = if (name, which) == ("events", "least") {
                0
            } else {
                1
            };
            assert!(report.deliveries().len() >= expected, "{which} {name}");
        }
    }
}
