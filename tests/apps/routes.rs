use http::Method;
use tower_whatsapp::{RejectionKind, WebhookLayer};

use super::{
    resolvers::Tenants,
    subject::{
        Outcome, app, credentials, delivered, delivery, handshake, refused, send, with_method,
    },
};

fn layer() -> WebhookLayer {
    let two = app("two");
    WebhookLayer::builder()
        .route("/one", app("one"))
        .route("/two", two.clone())
        .route("/two/again", two)
        .app_resolver("/hooks/{app}/in", Tenants::of(&["three", "four"]))
        .route("/hooks/four/in", app("fourth"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn each_path_has_its_app_and_its_secret() {
    let layer = layer();
    let paths = [
        ("/one", "one"),
        ("/two", "two"),
        ("/two/again", "two"),
        ("/hooks/three/in", "three"),
        // An exact path takes precedence over the pattern.
        ("/hooks/four/in", "fourth"),
    ];
    for (path, label) in paths {
        for signer in ["one", "two", "three", "four", "fourth"] {
            let expected = if signer == label {
                delivered(label)
            } else {
                refused(RejectionKind::SignatureMismatch)
            };
            assert_eq!(
                send(&layer, delivery(path, signer)).await,
                expected,
                "{path} {signer}"
            );
            let expected = if signer == label {
                Outcome::Challenge
            } else {
                refused(RejectionKind::HandshakeToken)
            };
            assert_eq!(
                send(&layer, handshake(path, signer)).await,
                expected,
                "{path} {signer}"
            );
        }
        let put = send(&layer, with_method(Method::PUT, path)).await;
        assert!(
            matches!(put, Outcome::Refused(_, RejectionKind::MethodNotAllowed)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn other_paths_pass_through() {
    let layer = layer();
    for path in [
        "/",
        "/one/",
        "/three",
        "/two/",
        "/hooks",
        "/hooks/",
        "/hooks//in",
        "/hooks/three",
        "/hooks/three/in/",
        "/hooks/a/b/in",
        "/Hooks/three/in",
    ] {
        assert_eq!(
            send(&layer, delivery(path, "three")).await,
            Outcome::Elsewhere,
            "{path}"
        );
    }
}

/// A path that matches the pattern without a valid name is neither passed on nor looked up.
#[tokio::test]
async fn what_is_no_name() {
    let tenants = Tenants::of(&["three"]);
    let layer = WebhookLayer::builder()
        .app_resolver("/hooks/{app}", tenants.clone())
        .build()
        .unwrap();
    let long = "x".repeat(129);
    for name in [
        "%74hree", "three%20", "three;a", "a+b", "a:b", "three%00", &long,
    ] {
        let path = format!("/hooks/{name}");
        assert_eq!(
            send(&layer, delivery(&path, "three")).await,
            refused(RejectionKind::AppUnknown)
        );
        assert_eq!(
            send(&layer, handshake(&path, "three")).await,
            refused(RejectionKind::AppUnknown)
        );
    }
    assert_eq!(tenants.asked(), [""; 0]);
    let path = format!("/hooks/{}", &long[1..]);
    assert_eq!(
        send(&layer, delivery(&path, "three")).await,
        refused(RejectionKind::AppUnknown)
    );
    assert_eq!(tenants.asked(), [&long[1..]]);
}

#[tokio::test]
async fn a_name_has_every_character_that_has_one_spelling() {
    let all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
    let names: Vec<_> = all
        .chars()
        .map(|character| format!("x{character}"))
        .collect();
    let known: Vec<_> = names.iter().map(String::as_str).collect();
    let layer = WebhookLayer::builder()
        .app_resolver("/hooks/{app}", Tenants::of(&known))
        .build()
        .unwrap();
    for name in known {
        let outcome = send(&layer, delivery(&format!("/hooks/{name}"), name)).await;
        assert_eq!(outcome, delivered(name));
    }
}

/// In addition to the builder's app, which has no label.
#[tokio::test]
async fn the_one_app_and_others() {
    let layer = WebhookLayer::builder()
        .path("/wh")
        .credentials(credentials("plain"))
        .route("/one", app("one"))
        .build()
        .unwrap();
    assert_eq!(send(&layer, delivery("/wh", "plain")).await, delivered(""));
    assert_eq!(
        send(&layer, delivery("/wh", "one")).await,
        refused(RejectionKind::SignatureMismatch)
    );
    assert_eq!(
        send(&layer, delivery("/one", "one")).await,
        delivered("one")
    );
}
