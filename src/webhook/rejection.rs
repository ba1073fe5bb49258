use std::{error::Error, fmt};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

#[cfg(feature = "admission")]
use crate::admission::Refused;
use crate::{handshake::HandshakeError, receive::ReceiveError, signature::SignatureError};

/// The methods of the webhook's path.
pub(super) const ALLOW: HeaderValue = HeaderValue::from_static("GET, POST");

/// Why the layer answered a request itself. In the extensions of every such response.
///
/// It carries nothing of the request.
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

/// The reasons, each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// Neither GET nor POST. 405 with `Allow: GET, POST`.
    MethodNotAllowed,
    /// The handshake does not have exactly one `hub.mode=subscribe`, one `hub.verify_token` that is ours and one `hub.challenge`.
    /// 403.
    HandshakeRefused,
    /// The query of the handshake is longer than 2048 bytes or has more than 16 parameters, or its challenge is not 1 to 256
    /// characters of `A-Z a-z 0-9 . _ ~ -`. 400.
    HandshakeMalformed,
    /// The caller's address is not known, and there is a list of those that may call: neither the server nor a trusted proxy has told it. 403, the
    /// body is not read.
    #[cfg(feature = "admission")]
    AddressUnknown,
    /// The caller's address is not in the list. 403, the body is not read.
    #[cfg(feature = "admission")]
    AddressRefused,
    /// The caller has shown no certificate. 403, the body is not read.
    #[cfg(feature = "client-certificate")]
    CertificateMissing,
    /// The caller's certificate was not verified, or is somebody else's. 403, the body is not read.
    #[cfg(feature = "client-certificate")]
    CertificateRefused,
    /// There is no app of the name in the path. 403, as for a signature that is wrong; the body is not read.
    #[cfg(feature = "apps")]
    AppUnknown,
    /// It cannot be said now whether there is an app of the name in the path. 503 with `Retry-After: 1`, the body is not read.
    #[cfg(feature = "apps")]
    AppsUnavailable,
    /// There is no `X-Hub-Signature-256`. 403, the body is not read.
    SignatureMissing,
    /// There is more than one, or it is not `sha256=` and 64 lower-case hexadecimal digits. 403, the body is not read.
    SignatureMalformed,
    /// The signature is not that of the body under any configured secret. 403.
    SignatureMismatch,
    /// The declared length, or what really came, is over the body limit, or over that of a layer around this one. 413.
    BodyTooLarge,
    /// `Content-Encoding` is not `identity`: the signature is of the bytes before compression. 415, the body is not read.
    ContentEncoding,
    /// The body was not complete within its deadline, or within the timeout of a layer around this one. 408.
    BodyDeadline,
    /// The sender paused for longer than the idle time. 408.
    BodyIdle,
    /// The memory for bodies that are being received or handled is used up. 503 with `Retry-After: 1`.
    MemoryBudget,
    /// Reading the body failed: the connection broke, or its framing is wrong. 400.
    BodyBroken,
    /// The signature is right and the body is not JSON (or nested deeper than 127). 422, so that Meta keeps it and tries again.
    NotJson,
    /// The signature is right, an event names an account or phone number that the app does not
    /// list, and the app [refuses](super::OnForeignEvent::Refuse) such deliveries. 403, so that
    /// Meta retries.
    AccountRefused,
    /// The inner service failed with an error in place of an answer to a verified delivery. 503: see
    /// [`on_handler_error`](crate::WebhookLayerBuilder::on_handler_error).
    HandlerFailed,
}

impl Rejection {
    /// The reason.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The status of the default answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
    }

    /// The default answer: the status, an empty body, and `Allow` or `Retry-After` where the status asks for it. It is the same
    /// for every request that is refused for the same reason.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// Has `response` mean what the rejection means: see [`on_rejection`](crate::WebhookLayerBuilder::on_rejection).
    pub(super) fn mark(self, response: &mut Response<Bytes>) {
        if response.status().is_success() {
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
            RejectionKind::AppsUnavailable => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }
}

impl RejectionKind {
    fn describe(self) -> (StatusCode, &'static str) {
        match self {
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and POST are served here",
            ),
            Self::HandshakeRefused => (StatusCode::FORBIDDEN, "the handshake was refused"),
            Self::HandshakeMalformed => (StatusCode::BAD_REQUEST, "the handshake is malformed"),
            #[cfg(feature = "admission")]
            Self::AddressUnknown => (StatusCode::FORBIDDEN, "the caller's address is not known"),
            #[cfg(feature = "admission")]
            Self::AddressRefused => (StatusCode::FORBIDDEN, "the caller's address is not allowed"),
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
            Self::AppUnknown => (StatusCode::FORBIDDEN, "there is no app of this name"),
            #[cfg(feature = "apps")]
            Self::AppsUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the resolver of apps is not available",
            ),
            Self::SignatureMissing => (StatusCode::FORBIDDEN, "the signature header is missing"),
            Self::SignatureMalformed => {
                (StatusCode::FORBIDDEN, "the signature header is malformed")
            }
            Self::SignatureMismatch => (StatusCode::FORBIDDEN, "the signature does not match"),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is longer than the limit",
            ),
            Self::ContentEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must not be compressed",
            ),
            Self::BodyDeadline => (
                StatusCode::REQUEST_TIMEOUT,
                "the body was not complete in time",
            ),
            Self::BodyIdle => (StatusCode::REQUEST_TIMEOUT, "the body paused for too long"),
            Self::MemoryBudget => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the memory for bodies is used up",
            ),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "the body could not be read"),
            Self::NotJson => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body is signed and not JSON",
            ),
            Self::AccountRefused => (
                StatusCode::FORBIDDEN,
                "the delivery has an event of another account or phone number",
            ),
            Self::HandlerFailed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the handler failed with an error",
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
