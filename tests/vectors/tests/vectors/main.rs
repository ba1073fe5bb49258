//! Test vectors of other projects, through the whole layer: JSONTestSuite for the grammar of bodies
//! and Wycheproof for their signatures.
#![cfg(test)]

mod json_test_suite;
mod wycheproof_hmac;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use test_support::PATH;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Notification, Rejection, WebhookLayer, signature::SIGNATURE_HEADER, webhook::RequestBody,
};

/// Sends a delivery through the layer. Returns what the handler was given, or the rejection.
async fn deliver(
    layer: &WebhookLayer,
    body: impl Into<Bytes>,
    signature: &str,
) -> Result<Notification, Rejection> {
    let given = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&given);
    let host = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        *slot.lock().unwrap() = request.extensions().get::<Notification>().cloned();
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let request = Request::post(PATH)
        .header(SIGNATURE_HEADER, signature)
        .body(Full::new(body.into()))
        .unwrap();
    let response = layer.layer(host).oneshot(request).await.unwrap();
    let given = given.lock().unwrap().take();
    match response.extensions().get::<Rejection>() {
        Some(rejection) => {
            assert!(given.is_none(), "the handler saw a rejected delivery");
            assert_eq!(response.status(), rejection.status());
            Err(rejection.clone())
        }
        None => {
            assert_eq!(response.status(), 200);
            Ok(given.expect("an accepted delivery reaches the handler"))
        }
    }
}
