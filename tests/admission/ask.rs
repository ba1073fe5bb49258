//! Sends one request and returns the outcome.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    Rejection, RejectionKind, WebhookLayer, admission::PeerAddr, webhook::RequestBody,
};

use test_support::{Counter, SECRET, Script, json::one_text, sign};

/// A delivery with a valid signature, and a counter of the bytes read from it.
pub(crate) fn delivery() -> (Request<Script>, Arc<Counter>) {
    let body = Script::whole(one_text());
    let counter = body.counter();
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, one_text()))
        .body(body)
        .unwrap();
    (request, counter)
}

/// A delivery with a peer address, if there is one. `192.0.2.1` has port 4711.
pub(crate) fn from(peer: Option<&str>) -> (Request<Script>, Arc<Counter>) {
    let (mut request, counter) = delivery();
    if let Some(peer) = peer {
        let address = SocketAddr::new(peer.parse().unwrap(), 4711);
        request.extensions_mut().insert(PeerAddr(address));
    }
    (request, counter)
}

/// The reason for the rejection, if it was rejected.
pub(crate) async fn send(
    layer: &WebhookLayer,
    request: Request<Script>,
) -> Result<(), RejectionKind> {
    let host = service_fn(async |_: Request<RequestBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Script::new([])))
    });
    let response = layer.layer(host).oneshot(request).await.unwrap();
    match response.extensions().get::<Rejection>() {
        Some(rejection) => {
            assert_eq!(response.status(), 403);
            Err(rejection.kind())
        }
        None => {
            assert_eq!(response.status(), 200);
            Ok(())
        }
    }
}
