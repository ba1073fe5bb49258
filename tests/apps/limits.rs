//! Limits per app.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use test_support::{Script, Step, sign};
use tower_whatsapp::{App, RejectionKind, WebhookLayer};

use super::{
    resolvers::Tenants,
    subject::{Outcome, app, credentials, delivered, delivery_of, secret, send},
};

fn body(len: usize) -> String {
    let frame = r#"{"entry":[]}"#;
    format!("{frame}{}", " ".repeat(len - frame.len()))
}

const TOO_LARGE: Outcome =
    Outcome::Refused(StatusCode::PAYLOAD_TOO_LARGE, RejectionKind::BodyTooLarge);

#[tokio::test]
async fn body_limits() {
    let limited = |label: &str, limit| {
        App::builder(label, credentials(label))
            .body_limit(limit)
            .build()
            .unwrap()
    };
    let tenants = Tenants::default();
    tenants.add(limited("small", 1000));
    tenants.add(limited("large", 3000));
    tenants.add(limited("beyond", usize::try_from(u32::MAX).unwrap()));
    tenants.add(app("plain"));
    let layer = WebhookLayer::builder()
        .body_limit(2000)
        .memory_budget(16 * 1024)
        .app_resolver("/{app}", tenants)
        .build()
        .unwrap();
    // Three quarters of the budget and the reserved 4 KiB: larger bodies have no
    // room, whatever the app's limit.
    for (label, limit) in [
        ("small", 1000),
        ("plain", 2000),
        ("large", 3000),
        ("beyond", 16 * 1024),
    ] {
        let path = format!("/{label}");
        let most = send(&layer, delivery_of(&path, label, body(limit))).await;
        assert_eq!(most, delivered(label));
        assert_eq!(
            send(&layer, delivery_of(&path, label, body(limit + 1))).await,
            TOO_LARGE,
            "{label}"
        );
        let more = Request::post(&path)
            .header("x-hub-signature-256", sign(secret(label), "x"))
            .header("content-length", limit + 1)
            .body(Script::new([Step::Fail]))
            .unwrap();
        assert_eq!(send(&layer, more).await, TOO_LARGE, "{label}");
    }
    assert_eq!(layer.available_memory(), 16 * 1024);
}

/// A body in three parts, with a pause before the second and the third.
fn dripping(path: &str, pause: Duration) -> Request<Script> {
    let label = &path[1..];
    let text = body(20);
    let (first, rest) = text.split_at(10);
    let (second, third) = rest.split_at(5);
    let parts =
        [first, second, third].map(|part| Step::data(Bytes::copy_from_slice(part.as_bytes())));
    let [first, second, third] = parts;
    Request::post(path)
        .header("x-hub-signature-256", sign(secret(label), &text))
        .body(Script::new([
            first,
            Step::Wait(pause),
            second,
            Step::Wait(pause),
            third,
        ]))
        .unwrap()
}

fn late(kind: RejectionKind) -> Outcome {
    Outcome::Refused(StatusCode::REQUEST_TIMEOUT, kind)
}

#[tokio::test(start_paused = true)]
async fn deadlines() {
    let second = Duration::from_secs(1);
    let hasty = App::builder("hasty", credentials("hasty"))
        .body_deadline(2 * second)
        .body_idle_timeout(second)
        .build()
        .unwrap();
    let layer = WebhookLayer::builder()
        .route("/hasty", hasty)
        .route("/plain", app("plain"))
        .build()
        .unwrap();
    assert_eq!(
        send(&layer, dripping("/hasty", 9 * second / 10)).await,
        delivered("hasty")
    );
    assert_eq!(
        send(&layer, dripping("/hasty", 11 * second / 10)).await,
        late(RejectionKind::BodyIdle)
    );
    assert_eq!(
        send(&layer, dripping("/plain", 49 * second / 10)).await,
        delivered("plain")
    );
    assert_eq!(
        send(&layer, dripping("/plain", 51 * second / 10)).await,
        late(RejectionKind::BodyIdle)
    );
}

/// An app may wait longer than the layer. What it does not set is the layer's.
#[tokio::test(start_paused = true)]
async fn longer_times_than_those_of_the_layer() {
    use RejectionKind::{BodyDeadline, BodyIdle};

    let seconds = Duration::from_secs;
    let named = |label: &str| App::builder(label, credentials(label));
    let both = named("both")
        .body_deadline(seconds(15))
        .body_idle_timeout(seconds(8));
    let layer = WebhookLayer::builder()
        .body_deadline(seconds(4))
        .body_idle_timeout(seconds(2))
        .route("/plain", app("plain"))
        .route("/both", both.build().unwrap())
        .route(
            "/idle",
            named("idle").body_idle_timeout(seconds(8)).build().unwrap(),
        )
        .route(
            "/total",
            named("total").body_deadline(seconds(15)).build().unwrap(),
        )
        .build()
        .unwrap();
    // Pauses in tenths of a second. There are two of them.
    for (label, pause, refused) in [
        ("plain", 19, None),
        ("plain", 21, Some(BodyIdle)),
        ("both", 74, None),
        ("both", 76, Some(BodyDeadline)),
        ("both", 81, Some(BodyIdle)),
        ("idle", 19, None),
        ("idle", 21, Some(BodyDeadline)),
        ("total", 19, None),
        ("total", 21, Some(BodyIdle)),
    ] {
        let request = dripping(&format!("/{label}"), Duration::from_millis(100 * pause));
        let expected = refused.map_or_else(|| delivered(label), late);
        assert_eq!(send(&layer, request).await, expected, "{label}: {pause}");
    }
}
