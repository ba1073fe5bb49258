//! E: the crate's types in the extensions, inserted by other code or missing.

use std::sync::{Arc, Mutex};

use axum::{Extension, Router, routing::post};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{Notification, Verified, webhook::RequestBody};

use test_support::{
    SECRET, Script,
    json::{messages, one_text},
    layer, sign,
};

fn good(path: &str) -> Request<axum::body::Body> {
    let body = one_text();
    Request::post(path)
        .header("x-hub-signature-256", sign(SECRET, &body))
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn e1_a_handler_that_the_layer_does_not_cover_is_500_and_never_runs() {
    async fn handler(_: Extension<Notification>) -> &'static str {
        panic!("reached without verification")
    }
    let app = Router::new()
        .route("/wh/", post(handler))
        .route("/{any}", post(handler))
        .layer(layer());
    for path in ["/wh/", "/other"] {
        let response = app.clone().oneshot(good(path)).await.unwrap();
        assert_eq!(response.status(), 500, "{path}");
    }
}

/// Both types of a genuine delivery, inserted into another request.
#[tokio::test]
async fn e2_what_another_layer_has_put_there_is_removed() {
    type Found = (Option<Notification>, Option<Verified>);
    let kept = Arc::<Mutex<Vec<Found>>>::default();
    let host = {
        let kept = Arc::clone(&kept);
        service_fn(move |request: Request<RequestBody<Script>>| {
            let extensions = request.extensions();
            let found: Found = (extensions.get().cloned(), extensions.get().cloned());
            kept.lock().unwrap().push(found);
            async { Ok::<_, std::convert::Infallible>(Response::new(Script::new([]))) }
        })
    };
    let service = layer().layer(host);
    let send = async |path: &str, body: String, extensions: http::Extensions| {
        let mut request = Request::post(path)
            .header("x-hub-signature-256", sign(SECRET, &body))
            .body(Script::whole(body))
            .unwrap();
        *request.extensions_mut() = extensions;
        service.clone().oneshot(request).await.unwrap();
        kept.lock().unwrap().pop().unwrap()
    };
    let (notification, verified) = send("/wh", one_text(), http::Extensions::new()).await;
    let mut stolen = http::Extensions::new();
    stolen.insert(notification.unwrap());
    stolen.insert(verified.unwrap());

    let (notification, verified) = send("/elsewhere", one_text(), stolen.clone()).await;
    assert!(notification.is_none() && verified.is_none());

    let (notification, verified) = send("/wh", messages("{},{}"), stolen).await;
    assert_eq!(notification.unwrap().events().len(), 2);
    assert_eq!(verified.unwrap().secret_label(), "0");
}
