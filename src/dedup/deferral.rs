use std::{error::Error, fmt};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// Why a [`DedupLayer`](super::DedupLayer) had Meta send a delivery again. In the extensions of every answer that it made or changed.
///
/// It carries nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferral {
    kind: DeferralKind,
}

/// The reasons, each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeferralKind {
    /// Some events are being handled elsewhere and may still fail there; those that could be claimed were handled. 503 with
    /// `Retry-After: 1`.
    InFlight,
    /// The store could not be asked. 503 with `Retry-After: 1`; the handler was not called.
    StoreUnavailable,
    /// The store has no room, and all that is in it is needed. 503 with `Retry-After: 1`; the handler was not called.
    StoreFull,
    /// The handler is not ready yet; it goes on. 503 with `Retry-After: 1`.
    ResponseDeadline,
    /// The handler was not ready by its deadline and was stopped. 503 with `Retry-After: 1`.
    HandlerDeadline,
    /// The handler answered with anything but 2xx. Its own status if that is a 5xx, else 500.
    HandlerRefused,
    /// The inner service failed without an answer. 500.
    HandlerFailed,
    /// The handler panicked. 500.
    HandlerPanicked,
    /// The handler named events that it had not handled in its [`Outcome`](super::Outcome). Its own status if that is a 5xx, else 500.
    PartlyFailed,
    /// The process is shutting down. 503 with `Retry-After: 1`.
    Draining,
    /// An event is older than the window, and the layer was told to refuse such. 403.
    Stale,
}

impl Deferral {
    /// The reason.
    #[must_use]
    pub fn kind(&self) -> DeferralKind {
        self.kind
    }

    /// The status of the answer, unless the handler has given a 5xx of its own.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
    }

    /// The answer: the status, an empty body, and `Retry-After` where it is a matter of time.
    pub(super) fn to_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let second = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response.extensions_mut().insert(self);
        response
    }

    /// Has an answer of the handler say that the delivery is to come again.
    pub(super) fn mark<R>(self, response: &mut Response<R>) {
        if !response.status().is_server_error() {
            *response.status_mut() = self.status();
        }
        response.extensions_mut().insert(self);
    }
}

impl DeferralKind {
    fn describe(self) -> (StatusCode, &'static str) {
        match self {
            Self::InFlight => (
                StatusCode::SERVICE_UNAVAILABLE,
                "events are being handled elsewhere",
            ),
            Self::StoreUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store of handled events is not available",
            ),
            Self::StoreFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store of handled events is full",
            ),
            Self::ResponseDeadline => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the handler is not ready yet",
            ),
            Self::HandlerDeadline => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the handler was not ready in time and was stopped",
            ),
            Self::HandlerRefused => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the handler refused the events",
            ),
            Self::HandlerFailed => (StatusCode::INTERNAL_SERVER_ERROR, "the handler failed"),
            Self::HandlerPanicked => (StatusCode::INTERNAL_SERVER_ERROR, "the handler panicked"),
            Self::PartlyFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the handler did not handle all events",
            ),
            Self::Draining => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the process is shutting down",
            ),
            Self::Stale => (
                StatusCode::FORBIDDEN,
                "an event is older than the window of duplicates",
            ),
        }
    }
}

impl fmt::Display for Deferral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe().1)
    }
}

impl Error for Deferral {}

impl From<DeferralKind> for Deferral {
    fn from(kind: DeferralKind) -> Self {
        Self { kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_why() {
        let stale = Deferral::from(DeferralKind::Stale);
        assert_eq!(
            stale.to_string(),
            "an event is older than the window of duplicates"
        );
    }
}
