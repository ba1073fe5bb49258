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
    let dripping = |path: &str, pause: Duration| {
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
    };
    let late = |kind| Outcome::Refused(StatusCode::REQUEST_TIMEOUT, kind);
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
