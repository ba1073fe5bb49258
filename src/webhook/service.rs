use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use tower::{BoxError, Service};

use super::{
    app::App,
    builder::Config,
    future::{Check, ResponseFuture},
    rejection::{ALLOW, RejectionKind},
    routes::Route,
};
use crate::{
    body::{RequestBody, ResponseBody},
    event::Notification,
    handshake,
    receive::Receive,
    signature::{Signature, Verifier},
    verified::Verified,
};

/// The service that [`WebhookLayer`](super::WebhookLayer) makes. See the [module docs](crate::webhook).
///
/// It asks nothing of the inner service but that it is `Clone`: the body is received before the call, and what is called is a
/// clone that was readied only then.
#[derive(Debug, Clone)]
pub struct Webhook<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Webhook<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, B, R> Service<Request<B>> for Webhook<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Late readiness, a security property: see the module docs.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !request.extensions().is_empty() {
            remove_stale(request.extensions_mut());
        }
        let config = &*self.config;
        let Some(route) = config.routes.find(request.uri().path()) else {
            if matches!(*request.method(), Method::POST) {
                let (headers, path) = (request.headers(), request.uri().path());
                config
                    .warnings
                    .passed_through(headers, path, &config.routes);
            }
            return ResponseFuture::pass_through(self.inner.clone(), request);
        };
        self.respond(request, route)
            .unwrap_or_else(|kind| ResponseFuture::answered(self.config.reject(kind)))
    }
}

impl<S> Webhook<S> {
    fn respond<B>(
        &self,
        request: Request<B>,
        route: Route<'_>,
    ) -> Result<ResponseFuture<S, B>, RejectionKind>
    where
        S: Service<Request<RequestBody<B>>> + Clone,
        B: Body<Data = Bytes>,
    {
        let config = &self.config;
        match route {
            Route::App(app) => {
                let intent = classify(&request, config)?;
                dispatch(intent, request, app, config, &self.inner)
            }
            #[cfg(feature = "apps")]
            Route::Named(pattern) => {
                let intent = classify(&request, config)?;
                // Nobody is looked up for a request that no app would answer.
                if let Intent::Challenge = intent {
                    handshake::is_complete(request.uri().query())?;
                }
                let resolver = &pattern.resolver;
                let name = pattern.name(request.uri().path());
                let name = name.ok_or(RejectionKind::AppUnknown)?;
                if let Some(app) = resolver.remembered(name) {
                    return dispatch(intent, request, &app?, config, &self.inner);
                }
                let found = resolver.clone().find(name.into());
                let inner = self.inner.clone();
                let config = Arc::clone(config);
                Ok(ResponseFuture::finding(
                    found, intent, request, inner, config,
                ))
            }
        }
    }
}

/// Removes our types unless a layer around this one has made them for this request.
///
/// Anybody can make a `Notification`. Only a layer makes a `Verified`, so that is what tells.
fn remove_stale(extensions: &mut Extensions) {
    let verified = extensions.get::<Verified>();
    if !verified.is_some_and(Verified::is_current) {
        extensions.remove::<Notification>();
        extensions.remove::<Verified>();
    }
}

/// What a request on our path asks for.
#[derive(Clone, Copy)]
pub(super) enum Intent {
    /// The handshake.
    Challenge,
    Delivery(Signature),
}

/// What can be refused without knowing whose request it is.
fn classify<B>(
    request: &Request<B>,
    #[cfg_attr(
        not(feature = "admission"),
        expect(unused_variables, reason = "everybody is admitted")
    )]
    config: &Config,
) -> Result<Intent, RejectionKind> {
    match *request.method() {
        Method::POST => {
            #[cfg(feature = "admission")]
            config
                .admission
                .check(request.headers(), request.extensions())?;
            Ok(Intent::Delivery(Signature::from_headers(
                request.headers(),
            )?))
        }
        Method::GET => Ok(Intent::Challenge),
        _ => Err(RejectionKind::MethodNotAllowed),
    }
}

/// Answers a request of this app: at once, or when its body has been received.
pub(super) fn dispatch<S, B>(
    intent: Intent,
    request: Request<B>,
    app: &App,
    config: &Arc<Config>,
    inner: &S,
) -> Result<ResponseFuture<S, B>, RejectionKind>
where
    S: Service<Request<RequestBody<B>>> + Clone,
    B: Body<Data = Bytes>,
{
    let ring = app.credentials().ring();
    let signature = match intent {
        Intent::Delivery(signature) => signature,
        Intent::Challenge => {
            let challenge = handshake::challenge(request.uri().query(), ring.tokens())?;
            return Ok(ResponseFuture::answered(echo(challenge)));
        }
    };
    let limits = app.limits(&config.limits, config.longest);
    let declared = declared(request.headers(), limits.body)?;
    let (parts, body) = request.into_parts();
    let verifier = Verifier::new(ring.secrets());
    let receive = Receive::new(
        body,
        declared,
        &parts.headers,
        verifier,
        &limits,
        &config.budget,
    );
    let check = Check {
        app: app.clone(),
        ring,
        signature,
    };
    let config = Arc::clone(config);
    Ok(ResponseFuture::receiving(
        receive,
        check,
        parts,
        inner.clone(),
        config,
    ))
}

/// The length that the sender declares, if it is one that may be received. Everything that can be refused before the first byte of the body is
/// read has been refused then.
fn declared(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, RejectionKind> {
    let declared = match headers.get(header::CONTENT_LENGTH).map(declared_length) {
        Some(DeclaredLength::Known(length)) if length <= limit => Some(length),
        Some(DeclaredLength::Known(_) | DeclaredLength::Beyond) => {
            return Err(RejectionKind::BodyTooLarge);
        }
        Some(DeclaredLength::NotANumber) | None => None,
    };
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(identity)
    {
        return Err(RejectionKind::ContentEncoding);
    }
    Ok(declared)
}

pub(super) enum DeclaredLength {
    Known(usize),
    /// More than any machine can hold.
    Beyond,
    /// A server does not let this through. Without one, the bytes decide.
    NotANumber,
}

/// Digits only: `usize::from_str` would take a `+`.
pub(super) fn declared_length(value: &HeaderValue) -> DeclaredLength {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return DeclaredLength::NotANumber;
    }
    match std::str::from_utf8(digits).map(str::parse) {
        Ok(Ok(length)) => DeclaredLength::Known(length),
        _ => DeclaredLength::Beyond,
    }
}

/// The answer to a good handshake: the challenge and nothing else, and nothing that a browser would run or keep.
fn echo(challenge: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(challenge));
    let headers = response.headers_mut();
    // axum would add its own `Allow: POST` to what the fallback of a `post` route answers.
    headers.insert(header::ALLOW, ALLOW);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
