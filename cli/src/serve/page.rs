//! The page: three files, its security headers, and the routes of its requests.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, Uri, header};
use tower::Service;

use super::{App, api, guard::Guard, session, stream};

/// Nothing from elsewhere, nothing inline, no frames, and no text that becomes markup.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
];

/// Pasted JSON, or a session to load.
const BODY_LIMIT: usize = 256 * 1024 * 1024;

pub(super) fn router(app: App, guard: Guard) -> Router {
    let routes = Router::new()
        .route("/", get(html))
        .route("/page.css", get(css))
        .route("/page.js", get(js))
        .route("/api/stream", get(stream::stream))
        .route("/api/search", get(api::search))
        .route("/api/requests/{number}", get(api::detail))
        .route("/api/requests/{number}/body", get(api::body))
        .route("/api/send", post(api::send))
        .route("/api/resend", post(api::resend))
        .route("/api/clear", post(api::clear))
        .route("/api/session", get(session::save).post(session::load))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app);
    let state = (Arc::new(guard), routes);
    // The guard removes the token from the path before it is routed.
    Router::new()
        .fallback(|| async { http::StatusCode::NOT_FOUND })
        .layer(middleware::from_fn_with_state(state, guarded))
}

async fn guarded(
    State((guard, mut routes)): State<(Arc<Guard>, Router)>,
    mut request: Request,
    _: Next,
) -> Response {
    let mut response = match guard.check(&request) {
        Ok(path) => {
            let path = match request.uri().query() {
                Some(query) => format!("{path}?{query}"),
                None => path.to_owned(),
            };
            match Uri::try_from(path) {
                Ok(uri) => {
                    *request.uri_mut() = uri;
                    match routes.call(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    }
                }
                Err(_) => http::StatusCode::BAD_REQUEST.into_response(),
            }
        }
        Err(refused) => refused.answer().into_response(),
    };
    for (name, value) in SECURITY_HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

async fn html() -> Response<Body> {
    file("text/html; charset=utf-8", include_str!("assets/page.html"))
}

async fn css() -> Response<Body> {
    file("text/css; charset=utf-8", include_str!("assets/page.css"))
}

async fn js() -> Response<Body> {
    let script = include_str!("assets/page.js");
    file("text/javascript; charset=utf-8", script)
}

fn file(kind: &'static str, text: &'static str) -> Response<Body> {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
