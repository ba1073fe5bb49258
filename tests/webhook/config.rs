//! Settings: each error names its setting, each limit is tested at its edge, and the
//! rejection hook.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    ConfigError, Credentials, CredentialsError, Rejection, RejectionKind, WebhookLayer,
    WebhookLayerBuilder,
    webhook::{RequestBody, ResponseBody},
};

use test_support::{SECRET, Script, TOKEN, builder, handshake};

const MIB: usize = 1024 * 1024;

/// The error must name its setting, and have no source.
#[track_caller]
fn refused(builder: WebhookLayerBuilder, error: ConfigError, setting: &str) {
    assert_eq!(builder.build().unwrap_err(), error);
    // What a `main` prints that returns the error.
    assert_eq!(format!("{error:?}"), format!("ConfigError({error})"));
    assert!(
        error.to_string().contains(&format!("`{setting}`")),
        "{error}"
    );
}

fn without_path() -> WebhookLayerBuilder {
    WebhookLayer::builder()
        .app_secret(SECRET)
        .verify_token(TOKEN)
}

#[test]
fn paths() {
    refused(without_path(), ConfigError::PathMissing, "path");
    refused(builder().path("/b"), ConfigError::PathConflict, "path");
    refused(builder().path("/wh"), ConfigError::PathConflict, "path");
    refused(builder().any_path(), ConfigError::PathConflict, "path");
    refused(
        without_path().any_path().any_path(),
        ConfigError::PathConflict,
        "path",
    );
    for path in [
        "",
        "wh",
        "/wh?a",
        "/wh?",
        "/wh#a",
        "/a b",
        "/\n",
        "http://h/wh",
        "/\0",
        "/é",
        "/a\\b",
    ] {
        refused(without_path().path(path), ConfigError::PathInvalid, "path");
    }
    for path in [
        "/{id}",
        "/wh/{*rest}",
        "/wh/{app}",
        "/}",
        "{",
        "*",
        "/hooks/*",
        "/:id/wh",
        "/wh/:id",
    ] {
        refused(without_path().path(path), ConfigError::PathPattern, "path");
    }
    let braces = ConfigError::PathPattern.to_string();
    assert!(braces.contains(".app_resolver("), "{braces}");
    for path in ["/a+b", "/+", "/wh+"] {
        refused(without_path().path(path), ConfigError::PathPlus, "path");
    }
    let plus = ConfigError::PathPlus.to_string();
    assert!(plus.contains("space"), "{plus}");
    for path in [
        "/", "/wh", "/wh/", "//wh", "/a/b;c=1", "/a:b", "/%77h", "/a%2Bb",
    ] {
        assert!(without_path().path(path).build().is_ok(), "{path}");
    }
    assert!(without_path().any_path().build().is_ok());
}

#[test]
fn secrets() {
    let without = || WebhookLayer::builder().path("/wh").verify_token(TOKEN);
    refused(without(), ConfigError::AppSecretMissing, "app_secret");
    for blank in ["", " ", "\t\n"] {
        refused(
            without().app_secret(blank),
            ConfigError::AppSecretBlank,
            "app_secret",
        );
        refused(
            builder().app_secret(blank),
            ConfigError::AppSecretBlank,
            "app_secret",
        );
    }
    for quoted in ["\"x\"", "'x'"] {
        let secret = without().app_secret(quoted);
        refused(secret, ConfigError::AppSecretQuoted, "app_secret");
        let token = builder().verify_token(quoted);
        refused(token, ConfigError::VerifyTokenQuoted, "verify_token");
    }
    let many = (0..16).fold(builder(), |builder, _| builder.app_secret("x"));
    refused(many, ConfigError::AppSecretsTooMany, "app_secret");
    for spaced in ["x\n", "x\r\n", " x", "\u{feff}x"] {
        let error = ConfigError::AppSecretWhitespace;
        refused(without().app_secret(spaced), error, "app_secret");
        refused(builder().app_secret(spaced), error, "app_secret");
        assert_eq!(WebhookLayer::new("/wh", spaced, TOKEN).unwrap_err(), error);
        assert!(error.to_string().contains("newline"));
    }
    assert!(without().app_secret("x").build().is_ok());
}

/// The second would replace the first, and a delivery may be signed with either.
#[test]
fn credentials_are_set_once() {
    let credentials = || Credentials::new([("1", SECRET)], [("1", TOKEN)]).unwrap();
    let once = || {
        let builder = WebhookLayer::builder().path("/wh");
        builder.credentials(credentials())
    };
    assert!(once().build().is_ok());
    for twice in [
        once().credentials(credentials()),
        once().app_secret(SECRET),
        once().verify_token(TOKEN),
    ] {
        refused(twice, ConfigError::CredentialsConflict, "credentials");
    }
}

#[test]
fn tokens() {
    let without = || WebhookLayer::builder().path("/wh").app_secret(SECRET);
    refused(without(), ConfigError::VerifyTokenMissing, "verify_token");
    for blank in ["", " ", "\t\n"] {
        refused(
            without().verify_token(blank),
            ConfigError::VerifyTokenBlank,
            "verify_token",
        );
        refused(
            builder().verify_token(blank),
            ConfigError::VerifyTokenBlank,
            "verify_token",
        );
    }
    for spaced in ["x\n", "x\r\n", " x", "\u{feff}x"] {
        let error = ConfigError::VerifyTokenWhitespace;
        refused(without().verify_token(spaced), error, "verify_token");
        refused(builder().verify_token(spaced), error, "verify_token");
        assert_eq!(WebhookLayer::new("/wh", SECRET, spaced).unwrap_err(), error);
        assert!(error.to_string().contains("newline"));
    }
    let long = without().verify_token("x".repeat(513));
    refused(long, ConfigError::VerifyTokenTooLong, "verify_token");
    assert!(without().verify_token("x".repeat(512)).build().is_ok());
    assert!(without().verify_token("x").build().is_ok());
}

/// The longest token, with all its bytes percent-encoded, must fit in the query of a handshake.
#[tokio::test]
async fn the_length_of_a_token_is_that_of_its_bytes() {
    let longest = "ä".repeat(256);
    let too_long = "ä".repeat(257);
    let with_token = |token: &str| {
        let builder = WebhookLayer::builder().path("/wh").app_secret(SECRET);
        builder.verify_token(token)
    };
    let error = ConfigError::VerifyTokenTooLong;
    refused(with_token(&too_long), error, "verify_token");
    refused(builder().verify_token(&too_long), error, "verify_token");

    let create = |token: &str| Credentials::new([("1", SECRET)], [("1", token)]);
    let error = CredentialsError::TokenTooLong;
    assert_eq!(create(&too_long).unwrap_err(), error);
    let credentials = create(&longest).unwrap();
    assert_eq!(credentials.add_token("2", &too_long), Err(error));
    assert_eq!(credentials.replace_tokens([("2", &too_long)]), Err(error));
    assert_eq!(credentials.add_token("2", &longest), Ok(()));

    let encoded: String = longest.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let host = service_fn(async |_: Request<RequestBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Script::new([])))
    });
    let request = Request::get(handshake(&encoded, "1")).body(Script::new([]));
    let layer = with_token(&longest).build().unwrap();
    let response = layer.layer(host).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn sizes() {
    refused(
        builder().body_limit(0),
        ConfigError::BodyLimit,
        "body_limit",
    );
    let most = usize::try_from(u32::MAX).unwrap();
    let with_room = |limit| builder().body_limit(limit).memory_budget(2 * most);
    refused(with_room(most + 1), ConfigError::BodyLimit, "body_limit");
    assert!(with_room(most).build().is_ok());
    assert!(builder().body_limit(1).build().is_ok());

    refused(
        builder().memory_budget(0),
        ConfigError::MemoryBudget,
        "memory_budget",
    );
    // A body may use three quarters of the budget and 16 KiB.
    let limit = 3 * MIB + 16 * 1024;
    let budget = |bytes| builder().body_limit(limit).memory_budget(bytes);
    refused(
        budget(4 * MIB - 4),
        ConfigError::MemoryBudget,
        "memory_budget",
    );
    let layer = budget(4 * MIB).build().unwrap();
    assert_eq!(layer.available_memory(), 4 * MIB);
    assert_eq!(builder().build().unwrap().available_memory(), 64 * MIB);
}

#[cfg(feature = "tokio")]
#[test]
fn times() {
    use std::time::Duration;

    let zero = builder().body_deadline(Duration::ZERO);
    refused(zero, ConfigError::BodyDeadline, "body_deadline");
    let zero = builder().body_idle_timeout(Duration::ZERO);
    refused(zero, ConfigError::BodyIdleTimeout, "body_idle_timeout");
    for time in [Duration::from_nanos(1), Duration::MAX] {
        assert!(
            builder()
                .body_deadline(time)
                .body_idle_timeout(time)
                .build()
                .is_ok()
        );
    }
}

/// A duration beyond the range of the clock must not panic.
#[cfg(feature = "tokio")]
#[tokio::test]
async fn the_longest_times_work() {
    use std::time::Duration;

    let layer = builder()
        .body_deadline(Duration::MAX)
        .body_idle_timeout(Duration::MAX)
        .build()
        .unwrap();
    let response = answer(
        layer,
        "POST",
        vec![test_support::Step::Pending, test_support::Step::data("x")],
    )
    .await;
    assert_eq!(response.status(), 403);
}

#[test]
fn debug_shows_no_secret() {
    let layer = builder().app_secret("canary of old").build().unwrap();
    let shown = format!(
        "{:?} {layer:?} {:#?} {:?}",
        builder(),
        builder(),
        layer.layer(())
    );
    for canary in [SECRET, TOKEN, "canary of old"] {
        assert!(!shown.contains(canary), "{shown}");
        assert!(
            !shown.contains(&format!("{:?}", canary.as_bytes())),
            "{shown}"
        );
    }
    assert!(shown.contains("/wh"));
}

async fn answer(
    layer: WebhookLayer,
    method: &str,
    steps: Vec<test_support::Step>,
) -> Response<ResponseBody<Script>> {
    let host = service_fn(
        async |_: Request<RequestBody<Script>>| -> Result<_, Infallible> {
            panic!("the host was called")
        },
    );
    let request = Request::builder()
        .method(method)
        .uri("/wh")
        .header("x-hub-signature-256", test_support::sign(SECRET, "another"))
        .body(Script::new(steps))
        .unwrap();
    layer.layer(host).oneshot(request).await.unwrap()
}

fn hooked(
    hook: impl Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
) -> (WebhookLayer, Arc<Mutex<Vec<RejectionKind>>>) {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let log = Arc::clone(&seen);
    let layer = builder()
        .on_rejection(move |rejection| {
            log.lock().unwrap().push(rejection.kind());
            hook(rejection)
        })
        .build()
        .unwrap();
    (layer, seen)
}

/// Only 4xx and 5xx are kept: after a 2xx Meta would not send the delivery again, and the others
/// are no answer to a POST.
#[tokio::test]
async fn a_hook_cannot_make_a_refusal_anything_but_an_error() {
    for status in [
        100, 101, 200, 201, 204, 299, 301, 304, 399, 400, 499, 500, 599, 600, 999,
    ] {
        let hook = move |_: &Rejection| with_status(status);
        let (layer, seen) = hooked(hook);
        let response = answer(layer, "POST", vec![]).await;
        let expected = if (400..600).contains(&status) {
            status
        } else {
            403
        };
        assert_eq!(response.status(), expected, "{status}");
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::SignatureMismatch);
        assert_eq!(*seen.lock().unwrap(), [RejectionKind::SignatureMismatch]);
    }
}

fn with_status(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[tokio::test]
async fn a_hook_dresses_an_answer_and_what_is_needed_is_added() {
    let (layer, seen) = hooked(|rejection| {
        let mut response = with_status(404);
        response
            .headers_mut()
            .insert("x-reason", HeaderValue::from_static("of mine"));
        *response.body_mut() = Bytes::from(rejection.to_string());
        response
    });
    let response = answer(layer, "PUT", vec![]).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()[header::ALLOW], "GET, POST");
    assert_eq!(response.headers()["x-reason"], "of mine");
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().kind(),
        RejectionKind::MethodNotAllowed
    );
    assert_eq!(*seen.lock().unwrap(), [RejectionKind::MethodNotAllowed]);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "only GET and POST are allowed");
}

#[tokio::test]
async fn a_hook_that_panics_is_replaced_by_the_default_answer() {
    let (layer, seen) = hooked(|_| panic!("a bug of the host"));
    for _ in 0..2 {
        let response = answer(layer.clone(), "PUT", vec![]).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, POST");
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::MethodNotAllowed);
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_header_of_the_hook_is_kept() {
    let (layer, _) = hooked(|rejection| {
        let mut response = rejection.to_response();
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        response
    });
    let response = answer(layer, "PUT", vec![]).await;
    let allow: Vec<_> = response.headers().get_all(header::ALLOW).iter().collect();
    assert_eq!(allow, ["POST"]);
}

/// Two concurrent bodies in a budget for one.
#[tokio::test]
async fn retry_after_is_added_to_the_answer_of_a_hook() {
    let layer = builder()
        .body_limit(100_000)
        .memory_budget(120_000)
        .on_rejection(|rejection| with_status(rejection.status().as_u16()))
        .build()
        .unwrap();
    let large = || test_support::Step::data(vec![b' '; 90_000]);
    let first = answer(
        layer.clone(),
        "POST",
        vec![large(), test_support::Step::Stall],
    );
    let mut first = Box::pin(first);
    // One poll per hashed 64 KiB, and one for the end of the received data.
    for _ in 0..3 {
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    }
    // A faster body displaces the stalled one.
    let second = vec![large(), test_support::Step::data(vec![b' '])];
    assert_eq!(answer(layer, "POST", second).await.status(), 403);
    let response = first.await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
}
