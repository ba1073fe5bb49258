//! The layer around a host that reports what it received.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    App, Credentials, Notification, Rejection, RejectionKind, Verified, WebhookLayer,
    webhook::{RequestBody, ResolveError},
};

use test_support::{CHALLENGE, sign};

pub(crate) const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"7","changes":[{"field":"messages","value":{"messages":[{"id":"a"}]}}]}]}"#;

/// An app whose secret and token are derived from its label.
pub(crate) fn app(label: &str) -> App {
    App::new(label, credentials(label)).unwrap()
}

pub(crate) fn credentials(label: &str) -> Credentials {
    Credentials::new([("1", secret(label))], [("1", format!("token of {label}"))]).unwrap()
}

pub(crate) fn secret(label: &str) -> String {
    format!("secret of {label}")
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The host received a delivery of this app.
    Delivered(String),
    /// The host received an unverified request.
    Elsewhere,
    Challenge,
    Refused(StatusCode, RejectionKind),
}

pub(crate) fn refused(kind: RejectionKind) -> Outcome {
    Outcome::Refused(StatusCode::FORBIDDEN, kind)
}

pub(crate) fn delivered(app: &str) -> Outcome {
    Outcome::Delivered(app.to_owned())
}

pub(crate) const UNAVAILABLE: Outcome = Outcome::Refused(
    StatusCode::SERVICE_UNAVAILABLE,
    RejectionKind::AppResolverUnavailable,
);

pub(crate) async fn send<B>(layer: &WebhookLayer, request: Request<B>) -> Outcome
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let host = service_fn(async |request: Request<RequestBody<B>>| {
        let verified: Option<&Verified> = request.extensions().get();
        let notification: Option<&Notification> = request.extensions().get();
        assert_eq!(verified.is_some(), notification.is_some());
        let mut response = Response::new(Full::<Bytes>::default());
        let app = verified.map_or("elsewhere", Verified::app);
        let app = HeaderValue::from_str(&format!("app:{app}")).unwrap();
        response.headers_mut().insert("x-host", app);
        if verified.is_none() {
            response
                .headers_mut()
                .insert("x-host", HeaderValue::from_static("elsewhere"));
        }
        Ok::<_, Infallible>(response)
    });
    let response = layer.layer(host).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if let Some(rejection) = parts.extensions.get::<Rejection>() {
        assert!(body.is_empty());
        let waits = parts.status == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(parts.headers.contains_key("retry-after"), waits);
        return Outcome::Refused(parts.status, rejection.kind());
    }
    assert_eq!(parts.status, StatusCode::OK);
    match parts
        .headers
        .get("x-host")
        .map(|value| value.to_str().unwrap())
    {
        Some("elsewhere") => Outcome::Elsewhere,
        Some(app) => Outcome::Delivered(app.strip_prefix("app:").unwrap().to_owned()),
        None => {
            assert_eq!(body, CHALLENGE);
            Outcome::Challenge
        }
    }
}

/// A delivery signed with the secret of this app.
pub(crate) fn delivery(path: &str, label: &str) -> Request<Full<Bytes>> {
    delivery_of(path, label, BODY)
}

pub(crate) fn delivery_of(path: &str, label: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    Request::post(path)
        .header("x-hub-signature-256", sign(secret(label), &body))
        .body(Full::from(body))
        .unwrap()
}

pub(crate) fn handshake(path: &str, label: &str) -> Request<Full<Bytes>> {
    let token = format!("token+of+{label}");
    Request::get(format!(
        "{path}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge={CHALLENGE}"
    ))
    .body(Full::default())
    .unwrap()
}

pub(crate) fn with_method(method: Method, path: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Full::default())
        .unwrap()
}

pub(crate) fn down() -> ResolveError {
    ResolveError::unavailable("the database is down")
}
