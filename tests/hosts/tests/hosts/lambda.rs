//! AWS Lambda behind API Gateway: the layer sees a path that starts with the stage.

use std::convert::Infallible;

use http::Response;
use lambda_http::{Body, IntoResponse, request::from_str};
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{Notification, WebhookLayer, webhook::RequestBody};

use super::support::{any_path, at};

const REST: &str = include_str!("../../../../examples/lambda/events/rest.json");
const HTTP: &str = include_str!("../../../../examples/lambda/events/http.json");
const ALB: &str = include_str!("../../../../examples/lambda/events/alb.json");

async fn host(request: http::Request<RequestBody<Body>>) -> Result<Response<String>, Infallible> {
    let (status, text) = match request.extensions().get::<Notification>() {
        Some(notification) => (200, notification.events().len().to_string()),
        None => (500, String::new()),
    };
    Ok(Response::builder().status(status).body(text).unwrap())
}

async fn send(layer: &WebhookLayer, event: &str) -> (u16, Body) {
    let response = layer.layer(service_fn(host));
    let response = response.oneshot(from_str(event).unwrap()).await.unwrap();
    let response = response.into_response().await;
    (response.status().as_u16(), response.into_body())
}

#[tokio::test]
async fn the_stage_is_in_the_path() {
    let any_path = any_path();
    for (event, path) in [
        (REST, "/prod/webhook"),
        (HTTP, "/prod/webhook"),
        (ALB, "/webhook"),
    ] {
        assert_eq!(from_str(event).unwrap().uri().path(), path);
        let handled = (200, Body::from("1"));
        assert_eq!(send(&at(path), event).await, handled);
        assert_eq!(send(&any_path, event).await, handled);
    }
    // A pitfall: the delivery passes through unverified, so a handler without events
    // must not answer 200.
    assert_eq!(send(&at("/webhook"), REST).await.0, 500);
}
