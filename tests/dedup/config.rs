//! Wrong and contradictory settings, and valid ones at the limit.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tower::{Layer, Service, service_fn};
use tower_whatsapp::dedup::{ConfigError, DedupLayer, DedupLayerBuilder, MemoryStore, OnStale};

const NANO: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);

type Builder = DedupLayerBuilder<MemoryStore>;

#[track_caller]
fn check(configure: impl FnOnce(Builder) -> Builder, expected: Option<ConfigError>) {
    let built = configure(DedupLayer::builder(MemoryStore::new())).build();
    assert_eq!(built.err(), expected);
}

#[test]
fn the_defaults_are_good() {
    check(|builder| builder, None);
    drop(DedupLayer::new(MemoryStore::new()));
}

#[test]
fn store_timeout() {
    let wrong = Some(ConfigError::StoreTimeout);
    check(|builder| builder.store_timeout(Duration::ZERO), wrong);
    check(|builder| builder.store_timeout(NANO), None);
}

#[test]
fn handler_deadline() {
    let wrong = Some(ConfigError::HandlerDeadline);
    check(|builder| builder.handler_deadline(Duration::ZERO), wrong);
    check(|builder| builder.handler_deadline(SECOND / 4), wrong);
    check(|builder| builder.handler_deadline(SECOND / 4 + NANO), None);
    check(|builder| builder.handler_deadline(Duration::MAX), None);
    check(|builder| builder.handler_deadline(None), None);
}

#[test]
fn lease() {
    let wrong = Some(ConfigError::Lease);
    check(|builder| builder.lease(SECOND - NANO), wrong);
    check(|builder| builder.lease(SECOND), None);
    check(|builder| builder.lease(3600 * SECOND), None);
    check(|builder| builder.lease(3600 * SECOND + NANO), wrong);
    check(|builder| builder.lease(Duration::ZERO), wrong);
    check(|builder| builder.store_timeout(8 * SECOND), wrong);
    let quick = |builder: Builder| builder.store_timeout(NANO);
    check(|builder| quick(builder).lease(SECOND - NANO), wrong);
    check(|builder| quick(builder).lease(SECOND), None);
}

#[test]
fn response_deadline() {
    let wrong = Some(ConfigError::ResponseDeadline);
    let at = |response| {
        move |builder: Builder| {
            builder
                .in_flight_wait(Duration::ZERO)
                .response_deadline(response)
        }
    };
    check(at(SECOND / 4), wrong);
    check(at(SECOND / 4 + NANO), None);
    check(at(Duration::ZERO), wrong);
}

#[test]
fn in_flight_wait() {
    let longest = 5 * SECOND - SECOND / 4;
    let wrong = Some(ConfigError::InFlightWait);
    check(|builder| builder.in_flight_wait(longest + NANO), wrong);
    check(|builder| builder.in_flight_wait(longest), None);
    check(|builder| builder.in_flight_wait(Duration::ZERO), None);
    check(|builder| builder.in_flight_wait(Duration::MAX), wrong);
    check(|builder| builder.in_flight_waiters(0), None);
    check(|builder| builder.in_flight_waiters(usize::MAX), None);
}

#[test]
fn windows() {
    check(
        |builder| builder.window(30 * SECOND - NANO),
        Some(ConfigError::Window),
    );
    check(|builder| builder.window(30 * SECOND), None);
    let wrong = Some(ConfigError::StatusWindow);
    check(|builder| builder.status_window(30 * SECOND - NANO), wrong);
    check(|builder| builder.status_window(30 * SECOND), None);
    check(|builder| builder.status_window(None), None);
    // Defaults to the window, so the error names the window.
    check(
        |builder| builder.window(Duration::ZERO),
        Some(ConfigError::Window),
    );
}

/// Rejecting stale events is only valid for events that Meta no longer retries.
#[test]
fn on_stale() {
    const LONG_ENOUGH: Duration = Duration::from_secs((7 * 24 * 60 + 10) * 60);
    let wrong = Some(ConfigError::OnStale);
    let refuse = |builder: Builder| builder.on_stale(OnStale::Refuse);
    check(refuse, None);
    check(|builder| refuse(builder).window(LONG_ENOUGH), None);
    check(|builder| refuse(builder).window(LONG_ENOUGH - NANO), wrong);
    check(|builder| refuse(builder).status_window(LONG_ENOUGH), None);
    check(
        |builder| refuse(builder).status_window(LONG_ENOUGH - NANO),
        wrong,
    );
    check(|builder| refuse(builder).status_window(None), None);
    check(|builder| builder.status_window(LONG_ENOUGH - NANO), None);
}

/// Each error names its setting.
#[test]
fn words() {
    for (error, setting) in [
        (ConfigError::StoreTimeout, "store_timeout"),
        (ConfigError::HandlerDeadline, "handler_deadline"),
        (ConfigError::Lease, "lease"),
        (ConfigError::ResponseDeadline, "response_deadline"),
        (ConfigError::InFlightWait, "in_flight_wait"),
        (ConfigError::Window, "window"),
        (ConfigError::StatusWindow, "status_window"),
        (ConfigError::OnStale, "on_stale"),
    ] {
        assert!(
            error.to_string().starts_with(&format!("`{setting}`: ")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_shown() {
    let layer = DedupLayer::new(MemoryStore::new());
    let shown = format!("{:?}", layer.handle());
    let expected = "DedupHandle(Counters { running: 0, delivered: 0, suppressed: 0, ";
    assert!(shown.starts_with(expected), "{shown}");
    let host = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let mut service = layer.layer(host);
    assert!(format!("{service:?}").starts_with("Dedup { inner: "));
    let future = service.call(Request::new(()));
    assert_eq!(format!("{future:?}"), "ResponseFuture { .. }");
}
