//! The webhook: the layer, a handler that answers 200, and what records every request around them.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use http::StatusCode;
use tower_whatsapp::{ConfigError, Notification, Rejection, WebhookLayer};

use super::{
    advice::Advice,
    record::{Origin, Record, Refusal},
    store::Store,
};

#[derive(Clone)]
struct Recorder {
    store: Arc<Store>,
    advice: Advice,
}

/// The number of the record, in the extensions of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) u64);

pub(super) fn router(
    path: &str,
    app_secret: &str,
    verify_token: &str,
    store: Arc<Store>,
    advice: Advice,
) -> Result<Router, ConfigError> {
    let layer = WebhookLayer::builder()
        .path(path)
        .app_secret(app_secret)
        .verify_token(verify_token)
        .build()?;
    Ok(Router::new()
        .route(path, post(on_delivery))
        .layer(layer)
        .layer(middleware::from_fn_with_state(
            Recorder { store, advice },
            record,
        )))
}

/// Hands the delivery to the recorder.
async fn on_delivery(Extension(notification): Extension<Notification>) -> Response {
    (StatusCode::OK, Extension(notification)).into_response()
}

async fn record(State(recorder): State<Recorder>, request: Request, next: Next) -> Response {
    let at = super::record::now();
    let start = Instant::now();
    let method = request.method().clone();
    // Without the query, which has the verify token.
    let path = request.uri().path().to_owned();
    let origin = request.extensions().get::<Origin>().copied();
    let mut response: Response<Body> = next.run(request).await;

    let refusal = response.extensions().get::<Rejection>().map(|rejection| {
        let kind = rejection.kind().name();
        Refusal {
            reason: kind.to_owned(),
            text: rejection.to_string(),
            detail: rejection.detail().map(|detail| detail.to_string()),
            advice: recorder.advice.of(kind),
            declared_length: rejection.declared_length(),
            received_length: rejection.received_length(),
        }
    });
    // Holds a part of the layer's memory budget, so it is not kept.
    let notification = response.extensions_mut().remove::<Notification>();
    let record = Record::new(
        origin.unwrap_or(Origin::Live),
        at,
        method.as_str(),
        &path,
        response.status().as_u16(),
        start.elapsed(),
    );
    let record = match (refusal, notification) {
        (Some(refusal), _) => record.refused(refusal),
        (None, Some(notification)) => record.delivered(&notification),
        (None, None) => record,
    };
    let number = recorder.store.push(record);
    response.extensions_mut().insert(Number(number));
    response
}
