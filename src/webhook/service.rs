use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use tower::Service;

use super::{
    builder::Config, future::ResponseFuture, rejection::RejectionKind, verified::Verified,
};
use crate::{
    body::{RequestBody, ResponseBody},
    event::Notification,
    handshake,
    receive::Receive,
    signature::{Signature, Verifier},
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
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Late readiness, a security property: see the module docs.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let extensions = request.extensions_mut();
        extensions.remove::<Notification>();
        extensions.remove::<Verified>();
        if !self.config.serves(request.uri().path()) {
            return ResponseFuture::pass_through(self.inner.clone(), request);
        }
        let answer = match *request.method() {
            Method::POST => match check_headers(request.headers(), self.config.limits.body) {
                Ok((signature, declared)) => {
                    let (parts, body) = request.into_parts();
                    let verifier = Verifier::new(&self.config.app_secrets);
                    let receive = Receive::new(
                        body,
                        declared,
                        verifier,
                        &self.config.limits,
                        &self.config.budget,
                    );
                    return ResponseFuture::receiving(
                        receive,
                        signature,
                        parts,
                        self.inner.clone(),
                        Arc::clone(&self.config),
                    );
                }
                Err(kind) => self.config.reject(kind),
            },
            Method::GET => {
                match handshake::challenge(request.uri().query(), &self.config.verify_tokens) {
                    Ok(challenge) => echo(challenge),
                    Err(error) => self.config.reject(error),
                }
            }
            _ => self.config.reject(RejectionKind::MethodNotAllowed),
        };
        ResponseFuture::answered(answer)
    }
}

/// Everything that can be refused before the first byte of the body is read. Returns the signature and the declared length.
fn check_headers(
    headers: &HeaderMap,
    limit: usize,
) -> Result<(Signature, Option<usize>), RejectionKind> {
    let signature = Signature::from_headers(headers)?;
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
    Ok((signature, declared))
}

enum DeclaredLength {
    Known(usize),
    /// More than any machine can hold.
    Beyond,
    /// A server does not let this through. Without one, the bytes decide.
    NotANumber,
}

/// Digits only: `usize::from_str` would take a `+`.
fn declared_length(value: &HeaderValue) -> DeclaredLength {
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
