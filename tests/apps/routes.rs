use http::Method;
use tower_whatsapp::{App, Credentials, RejectionKind, WebhookLayer};

use super::{
    subject::{
        BODY, Outcome, app, credentials, delivered, delivery, delivery_of, handshake, refused,
        send, with_method,
    },
    tenants::Tenants,
};

fn layer() -> WebhookLayer {
    WebhookLayer::builder()
        .route("/one", app("one"))
        .route("/two", app("two"))
        .route("/two/again", app("two"))
        .apps("/hooks/{app}/in", Tenants::of(&["three", "four"]))
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
        // The path of its own goes before the pattern.
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
                refused(RejectionKind::HandshakeRefused)
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

/// On the pattern, and no name: never handed on unverified, never looked up.
#[tokio::test]
async fn what_is_no_name() {
    let tenants = Tenants::of(&["three"]);
    let layer = WebhookLayer::builder()
        .apps("/hooks/{app}", tenants.clone())
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

/// Beside the app of the builder, which has no label.
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

#[tokio::test]
async fn accounts() {
    let listed = |accounts: &[&str]| {
        let app = App::builder(
            "a",
            Credentials::new([("1", "secret of a")], [("1", "t")]).unwrap(),
        );
        let app = app.accounts(accounts.iter().copied()).build().unwrap();
        WebhookLayer::builder().route("/a", app).build().unwrap()
    };
    let entry = |id: &str| {
        format!(
            r#"{{{id}"changes":[{{"field":"messages","value":{{"statuses":[{{"id":"a"}}]}}}}]}}"#
        )
    };
    let body = |entries: &[String]| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{}]}}"#,
            entries.join(",")
        )
    };
    let [seven, eight, none] = [entry(r#""id":"7","#), entry(r#""id":"8","#), entry("")];
    for (accounts, body, taken) in [
        (&["7"][..], body(std::slice::from_ref(&seven)), true),
        (&["7", "8"], body(&[seven.clone(), eight.clone()]), true),
        (&["7"], body(&[seven.clone(), seven.clone()]), true),
        (&["8"], body(std::slice::from_ref(&seven)), false),
        // One of another account, and nothing of the delivery gets through.
        (&["7"], body(&[seven.clone(), eight]), false),
        (&["7"], body(&[none]), false),
        (&["77"], body(std::slice::from_ref(&seven)), false),
        (&["7"], r#"{"hello":1}"#.to_owned(), false),
        // Nothing in it.
        (&["7"], body(&[]), true),
    ] {
        let expected = if taken {
            delivered("a")
        } else {
            refused(RejectionKind::AccountRefused)
        };
        assert_eq!(
            send(&listed(accounts), delivery_of("/a", "a", body.clone())).await,
            expected,
            "{accounts:?} {body}"
        );
    }
    // Whether it is one of them is nobody's business who cannot sign.
    assert_eq!(
        send(&listed(&["8"]), delivery_of("/a", "b", BODY)).await,
        refused(RejectionKind::SignatureMismatch)
    );
}
