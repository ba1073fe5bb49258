//! Other middleware outside and inside the layer, in one `ServiceBuilder` and with two calls of
//! `Router::layer`. The result must match the table in `docs/hosts.md`.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_extractor, from_fn, from_fn_with_state, map_request, map_response},
    response::Response,
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use tower::{
    BoxError, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
    timeout::TimeoutLayer as TowerTimeoutLayer,
    util::{MapRequestLayer, MapResponseLayer, option_layer},
};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};
use tower_http::{
    add_extension::AddExtensionLayer,
    auth::AsyncRequireAuthorizationLayer,
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    decompression::RequestDecompressionLayer,
    limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
    metrics::{InFlightRequestsLayer, in_flight_requests::InFlightRequestsCounter},
    normalize_path::NormalizePathLayer,
    propagate_header::PropagateHeaderLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveHeadersLayer,
    set_header::SetResponseHeaderLayer,
    set_status::SetStatusLayer,
    timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer},
    trace::TraceLayer,
    validate_request::ValidateRequestHeaderLayer,
};
use tower_sessions::{MemoryStore as SessionStore, SessionManagerLayer};
use tower_whatsapp::{
    Notification,
    dedup::{DedupLayer, MemoryStore},
};

use super::support::{CHALLENGE, HANDSHAKE, delivery, forged, get, layer, read};

const CHAPTER: &str = include_str!("../../../../docs/hosts.md");

fn routes() -> Router {
    async fn count(notification: Notification) -> String {
        notification.events().len().to_string()
    }
    Router::new().route("/webhook", post(count))
}

async fn send(app: &Router, request: http::Request<Bytes>) -> (u16, String) {
    let request = request.map(axum::body::Body::from);
    read(app.clone().oneshot(request).await.unwrap()).await
}

/// Whether all requests behave as without the other middleware.
async fn works(app: Router) -> &'static str {
    let handshake = send(&app, get(HANDSHAKE)).await == (200, CHALLENGE.to_owned());
    let delivery = send(&app, delivery()).await == (200, "1".to_owned());
    let forged = send(&app, forged()).await.0 == 403;
    if handshake && delivery && forged {
        "runs"
    } else {
        "fails"
    }
}

/// Columns: one builder, outside and inside, with `host_body`; the same without it; two calls of
/// `Router::layer`, outside and inside. `no` does not compile.
macro_rules! row {
    (@ no, $builder:expr) => { "no" };
    (@ yes, $builder:expr) => { works(routes().layer($builder)).await };
    (# [$host_outside:ident $host_inside:ident $outside:ident $inside:ident], $layer:expr) => {[
        row!(@ $host_outside, ServiceBuilder::new().layer($layer).layer(layer().host_body())),
        row!(@ $host_inside, ServiceBuilder::new().layer(layer().host_body()).layer($layer)),
        row!(@ $outside, ServiceBuilder::new().layer($layer).layer(layer())),
        row!(@ $inside, ServiceBuilder::new().layer(layer()).layer($layer)),
        works(routes().layer(layer()).layer($layer)).await,
        works(routes().layer($layer).layer(layer())).await,
    ]};
    ($name:literal, [$($compiles:ident)*], $layer:expr) => {{
        let found = row!(# [$($compiles)*], $layer);
        let row = format!("| {} | {} |", $name, found.join(" | "));
        println!("{row}");
        CHAPTER.contains(&row).then_some(()).ok_or(row)
    }};
}

/// Under axum, middleware with its own error type needs an error handler that does not answer 200.
macro_rules! handled {
    ($layer:expr) => {
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(|_: BoxError| async {
                StatusCode::SERVICE_UNAVAILABLE
            }))
            .layer($layer)
            .into_inner()
    };
}

async fn untouched(request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn stateful(_: State<()>, request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn same(request: Request) -> Request {
    request
}

async fn allow(request: Request) -> Result<Request, Response> {
    Ok(request)
}

async fn sent(response: Response) -> Response {
    response
}

const MINUTE: Duration = Duration::from_secs(60);
const NAME: HeaderName = HeaderName::from_static("x-request-id");
const VALUE: HeaderValue = HeaderValue::from_static("1");

#[tokio::test]
async fn middleware_of_tower_and_its_neighbours() {
    let governor = || {
        let mut config = GovernorConfigBuilder::default();
        config.per_second(1000).burst_size(1000);
        let config = config.key_extractor(GlobalKeyExtractor).finish();
        GovernorLayer::new(config.unwrap())
    };
    let sessions = || SessionManagerLayer::new(SessionStore::default());
    let dedup = || DedupLayer::new(MemoryStore::new()).host_body();
    let timeout = || TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, MINUTE);
    let found = [
        row!("`Trace`", [yes no yes yes], TraceLayer::new_for_http()),
        row!("`Timeout` (tower-http)", [yes yes yes yes], timeout()),
        row!(
            "`Timeout` (tower)",
            [yes yes yes yes],
            handled!(TowerTimeoutLayer::new(MINUTE))
        ),
        row!("`LoadShed`", [yes yes yes yes], handled!(LoadShedLayer::new())),
        row!(
            "`Buffer`",
            [yes yes yes no],
            handled!(BufferLayer::<Request>::new(8))
        ),
        row!(
            "`ConcurrencyLimit`",
            [yes yes yes yes],
            ConcurrencyLimitLayer::new(8)
        ),
        row!(
            "`RequestBodyLimit`",
            [no no yes yes],
            RequestBodyLimitLayer::new(1 << 20)
        ),
        row!(
            "`RequestBodyTimeout`",
            [no yes yes yes],
            RequestBodyTimeoutLayer::new(MINUTE)
        ),
        row!(
            "`DefaultBodyLimit`",
            [yes yes yes yes],
            DefaultBodyLimit::max(1 << 20)
        ),
        row!("`Cors`", [yes yes yes yes], CorsLayer::permissive()),
        row!("`Compression`", [yes no yes yes], CompressionLayer::new()),
        row!(
            "`RequestDecompression`",
            [no no yes yes],
            RequestDecompressionLayer::new()
        ),
        row!("`CatchPanic`", [yes no yes yes], CatchPanicLayer::new()),
        row!(
            "`SetRequestId`",
            [yes yes yes yes],
            SetRequestIdLayer::new(NAME, MakeRequestUuid)
        ),
        row!(
            "`PropagateRequestId`",
            [yes yes yes yes],
            PropagateRequestIdLayer::new(NAME)
        ),
        row!(
            "`SetSensitiveHeaders`",
            [yes yes yes yes],
            SetSensitiveHeadersLayer::new([NAME])
        ),
        row!(
            "`SetResponseHeader`",
            [yes yes yes yes],
            SetResponseHeaderLayer::overriding(NAME, VALUE)
        ),
        row!("`AddExtension`", [yes yes yes yes], AddExtensionLayer::new(1)),
        row!(
            "`NormalizePath`",
            [yes yes yes yes],
            NormalizePathLayer::trim_trailing_slash()
        ),
        row!("tower-sessions", [yes yes yes yes], sessions()),
        row!("tower_governor", [yes yes no yes], governor()),
        row!("`from_fn` (axum)", [yes yes yes no], from_fn(untouched)),
        row!(
            "another middleware in `option_layer`",
            [yes yes yes yes],
            option_layer(Some(ConcurrencyLimitLayer::new(8)))
        ),
        row!(
            "`from_fn` in `option_layer`",
            [yes yes no no],
            option_layer(Some(from_fn(untouched)))
        ),
        row!(
            "`MapRequestBody` to axum's",
            [yes yes yes yes],
            MapRequestBodyLayer::new(axum::body::Body::new)
        ),
        row!("`DedupLayer`", [yes yes yes yes], dedup()),
    ];
    assert_documented(found);
}

/// Middleware that uses axum's types or wraps a body.
#[tokio::test]
async fn middleware_with_its_own_body_types() {
    let named = |_: &Response| Some(VALUE);
    let found = [
        row!(
            "`from_fn_with_state` (axum)",
            [yes yes yes no],
            from_fn_with_state((), stateful)
        ),
        row!("`map_request` (axum)", [yes yes yes no], map_request(same)),
        row!(
            "`MapRequest` (tower)",
            [yes yes yes no],
            MapRequestLayer::new(|request: Request| request)
        ),
        row!("`map_response` (axum)", [yes yes no yes], map_response(sent)),
        row!(
            "`MapResponse` (tower)",
            [yes yes no yes],
            MapResponseLayer::new(|response: Response| response)
        ),
        row!(
            "`SetResponseHeader` with a closure over axum's `Response`",
            [yes yes no yes],
            SetResponseHeaderLayer::overriding(NAME, named)
        ),
        row!(
            "`AsyncRequireAuthorization` with axum's types",
            [yes yes no no],
            AsyncRequireAuthorizationLayer::new(allow)
        ),
        row!("`from_extractor` (axum)", [yes yes yes yes], from_extractor::<HeaderMap>()),
        row!(
            "`ResponseBodyTimeout`",
            [yes no yes yes],
            ResponseBodyTimeoutLayer::new(MINUTE)
        ),
        row!(
            "`InFlightRequests`",
            [yes no yes yes],
            InFlightRequestsLayer::new(InFlightRequestsCounter::new())
        ),
        row!("`PropagateHeader`", [yes yes yes yes], PropagateHeaderLayer::new(NAME)),
        row!(
            "`ValidateRequestHeader::accept`",
            [yes yes yes yes],
            ValidateRequestHeaderLayer::accept("application/json")
        ),
        // Compiles everywhere. Outside, its 200 also replaces the status of rejections.
        row!("`SetStatus`", [yes yes yes yes], SetStatusLayer::new(StatusCode::OK)),
    ];
    assert_documented(found);
}

fn assert_documented(rows: impl IntoIterator<Item = Result<(), String>>) {
    let missing: Vec<_> = rows.into_iter().filter_map(Result::err).collect();
    let missing = missing.join("\n");
    assert!(missing.is_empty(), "not in docs/hosts.md:\n{missing}");
}

/// Limits and timeouts outside the layer cut off the body, and the response says so.
#[tokio::test]
async fn a_limit_or_a_timeout_outside_is_413_or_408() {
    let app = routes()
        .layer(layer())
        .layer(RequestBodyLimitLayer::new(16));
    // The limit rejects a declared length itself. For other bodies the layer rejects the request.
    for declared in [true, false] {
        let mut request = delivery();
        let length = HeaderValue::from(request.body().len());
        if declared {
            request.headers_mut().insert("content-length", length);
        }
        let request = request.map(|body| {
            let first = Some(body);
            axum::body::Body::new(Unsized { first, ends: true })
        });
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 413, "{declared}");
    }

    let app = routes()
        .layer(layer())
        .layer(RequestBodyTimeoutLayer::new(Duration::from_millis(20)));
    let request = delivery().map(|_| {
        let first = Some(Bytes::from_static(b"{"));
        axum::body::Body::new(Unsized { first, ends: false })
    });
    assert_eq!(app.oneshot(request).await.unwrap().status(), 408);
}

/// A body of unknown length that may never end.
struct Unsized {
    first: Option<Bytes>,
    ends: bool,
}

impl http_body::Body for Unsized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
