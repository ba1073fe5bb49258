use std::{error::Error, fmt};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

#[cfg(feature = "admission")]
use crate::admission::Refused;
use crate::{handshake::HandshakeError, receive::ReceiveError, signature::SignatureError};

/// The methods of a webhook path.
pub(super) const ALLOW: HeaderValue = HeaderValue::from_static("GET, POST");

/// Why the layer rejected a request. It is in the extensions of every rejection response, and of no
/// other response: the answer to a valid handshake does not have it.
///
/// It contains no data of the request.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    kind: RejectionKind,
}

/// The reasons for a rejection, each with its response status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The method is neither GET nor POST. 405 with `Allow: GET, POST`.
    MethodNotAllowed,
    /// The handshake has a wrong `hub.verify_token`, a `hub.mode` other than `subscribe`, lacks one
    /// of the two, or repeats a parameter. 403.
    #[doc(alias = "hub.challenge")]
    HandshakeRefused,
    /// The query of the handshake is longer than 2048 bytes or has more than 16 parameters; or the
    /// token is right and the challenge is not 1 to 256 characters of `A-Z a-z 0-9 . _ ~ -`. 400.
    HandshakeMalformed,
    /// An IP allow list is set, and neither the server nor a trusted proxy reported the client
    /// address. 403; the body is not read.
    #[cfg(feature = "admission")]
    AddressUnknown,
    /// The client address is not in the allow list. 403; the body is not read.
    #[cfg(feature = "admission")]
    AddressRefused,
    /// The sender presented no client certificate. 403; the body is not read.
    #[cfg(feature = "client-certificate")]
    CertificateMissing,
    /// The client certificate was not verified, or has another subject. 403; the body is not read.
    #[cfg(feature = "client-certificate")]
    CertificateRefused,
    /// No app has the name in the path. 403, like a wrong signature; the body is not read.
    #[cfg(feature = "apps")]
    AppUnknown,
    /// The app resolver failed, timed out, or reached a limit. 503 with `Retry-After: 1`; the body
    /// is not read. [`CachedResolver::counters`](super::CachedResolver::counters) tells which, and
    /// [`last_error`](super::CachedResolver::last_error) has the cause.
    #[cfg(feature = "apps")]
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
    /// `Content-Encoding` is not `identity`. The signature covers the uncompressed bytes. 415; the
    /// body is not read.
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
    /// Meta retries.
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
        self.kind
    }

    /// Status of the default response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
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

    fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self.kind {
            RejectionKind::MethodNotAllowed => Some((header::ALLOW, ALLOW)),
            RejectionKind::MemoryBudget => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            #[cfg(feature = "apps")]
            RejectionKind::AppResolverUnavailable => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }
}

impl RejectionKind {
    // Long because it is a table with one row per reason.
    fn describe(self) -> (StatusCode, &'static str) {
        match self {
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and POST are allowed",
            ),
            Self::HandshakeRefused => (StatusCode::FORBIDDEN, "the handshake was refused"),
            Self::HandshakeMalformed => (StatusCode::BAD_REQUEST, "the handshake is malformed"),
            #[cfg(feature = "admission")]
            Self::AddressUnknown => (StatusCode::FORBIDDEN, "the client address is unknown"),
            #[cfg(feature = "admission")]
            Self::AddressRefused => (StatusCode::FORBIDDEN, "the client address is not allowed"),
            #[cfg(feature = "client-certificate")]
            Self::CertificateMissing => {
                (StatusCode::FORBIDDEN, "the client certificate is missing")
            }
            #[cfg(feature = "client-certificate")]
            Self::CertificateRefused => (
                StatusCode::FORBIDDEN,
                "the client certificate is not allowed",
            ),
            #[cfg(feature = "apps")]
            Self::AppUnknown => (StatusCode::FORBIDDEN, "no app has this name"),
            #[cfg(feature = "apps")]
            Self::AppResolverUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the app resolver is not available",
            ),
            Self::SignatureMissing => (StatusCode::FORBIDDEN, "the signature header is missing"),
            Self::SignatureMalformed => {
                (StatusCode::FORBIDDEN, "the signature header is malformed")
            }
            Self::SignatureMismatch => (StatusCode::FORBIDDEN, "the signature does not match"),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body exceeds the size limit",
            ),
            Self::ContentEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must not be compressed",
            ),
            Self::BodyDeadline => (
                StatusCode::REQUEST_TIMEOUT,
                "the body was not received within the deadline",
            ),
            Self::BodyIdle => (
                StatusCode::REQUEST_TIMEOUT,
                "the body was idle for longer than the timeout",
            ),
            Self::MemoryBudget => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the memory budget is used up",
            ),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "the body could not be read"),
            Self::NotJson => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body is signed but is not JSON",
            ),
            Self::AccountRefused => (
                StatusCode::FORBIDDEN,
                "the delivery has an event of an account or phone number that is not listed",
            ),
            Self::HandlerFailed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the inner service failed with an error",
            ),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe().1)
    }
}

impl Error for Rejection {}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self { kind }
    }
}

impl From<HandshakeError> for RejectionKind {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused => Self::HandshakeRefused,
            HandshakeError::Malformed => Self::HandshakeMalformed,
        }
    }
}

#[cfg(feature = "admission")]
impl From<Refused> for RejectionKind {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::AddressUnknown => Self::AddressUnknown,
            Refused::Address => Self::AddressRefused,
            #[cfg(feature = "client-certificate")]
            Refused::CertificateMissing => Self::CertificateMissing,
            #[cfg(feature = "client-certificate")]
            Refused::Certificate => Self::CertificateRefused,
        }
    }
}

impl From<SignatureError> for RejectionKind {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Missing => Self::SignatureMissing,
            SignatureError::Malformed => Self::SignatureMalformed,
            SignatureError::Mismatch => Self::SignatureMismatch,
        }
    }
}

impl From<ReceiveError> for RejectionKind {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::TooLarge => Self::BodyTooLarge,
            #[cfg(feature = "tokio")]
            ReceiveError::Deadline => Self::BodyDeadline,
            #[cfg(feature = "tokio")]
            ReceiveError::Idle => Self::BodyIdle,
            ReceiveError::Budget => Self::MemoryBudget,
            ReceiveError::TimedOut => Self::BodyDeadline,
            ReceiveError::Broken => Self::BodyBroken,
        }
    }
}
