use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::{app::App, context::RequestContext, rejection_detail::RejectionDetail};
#[cfg(feature = "admission")]
use crate::admission::Refused;
use crate::{
    event::ParseError, handshake::HandshakeError, receive::ReceiveError, signature::SignatureError,
};

/// The methods of a webhook path.
pub(super) const ALLOW: HeaderValue = HeaderValue::from_static("GET, POST");

/// Why the layer rejected a request. It is in the extensions of every rejection response, and
/// [`on_rejection`](crate::WebhookLayerBuilder::on_rejection) gets it. Other responses do not have
/// it, such as the answer to a valid handshake.
///
/// It contains no text of the request: kinds, lengths, and texts from the configuration.
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_whatsapp::{Rejection, RejectionKind, WebhookLayer, webhook::RequestBody};
/// # type Body = http_body_util::Full<bytes::Bytes>;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = service_fn(async |_: Request<RequestBody<Body>>| {
///     Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
/// });
/// let service = WebhookLayer::new("/webhook", "secret", "token")?.layer(host);
///
/// let response = service.oneshot(Request::post("/webhook").body(Body::default())?).await?;
/// let rejection = response.extensions().get::<Rejection>().ok_or("none")?;
/// assert_eq!(rejection.kind(), RejectionKind::SignatureMissing);
/// assert_eq!(response.status(), rejection.status());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Rejection {
    reason: Reason,
    path: Option<Arc<str>>,
    app: Option<Arc<str>>,
    declared_length: Option<usize>,
    received_length: Option<usize>,
}

/// The kind of a rejection, and what exactly was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reason {
    kind: RejectionKind,
    detail: Option<RejectionDetail>,
}

/// The reasons for a rejection, each with its response status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The method is neither GET nor POST. 405 with `Allow: GET, POST`.
    MethodNotAllowed,
    /// A GET without any parameter of the handshake: a browser or a health check. 403.
    NotHandshake,
    /// The handshake has no `hub.mode` or no `hub.verify_token`. 403.
    HandshakeIncomplete,
    /// The handshake has a parameter more than once. 403.
    HandshakeRepeated,
    /// The `hub.mode` of the handshake is not `subscribe`. 403.
    HandshakeMode,
    /// The `hub.verify_token` of the handshake is none of the configured tokens. 403.
    #[doc(alias = "hub.verify_token")]
    HandshakeToken,
    /// The query of the handshake is longer than 2048 bytes or has more than 16 parameters; or the
    /// token is right and the challenge is not 1 to 256 characters of `A-Z a-z 0-9 . _ ~ -`. 400.
    #[doc(alias = "hub.challenge")]
    HandshakeMalformed,
    /// An IP allow list is set, and neither the server nor a trusted proxy reported the client
    /// address. 403; the body is not read.
    AddressUnknown,
    /// The client address is not in the allow list. 403; the body is not read.
    AddressRefused,
    /// The sender presented no client certificate, or the proxy that reports it is not trusted.
    /// 403; the body is not read.
    CertificateMissing,
    /// The client certificate was not verified, or has another subject. 403; the body is not read.
    CertificateRefused,
    /// No app has the name in the path. 403, like a wrong signature; the body is not read.
    AppUnknown,
    /// The app resolver failed, timed out, or reached a limit. 503 with `Retry-After: 1`; the body
    /// is not read. `CachedResolver::counters` tells which, and its `last_error` has the cause.
    AppResolverUnavailable,
    /// The `X-Hub-Signature-256` header is missing. 403; the body is not read.
    SignatureMissing,
    /// The signature header is repeated, or is not `sha256=` and 64 lower-case hexadecimal digits.
    /// 403; the body is not read.
    SignatureMalformed,
    /// The signature does not match the body under any configured secret. 403.
    SignatureMismatch,
    /// The declared or the received length exceeds the body limit, or that of an outer layer. 413.
    BodyTooLarge,
    /// `Content-Encoding` is not `identity`. The signature covers the uncompressed bytes. 415 with
    /// `Accept-Encoding: identity`; the body is not read.
    ContentEncoding,
    /// The body was not complete within its deadline, or within the timeout of an outer layer. 408.
    BodyDeadline,
    /// The sender paused for longer than the idle timeout. 408.
    BodyIdle,
    /// The memory budget is used up, or the body was evicted. 503 with `Retry-After: 1`.
    MemoryBudget,
    /// Reading the body failed: the connection broke, or the framing is invalid. 400.
    BodyBroken,
    /// The signature is valid and the body is not JSON, or nested deeper than 127. 422, so that
    /// Meta retries. The [`detail`](Rejection::detail) says which.
    NotJson,
    /// The signature is valid, an event names an account or phone number that the app does not
    /// list, and the app [refuses](super::OnForeignEvent::Refuse) such deliveries. 403, so that
    /// Meta retries.
    AccountRefused,
    /// The inner service failed with an error instead of answering a verified delivery. 503: see
    /// [`on_handler_error`](crate::WebhookLayerBuilder::on_handler_error).
    HandlerFailed,
}

impl Rejection {
    /// The reason for the rejection.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.reason.kind
    }

    /// What exactly was wrong, for kinds that have several causes.
    #[must_use]
    pub fn detail(&self) -> Option<RejectionDetail> {
        self.reason.detail
    }

    /// The configured path that the request was sent to: for an app resolver its pattern, `*` for
    /// [`any_path`](crate::WebhookLayerBuilder::any_path).
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Label of the [`App`](super::App) that the request was for, if it is known. Empty for the
    /// only app of a layer, which has no label.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn shared_app(&self) -> Option<&Arc<str>> {
        self.app.as_ref()
    }

    /// Length of the body that the sender declared, in bytes.
    #[must_use]
    pub fn declared_length(&self) -> Option<usize> {
        self.declared_length
    }

    /// Length of the body in bytes, if it was received completely.
    ///
    /// If the signature does not match and this differs from the declared length, something in
    /// front of this service changes bodies.
    #[must_use]
    pub fn received_length(&self) -> Option<usize> {
        self.received_length
    }

    /// Status of the default response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind().describe().0
    }

    /// Builds the default response: the status, an empty body, and `Allow` or `Retry-After` where
    /// the status requires it. It is the same for every request with the same reason.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// Corrects the response of a hook: see
    /// [`on_rejection`](crate::WebhookLayerBuilder::on_rejection).
    pub(super) fn apply_to(self, response: &mut Response<Bytes>) {
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            *response.status_mut() = self.status();
        }
        if let Some((name, value)) = self.header() {
            response.headers_mut().entry(name).or_insert(value);
        }
        response.extensions_mut().insert(self);
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.kind() {
            RejectionKind::MethodNotAllowed => Some((header::ALLOW, ALLOW)),
            RejectionKind::MemoryBudget | RejectionKind::AppResolverUnavailable => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            // As RFC 9110 (15.5.16) asks, so that a coding is not taken for a media type.
            RejectionKind::ContentEncoding => Some((
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            )),
            _ => None,
        }
    }
}

impl RejectionKind {
    /// Number of kinds.
    #[cfg(feature = "tracing")]
    pub(crate) const COUNT: usize = Self::HandlerFailed as usize + 1;

    /// Returns the name of the kind in snake case (`signature_mismatch`), for logs and metrics. The
    /// names are stable across versions of this crate.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.describe().1
    }

    // Long because it is a table with one row per kind.
    fn describe(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "only GET and POST are allowed",
            ),
            Self::NotHandshake => (
                S::FORBIDDEN,
                "not_handshake",
                "the request is not a handshake",
            ),
            Self::HandshakeIncomplete => (
                S::FORBIDDEN,
                "handshake_incomplete",
                "the handshake lacks a parameter",
            ),
            Self::HandshakeRepeated => (
                S::FORBIDDEN,
                "handshake_repeated",
                "the handshake repeats a parameter",
            ),
            Self::HandshakeMode => (
                S::FORBIDDEN,
                "handshake_mode",
                "the mode of the handshake is not `subscribe`",
            ),
            Self::HandshakeToken => (
                S::FORBIDDEN,
                "handshake_token",
                "the verify token of the handshake is not a configured one",
            ),
            Self::HandshakeMalformed => (
                S::BAD_REQUEST,
                "handshake_malformed",
                "the handshake is malformed",
            ),
            Self::AddressUnknown => (
                S::FORBIDDEN,
                "address_unknown",
                "the client address is unknown",
            ),
            Self::AddressRefused => (
                S::FORBIDDEN,
                "address_refused",
                "the client address is not allowed",
            ),
            Self::CertificateMissing => (
                S::FORBIDDEN,
                "certificate_missing",
                "the client certificate is missing",
            ),
            Self::CertificateRefused => (
                S::FORBIDDEN,
                "certificate_refused",
                "the client certificate is not allowed",
            ),
            Self::AppUnknown => (S::FORBIDDEN, "app_unknown", "no app has this name"),
            Self::AppResolverUnavailable => (
                S::SERVICE_UNAVAILABLE,
                "app_resolver_unavailable",
                "the app resolver is not available",
            ),
            Self::SignatureMissing => (
                S::FORBIDDEN,
                "signature_missing",
                "the signature header is missing",
            ),
            Self::SignatureMalformed => (
                S::FORBIDDEN,
                "signature_malformed",
                "the signature header is malformed",
            ),
            Self::SignatureMismatch => (
                S::FORBIDDEN,
                "signature_mismatch",
                "the signature does not match",
            ),
            Self::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "the body exceeds the size limit",
            ),
            Self::ContentEncoding => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "content_encoding",
                "the body must not be compressed",
            ),
            Self::BodyDeadline => (
                S::REQUEST_TIMEOUT,
                "body_deadline",
                "the body was not received within the deadline",
            ),
            Self::BodyIdle => (
                S::REQUEST_TIMEOUT,
                "body_idle",
                "the body was idle for longer than the timeout",
            ),
            Self::MemoryBudget => (
                S::SERVICE_UNAVAILABLE,
                "memory_budget",
                "the memory budget is used up",
            ),
            Self::BodyBroken => (S::BAD_REQUEST, "body_broken", "the body could not be read"),
            Self::NotJson => (
                S::UNPROCESSABLE_ENTITY,
                "not_json",
                "the body is signed but is not JSON",
            ),
            Self::AccountRefused => (
                S::FORBIDDEN,
                "account_refused",
                "the delivery has an event of an account or phone number that is not listed",
            ),
            Self::HandlerFailed => (
                S::SERVICE_UNAVAILABLE,
                "handler_failed",
                "the inner service failed with an error",
            ),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().describe().2)
    }
}

/// The source is the [`detail`](Rejection::detail).
impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let detail = self.reason.detail.as_ref()?;
        Some(detail)
    }
}

impl Reason {
    /// Adds what is known of the request.
    pub(super) fn into_rejection(self, context: &RequestContext) -> Rejection {
        Rejection {
            reason: self,
            path: context.path.clone(),
            app: context.app.as_ref().map(App::shared_label),
            declared_length: context.declared_length,
            received_length: context.received_length,
        }
    }
}

/// For tests of a hook: nothing but the kind is known.
impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Reason::from(kind).into_rejection(&RequestContext::default())
    }
}

impl From<RejectionKind> for Reason {
    fn from(kind: RejectionKind) -> Self {
        Self { kind, detail: None }
    }
}

impl From<HandshakeError> for Reason {
    fn from(error: HandshakeError) -> Self {
        let (kind, detail) = match error {
            HandshakeError::NotHandshake => (RejectionKind::NotHandshake, None),
            HandshakeError::Missing(parameter) => (
                RejectionKind::HandshakeIncomplete,
                Some(RejectionDetail::Parameter(parameter)),
            ),
            HandshakeError::Repeated(parameter) => (
                RejectionKind::HandshakeRepeated,
                Some(RejectionDetail::Parameter(parameter)),
            ),
            HandshakeError::Mode => (RejectionKind::HandshakeMode, None),
            HandshakeError::Token => (RejectionKind::HandshakeToken, None),
            HandshakeError::Malformed(problem) => (
                RejectionKind::HandshakeMalformed,
                Some(RejectionDetail::Handshake(problem)),
            ),
        };
        Self { kind, detail }
    }
}

impl From<SignatureError> for Reason {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Missing => RejectionKind::SignatureMissing.into(),
            SignatureError::Malformed(problem) => Self {
                kind: RejectionKind::SignatureMalformed,
                detail: Some(RejectionDetail::Signature(problem)),
            },
            SignatureError::Mismatch => RejectionKind::SignatureMismatch.into(),
        }
    }
}

#[cfg(feature = "admission")]
impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::AddressUnknown => RejectionKind::AddressUnknown.into(),
            Refused::Address => RejectionKind::AddressRefused.into(),
            #[cfg(feature = "client-certificate")]
            Refused::Certificate(problem) => Self {
                kind: if problem.is_missing() {
                    RejectionKind::CertificateMissing
                } else {
                    RejectionKind::CertificateRefused
                },
                detail: Some(RejectionDetail::Certificate(problem)),
            },
        }
    }
}

impl From<ParseError> for Reason {
    fn from(error: ParseError) -> Self {
        Self {
            kind: RejectionKind::NotJson,
            detail: Some(RejectionDetail::Parse(error)),
        }
    }
}

impl From<ReceiveError> for Reason {
    fn from(error: ReceiveError) -> Self {
        let kind = match error {
            ReceiveError::TooLarge => RejectionKind::BodyTooLarge,
            #[cfg(feature = "tokio")]
            ReceiveError::Deadline => RejectionKind::BodyDeadline,
            #[cfg(feature = "tokio")]
            ReceiveError::Idle => RejectionKind::BodyIdle,
            ReceiveError::Budget => RejectionKind::MemoryBudget,
            ReceiveError::TimedOut => RejectionKind::BodyDeadline,
            ReceiveError::Broken => RejectionKind::BodyBroken,
        };
        kind.into()
    }
}
