//! Shared helpers: layers, deliveries, and an HTTP client.

use std::{cell::RefCell, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower_whatsapp::{WebhookLayer, WebhookLayerBuilder, testing, webhook::SetupWarning};

pub(crate) const SECRET: &str = "the app secret";
pub(crate) const PATH: &str = "/webhook";
pub(crate) const CHALLENGE: &str = "1158201444";
pub(crate) const HANDSHAKE: &str =
    "/webhook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=token";
pub(crate) const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"100000000000001"},"messages":[{"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text","text":{"body":"hi"}}]}}]}]}"#;

pub(crate) fn layer() -> WebhookLayer {
    at(PATH)
}

pub(crate) fn at(path: &str) -> WebhookLayer {
    signed_with(SECRET, path)
}

pub(crate) fn signed_with(secret: &str, path: &str) -> WebhookLayer {
    build(WebhookLayer::builder().path(path).app_secret(secret))
}

/// A layer for a single route, which accepts any path.
pub(crate) fn any_path() -> WebhookLayer {
    build(WebhookLayer::builder().any_path().app_secret(SECRET))
}

fn build(builder: WebhookLayerBuilder) -> WebhookLayer {
    let report = |warning| WARNINGS.with_borrow_mut(|warnings| warnings.push(warning));
    let builder = builder.verify_token("token");
    builder.on_setup_warning(report).build().unwrap()
}

thread_local! {
    // Thread-local works because a test and its tasks share one thread.
    static WARNINGS: RefCell<Vec<SetupWarning>> = const { RefCell::new(Vec::new()) };
}

/// Setup warnings of this test's layers since the last call.
pub(crate) fn take_warnings() -> Vec<SetupWarning> {
    WARNINGS.take()
}

pub(crate) fn delivery() -> Request<Bytes> {
    delivery_to(PATH)
}

pub(crate) fn delivery_to(path: &str) -> Request<Bytes> {
    testing::delivery(path, BODY, SECRET)
}

pub(crate) fn forged() -> Request<Bytes> {
    testing::delivery(PATH, BODY, "another secret")
}

pub(crate) fn get(target: &str) -> Request<Bytes> {
    Request::get(target).body(Bytes::new()).unwrap()
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Http {
    One,
    Two,
}

/// Sends a request over a new connection. Returns the status and the body.
pub(crate) async fn send(
    http: Http,
    address: SocketAddr,
    mut request: Request<Bytes>,
) -> (u16, String) {
    let target = format!("http://{address}{}", request.uri());
    *request.uri_mut() = target.parse().unwrap();
    let mut client = Client::builder(TokioExecutor::new());
    if http == Http::Two {
        client.http2_only(true);
    }
    let client = client.build_http();
    read(client.request(request.map(Full::new)).await.unwrap()).await
}

pub(crate) async fn read<B>(response: Response<B>) -> (u16, String)
where
    B: http_body::Body,
{
    let status = response.status().as_u16();
    let Ok(body) = response.into_body().collect().await else {
        panic!("the response body is incomplete");
    };
    (
        status,
        String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    )
}

/// Checks what every host must do with a handshake, a delivery, a forged delivery and other paths.
pub(crate) async fn check(http: Http, address: SocketAddr) {
    let handshake = send(http, address, get(HANDSHAKE)).await;
    assert_eq!(handshake, (200, CHALLENGE.to_owned()));
    assert_eq!(send(http, address, delivery()).await, (200, "1".to_owned()));
    assert_eq!(send(http, address, forged()).await.0, 403);
    let other = send(http, address, get("/other")).await;
    assert_eq!(other, (200, "other".to_owned()));
    // The layer verifies deliveries on its own path only.
    let status = send(http, address, delivery_to("/unverified")).await.0;
    assert_eq!(status, 500);
}
