//! Checks of the request head: everything that can be rejected before the first byte of the body
//! is read.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body;

use super::{
    app::App,
    config::Config,
    content_length::{DeclaredLength, declared_length},
    context::RequestContext,
    delivery::Expected,
    rejection::{ALLOW, Reason, RejectionKind},
};
use crate::{
    handshake,
    receive::Receive,
    signature::{Signature, Verifier},
};

/// What a request to a configured path asks for.
#[derive(Clone, Copy)]
pub(super) enum Intent {
    Handshake,
    Delivery(Signature),
}

/// How to continue with a request whose app is known.
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved into the future at once, and a box would be an allocation per delivery"
)]
pub(super) enum Action<B> {
    Respond(Response<Bytes>),
    Receive {
        receive: Receive<B>,
        expected: Expected,
        parts: Parts,
    },
}

/// Determines the intent of a request. Rejects what can be rejected without knowing the app.
pub(super) fn classify<B>(
    request: &Request<B>,
    #[cfg_attr(
        not(feature = "admission"),
        expect(unused_variables, reason = "every sender is admitted")
    )]
    config: &Config,
) -> Result<Intent, Reason> {
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
        Method::GET => Ok(Intent::Handshake),
        _ => Err(RejectionKind::MethodNotAllowed.into()),
    }
}

/// Decides how to continue with a request for `app`.
pub(super) fn dispatch<B>(
    intent: Intent,
    request: Request<B>,
    app: &App,
    config: &Config,
    context: &mut RequestContext,
) -> Result<Action<B>, Reason>
where
    B: Body<Data = Bytes>,
{
    // Set already for the app of a configured path.
    context.app.get_or_insert_with(|| app.clone());
    let ring = app.credentials().ring();
    let signature = match intent {
        Intent::Delivery(signature) => signature,
        Intent::Handshake => {
            let challenge = handshake::challenge(request.uri().query(), ring.tokens())?;
            (config.telemetry).handshake(&app.shared_label(), context.path.as_deref());
            return Ok(Action::Respond(challenge_response(challenge)));
        }
    };
    let limits = app.limits(&config.limits, config.longest_body);
    let declared = check_body_headers(request.headers(), limits.body, context)?;
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
    context.ring = Some(Arc::clone(&ring));
    let expected = Expected {
        app: app.clone(),
        ring,
        signature,
    };
    Ok(Action::Receive {
        receive,
        expected,
        parts,
    })
}

/// Returns the declared length of the body. Rejects a body that is too long or compressed.
fn check_body_headers(
    headers: &HeaderMap,
    limit: usize,
    context: &mut RequestContext,
) -> Result<Option<usize>, RejectionKind> {
    let declared = match headers.get(header::CONTENT_LENGTH).map(declared_length) {
        Some(DeclaredLength::Known(length)) => Some(length),
        Some(DeclaredLength::Overflow) => Some(usize::MAX),
        Some(DeclaredLength::Invalid) | None => None,
    };
    context.declared_length = declared;
    if declared.is_some_and(|length| length > limit) {
        return Err(RejectionKind::BodyTooLarge);
    }
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

/// Builds the response to a valid handshake: the challenge, with headers that keep a browser from
/// running or caching it.
fn challenge_response(challenge: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(challenge));
    let headers = response.headers_mut();
    // Otherwise axum adds `Allow: POST` to the responses of a `post` route's fallback.
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
