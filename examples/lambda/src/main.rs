//! A WhatsApp webhook on AWS Lambda, behind an API Gateway (REST or HTTP) or an
//! Application Load Balancer.
//!
//! ```text
//! cargo lambda build --release -p lambda    # then: cargo lambda deploy lambda
//! ```
//!
//! Set `WHATSAPP_APP_SECRET` and `WHATSAPP_VERIFY_TOKEN` as environment variables of the function.
//! CloudWatch then shows one line with the kind of each event.
//!
//! `lambda_http` prefixes the path with the gateway's stage: `/prod/webhook`. The gateway has
//! selected the route already, so this layer accepts any path.
//!
//! A Lambda process is frozen after the response. Do the work before you respond, or send it to a
//! queue: a spawned task may never finish.

use std::{convert::Infallible, env};

use http::{Response, StatusCode};
use lambda_http::{Body, Error, Request};
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{
    ConfigError, Notification, WebhookLayer,
    webhook::{RequestBody, ResponseBody},
};

async fn on_event(
    request: http::Request<RequestBody<Body>>,
) -> Result<Response<String>, Infallible> {
    let mut response = Response::new(String::new());
    match request.extensions().get::<Notification>() {
        Some(notification) => {
            for event in notification.events() {
                println!("{}", event.kind());
            }
        }
        // Not a verified delivery, so never acknowledge it.
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

fn function(
    app_secret: &str,
    verify_token: &str,
) -> Result<
    impl Service<Request, Response = Response<ResponseBody<String>>, Error = Infallible, Future: Send>,
    ConfigError,
> {
    let whatsapp = WebhookLayer::builder()
        .any_path()
        .app_secret(app_secret)
        .verify_token(verify_token)
        .build()?;
    Ok(whatsapp.layer(service_fn(on_event)))
}

fn setting(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| format!("{name} is not set: add it to the function").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let secret = setting("WHATSAPP_APP_SECRET")?;
    let token = setting("WHATSAPP_VERIFY_TOKEN")?;
    lambda_http::run(function(&secret, &token)?).await
}

#[cfg(test)]
mod tests {
    use lambda_http::request::from_str;
    use tower::ServiceExt;

    use super::*;

    const EVENTS: [&str; 3] = [
        include_str!("../events/rest.json"),
        include_str!("../events/http.json"),
        include_str!("../events/alb.json"),
    ];

    async fn status_of(event: &str) -> StatusCode {
        let function = function("the app secret", "token").unwrap();
        let response = function.oneshot(from_str(event).unwrap()).await.unwrap();
        response.status()
    }

    #[tokio::test]
    async fn events_of_all_gateways_are_verified() {
        for event in EVENTS {
            assert_eq!(status_of(event).await, 200);
        }
    }

    #[tokio::test]
    async fn forged_events_are_rejected() {
        for event in EVENTS {
            assert_eq!(status_of(&event.replace("sha256=", "sha256=0")).await, 403);
        }
        let [rest, _, _] = EVENTS;
        assert_eq!(status_of(&rest.replace("wamid.A", "wamid.B")).await, 403);
    }

    #[tokio::test]
    async fn the_handshake_is_answered() {
        let query = r#""queryStringParameters": {"hub.mode": "subscribe", "hub.verify_token": "token", "hub.challenge": "1158201444"}"#;
        let [_, _, alb] = EVENTS;
        let handshake = alb
            .replace("POST", "GET")
            .replace(r#""queryStringParameters": {}"#, query);
        assert_eq!(status_of(&handshake).await, 200);
    }
}
