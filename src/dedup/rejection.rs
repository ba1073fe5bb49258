use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::store::{StoreError, StoreErrorKind};

/// Why a [`DedupLayer`](super::DedupLayer) asked Meta to send a delivery again. In the extensions of
/// every response that it made or changed.
///
/// It carries nothing of the request. If the store failed, [`source`](Error::source) is the
/// [`StoreError`], and the source of that is what the store said: that Redis wants a password, or the
/// error of your own database.
///
/// ```
/// use std::error::Error;
/// use tower_whatsapp::dedup::{DedupRejection, DedupRejectionKind};
///
/// fn log<B>(response: &http::Response<B>) {
///     let Some(rejection) = response.extensions().get::<DedupRejection>() else { return };
///     if rejection.kind() == DedupRejectionKind::StoreUnavailable {
///         let mut cause = rejection.source();
///         while let Some(error) = cause {
///             eprintln!("{error}");
///             cause = error.source();
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct DedupRejection {
    kind: DedupRejectionKind,
    source: Option<Arc<StoreError>>,
}

/// The reasons, each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DedupRejectionKind {
    /// Some events are being handled elsewhere and may still fail there; those that could be claimed were handled. 503 with
    /// `Retry-After: 1`.
    InFlight,
    /// The store could not be asked; the source says why. 503 with `Retry-After: 1`; the handler was
    /// not called.
    StoreUnavailable,
    /// The store has no room, and all that is in it is needed. 503 with `Retry-After: 1`; the handler was not called.
    StoreFull,
    /// The handler is not ready yet; it goes on. 503 with `Retry-After: 1`.
    ResponseDeadline,
    /// The handler was not ready by its deadline and was stopped. 503 with `Retry-After: 1`. By default
    /// the response deadline comes first: see [`Counters::timed_out`](super::Counters::timed_out).
    HandlerDeadline,
    /// The handler answered with anything but 2xx. Its own status if that is a 5xx, else 500.
    HandlerRefused,
    /// The inner service failed without an answer. 500.
    HandlerFailed,
    /// The handler panicked. 500.
    HandlerPanicked,
    /// The handler named events that it had not handled in its [`PartialFailure`](super::PartialFailure). Its own status if that is a 5xx, else 500.
    PartlyFailed,
    /// The process is shutting down. 503 with `Retry-After: 1`.
    Draining,
    /// All events are older than their windows, and the layer was told to refuse such. 403.
    Stale,
}

impl DedupRejection {
    /// The reason.
    #[must_use]
    pub fn kind(&self) -> DedupRejectionKind {
        self.kind
    }

    /// The status of the answer, unless the handler has given a 5xx of its own.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
    }

    /// The answer: the status, an empty body, and `Retry-After` where it is a matter of time.
    pub(super) fn into_response(self) -> Response<Bytes> {
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

impl DedupRejectionKind {
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
                "the events are older than the window of duplicates",
            ),
        }
    }
}

impl fmt::Debug for DedupRejection {
    /// Without the words of the store, which may be those of a database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupRejection")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DedupRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe().1)
    }
}

impl Error for DedupRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl From<DedupRejectionKind> for DedupRejection {
    fn from(kind: DedupRejectionKind) -> Self {
        Self { kind, source: None }
    }
}

/// The store could not be asked, or is full.
impl From<Arc<StoreError>> for DedupRejection {
    fn from(error: Arc<StoreError>) -> Self {
        Self {
            kind: match error.kind() {
                StoreErrorKind::Unavailable => DedupRejectionKind::StoreUnavailable,
                StoreErrorKind::Full => DedupRejectionKind::StoreFull,
            },
            source: Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_why() {
        let stale = DedupRejection::from(DedupRejectionKind::Stale);
        assert_eq!(
            stale.to_string(),
            "the events are older than the window of duplicates"
        );
        assert!(stale.source().is_none());
    }

    #[test]
    fn debug_does_not_show_the_words_of_the_store() {
        let error = StoreError::unavailable("password authentication failed for user ann");
        let rejection = DedupRejection::from(Arc::new(error));
        assert_eq!(
            format!("{rejection:?}"),
            "DedupRejection { kind: StoreUnavailable, .. }"
        );
        let cause = rejection.source().and_then(Error::source).unwrap();
        assert_eq!(
            cause.to_string(),
            "password authentication failed for user ann"
        );
    }
}
